"""Several collectors on one PostgreSQL: what a block costs one of them, and how soon another takes its shards over.

Two measurements. One process in one thread takes in one-record blocks of agents in all 64 shards on a real PostgreSQL,
with leases, an engine for each shard, and a series store that keeps nothing, a thousand blocks to a turn of the rules, as
they gather when a process is busy; `postgres_us_per_block` is the CPU time of the database meanwhile. Then two real collectors with leases of 15 s on PostgreSQL, InfluxDB and mosquitto share the
shards; one is killed, and `takeover_seconds` counts until the other holds them all, `takeover_ack_seconds` until an
agent of a moved shard has its next block acknowledged. Nothing but the lease is waited for, so the least is about 10 s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import sqlalchemy as sa

from bench._pipeline import CAMERA, RECORDER, ROUND, START, Sender, SilentBus, _register
from collector import memory
from collector.evaluation.lane import MakeEngine
from collector.evaluation.shard_rules import ShardRules
from collector.intake.intake import Intake, Pace
from collector.journal.shared import SharedJournal
from collector.opening import rule_texts
from collector.projections.lanes import LaneProjection, LaneRunner
from collector.register import Register
from collector.series.shards import ShardSeries
from collector.settings import Rules
from collector.shards.leases import Leases
from collector.storage import tables
from collector.storage.database import Databases, open_postgres
from collector.tickets.book import Book
from forewarn.wire import SHARDS, Shape
from rules.engine import Engine
from rules.ruleset import ruleset
from rules.samples import Batch
from tests import servers
from tests.e2e.collector_run import until
from tests.e2e.sharing import polls, sharing

TARGETS: dict[str, str] = {"takeover_seconds": "<= 20", "takeover_ack_seconds": "<= 25"}
AGENTS = 1000
AT_ONCE = 60
"""Blocks of one commit: 3,000 a second, gathered for 20 ms."""


def run(*, quick: bool) -> dict[str, float]:
    """Measures; see TARGETS and the module."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with servers.postgres(folder / "postgres") as address, servers.influxdb(folder / "influxdb") as port:
            live = cost(CAMERA, address, rounds=2 if quick else 8)
            many = cost(RECORDER, address, rounds=2 if quick else 6, devices=10)
            figures = {
                "collector_us_per_block": live[0] * 1e6,
                "postgres_us_per_block": live[1] * 1e6,
                "collector_ns_per_value_of_1000": many[0] * 1e9 / 10 / RECORDER.width,
            }
            return figures | takeover(folder / "run", address, port)


class NoStore:
    """Keeps nothing."""

    def put(self, batch: Batch) -> None:
        """Nothing is kept."""


class Engines:
    """Engines of the rules that ship."""

    def __init__(self) -> None:
        self._rules = ruleset(rule_texts(Rules()))

    def of(self, shard: int) -> MakeEngine:  # noqa: ARG002 - all are alike
        """What makes the engine of a shard."""

        def engine(parts: Mapping[str, bytes] | None) -> Engine:
            return Engine(self._rules) if parts is None else Engine.restore(self._rules, parts)

        return engine

    def forget(self, shards: Collection[int]) -> None:
        """Nothing is measured."""


class Turns(LaneRunner):
    """A runner whose turns are taken by hand."""

    def catch_up(self) -> None:
        """Takes turns until every shard is level."""
        while len(self._places) < SHARDS or self.progress.lag:
            self._turn()


