"""Shards that move between two processes on one PostgreSQL: their journal, their rules, their silence, their cursors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pytest
import sqlalchemy as sa

from collector.evaluation.lane import MakeEngine
from collector.evaluation.shard_rules import ShardRules, needed_after
from collector.evaluation.shard_snapshots import oldest
from collector.journal.disk import Change, Mark, Taken
from collector.journal.shared import SharedJournal
from collector.projections.lanes import LaneRunner
from collector.shards.leases import Fenced, Leases
from collector.storage import tables
from collector.storage.database import Databases, open_postgres
from collector.storage.lease_tables import lease, member
from collector.tickets import cursors
from collector.tickets.book import Book
from forewarn.wire import unpack
from rules.engine import Engine
from rules.ruleset import ruleset
from tests.blocks import NOW, Script
from tests.servers import new_database
from tests.unit.test_shard_engines import RULES

SHARD, ELSEWHERE = 5, 40
SECOND = 1000


class Made:
    """Makes engines of the rules above."""

    def of(self, shard: int) -> MakeEngine:
        rules = ruleset([("rules.yaml", RULES)])

        def engine(parts: Mapping[str, bytes] | None) -> Engine:
            return Engine(rules) if parts is None else Engine.restore(rules, parts)

        return engine

    def forget(self, shards: Collection[int]) -> None:
        """Nothing is kept."""


class Process:
    """What one ingest process has beside its intake; a test takes its turns."""

    def __init__(self, databases: Databases, name: str, wanted: frozenset[int] = frozenset({SHARD, ELSEWHERE})) -> None:
        self.now = 100.0
        self.leases = Leases(databases.journal, name, wanted=wanted, monotonic=lambda: self.now)
        self.journal = SharedJournal(databases, self.leases)
        self.rules = ShardRules(
            Made(),
            databases=databases,
            journal=self.journal,
            tenure=self.leases,
            book=Book(databases.service, now=lambda: NOW),
            monotonic=lambda: self.now,
        )
        self.runner = LaneRunner(self.journal, self.rules, self.leases, gather=0)

    def begin(self, at: int) -> None:
        """Takes what is free, and says that it listens from now on."""
        self.now += 6
        self.leases.turn()
        self.journal.tick_of(at, self.leases.held(), listened=0)

    def ticks(self, *moments: int) -> None:
        for at in moments:
            self.journal.tick_of(at, self.leases.held())

    def take(self, script: Script, first: int, last: int, arrived: int) -> None:
        """Commits a block of its agent."""
        payload = script.block(first, last)
        of = (arrived, script.shard, "s1", script.agent, "E1", first, last, payload, unpack(payload))
        mark = Mark(last, script.records[last - 1].hash.encode(), NOW, NOW)
        spool = (script.agent, "E1")
        self.journal.fences = {script.shard: self.leases.held()[script.shard]}
        self.journal.commit(Change([Taken(*of)], {spool: mark}, {spool: first - 1}))

    def evaluate(self) -> None:
        """Takes turns until the rules are level."""
        for _ in range(200):
            self.runner._turn()
            progress = self.runner.progress
            level = len(self.rules._lanes) == len(self.leases.held()) and not progress.lag
            if self.rules._lanes and level and not progress.error:
                return
        raise AssertionError(self.runner.progress)


@pytest.fixture
def databases(postgres_server: str) -> Iterator[Databases]:
    opened = open_postgres(new_database(postgres_server))
    opened.migrate()
    yield opened
    opened.close()


def run_out(databases: Databases, name: str) -> None:
    """The database's clock as it is when a process has been silent for longer than a lease."""
    with databases.journal.begin() as connection:
        connection.execute(sa.update(lease).where(lease.c.owner == name).values(until=0))
        connection.execute(sa.update(member).where(member.c.name == name).values(until=0))


def tickets(databases: Databases) -> list[tuple[str, int, str]]:
    """(device, when, rule) of all tickets."""
    of = tables.ticket.c
    with databases.service.connect() as connection:
        rows = connection.execute(sa.select(of.device, of.occurred_at, of.rule).order_by(of.position))
        return [tuple(row) for row in rows]  # type: ignore[misc]


@pytest.mark.parametrize("orderly", [True, False])
def test_silence_survives_a_move_and_counts_only_what_was_listened_to(databases: Databases, *, orderly: bool) -> None:
    first, second = Process(databases, "first"), Process(databases, "second")
    script = Script(shard=SHARD).poll(3)
    first.begin(NOW)
    first.take(script, 1, 3, NOW)
    first.ticks(*(NOW + at * 10 * SECOND for at in range(1, 11)))
    first.evaluate()
    if orderly:
        first.runner.stop()
        first.leases.leave()
    else:
        run_out(databases, "first")
    again = NOW + 125 * SECOND
    second.begin(again)
    second.ticks(*(again + at * 10 * SECOND for at in range(1, 8)))
    second.evaluate()
    assert tickets(databases) == []  # 100 s were listened to by the first, 70 s by the second.
    second.ticks(again + 80 * SECOND)
    second.evaluate()
    assert tickets(databases) == [("a1", again + 80 * SECOND, "agent.silent")]


