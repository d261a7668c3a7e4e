"""Whether what went in came out: the demo's ledgers compared with the rows in the store, after all is closed.

Three witnesses that know nothing of each other's counters: the ledger that the simulator wrote of its history, the
ledger that the agent's spool wrote of every record it took, and the rows that lie in the store's file. What was still
on its way when the demo ended is neither lost nor stored: it is in the spool, or in the journal behind the store's
cursor, and is counted as `waiting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from collector.journal.disk import DatabaseJournal
from collector.opening import open_databases
from collector.series.audit import Counted, counted
from collector.series.opening import open_store
from collector.settings import Settings

Instant = tuple[str, int]
"""A device and when it was read, Unix milliseconds."""


class Account(NamedTuple):
    """The outcome. Everything counts records but `values`, the rows in the store."""

    spooled: int
    committed: int
    waiting: int
    lost: int
    duplicates: int
    values: int


@dataclass
class Journal:
    """What the journal has: the records by number, and how many values each instant must have in the store."""

    hashes: dict[tuple[str, int], str] = field(default_factory=dict)
    twice: int = 0
    values: dict[Instant, int] = field(default_factory=dict)
    applied: set[tuple[str, int]] = field(default_factory=set)
    """The numbers that the store's cursor has passed."""


def account(settings: Settings, *, spool: Path, simulated: Path) -> Account:
    """Compares, after agent and collector have ended.

    Args:
        settings: the collector's.
        spool: the spool's ledger, `epoch seq hash` a line.
        simulated: the simulator's ledger, `device t values` a line, in the order of the first numbers of the spool.

    Raises:
        OSError, StorageError, StoreError: a ledger, the journal or the store cannot be read.
    """
    taken = [(epoch, int(seq), chain) for epoch, seq, chain in _split(spool)]
    journal = _journal(settings)
    due = dict(journal.values)
    for (epoch, seq, _), (device, t, values) in zip(taken, _split(simulated), strict=False):
        if (epoch, seq) in journal.applied:
            due[device, int(t)] = int(values)
    newest = max((seq for _, seq in journal.hashes), default=0)
    missing, waiting = 0, len(journal.hashes) - len(journal.applied)
    for epoch, seq, chain in taken:
        if journal.hashes.get((epoch, seq)) != chain:
            missing, waiting = (missing + 1, waiting) if seq <= newest else (missing, waiting + 1)
    lost, duplicates, rows = compared(due, counted(settings.folder / "series.duckdb"))
    return Account(len(taken), len(journal.hashes), waiting, missing + lost, journal.twice + duplicates, rows)


def compared(due: Mapping[Instant, int], stored: Iterable[Counted]) -> tuple[int, int, int]:
    """Compares what should be in a store with what is.

    Args:
        due: how many values each instant of each device has.
        stored: the rows there are.

    Returns:
        (records of which a value is missing, records of which a row is too much, rows): a row that nobody wrote is
        too much as well.
    """
    lost = duplicates = rows = 0
    open_ = dict(due)
    for found in stored:
        rows += found.rows
        wanted = open_.pop((found.device, found.t), 0)
        lost += found.series < wanted
        duplicates += found.rows > found.series or found.series > wanted
    return lost + sum(1 for values in open_.values() if values), duplicates, rows


def _split(path: Path) -> Iterator[tuple[str, str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            first, second, third = line.split()
            yield first, second, third


def _journal(settings: Settings) -> Journal:
    """Reads the whole journal. Both databases and the store are closed again."""
    store = open_store(settings.series, settings.folder)
    try:
        cursor = store.cursor()
    finally:
        store.close()
    databases = open_databases(settings)
    found, after = Journal(), 0
    try:
        journal = DatabaseJournal(databases, ring_bytes=0)
        while entries := journal.read(after, 500):
            after = entries[-1].position
            for entry in entries:
                if entry.received is None:
                    continue
                for record in entry.received.block.records:
                    if not entry.first <= record.seq <= entry.last:
                        continue
                    place = entry.epoch, record.seq
                    found.twice += place in found.hashes
                    found.hashes[place] = record.hash
                    if entry.position <= cursor:
                        found.applied.add(place)
                        if not record.kind:
                            values = len(record.values) - record.values.count(None)
                            found.values[record.device, record.t] = values
    finally:
        databases.close()
    return found
