"""Leases of shards on a real PostgreSQL: shared evenly, renewed, given back, lost in time, and fenced."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from collector.shard_names import parsed, shown
from collector.shards.leases import Fenced, Leases, limit_idle
from collector.storage.database import Databases, open_postgres
from collector.storage.lease_tables import lease, member
from tests.agents import until
from tests.servers import new_database

SECONDS = 15.0


class Hands:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def databases(postgres_server: str) -> Iterator[Databases]:
    opened = open_postgres(new_database(postgres_server))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Hands:
    return Hands()


def leases(databases: Databases, name: str, clock: Hands, wanted: frozenset[int] | None = None) -> Leases:
    return Leases(databases.journal, name, wanted=wanted, seconds=SECONDS, monotonic=clock)


def run_out(databases: Databases, name: str) -> None:
    """The database's clock as it is when a process has been silent for longer than a lease."""
    with databases.journal.begin() as connection:
        connection.execute(sa.update(lease).where(lease.c.owner == name).values(until=0))
        connection.execute(sa.update(member).where(member.c.name == name).values(until=0))


def beat(clock: Hands, *processes: Leases) -> None:
    """One renewal of each, in order."""
    clock.now += SECONDS / 3
    for process in processes:
        process.turn()


def test_two_processes_come_to_share_evenly_and_nothing_is_held_twice(databases: Databases, clock: Hands) -> None:
    first, second = leases(databases, "first", clock), leases(databases, "second", clock)
    first.turn()
    assert sorted(first.held()) == list(range(64))
    second.turn()
    assert second.held() == {}
    first.serve("intake", range(64))
    beat(clock, first, second)
    assert sorted(first.held()) == list(range(32))
    assert second.held() == {}  # Somebody of the first still works on them.
    first.serve("intake", range(32))
    beat(clock, first, second)
    assert sorted(second.held()) == list(range(32, 64))
    assert (set(first.held().values()), set(second.held().values())) == ({1}, {2})


def test_who_falls_silent_loses_its_shards_and_can_prove_nothing(databases: Databases, clock: Hands) -> None:
    first, second = leases(databases, "first", clock), leases(databases, "second", clock)
    first.turn()
    before = first.held()
    run_out(databases, "first")
    second.turn()
    assert sorted(second.held()) == list(range(64))
    gone = "shard 07 is leased to another process now"
    with pytest.raises(Fenced, match=gone) as fenced, databases.service.begin() as connection:
        first.prove(connection, {7: before[7]})
    first.lost(fenced.value.shards)
    assert 7 not in first.held()
    assert first.fenced == 1
    with databases.journal.begin() as connection:
        second.prove(connection, second.held())
    first.turn()
    beat(clock, first)
    assert first.held() == {}


def test_a_process_stops_by_its_own_clock_before_the_lease_is_over(databases: Databases, clock: Hands) -> None:
    first = leases(databases, "first", clock)
    first.turn()
    clock.now += SECONDS * 0.89
    assert len(first.held()) == 64
    clock.now += SECONDS * 0.02
    assert first.held() == {}
    first.turn()  # Nobody claimed them meanwhile: they stand on.
    assert set(first.held().values()) == {1}
    assert len(first.held()) == 64


def test_a_transaction_under_way_keeps_a_claim_out_and_lets_a_renewal_pass(databases: Databases, clock: Hands) -> None:
    first, second = leases(databases, "first", clock), leases(databases, "second", clock)
    first.turn()
    with databases.service.begin() as connection:
        first.prove(connection, {5: 1})
        beat(clock, first)
        run_out(databases, "first")
        second.turn()
        assert 5 not in second.held()
        assert len(second.held()) == 63
    beat(clock, second)
    assert 5 in second.held()


