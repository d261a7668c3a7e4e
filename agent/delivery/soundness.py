"""What can be wrong with the disk under the spool: no room, a broken file, a flipped bit.

SQLite checks the form of its pages, not the bytes of a record; the hash chain does, so that a flipped bit is found
before it travels or is sealed anew. A record is judged by the hash of
the one before it, so that one damaged hash costs two records and no more.

Errors:
    Damaged   a record's bytes are not those it was sealed with; `seq` says which
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterable

from forewarn import wire
from forewarn.wire import GENESIS, Malformed, Record

DAMAGED = "the record was damaged on disk"


class Damaged(Exception):
    """Bytes that are not those the record was sealed with."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"record {seq} was damaged on disk")
        self.seq = seq


def chain_of(body: bytes) -> bytes:
    """The chained hash a sealed record ends in; empty when it cannot be read."""
    with contextlib.suppress(ValueError):
        return bytes.fromhex(wire.chain_in(body))
    return b""


def intact(body: bytes, previous: bytes, *, hole: bool) -> bool:
    """Whether a record is what was sealed behind `previous` (empty: not known, then only its form is judged).

    A hole carries the hash of a record that is gone, so that it is judged by its form alone.
    """
    if hole or not previous:
        return _opened(body) is not None and len(chain_of(body)) == len(GENESIS)
    return chain_of(body) == wire.chained_body(body, previous) and body.endswith(b'"}')


def hole(seq: int, first: int, body: bytes) -> Record:
    """The lost record of a row; one that says DAMAGED where it cannot be read."""
    found = _opened(body)
    if found is not None and found.kind == "lost" and found.seq == seq and chain_of(body):
        return found
    chain = chain_of(body) or GENESIS
    return Record(seq=seq, t=0, kind="lost", why=DAMAGED, first=first, hash=chain.hex())


def time_of(bodies: Iterable[bytes]) -> int:
    """The time of the first record that can be read, Unix milliseconds; 0 when none can."""
    return next((record.t for body in bodies if (record := _opened(body)) is not None), 0)


def _opened(body: bytes) -> Record | None:
    with contextlib.suppress(Malformed):
        return wire.open_record(body)
    return None


def is_full(error: BaseException) -> bool:
    """Whether nothing can be written for want of room or of a working disk: waiting may help."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def is_broken(error: BaseException) -> bool:
    """Whether the file is damaged: waiting does not help."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