def test_a_former_owner_that_does_not_know_it_commits_nothing_and_its_findings_are_the_next_ones(
    databases: Databases,
) -> None:
    first, second = Process(databases, "first"), Process(databases, "second")
    script = Script(shard=SHARD).poll(3)
    first.begin(NOW)
    first.take(script, 1, 3, NOW)
    first.ticks(*(NOW + at * 10 * SECOND for at in range(1, 18)))
    first.evaluate()
    first.ticks(NOW + 180 * SECOND)
    run_out(databases, "first")
    second.begin(NOW + 181 * SECOND)
    with pytest.raises(Fenced):
        first.ticks(NOW + 182 * SECOND)
    with pytest.raises(Fenced):
        first.take(Script(shard=SHARD).poll(5), 1, 5, NOW)
    first.runner._turn()  # It finds that the agent is silent, and may not say so.
    assert tickets(databases) == []
    assert first.leases.held() == {}
    assert first.leases.fenced == 2
    second.evaluate()
    assert tickets(databases) == [("a1", NOW + 180 * SECOND, "agent.silent")]
    first.runner._turn()
    assert first.rules._lanes == {}


def test_the_table_gives_a_shard_what_its_owner_has_in_memory(databases: Databases) -> None:
    one = Process(databases, "one")
    here, there = Script(shard=SHARD).poll(9), Script(agent="a2", shard=ELSEWHERE).poll(9)
    one.begin(NOW)
    after = one.journal.head() - 1
    for at in range(3):
        one.take(here, at * 3 + 1, at * 3 + 3, NOW + at)
        one.take(there, at * 3 + 1, at * 3 + 3, NOW + at)
        one.ticks(NOW + at)
    one.journal.tick_of(NOW + 9, {ELSEWHERE: 1})
    own, upto = one.journal.own(after, 100)
    assert upto == one.journal.head() == after + 11
    mine = [entry for entry in own if entry.position != after + 11 and entry.agent != "a2"]
    assert one.journal.of_shard(SHARD, after, 100) == mine
    assert len(mine) == 7
    assert [entry.position for entry in one.journal.of_shard(SHARD, after, 2)] == [after + 1, after + 2]
    assert {entry.agent for entry in one.journal.of_shard(ELSEWHERE, after, 100)} == {"a2", ""}


def test_the_journal_is_kept_until_every_shard_was_held_and_kept_its_state(databases: Databases) -> None:
    one = Process(databases, "one")
    one.begin(NOW)
    one.ticks(NOW + 1, NOW + 2)
    one.evaluate()
    assert needed_after(databases) == 0
    with databases.service.begin() as connection:
        cursors.advance(connection, {f"rules/{shard:02x}": 9 for shard in range(64)})
    with databases.journal.begin() as connection:
        rows = [{"shard": shard, "position": 4 + shard % 2, "parts": {}, "check": ""} for shard in range(64)]
        connection.execute(sa.text("DELETE FROM journal.snapshot"))
        connection.execute(
            sa.insert(sa.table("snapshot", *map(sa.column, rows[0]), schema="journal")),
            [{**row, "parts": "{}"} for row in rows],
        )
    assert needed_after(databases) == 4


def test_every_shard_has_its_state_kept_in_turn_when_there_are_only_ticks(databases: Databases) -> None:
    one = Process(databases, "one", wanted=frozenset(range(12)))
    one.begin(NOW)
    one.evaluate()
    for at in range(1, 22):  # One turn in ten seconds, as with agents that are silent.
        one.now += 10
        one.leases.turn()
        one.ticks(NOW + at * 10 * SECOND)
        one.evaluate()
    with databases.journal.connect() as connection:
        assert sorted(oldest(connection)) == list(range(12))


def test_a_shard_worked_on_alone_before_goes_on_where_that_ended(databases: Databases) -> None:
    one = Process(databases, "one")
    one.begin(NOW)
    one.take(Script(shard=SHARD).poll(3), 1, 3, NOW)
    one.ticks(*(NOW + at * 10 * SECOND for at in range(1, 30)))
    with databases.service.begin() as connection:
        cursors.advance(connection, {"rules": one.journal.head()})
    one.evaluate()
    assert tickets(databases) == []  # Those were found by the one before.
    one.take(Script(shard=SHARD).poll(6), 4, 6, NOW + 300 * SECOND)
    one.ticks(*(NOW + at * 10 * SECOND for at in range(31, 49)))
    one.evaluate()
    assert [device for device, _, _ in tickets(databases)] == ["a1"]
