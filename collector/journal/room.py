"""Whether the journal may grow: what it takes, against the limit that the settings give it.

While the series store or the rules stand still, the journal keeps what they have not taken. It is pruned early when it
comes near its limit; when what is still needed reaches the limit, no block is committed any more: agents are told
`no_room`, keep what they have, and are told to go on as soon as there is room.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from collector.storage.database import StorageError, reading, stated
from collector.storage.tables import JOURNAL, entry

FOREVER = 2**62
"""Later than everything that ever arrives, Unix milliseconds."""
LOOK_SECONDS = 5.0
COUNT_SECONDS = 60.0
"""Between counts of what PostgreSQL's table really holds: it does not become smaller when rows are deleted."""
NEAR = 0.9
"""The part of the limit from which on the journal is pruned to what is needed."""
ENOUGH = 0.95
"""The part of the limit below which agents go on."""
_OF_ROW = 200


class Used(NamedTuple):
    """Bytes: what the journal takes, and what could be written yet on its disk (None: nobody can tell)."""

    taken: int
    free: int | None


Measure = Callable[[], Used]


def measure_of(journal: Engine, folder: Path, monotonic: Callable[[], float], *, limit: int = 0) -> Measure:
    """How a journal is measured: a SQLite file by its pages in use, a table of PostgreSQL by its size or its rows.

    Args:
        journal: its engine.
        folder: where a SQLite file lies.
        monotonic: seconds.
        limit: a table of PostgreSQL far below it need not be counted.
    """
    if journal.dialect.name == "sqlite":
        return lambda: _of_file(journal, folder)
    return _Table(journal, monotonic, limit).measure


def _of_file(journal: Engine, folder: Path) -> Used:
    with stated("journal"), reading(journal) as connection:
        pages, unused, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
            for name in ("page_count", "freelist_count", "page_size")
        )
    return Used((pages - unused) * size, shutil.disk_usage(folder).free + unused * size)


class _Table:
    """The table of a PostgreSQL journal, whose files stay large when rows are deleted: then the rows are counted."""

    def __init__(self, journal: Engine, monotonic: Callable[[], float], limit: int) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._limit = limit
        self._counted = (float("-inf"), 0, 0)

    def measure(self) -> Used:
        name = f"{JOURNAL.schema}.{entry.name}"
        with stated("journal"), reading(self._journal) as connection:
            size = int(connection.execute(sa.select(sa.func.pg_total_relation_size(name))).scalar() or 0)
            if size < self._limit * NEAR:
                return Used(size, None)
            when, files, rows = self._counted
            if self._monotonic() - when >= COUNT_SECONDS:
                whole = sa.func.coalesce(sa.func.sum(sa.func.octet_length(entry.c.payload)), 0)
                rows = int(connection.execute(sa.select(whole + sa.func.count() * _OF_ROW)).scalar() or 0)
                files = size
                self._counted = (self._monotonic(), files, rows)
        return Used(min(size, rows + max(0, size - files)), None)


class Room:
    """Looks every few seconds at most. One thread asks `full`, any may ask `near`.

    Args:
        measure: what the journal takes.
        limit: bytes it may take, 0 for any.
        floor: bytes that are left free on its disk.
        monotonic: seconds.
    """

    def __init__(self, measure: Measure, *, limit: int, floor: int, monotonic: Callable[[], float]) -> None:
        self._measure = measure
        self._limit = limit
        self._floor = floor
        self._monotonic = monotonic
        self._looked = float("-inf")
        self._full = ""

    def full(self) -> str:
        """Why no block may be committed now, in a sentence; empty when there is room. What cannot be measured is room."""
        if self._monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = self._monotonic()
            try:
                self._full = self._judged(self._measure())
            except (StorageError, OSError):
                self._full = ""  # The commit itself will say what is wrong.
        return self._full

    def near(self) -> bool:
        """Whether the journal is to give up what nobody needs, however young.

        Raises:
            StorageError: it cannot be measured.
        """
        used = self._measure()
        low = used.free is not None and used.free < self._floor / NEAR
        return low or bool(self._limit and used.taken >= self._limit * NEAR)

    def _judged(self, used: Used) -> str:
        ease = ENOUGH if self._full else 1.0
        if self._limit and used.taken >= self._limit * ease:
            sizes = f"{used.taken // 1024**2} MiB of {self._limit // 1024**2} MiB"
            return f"the journal takes {sizes} (`journal.limit`), and what it holds is still needed"
        if used.free is not None and used.free < self._floor / ease:
            sizes = f"{used.free // 1024**2} MiB are left"
            return f"{sizes} on the disk of the journal, `journal.floor` keeps {self._floor // 1024**2} MiB free"
        return ""
