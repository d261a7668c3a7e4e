"""The pages of the log book: what left the site, block by block, as it was sent. The form of the files and no more.

A page is a file `NNNNNN.log` in the folder `log`. It holds entries one after the other: 4 bytes length and 4 bytes
CRC-32 of what follows (big-endian), then one line of JSON (an `Entry`), then, for a block that left, the payload byte
for byte. Pages are written by one agent and read by anybody beside it: an entry that is not whole yet is simply not
there yet.

Errors:
    OSError   the disk refuses; what is wrong within a page is said in `Read.why`
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from forewarn import wire

FOLDER = "log"
SUFFIX = ".log"
BY_HAND = "looked-by-hand.log"
"""Where commands note what they send beside the agent; the same form, and never more than `MOST_BY_HAND` bytes twice."""
MOST_BY_HAND = 1024 * 1024
OLDER = ".1"
ASIDE = ".damaged"
"""The end of the name under which a damaged end of a page is kept."""
LEFT, AGAIN, CONFIRMED = "left", "again", "confirmed"
RUN, CONSENT, REFUSED, UNWRITTEN, BOOK = "run", "consent", "refused", "unwritten", "book"
LOOKED = "looked"

CUT_SHORT = "cut short"
DAMAGED = "damaged"

_HEAD = struct.Struct(">II")
_LARGEST = wire.MAX_PACKED + 64 * 1024


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. `at` is Unix milliseconds, when it happened.

    `kind` is one of:

    left       a block left: the records `first` to `last` of `epoch`, under `consent`; the payload follows. `lost` says
               that it declares losses
    again      the same block left once more, record for record; the payload stands in the entry before
    confirmed  the collector has everything of `epoch` up to `last` in its journal
    run        the agent started, its spool being `epoch`, confirmed up to `last`
    consent    what may be done changed: `text` has `state` (in force, or why not), `why`, and the document's facts
    refused    the guard refused an address or a source, `text` says which and why (no `why`: allowed again)
    looked     somebody began or ended to look for devices: `text` says who, where, how many addresses, how, what was found
    unwritten  records `first` to `last` left without an entry here; `text` says why
    book       about the log book itself: begun, damaged, pages dropped
    """

    at: int
    kind: str
    epoch: str = ""
    first: int = 0
    last: int = 0
    consent: str = ""
    lost: bool = False
    text: dict[str, str] = {}


class Stored(NamedTuple):
    """An entry with its payload (empty but for `left`), and where in the page the next one begins."""

    entry: Entry
    payload: bytes
    end: int


class Read(NamedTuple):
    """What a page holds behind some place; `end` is behind the last whole entry, `why` what is wrong with the rest."""

    stored: list[Stored]
    end: int
    why: str


# Names from files are strings that remember their place (`settings.Marked`): they are kept as plain ones.
_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder(Entry).decode


def encoded(entry: Entry, payload: bytes = b"") -> bytes:
    """An entry as it stands in a page."""
    line = _encode(entry) + b"\n"
    crc = zlib.crc32(payload, zlib.crc32(line))
    return b"".join((_HEAD.pack(len(line) + len(payload), crc), line, payload))


def pages(folder: Path) -> list[Path]:
    """The pages in a log book's folder, oldest first; none when there is no folder.

    Raises:
        OSError: the folder may not be read.
    """
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:
        return []
    return sorted(path for path in found if path.suffix == SUFFIX and path.stem.isdigit())


def named(folder: Path, number: int) -> Path:
    """The page with a number."""
    return folder / f"{number:06d}{SUFFIX}"


def aside(page: Path) -> Path:
    """Where the damaged end of a page is kept."""
    return page.with_name(page.name + ASIDE)


def read(page: Path, start: int = 0) -> Read:
    """Reads a page's entries from a place between two of them; stops at the first that is not whole.

    Raises:
        OSError: the page cannot be read.
    """
    with page.open("rb") as file:
        file.seek(start)
        content = memoryview(file.read())
    stored: list[Stored] = []
    at = 0
    while at < len(content):
        if len(content) - at < _HEAD.size:
            return Read(stored, start + at, CUT_SHORT)
        size, crc = _HEAD.unpack_from(content, at)
        if size > _LARGEST:
            return Read(stored, start + at, DAMAGED)
        rest = content[at + _HEAD.size : at + _HEAD.size + size]
        if len(rest) < size:
            return Read(stored, start + at, CUT_SHORT)
        entry = _opened(rest, crc)
        if entry is None:
            return Read(stored, start + at, DAMAGED)
        at += _HEAD.size + size
        stored.append(Stored(entry[0], entry[1], start + at))
    return Read(stored, start + at, "")


def _opened(rest: memoryview, crc: int) -> tuple[Entry, bytes] | None:
    if zlib.crc32(rest) != crc:
        return None
    line, _, payload = bytes(rest).partition(b"\n")
    try:
        return _decode(line), payload
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def cut_off(page: Path, end: int) -> int:
    """Sets what lies behind `end` aside and ends the page there; returns how many bytes.

    Raises:
        OSError: no room, or no right.
    """
    with page.open("rb+") as file:
        file.seek(end)
        tail = file.read()
        aside(page).write_bytes(tail)
        file.truncate(end)
    return len(tail)


def remove(page: Path) -> None:
    """Deletes a page, and what was set aside of it.

    Raises:
        OSError: no right.
    """
    page.unlink(missing_ok=True)
    aside(page).unlink(missing_ok=True)


def began(page: Path) -> int:
    """When a page's first entry happened, Unix milliseconds; when it was last written, if that cannot be read.

    Raises:
        OSError: the page cannot be read.
    """
    with page.open("rb") as file:
        head, rest = file.read(_HEAD.size), file.read(_LARGEST)
    if len(head) == _HEAD.size:
        size, crc = _HEAD.unpack(head)
        entry = _opened(memoryview(rest)[:size], crc)
        if entry is not None:
            return entry[0].at
    return int(page.stat().st_mtime * 1000)


def opened(page: Path) -> int:
    """A handle to append to a page, made when it is not there: for its account to write and its group to read.

    Raises:
        OSError: no room, or no right.
    """
    return os.open(page, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o640)


def note(folder: Path, entry: Entry) -> None:
    """Notes what a command does, beside the agent that writes the pages: in a file of its own, on disk on return.

    Raises:
        OSError: it could not be noted.
    """
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    path = folder / BY_HAND
    if path.exists():
        got = read(path)
        if got.why:  # A command was cut off here: what comes now would hide behind it.
            cut_off(path, got.end)
        if path.stat().st_size > MOST_BY_HAND:
            path.replace(path.with_name(path.name + OLDER))
    handle = opened(path)
    try:
        os.write(handle, encoded(entry))
        os.fsync(handle)
        # Whoever may read the other pages may read this one, whichever account the command ran under.
        with contextlib.suppress(OSError, AttributeError):
            owner = folder.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
    finally:
        os.close(handle)


def noted(folder: Path) -> list[Stored]:
    """What commands noted, oldest first; a damaged end is left out.

    Raises:
        OSError: it may not be read.
    """
    found: list[Stored] = []
    for name in (BY_HAND + OLDER, BY_HAND):
        with contextlib.suppress(FileNotFoundError):
            found += read(folder / name).stored
    return found
