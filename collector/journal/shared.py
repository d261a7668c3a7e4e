"""The journal of several ingest processes: each commits for the shards it holds, and reads those alone.

Positions are one row of numbers over all processes; an entry of a shard is committed by the process that holds its
lease, which every transaction proves. So whoever holds a shard has all of its entries since it took the shard among
its own, which the ring keeps; what a former owner committed is in the table.

A commit of which nobody knows whether it took place may lie in the table and not in the ring: after one, readers go
by the table up to where the next commit begins.

Errors: as `collector.journal.disk`, and
    Fenced   another process has the shard now: nothing was committed
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import Connection

from collector.journal.disk import COMMIT_LOCK, RING_BYTES, Change, DatabaseJournal, Spool, entry_of, fitting
from collector.journal.entry import Entry
from collector.shards.leases import Fenced, Fences, Tenure, limit_idle
from collector.storage import tables
from collector.storage.database import Databases, StorageError, reading, stated
from forewarn.wire import SHARDS

_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(:lock)")
_SIGN = 1 << (SHARDS - 1)


def mask(shards: Sequence[int]) -> int:
    """Shards as the bits of a signed number of 64 bits."""
    bits = sum(1 << shard for shard in set(shards))
    return bits - 2 * _SIGN if bits & _SIGN else bits


def attests(entry: Entry, shard: int) -> bool:
    """Whether a tick says that time passed for a shard."""
    return entry.shards is None or bool(entry.shards >> shard & 1)


class SharedJournal(DatabaseJournal):
    """A journal that other processes write to as well; one thread here commits, any number read.

    Args:
        databases: a PostgreSQL, migrated.
        tenure: proves what is held.
        ring_bytes: about how much memory the newest entries of this process may use.

    Raises:
        StorageError: the journal cannot be read.
    """

    def __init__(self, databases: Databases, tenure: Tenure, *, ring_bytes: int = RING_BYTES) -> None:
        super().__init__(databases, ring_bytes=ring_bytes)
        self._tenure = tenure
        self._shared = True
        self._floor = self.head()
        self._doubtful = False
        """Whether a commit failed since the last that did not: it may have taken place."""
        self.fences: Fences = {}
        """What the next `commit` is for."""

    def commit(self, change: Change) -> None:
        """See DatabaseJournal. Raises Fenced as well, also for a block of a shard that is not in `fences`."""
        unproven = {taken.shard for taken in change.taken} - self.fences.keys()
        if unproven:
            raise Fenced(unproven)
        with self._in_doubt():
            super().commit(change)

    def tick_of(self, now: int, fences: Fences, listened: int | None = None) -> None:
        """Commits that time passed for some shards.

        Args:
            now: Unix milliseconds.
            fences: the shards, all held.
            listened: how many milliseconds before `now` are attested at most; None: as many as a tick can.

        Raises:
            StorageError: nothing was committed.
            Fenced: nothing was committed.
        """
        self.fences = fences
        bits = mask(list(fences))
        with self._in_doubt(), stated("journal"), self._engine.begin() as connection:
            head = self._begin(connection, {})
            row = {"position": head + 1, "arrived": now, "shards": bits, "listened": listened}
            connection.execute(sa.insert(tables.entry).values(row))
        tick = Entry(head + 1, now, "", "", "", 0, 0, None, shards=bits, listened=listened)
        self._append([(tick, 200)], head)

    def _begin(self, connection: Connection, before: dict[Spool, int]) -> int:
        limit_idle(connection)
        # The lease is proven behind the lock, not before it: who waits here must not keep others from its shards.
        connection.execute(_ONE_AT_A_TIME, {"lock": COMMIT_LOCK})
        self._tenure.prove(connection, self.fences)
        return super()._begin(connection, before)

    @contextmanager
    def _in_doubt(self) -> Iterator[None]:
        try:
            yield
        except StorageError:
            self._doubtful = True
            raise

    def _append(self, entries: Sequence[tuple[Entry, int]], head: int) -> None:
        with self._changed:
            if self._doubtful:
                self._ring.clear()
                self._used, self._floor, self._doubtful = 0, head, False
            for entry, cost in entries:
                self._ring[entry.position] = (entry, cost)
                self._used += cost
            while self._used > self._ring_bytes:
                self._floor = next(iter(self._ring))
                self._used -= self._ring.pop(self._floor)[1]
            self._head = head + len(entries)
            self._changed.notify_all()

    @property
    def floor(self) -> int:
        """What this process committed above is in memory."""
        return self._floor

    def own(self, after: int, limit: int) -> tuple[list[Entry], int]:
        """Up to `limit` entries of this process with position > `after`, in order; none below `floor`.

        Returns:
            The entries, and the position up to which there are no others: `after` when only the table can say.
        """
        with self._changed:
            if after < self._floor:  # It rose since the caller looked.
                return [], after
            positions = list(self._ring)
            first = bisect_right(positions, after)
            found = fitting(self._ring[position] for position in positions[first : first + limit])
            whole = first + len(found) == len(positions)
            return found, self._head if whole else found[-1].position

    def wait_own(self, after: int, timeout: float) -> bool:
        """Blocks until this process has committed above `after` or `timeout` seconds passed; says whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._head > after, timeout)

    def newest(self) -> int:
        """The last position that any process committed.

        Raises:
            StorageError: the table cannot be read.
        """
        with stated("journal"), reading(self._engine) as connection:
            return connection.execute(sa.select(sa.func.max(tables.entry.c.position))).scalar() or 0

    def of_shard(self, shard: int, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries of a shard, and ticks that attest it, with position > `after`, from the table, in order.

        Raises:
            StorageError: the table cannot be read.
        """
        table = tables.entry
        behind = sa.select(table).where(table.c.position > after).order_by(table.c.position).limit(limit)
        attested = sa.or_(table.c.shards.is_(None), table.c.shards.op("&")(mask([shard])) != 0)
        blocks = behind.where(table.c.shard == shard).subquery()
        ticks = behind.where(table.c.shard.is_(None), attested).subquery()
        both = sa.union_all(sa.select(blocks), sa.select(ticks)).subquery()
        with stated("journal"), reading(self._engine) as connection:
            rows = connection.execute(sa.select(both).order_by(both.c.position).limit(limit))
            return fitting(entry_of(row) for row in rows)


class OfShard:
    """One shard of a shared journal; implements `collector.evaluation.lane.Source`."""

    def __init__(self, journal: SharedJournal, shard: int) -> None:
        self._journal = journal
        self._shard = shard

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """See Source."""
        return self._journal.of_shard(self._shard, after, limit)

    def complete(self, after: int, entries: Sequence[Entry]) -> bool:  # noqa: ARG002 - positions have holes here
        """See Source."""
        return bool(entries)