def test_a_renewal_that_failed_is_tried_again_at_the_next_look(databases: Databases, clock: Hands) -> None:
    first = leases(databases, "first", clock)
    first.turn()
    clock.now += SECONDS / 3
    with databases.service.begin() as other:
        other.execute(sa.text("ALTER TABLE journal.member RENAME TO away"))
    with pytest.raises(DBAPIError):
        first.turn()
    with databases.service.begin() as other:
        other.execute(sa.text("ALTER TABLE journal.away RENAME TO member"))
    first.turn()
    clock.now += SECONDS * 0.8
    assert len(first.held()) == 64


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_renews_no_more_is_named(databases: Databases) -> None:
    first = Leases(databases.journal, "first", seconds=0.3)
    with databases.service.begin() as other:
        other.execute(sa.text("ALTER TABLE journal.member RENAME TO away"))
    first.start()
    until(lambda: "has ended by a mistake of ours" in first.trouble())


def test_what_is_given_back_is_free_at_once(databases: Databases, clock: Hands) -> None:
    first, second = leases(databases, "first", clock), leases(databases, "second", clock)
    first.turn()
    first.leave()
    second.turn()
    assert len(second.held()) == 64
    with databases.journal.connect() as connection:
        assert connection.execute(sa.select(member.c.name)).scalars().all() == ["second"]


def test_a_list_of_shards_is_taken_and_no_other(databases: Databases, clock: Hands) -> None:
    first = leases(databases, "first", clock, frozenset({0, 1, 60}))
    second = leases(databases, "second", clock, frozenset({1, 2}))
    first.turn()
    second.turn()
    beat(clock, first, second)
    assert sorted(first.held()) == [0, 1, 60]
    assert sorted(second.held()) == [2]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_beside_a_list_no_shard_is_left_to_nobody(databases: Databases, clock: Hands, order: tuple[int, ...]) -> None:
    crowd = [
        leases(databases, "a", clock),
        leases(databases, "b", clock),
        leases(databases, "c", clock, parsed("00-0f")),
    ]
    crowd[order[0]].turn()
    for _ in range(3):
        beat(clock, *(crowd[at] for at in order))
    assert sorted(crowd[2].held()) == list(range(16))
    assert sorted([*crowd[0].held(), *crowd[1].held()]) == list(range(16, 64))
    assert {len(one.held()) for one in crowd[:2]} == {24}


def test_many_claim_at_once_and_each_shard_has_one_owner(databases: Databases, clock: Hands) -> None:
    crowd = [leases(databases, f"p{number}", clock) for number in range(6)]
    for _ in range(4):
        threads = [threading.Thread(target=one.turn) for one in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now += SECONDS / 3
    held = [shard for one in crowd for shard in one.held()]
    assert sorted(held) == list(range(64))
    assert max(len(one.held()) for one in crowd) == 11


def test_a_transaction_nobody_goes_on_with_is_ended_by_the_database(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "collector.shards.leases._LIMIT_IDLE",
        sa.text("SELECT set_config('idle_in_transaction_session_timeout', '50', true)"),
    )
    asked = threading.Event()
    with databases.journal.connect() as stuck:
        limit_idle(stuck)
        stuck.execute(sa.select(lease).where(lease.c.shard == 1).with_for_update())
        with databases.service.begin() as other:  # Waits until the database has ended the one above.
            other.execute(sa.update(lease).where(lease.c.shard == 1).values(until=1))
            asked.set()
        with pytest.raises(DBAPIError):
            stuck.execute(sa.select(1))
    assert asked.is_set()


@pytest.mark.parametrize(
    ("text", "shards"),
    [("auto", None), ("00-03", {0, 1, 2, 3}), ("3f", {63}), ("00, 1e-20", {0, 30, 31, 32})],
)
def test_shards_are_named_in_hexadecimal(text: str, shards: set[int] | None) -> None:
    found = parsed(text)
    assert found == shards
    if found is not None:
        assert parsed(shown(found)) == found


@pytest.mark.parametrize("text", ["", "40", "05-02", "x", "00-", "-1"])
def test_what_names_no_shards_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="`auto`, or hexadecimal like `00-1f,3c` up to 3f"):
        parsed(text)
