"""The journal on disk: what was accepted, how far each agent is committed, what was refused.

One transaction commits many blocks together with the watermarks they move and the counters they change, so that an
acknowledgement can follow it and nothing is ever half taken. Positions have no holes, and rise in the order of commits
even when several processes write. The newest entries stay decoded in a ring bounded by bytes, which readers at the head
share; a reader that fell behind reads the table and gets the same entries.

Errors:
    Outrun    another process committed records of the same agents: judge them again against `marks()`
    (and database.StorageError: nothing was committed, trying again helps)
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from collector.journal import keeping, proofs
from collector.journal.entry import Entry
from collector.journal.proofs import Hole, Proof
from collector.storage import tables
from collector.storage.database import Databases, reading, stated, upsert
from forewarn.wire import GENESIS, Received, unpack

RING_BYTES = 64 * 1024 * 1024
READ_BYTES = 32 * 1024 * 1024
READ_ENTRIES = 256
PRUNE_AT_ONCE = 1000
COMMIT_LOCK = 0x66770002

Spool = tuple[str, str]
"""(agent, epoch)"""


class Outrun(Exception):
    """Another process moved a watermark that this one thought its own."""


class Mark(NamedTuple):
    """How far an agent's epoch is committed: the last seq and its chained hash (empty: not known).

    `head` is the last number that its spool held when it last spoke.
    """

    upto: int
    chain: bytes
    begun: int
    moved: int
    head: int = 0


class Taken(NamedTuple):
    """A block to commit: the records `first` to `last` of it count."""

    arrived: int
    shard: int
    site: str
    agent: str
    epoch: str
    first: int
    last: int
    payload: bytes
    received: Received
    only: str = ""
    """The projection it is for; empty: all."""
    letter: int = 0
    """The dead letter that it is given again of."""


class Aside(NamedTuple):
    """A refused payload to keep, or only to name (`payload` None) where keeping it would break a consent."""

    arrived: int
    topic: str
    agent: str
    reason: str
    detail: str
    size: int
    payload: bytes | None


class Counters(msgspec.Struct):
    """What is known of an agent's delivery; the columns of the table `ingest`."""

    epoch: str = ""
    oldest: int = 0
    head: int = 0
    heard: int = 0
    blocks: int = 0
    records: int = 0
    duplicates: int = 0
    gaps: int = 0
    lost: int = 0
    held: int = 0
    held_reason: str = ""
    set_aside: int = 0
    newest: int = 0


@dataclass
class Change:
    """What one transaction commits. `before` has the `upto` that each moved mark had when it was judged."""

    taken: list[Taken] = field(default_factory=list)
    marks: dict[Spool, Mark] = field(default_factory=dict)
    before: dict[Spool, int] = field(default_factory=dict)
    counters: dict[str, Counters] = field(default_factory=dict)
    asides: list[Aside] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    forgotten: list[Spool] = field(default_factory=list)
    """Epochs whose marks are dropped: an agent that begins more than it should keeps the newest."""

    def __bool__(self) -> bool:
        return bool(self.taken or self.marks or self.counters or self.asides or self.holes)