class OneOfSeveral:
    """The path of a block in one process of several, its turns taken by hand."""

    def __init__(self, address: str) -> None:
        self.databases = open_postgres(servers.new_database(address))
        self.databases.migrate()
        leases = Leases(self.databases.journal, "bench", seconds=600)
        leases.turn()
        journal = SharedJournal(self.databases, leases)
        self.intake = Intake(
            journal,
            Register(self.databases),
            SilentBus(),
            now=lambda: START + ROUND,
            monotonic=time.monotonic,
            tenure=leases,
            pace=Pace(linger=0.0, inbox_bytes=1 << 40, tick=1e9),
        )
        book = Book(self.databases.service, now=lambda: START)
        rules = ShardRules(Engines(), databases=self.databases, journal=journal, tenure=leases, book=book, every=1e9)
        both: list[LaneProjection] = [rules, ShardSeries(NoStore(), self.databases.service, leases)]
        self.runners = [Turns(journal, projection, leases, gather=0) for projection in both]

    def take(self, senders: list[Sender], t: int, chance: random.Random) -> None:
        """One block of each agent, committed by the sixty, evaluated and stored together."""
        for at in range(0, len(senders), AT_ONCE):
            for one in senders[at : at + AT_ONCE]:
                self.intake.receive(*one.block(one.bodies(t, chance), t), lambda: None)
            while self.intake.turn(0):
                pass
        for runner in self.runners:
            runner.catch_up()


def cost(shape: Shape, address: str, *, rounds: int, devices: int = 1) -> tuple[float, float]:
    """CPU seconds of the process and of PostgreSQL for a block of one poll of each of `devices` devices."""
    memory.settle()
    path = OneOfSeveral(address)
    senders = spread(path.databases, shape, devices)
    chance = random.Random(1)
    path.take(senders, START, chance)
    made, database, began = making(senders, rounds), of_postgres(), time.process_time()
    for number in range(1, rounds + 1):
        path.take(senders, START + number * ROUND, chance)
    spent, blocks = time.process_time() - began - made, rounds * len(senders)
    database = of_postgres() - database
    path.databases.close()
    return spent / blocks, database / blocks


def making(senders: list[Sender], rounds: int) -> float:
    """CPU seconds that it takes to make the blocks themselves."""
    chance, began = random.Random(2), time.process_time()
    for one in senders[:100]:
        twin = Sender(one.agent, one.shard, one.devices, one.shape)
        twin.block(twin.bodies(START, chance), START)
    return (time.process_time() - began) * rounds * len(senders) / min(100, len(senders))


def spread(databases: Databases, shape: Shape, devices: int) -> list[Sender]:
    """Agents in all shards."""
    names = [f"a{number}" for number in range(AGENTS)]
    _register(databases, names)
    agent = tables.agent.c
    with databases.service.begin() as connection:
        for number, name in enumerate(names):
            connection.execute(sa.update(tables.agent).where(agent.id == name).values(shard=number % SHARDS))
    return [
        Sender(name, number % SHARDS, [f"{name}-d{at}" for at in range(devices)], shape)
        for number, name in enumerate(names)
    ]


def of_postgres() -> float:
    """CPU seconds of all processes of the PostgreSQL that this one started."""
    times = [
        one.cpu_times()
        for one in psutil.Process().children(recursive=True)
        if one.name().startswith("postgres") and one.is_running()
    ]
    return sum(one.user + one.system for one in times)


def takeover(folder: Path, address: str, port: int) -> dict[str, float]:
    """Kills one of two, with leases of 15 s."""
    folder.mkdir()
    with sharing(folder, address, port, lease="15s") as found:
        first, second = found.run, found.begin_another()
        until(lambda: len(found.owner_of(first)) == len(found.owner_of(second)) == SHARDS // 2, "each has its half")
        lost = sorted(found.owner_of(first))
        found.enrol([lost[0]])
        [agent] = found.agents
        agent.deliver(agent.block(polls(0, 0, 10)), 10)
        assert first.process is not None
        first.process.kill()
        began = time.monotonic()
        until(lambda: len(found.owner_of(second)) == SHARDS, "the other has them all")
        moved = time.monotonic() - began
        agent.deliver(agent.block(polls(0, 10, 10)), 20)
        return {"takeover_seconds": moved, "takeover_ack_seconds": time.monotonic() - began}
