"""Looks into a closed DuckDB store: what it holds, and row by row, for proofs that nothing is missing nor twice.

A store's own `read` is no such proof: it settles two values of one instant into one.

Errors:
    Unavailable   the file is not there, or a collector runs with it
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb

from collector.series.store import Unavailable


class Counted(NamedTuple):
    """The rows of one device at one instant (`t` Unix milliseconds), and of how many series they are."""

    device: str
    t: int
    rows: int
    series: int


class Examined(NamedTuple):
    """What a store that no collector runs with holds: days, series, and the journal position it has reached."""

    days: int
    series: int
    cursor: int


def examined(file: Path) -> Examined:
    """Opens a store for reading, counts, and lets go: a moment, in which no collector can open it.

    Raises:
        Unavailable: a collector runs with it, or it cannot be read.
    """
    try:
        with duckdb.connect(str(file), read_only=True) as db:
            count = "SELECT (SELECT count(*) FROM day), (SELECT count(*) FROM series), (SELECT position FROM cursor)"
            found = db.execute(count).fetchone()
    except duckdb.Error as wrong:
        raise Unavailable(f"{file} cannot be opened: {str(wrong).splitlines()[0]}") from wrong
    assert found is not None
    return Examined(*found)


def counted(file: Path) -> Iterator[Counted]:
    """Every device and instant that a store has rows of.

    Args:
        file: `series.duckdb` in a collector's data folder; no collector may run with it.

    Raises:
        Unavailable: see above.
    """
    try:
        with duckdb.connect(str(file), read_only=True) as db:
            days = [name for (name,) in db.execute("SELECT name FROM day").fetchall()]
            rows = " UNION ALL ".join(f'SELECT series, t FROM "{day}"' for day in days)  # noqa: S608 - our own names
            if not days:
                return
            names = "SELECT DISTINCT series, device FROM series"
            query = (
                "SELECT device, t, count(*), count(DISTINCT series) "  # noqa: S608 - as above
                f"FROM ({rows}) JOIN ({names}) USING (series) GROUP BY device, t"
            )
            asked = db.execute(query)
            while found := asked.fetchmany(10_000):
                yield from map(Counted._make, found)
    except duckdb.Error as wrong:
        raise Unavailable(f"{file} cannot be counted: {str(wrong).splitlines()[0]}") from wrong
