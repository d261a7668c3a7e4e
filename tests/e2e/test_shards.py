"""Two ingest processes share the shards of one PostgreSQL; one is killed, or stopped past its lease and continued."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest

from collector.storage.database import open_postgres
from tests.e2e.collector_run import Run, until
from tests.e2e.sharing import Delivery, Sharing, journalled, level, sharing, stored, tickets_in, undisturbed

SHARDS = [0x02, 0x12, 0x22, 0x32]
BLOCKS, OF = 9, 35


def shared_out(found: Sharing) -> tuple[Run, Run]:
    """Two processes, once each has its half."""
    first, second = found.run, found.begin_another()
    until(lambda: len(found.owner_of(first)) == len(found.owner_of(second)) == 32, "each has 32 shards")
    until(lambda: first.missing() == second.missing() == [], "both miss nothing")
    return first, second


def check(found: Sharing, folder: Path) -> None:
    """No record is lost or doubled, the values are stored, and the tickets are those of a run that nothing disturbed."""
    until(lambda: level(found), "the rules have seen everything")
    expected = list(range(1, BLOCKS * OF + 1))
    assert journalled(found) == {agent.id: expected for agent in found.agents}
    until(lambda: stored(found) == len(found.agents) * BLOCKS * OF, "every value is stored")
    databases = open_postgres(found.database)
    tickets = tickets_in(databases)
    databases.close()
    assert sum("'opened'" in str(one) for one in tickets) >= len(found.agents)
    assert tickets == undisturbed(found, folder / "undisturbed")


@pytest.mark.timeout(180)
def test_a_killed_process_loses_its_shards_and_nothing_else(
    tmp_path: Path, postgres_server: str, influxdb_port: int
) -> None:
    with sharing(tmp_path, postgres_server, influxdb_port) as found:
        first, second = shared_out(found)
        found.enrol(SHARDS)
        deliveries = [Delivery(agent, number, blocks=BLOCKS, of=OF) for number, agent in enumerate(found.agents)]
        until(lambda: all(one.done >= BLOCKS // 3 for one in deliveries), "a third is delivered")
        lost = found.owner_of(first)
        assert {shard in lost for shard in SHARDS} == {True, False}
        assert first.process is not None
        first.process.kill()
        until(lambda: lost <= found.owner_of(second), "its shards are taken over", 20)
        until(lambda: all(one.done == BLOCKS for one in deliveries), "all is delivered")
        check(found, tmp_path)
        assert second.end() == 0
        assert found.owners() == {}
        assert "Traceback" not in first.log() + second.log()


@pytest.mark.timeout(180)
def test_a_process_stopped_past_its_lease_and_continued_commits_nothing(
    tmp_path: Path, postgres_server: str, influxdb_port: int
) -> None:
    with sharing(tmp_path, postgres_server, influxdb_port) as found:
        first, second = shared_out(found)
        found.enrol(SHARDS)
        assert first.process is not None
        one = next(agent for agent in found.agents if agent.shard in found.owner_of(first))
        with psycopg.connect(found.database.replace("+psycopg", "")) as door:
            door.execute("SELECT pg_advisory_xact_lock(%s)", [0x66770002])  # Every commit to the journal waits here.
            deliveries = [Delivery(agent, number, blocks=BLOCKS, of=OF) for number, agent in enumerate(found.agents)]
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            until(lambda: len(found.asked(waiting)) >= 2, "both are about to commit")
            first.process.send_signal(signal.SIGSTOP)
            until(lambda: one.shard in found.owner_of(second), "its shards are taken over", 20)
            first.process.send_signal(signal.SIGCONT)
        until(lambda: "a commit was refused: its shards are another" in first.log(), "its attempt is refused")
        until(lambda: all(one.done == BLOCKS for one in deliveries), "all is delivered")
        until(lambda: len(found.owner_of(first)) == 32, "it takes its part again")
        check(found, tmp_path)
        assert (first.end(), second.end()) == (0, 0)
        assert "Traceback" not in first.log() + second.log()