class DatabaseJournal:
    """Implements `collector.journal.entry.Journal`; one thread commits, any number read.

    Args:
        databases: migrated.
        ring_bytes: about how much memory the decoded head may use.

    Raises:
        StorageError: the journal cannot be read.
    """

    def __init__(self, databases: Databases, *, ring_bytes: int = RING_BYTES) -> None:
        self._engine = databases.journal
        self._ring_bytes = ring_bytes
        self._ring: dict[int, tuple[Entry, int]] = {}
        self._used = 0
        self._shared = False
        """Whether another process was seen to commit: no watermark is ours alone from then on."""
        self._changed = threading.Condition()
        with stated("journal"), reading(self._engine) as connection:
            self._head = _head(connection)

    @property
    def engine(self) -> Engine:
        """The database it lies in, for what is kept beside it."""
        return self._engine

    def head(self) -> int:
        """The last position this process knows to be committed."""
        return self._head

    def wait(self, after: int, timeout: float) -> bool:
        """Blocks until head > `after` or `timeout` seconds passed; says whether there is something to read.

        Raises:
            StorageError: `after` is beyond what this process knows, and the table cannot be asked.
        """
        if after > self._head:
            self._catch_up()
        with self._changed:
            return self._changed.wait_for(lambda: self._head > after, timeout)

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > `after`, in order; fewer when they are large.

        The exact bytes of records are not given again (`received.bodies` is empty).

        Raises:
            StorageError: the table cannot be read.
        """
        with self._changed:
            if after + 1 in self._ring:
                return fitting(self._ring[position] for position in range(after + 1, self._end(after, limit)))
            if after >= self._head:
                return []
        return fitting(self._rows(after, min(limit, READ_ENTRIES)))

    def _end(self, after: int, limit: int) -> int:
        return min(after + limit, self._head) + 1

    def _rows(self, after: int, limit: int) -> Iterable[tuple[Entry, int]]:
        table = tables.entry
        wanted = sa.select(table).where(table.c.position > after).order_by(table.c.position).limit(limit)
        with stated("journal"), reading(self._engine) as connection:
            for row in connection.execute(wanted):
                yield entry_of(row)

    def _catch_up(self) -> None:
        with stated("journal"), reading(self._engine) as connection:
            head = _head(connection)
        with self._changed:
            if head > self._head:
                self._ring.clear()
                self._used, self._head, self._shared = 0, head, True
                self._changed.notify_all()

    def marks(self, agents: Collection[str] | None = None) -> dict[Spool, Mark]:
        """Every watermark, or those of some agents."""
        rows = _of_agents(self._engine, tables.watermark, agents)
        return {
            (row["agent"], row["epoch"]): Mark(
                row["upto"], bytes(row["chain"]), row["begun"], row["moved"], row["head"]
            )
            for row in rows
        }

    def counters(self, agents: Collection[str] | None = None) -> dict[str, Counters]:
        """Every agent's counters, or those of some agents."""
        rows = _of_agents(self._engine, tables.ingest, agents)
        return {row["agent"]: Counters(**{key: row[key] for key in row if key != "agent"}) for row in rows}

    def chain_of(self, agent: str, epoch: str, seq: int) -> bytes | None:
        """The chained hash of a committed record, None when the journal has it no more.

        Raises:
            StorageError: the table cannot be read.
        """
        of = tables.entry.c
        covering = sa.select(of.payload).where(of.agent == agent, of.epoch == epoch, of.last >= seq, of.first <= seq)
        with stated("journal"), reading(self._engine) as connection:
            payload = connection.execute(covering.order_by(of.last).limit(1)).scalar()
        return None if payload is None else hash_of(unpack(bytes(payload)), seq)

    def commit(self, change: Change) -> None:
        """Commits everything or nothing.

        Raises:
            Outrun: see above; nothing was committed.
            StorageError: nothing was committed.
        """
        with stated("journal"), self._engine.begin() as connection:
            head = self._begin(connection, change.before)
            rows = [_row(position, taken) for position, taken in enumerate(change.taken, head + 1)]
            if rows:
                connection.execute(sa.insert(tables.entry), rows)
            _answer(connection, change.taken, head)
            marks = [{"agent": a, "epoch": e, **mark._asdict()} for (a, e), mark in change.marks.items()]
            upsert(connection, tables.watermark, marks)
            counters = [{"agent": a, **msgspec.structs.asdict(count)} for a, count in change.counters.items()]
            upsert(connection, tables.ingest, counters)
            keeping.set_aside(connection, [aside._asdict() for aside in change.asides])
            proofs.write(connection, change.holes, change.proofs)
            keeping.forget(connection, change.forgotten)
        self._append([_entry(position, taken) for position, taken in enumerate(change.taken, head + 1)], head)

    def tick(self, now: int, listened: int | None = None) -> None:
        """Commits that time passed.

        Args:
            now: Unix milliseconds.
            listened: how many milliseconds before `now` are attested at most; None: as many as a tick can.

        Raises:
            StorageError: nothing was committed.
        """
        with stated("journal"), self._engine.begin() as connection:
            head = self._begin(connection, {})
            connection.execute(sa.insert(tables.entry).values(position=head + 1, arrived=now, listened=listened))
        self._append([(Entry(head + 1, now, "", "", "", 0, 0, None, listened=listened), 200)], head)

    def _begin(self, connection: Connection, before: dict[Spool, int]) -> int:
        """Makes this transaction the only writer, so that positions rise as they are committed."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": COMMIT_LOCK})
        head = _head(connection)
        self._shared = self._shared or head != self._head
        if self._shared and before:
            _check_outrun(connection, before)
        return head

    def _append(self, entries: Sequence[tuple[Entry, int]], head: int) -> None:
        with self._changed:
            if head != self._head:
                self._ring.clear()
                self._used = 0
            for entry, cost in entries:
                self._ring[entry.position] = (entry, cost)
                self._used += cost
            while self._used > self._ring_bytes:
                self._used -= self._ring.pop(next(iter(self._ring)))[1]
            self._head = head + len(entries)
            self._changed.notify_all()

    def prune(self, through: int, before: int) -> int:
        """Deletes old entries, a thousand at most, so that no commit waits long; call again until it says 0.

        Args:
            through: the lowest cursor of all projections: what lies above is still needed.
            before: entries that arrived since then (Unix milliseconds) are kept. The newest entry always is.

        Returns:
            How many were deleted.
        """
        table = tables.entry
        oldest = sa.select(table.c.position, table.c.arrived).order_by(table.c.position).limit(PRUNE_AT_ONCE)
        with stated("journal"), reading(self._engine) as connection:
            rows = connection.execute(oldest).all()
        last = 0
        for position, arrived in rows:
            if position > through or position >= self._head or arrived >= before:
                break
            last = position
        if not last:
            return 0
        with stated("journal"), self._engine.begin() as connection:
            return connection.execute(sa.delete(table).where(table.c.position <= last)).rowcount


def hash_of(received: Received, seq: int) -> bytes | None:
    """The chained hash of one record of a block, None when it is not a record of its own there."""
    stated_hash = next((record.hash for record in received.block.records if record.seq == seq), "")
    return bytes.fromhex(stated_hash) or None


def _head(connection: Connection) -> int:
    return connection.execute(sa.select(sa.func.max(tables.entry.c.position))).scalar() or 0


def _check_outrun(connection: Connection, before: dict[Spool, int]) -> None:
    table = tables.watermark
    agents = list({agent for agent, _ in before})
    found: dict[Spool, int] = {}
    for at in range(0, len(agents), 500):
        some = sa.select(table.c.agent, table.c.epoch, table.c.upto).where(table.c.agent.in_(agents[at : at + 500]))
        found |= {(agent, epoch): upto for agent, epoch, upto in connection.execute(some)}
    for spool, upto in before.items():
        if found.get(spool, 0) != upto:
            raise Outrun(f"agent {spool[0]} was committed up to {found.get(spool, 0)} by another process, not {upto}")


def _row(position: int, taken: Taken) -> dict[str, Any]:
    return {
        "position": position,
        "arrived": taken.arrived,
        "shard": taken.shard,
        "site": taken.site,
        "agent": taken.agent,
        "epoch": taken.epoch,
        "first": taken.first,
        "last": taken.last,
        "payload": taken.payload,
        "only": taken.only,
    }


def _entry(position: int, taken: Taken) -> tuple[Entry, int]:
    of = (position, taken.arrived, taken.site, taken.agent, taken.epoch, taken.first, taken.last)
    return _light(Entry(*of, taken.received, taken.shard, only=taken.only))


def entry_of(row: Any) -> tuple[Entry, int]:
    """A row of the table as an entry, and about how much memory it takes in bytes."""
    received = unpack(bytes(row.payload)) if row.payload is not None else None
    of = (row.position, row.arrived, row.site, row.agent, row.epoch, row.first, row.last)
    return _light(Entry(*of, received, row.shard or 0, row.shards, row.listened, row.only))


def _light(entry: Entry) -> tuple[Entry, int]:
    """The entry without its records' bytes, and about what it then costs: a value of 7 bytes becomes one of 32."""
    if entry.received is None:
        return entry, 200
    cost = 1000 + 300 * len(entry.received.bodies) + 4 * sum(map(len, entry.received.bodies))
    return entry._replace(received=Received(entry.received.block, [])), cost


