"""The state of the rules on disk: files that a crash cannot half write, and that say when they are spoilt.

A snapshot is a manifest `<position>.json` that names its parts by the digest of their content; a part that did not
change since the last snapshot is not written again. Everything is written beside its place, synced and renamed. The
newest two are kept: when one cannot be read, the one before serves, and behind that the journal.

Errors:
    OSError       a snapshot could not be written; the ones before it are untouched
    └─ NotKept    the same, from a database
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from forewarn.telemetry import Log

log = Log(__name__)

KEPT = 2
"""How many snapshots are kept."""
_VERSION = 1


class Snapshot(NamedTuple):
    """The state after the journal entry at `position`."""

    position: int
    parts: dict[str, bytes]


class NotKept(OSError):
    """A snapshot that a database did not take."""


class SnapshotStore(Protocol):
    """Where the state of an engine is kept: files (`Snapshots`), or a database by shard."""

    def save(self, position: int, parts: Mapping[str, bytes]) -> None:
        """Keeps the state after the journal entry at `position`.

        Raises:
            OSError: it is not kept.
        """

    def load(self, at_most: int) -> Snapshot | None:
        """The newest sound state at or before a journal position; what is spoilt is named in the log."""

    def oldest(self) -> int:
        """The position of the oldest snapshot kept, 0 without one: the journal is needed from there on."""


class _Spoilt(Exception):
    """A snapshot on disk that is not what was written."""


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot is made of: its parts by name, each by the digest of its content."""

    v: int
    position: int
    parts: dict[str, str]
    check: str = ""

    @classmethod
    def of(cls, position: int, parts: dict[str, str]) -> Manifest:
        """A manifest with its check."""
        return cls(_VERSION, position, parts).checked()

    def checked(self) -> Manifest:
        """The same with the check that belongs to it."""
        plain = msgspec.json.encode(msgspec.structs.replace(self, check=""), order="sorted")
        return msgspec.structs.replace(self, check=digest_of(plain))


class Snapshots:
    """The snapshots in one folder; one thread uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = folder / "parts"
        self._sound: set[str] = set()
        """Digests of parts that this process wrote or read: one that rotted on disk must be written again."""

    def save(self, position: int, parts: Mapping[str, bytes]) -> None:
        """Keeps a state.

        Raises:
            OSError: it is not kept.
        """
        self._parts.mkdir(parents=True, exist_ok=True)
        named = {name: digest_of(content) for name, content in parts.items()}
        for name, digest in named.items():
            if digest not in self._sound:
                _write(self._parts / digest, parts[name])
                self._sound.add(digest)
        _sync(self._parts)
        manifest = Manifest.of(position, named)
        _write(self._folder / f"{position:020d}.json", msgspec.json.encode(manifest))
        _sync(self._folder)
        self._tidy()

    def load(self, at_most: int) -> Snapshot | None:
        """The newest sound state at or before a journal position; what is spoilt is named in the log."""
        for file in reversed(self._manifests()):
            try:
                snapshot = self._read(file)
            except (_Spoilt, OSError) as wrong:
                log.warning("a snapshot of the rules cannot be used", file=file.name, why=str(wrong))
                continue
            if snapshot.position <= at_most:
                return snapshot
        return None

    def oldest(self) -> int:
        """The position of the oldest snapshot kept, 0 without one: the journal is needed from there on."""
        manifests = self._manifests()
        return int(manifests[0].stem) if manifests else 0

    def _manifests(self) -> list[Path]:
        return sorted(file for file in self._folder.glob("*.json") if file.stem.isdecimal())

    def _read(self, file: Path) -> Snapshot:
        try:
            manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
        except msgspec.DecodeError as wrong:
            raise _Spoilt(f"not a manifest: {wrong}") from wrong
        if manifest.v != _VERSION or manifest.checked() != manifest:
            raise _Spoilt("the manifest was changed, or another version wrote it")
        parts = {name: (self._parts / digest).read_bytes() for name, digest in manifest.parts.items()}
        for name, digest in manifest.parts.items():
            if digest_of(parts[name]) != digest:
                raise _Spoilt(f"part `{name}` was changed")
        self._sound.update(manifest.parts.values())
        return Snapshot(manifest.position, parts)

    def _tidy(self) -> None:
        manifests = self._manifests()
        for file in [*manifests[:-KEPT], *self._folder.glob("*.json.new")]:
            file.unlink()
        needed: set[str] = set()
        for file in manifests[-KEPT:]:
            try:
                needed.update(msgspec.json.decode(file.read_bytes(), type=Manifest).parts.values())
            except msgspec.DecodeError:
                file.unlink()
        for part in self._parts.iterdir():
            if part.name not in needed:
                part.unlink()
                self._sound.discard(part.name)


def digest_of(content: bytes) -> str:
    """What a part is named by."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
