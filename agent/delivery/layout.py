"""How one epoch lies in its SQLite file: its tables, and the facts that are kept in the same transactions.

Errors:
    sqlite3.Error   as SQLite raises it; `agent.delivery.soundness` says what it means
    FileUnusable    the file is no spool of ours
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.delivery.hours import Hours
from agent.delivery.soundness import is_broken, is_full
from forewarn.wire import GENESIS

ROW_OVERHEAD = 64
"""What a row costs beside its bytes, about."""
SUFFIX = ".spool"
CHECKED_BELOW = 256 * 1024 * 1024
"""A larger file is not read whole at start; damage then shows when it is met."""

_SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE shape (digest TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    role TEXT NOT NULL,
    consent TEXT NOT NULL,
    shape TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
_HOURS = "hours"


class FileUnusable(Exception):
    """A file that is no spool."""


class Mark(NamedTuple):
    """What is known without asking the disk."""

    head: int
    chain: bytes
    size: int
    rows: int
    oldest: int
    acked: int
    behind: bytes
    """The chained hash of record `acked`; empty when it was not a record's."""
    hours: Hours


def prepare(db: sqlite3.Connection, path: Path, max_pages: int | None) -> None:
    """Sets a connection up, makes the tables of a new file, and checks one that is not too large.

    Raises:
        sqlite3.Error: no room, no right, or broken.
        FileUnusable: damaged.
    """
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if max_pages is not None:
        db.execute(f"PRAGMA max_page_count={max_pages:d}")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
    small = path.stat().st_size < CHECKED_BELOW
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
    if found != "ok":
        raise FileUnusable(f"{path.name}: {found}")


def read_mark(db: sqlite3.Connection, path: Path) -> Mark:
    """The facts, and sums over the rows.

    Raises:
        sqlite3.Error: see the module.
        FileUnusable: the tables are not a spool's.
    """
    try:
        facts = dict(db.execute("SELECT name, value FROM fact").fetchall())
    except sqlite3.OperationalError as wrong:
        if is_broken(wrong) or is_full(wrong):
            raise
        raise FileUnusable(f"{path.name}: {wrong}") from wrong
    with contextlib.suppress(sqlite3.OperationalError):  # A full disk must not keep us from opening.
        db.execute("DELETE FROM shape WHERE digest NOT IN (SELECT shape FROM record)")
    head, acked = facts.get("head", 0), facts.get("acked", 0)
    count, size = sums(db, "seq > ?", 0)
    return Mark(
        head=head,
        chain=facts.get("chain", GENESIS),
        size=size,
        rows=count,
        oldest=db.execute("SELECT min(first) FROM record").fetchone()[0] or head + 1,
        acked=acked,
        behind=facts.get("behind", b"") if acked else GENESIS,
        hours=_hours(facts.get(_HOURS, "{}")),
    )


def _hours(text: str) -> Hours:
    """A damaged memory of the hours costs a manifest its beginning, and nothing else."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Hours)
    return Hours()


def write_mark(db: sqlite3.Connection, mark: Mark, before: Mark) -> None:
    """Writes the facts that are not as they were."""
    kept = ("head", "chain", "acked", "behind")
    facts: list[tuple[str, object]] = [(name, getattr(mark, name)) for name in kept]
    if mark.hours is not before.hours:
        facts.append((_HOURS, msgspec.json.encode(mark.hours).decode()))
    db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts)


def sums(db: sqlite3.Connection, where: str, *values: int) -> tuple[int, int]:
    """How many rows, and how many bytes with their overhead; `where` is ours, never anybody's input."""
    count, size = db.execute(
        f"SELECT count(*), coalesce(sum(length(body)), 0) FROM record WHERE {where}",  # noqa: S608 - our own words
        values,
    ).fetchone()
    return count, size + count * ROW_OVERHEAD


class Runs:
    """Gathers rows met in order into runs of neighbours to be dropped."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []
        self._open = False

    def add(self, seq: int, *, dropped: bool) -> None:
        """Takes the next row."""
        if dropped and self._open:
            self.found[-1] = (self.found[-1][0], seq)
        elif dropped:
            self.found.append((seq, seq))
        self._open = dropped
