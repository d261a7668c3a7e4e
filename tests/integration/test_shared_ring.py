"""What a process committed for its shards reaches its projections, however small the ring and whatever a commit met."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import OperationalError

from collector.intake.intake import Intake
from collector.journal.disk import Change, Mark, Outrun, Taken
from collector.journal.shared import SharedJournal
from collector.projections.lanes import Given, LaneRunner
from collector.register import Register
from collector.shards.leases import Fenced, Fences, Leases
from collector.storage.database import Databases, StorageError, open_postgres
from collector.storage.proof_tables import dead_letter
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.wire import unpack
from tests.blocks import NOW, Script
from tests.servers import new_database

SHARD, ELSEWHERE = 5, 40


class Noted:
    """A projection that notes the records it is given."""

    name = "noted"

    def __init__(self) -> None:
        self.records: list[int] = []

    def take_up(self, fences: Fences) -> dict[int, int]:
        return dict.fromkeys(fences, 0)

    def let_go(self, shards: Collection[int]) -> None:
        """Nothing is kept."""

    def apply(self, given: Given) -> None:
        for entries in given.values():
            self.records += [seq for one in entries if not one.is_tick for seq in range(one.first, one.last + 1)]


class Process:
    """An ingest process without its intake; a test commits and takes turns."""

    def __init__(self, databases: Databases, ring_bytes: int = 1 << 26) -> None:
        self.leases = Leases(databases.journal, "one", wanted=frozenset({SHARD}))
        self.leases.turn()
        self.journal = SharedJournal(databases, self.leases, ring_bytes=ring_bytes)
        self.noted = Noted()
        self.runner = LaneRunner(self.journal, self.noted, self.leases, gather=0)
        self.script = Script(shard=SHARD)
        self.upto = 0

    def commit(self, blocks: int) -> None:
        """Commits some blocks of three records in one transaction."""
        taken = []
        self.script.poll(3 * blocks)
        for first in range(self.upto + 1, self.upto + 3 * blocks, 3):
            payload = self.script.block(first, first + 2)
            taken.append(Taken(NOW, SHARD, "s1", "a1", "E1", first, first + 2, payload, unpack(payload)))
        spool, last = ("a1", "E1"), self.upto + 3 * blocks
        mark = Mark(last, self.script.records[last - 1].hash.encode(), NOW, NOW)
        self.journal.fences = self.leases.held()
        self.journal.commit(Change(taken, {spool: mark}, {spool: self.upto}))
        self.upto = last

    def turns(self, count: int = 6) -> None:
        for _ in range(count):
            self.runner._turn()


@pytest.fixture
def databases(postgres_server: str) -> Iterator[Databases]:
    opened = open_postgres(new_database(postgres_server))
    opened.migrate()
    yield opened
    opened.close()


def test_what_the_ring_let_go_while_a_lane_waited_is_read_from_the_table(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(databases, ring_bytes=10_000)
    process.commit(1)
    process.turns()
    assert process.noted.records == [1, 2, 3]
    wait = process.journal.wait_own

    def meanwhile(after: int, timeout: float) -> bool:
        monkeypatch.undo()
        process.commit(20)  # More than the ring holds.
        return wait(after, timeout)

    monkeypatch.setattr(process.journal, "wait_own", meanwhile)
    process.turns()
    assert process.noted.records == list(range(1, 64))


def test_a_block_whose_commit_was_not_answered_reaches_the_rules_as_well(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(databases)
    process.commit(1)
    process.turns()
    dialect = databases.journal.dialect
    commit = dialect.do_commit

    def unanswered(raw: Any) -> None:
        monkeypatch.undo()
        commit(raw)
        raw.driver_connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(dialect, "do_commit", unanswered)
    with pytest.raises(StorageError):
        process.commit(1)
    with pytest.raises(Outrun):  # It is there.
        process.journal.commit(Change([], {("a1", "E1"): Mark(6, b"", NOW, NOW)}, {("a1", "E1"): 3}))
    process.upto = 6
    process.turns()
    process.commit(1)
    process.turns()
    assert process.noted.records == list(range(1, 10))


def test_no_block_is_committed_for_a_shard_whose_lease_is_not_proven(databases: Databases) -> None:
    process = Process(databases)
    payload = Script(agent="a2", shard=ELSEWHERE).poll(3).block(1, 3)
    block = Taken(NOW, ELSEWHERE, "s1", "a2", "E1", 1, 3, payload, unpack(payload))
    process.journal.fences = process.leases.held()
    with pytest.raises(Fenced, match="shard 28"):
        process.journal.commit(Change([block]))
    assert process.journal.newest() == 0


def test_a_letter_of_a_shard_whose_lease_ran_out_is_left_to_the_next_owner(databases: Databases) -> None:
    process, clock = Process(databases), [100.0]
    leases = Leases(databases.journal, "two", wanted=frozenset({ELSEWHERE}), monotonic=lambda: clock[0])
    leases.turn()
    journal = SharedJournal(databases, leases)
    bus = LoopbackBus(Exchange(), "two")
    intake = Intake(journal, Register(databases), bus, now=lambda: NOW, monotonic=lambda: clock[0], tenure=leases)
    intake.turn(0)
    payload = Script(agent="a2", shard=ELSEWHERE).poll(3).block(1, 3)
    with databases.journal.begin() as connection:
        of = {"site": "s1", "agent": "a2", "epoch": "E1", "first": 1, "last": 3, "shard": ELSEWHERE}
        letter = {"noted": NOW, "projection": "rules", "position": 1, "arrived": NOW, "reason": "x", "detail": "x"}
        connection.execute(sa.insert(dead_letter).values(**of, **letter, payload=payload, state="asked"))
    before = process.journal.newest()
    clock[0] += 20
    intake._answer(set())
    assert process.journal.newest() == before
    assert leases.fenced == 0
    leases.turn()
    intake.turn(0)
    intake._answer(set())
    clock[0] += 11
    leases.turn()
    intake._answer(set())
    assert [entry.only for entry in journal.of_shard(ELSEWHERE, before, 9) if entry.only] == ["rules"]


@pytest.mark.parametrize("part", ["intake", "lane"])
def test_a_part_that_cannot_take_a_shard_up_keeps_it_from_nobody(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("collector.projections.lanes.TAKEN_UP_AT_ONCE", 64)
    clock = [100.0]
    first, second = (Leases(databases.journal, name, monotonic=lambda: clock[0]) for name in ("first", "second"))
    first.turn()
    journal = SharedJournal(databases, first)

    def away(*_: object, **__: object) -> None:
        raise StorageError("away")

    if part == "lane":
        noted = Noted()
        monkeypatch.setattr(noted, "take_up", away)
        with pytest.raises(StorageError):
            LaneRunner(journal, noted, first)._turn()
    else:
        monkeypatch.setattr(journal, "tick_of", away)
        bus, register = LoopbackBus(Exchange(), "first"), Register(databases)
        Intake(journal, register, bus, now=lambda: NOW, monotonic=lambda: clock[0], tenure=first).turn(0)
    for process in (second, first, second):
        clock[0] += 6
        process.turn()
    assert len(second.held()) == 32
