"""What waits in the spool, read beside the running agent without a word to it: from a copy of the spool's files.

The agent has its spool for itself (SQLite, WAL, exclusive), so that nobody can hold it up by reading. The files can be
copied all the same: a copy is whole when between its first and its last byte the log was not begun anew and the main
file not written to, else another is made. What was committed after the copy is not in it.

Errors: none; why nothing could be read stands in `Waiting.why`.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.delivery.layout import SUFFIX
from forewarn.wire import Shape

MOST = 256 * 1024 * 1024
"""A larger spool is not copied to be looked at."""
_TRIES = 20
_SALTED = 32
"""Bytes at the head of SQLite's log that change when it is begun anew."""


class Kept(NamedTuple):
    """One record in the spool; `body` are its bytes as they will leave."""

    seq: int
    consent: str
    shape: Shape | None
    body: bytes


class Waiting(NamedTuple):
    """What the spool of an epoch holds, in order; `why` when that could not be read."""

    epoch: str
    records: list[Kept]
    why: str


def waiting(folder: Path, *, most: int = MOST) -> Waiting:
    """Reads the newest spool file in a folder."""
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        return Waiting("", [], "")
    path, epoch = found[-1], found[-1].name.removesuffix(SUFFIX)
    try:
        with tempfile.TemporaryDirectory(prefix="forewarn-") as name:
            for _ in range(_TRIES):
                size = path.stat().st_size
                if size > most:
                    return Waiting(epoch, [], f"the spool has {size} bytes, too many to be copied and looked at")
                copy = Path(name) / path.name
                if _copied(path, copy):
                    return Waiting(epoch, _records(copy), "")
                time.sleep(0.05)
    except (OSError, sqlite3.Error, msgspec.DecodeError) as wrong:
        return Waiting(epoch, [], f"the spool cannot be read: {wrong}")
    return Waiting(epoch, [], "the spool is written to all the time")


def _copied(path: Path, copy: Path) -> bool:
    """Copies a spool; False when it changed meanwhile in a way that makes the copy worthless."""
    beside = Path(f"{path}-wal")
    before = _state(path, beside)
    shutil.copyfile(path, copy)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(beside, f"{copy}-wal")
    return _state(path, beside) == before


def _state(path: Path, beside: Path) -> tuple[int, int, bytes]:
    found = path.stat()
    head = b""
    with contextlib.suppress(FileNotFoundError), beside.open("rb") as file:
        head = file.read(_SALTED)
    return found.st_mtime_ns, found.st_size, head


def _records(copy: Path) -> list[Kept]:
    with contextlib.closing(sqlite3.connect(copy)) as db:
        bodies = dict(db.execute("SELECT digest, body FROM shape").fetchall())
        shapes = {digest: msgspec.json.decode(body, type=Shape) for digest, body in bodies.items()}
        rows = db.execute("SELECT seq, consent, shape, body FROM record ORDER BY seq")
        return [Kept(seq, consent, shapes.get(digest), body) for seq, consent, digest, body in rows]