def fitting(entries: Iterable[tuple[Entry, int]]) -> list[Entry]:
    """As many entries, each given with its cost, as may be read at once; one at least."""
    found: list[Entry] = []
    used = 0
    for entry, cost in entries:
        if found and used + cost > READ_BYTES:
            break
        found.append(entry)
        used += cost
    return found


def _of_agents(engine: Engine, table: sa.Table, agents: Collection[str] | None) -> list[Any]:
    """The rows of some agents (None: of all), asked for by the five hundred."""
    names = [None] if agents is None else list(agents)
    rows: list[Any] = []
    with stated("journal"), reading(engine) as connection:
        for at in range(0, len(names), 500):
            some = sa.true() if agents is None else table.c.agent.in_(names[at : at + 500])
            rows += connection.execute(sa.select(table).where(some)).mappings().all()
    return rows


def _answer(connection: Connection, taken: Sequence[Taken], head: int) -> None:
    """Marks the letters that are given again; one that nobody asks for any more is given to nobody."""
    for position, one in enumerate(taken, head + 1):
        if one.letter and not keeping.answered(connection, one.letter, position):
            raise Outrun(f"dead letter d{one.letter} was given again or dropped meanwhile")


START = Mark(0, GENESIS, 0, 0)
"""Where every epoch begins."""
