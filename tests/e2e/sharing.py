"""Several ingest processes on one PostgreSQL and one InfluxDB, with scripted agents of several sites."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
import sqlalchemy as sa
import yaml

from collector.evaluation.evaluate import Evaluation
from collector.evaluation.snapshots import Snapshots
from collector.journal.disk import DatabaseJournal
from collector.opening import rule_texts
from collector.settings import Rules
from collector.storage import tables
from collector.storage.database import Databases, open_postgres, open_sqlite
from collector.tickets.book import Book
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import Source
from rules.engine import Engine
from rules.ruleset import ruleset
from tests import servers
from tests.e2e.collector_run import Run, ScriptedAgent, collector
from tests.series_batches import influx_database

START = int(time.time() * 1000) - 3_600_000
EVERY = 10_000


@dataclass
class Sharing:
    """The processes, the first of which is `run`, and what they share."""

    run: Run
    database: str
    influx: Any
    others: list[Run] = field(default_factory=list)
    agents: list[ScriptedAgent] = field(default_factory=list)

    def begin_another(self, **settings: Any) -> Run:
        """A further process with the settings of the first, in a folder and on a port of its own."""
        other = Run(
            self.run.folder / f"p{len(self.others)}", self.run.broker, token=self.run.token, database=self.database
        )
        other.folder.mkdir()
        text = {**yaml.safe_load((self.run.folder / "collector.yaml").read_text()), **settings}
        (other.folder / "collector.yaml").write_text(yaml.safe_dump({**text, "api": {"port": other.port}}))
        other.start()
        self.others.append(other)
        return other

    def asked(self, question: str) -> list[tuple[Any, ...]]:
        """What PostgreSQL answers."""
        with psycopg.connect(self.database.replace("+psycopg", ""), autocommit=True) as connection:
            return connection.execute(question).fetchall()  # type: ignore[arg-type]

    def owners(self) -> dict[int, str]:
        """Who has which shard by the database's clock."""
        rows = self.asked(
            "SELECT shard, owner FROM journal.lease WHERE until > extract(epoch from clock_timestamp()) * 1000"
        )
        return dict(rows)

    def owner_of(self, run: Run) -> set[int]:
        """The shards that a process holds."""
        assert run.process is not None
        return {shard for shard, owner in self.owners().items() if owner.split(":")[1] == str(run.process.pid)}

    def enrol(self, shards: list[int]) -> None:
        """Registers a site with one agent in each of these shards, and connects the agents."""
        private, public = new_key()
        made = []
        with self.run.register() as register:
            for number, shard in enumerate(shards):
                site, agent = f"site{number}", f"agent{number}"
                register.add_site(site, site)
                with patch("collector.register._shard_for", return_value=shard):
                    enrolled = register.add_agent(site, agent)
                register.add_consent(document(sign(_consent(site), private)), key=public)
                made.append(enrolled._asdict())
        self.run.reload_broker()
        for one in made:
            agent = ScriptedAgent(self.run, one, f"c-{one['site']}")
            agent.bus.connect()
            self.agents.append(agent)

    def close(self) -> None:
        """Ends agents and processes, by force."""
        for agent in self.agents:
            agent.bus.close()
        for other in self.others:
            if other.process is not None and other.process.poll() is None:
                other.process.kill()
                other.process.wait()


def _consent(site: str) -> Consent:
    now = int(time.time() * 1000)
    return Consent(
        id=f"c-{site}",
        site=site,
        customer="Customer",
        signed_by="Person",
        scopes=[Source.SNMP],
        networks=["10.0.0.0/8"],
        valid_from=instant(now - 86_400_000),
        valid_until=instant(now + 86_400_000),
    )


@contextlib.contextmanager
def sharing(folder: Path, postgres_server: str, influxdb_port: int, **settings: Any) -> Iterator[Sharing]:
    """The first process, with a lease of two seconds unless told otherwise."""
    address, influx = servers.new_database(postgres_server), influx_database(influxdb_port)
    store = {"store": "influxdb", "influxdb": {"url": influx.url, "bucket": influx.bucket}}
    also = {"role": "ingest", "lease": "2s", "database": {"url": address}, "series": store, **settings}
    with collector(folder, also=also) as run:
        found = Sharing(run, address, influx)
        try:
            yield found
        finally:
            found.close()


def polls(number: int, first: int, count: int) -> list[tuple[int, str, list[float | None]]]:
    """Polls of a UPS, that goes on battery and comes back again and again, each agent's at other times."""
    found: list[tuple[int, str, list[float | None]]] = []
    for at in range(first, first + count):
        away = (at + 7 * number) % 60 >= 25
        found.append((START + at * EVERY, "ups1", [100.0 - (at % 50 if away else 0), 3600.0, 1.0 if away else 0.0]))
    return found


class Delivery:
    """An agent delivering block after block in a thread of its own."""

    def __init__(self, agent: ScriptedAgent, number: int, *, blocks: int, of: int) -> None:
        self.agent, self.number, self.blocks, self.of = agent, number, blocks, of
        self.done = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with contextlib.suppress(AssertionError):  # Never acknowledged: `done` says so to the test.
            for block in range(self.blocks):
                first = block * self.of
                self.agent.deliver(self.agent.block(polls(self.number, first, self.of)), first + self.of)
                self.done = block + 1


def journalled(found: Sharing) -> dict[str, list[int]]:
    """The numbers of all records in the journal, by agent, in the order of positions."""
    rows = found.asked("SELECT agent, first, last FROM journal.entry WHERE agent <> '' ORDER BY position")
    numbers: dict[str, list[int]] = {}
    for agent, first, last in rows:
        numbers.setdefault(agent, []).extend(range(first, last + 1))
    return numbers


def tickets_in(databases: Databases) -> list[tuple[Any, ...]]:
    """What people see of all tickets, without ids and times of writing."""
    t = tables.ticket.c
    with databases.service.connect() as connection:
        rows = connection.execute(sa.select(t.site, t.device, t.rule, t.position, t.severity, t.recovered, t.state))
        found = [tuple(row) for row in rows]
        e = tables.ticket_event.c
        events = connection.execute(
            sa.select(t.site, t.device, t.rule, e.kind, e.occurred_at, e.position).join(tables.ticket, e.ticket == t.id)
        )
        return sorted(map(str, [*found, *map(tuple, events)]))  # type: ignore[return-value, arg-type]


def undisturbed(found: Sharing, folder: Path) -> list[tuple[Any, ...]]:
    """The tickets of one process that reads the same journal from end to end with one engine over all."""
    shared, own = open_postgres(found.database), open_sqlite(folder)
    own.migrate()
    rules = ruleset(rule_texts(Rules()))
    journal = DatabaseJournal(shared)
    evaluation = Evaluation(
        lambda parts: Engine(rules) if parts is None else Engine.restore(rules, parts),
        service=own.service,
        journal=journal,
        book=Book(own.service, now=lambda: int(time.time() * 1000)),
        snapshots=Snapshots(folder / "rules"),
    )
    after = 0
    while entries := journal.read(after, 500):
        evaluation.apply(entries)
        after = entries[-1].position
    tickets = tickets_in(own)
    for databases in (shared, own):
        databases.close()
    return tickets


def stored(found: Sharing) -> int:
    """How many values of one field InfluxDB has, of all sites."""
    answer = httpx.get(
        f"{found.influx.url}/query",
        params={"db": found.influx.bucket, "q": 'SELECT count("charge_percent") FROM "ups"'},
        trust_env=False,
    ).json()
    series = answer["results"][0].get("series")
    return int(series[0]["values"][0][1]) if series else 0


def level(found: Sharing) -> bool:
    """Whether rules of every shard have seen the last block."""
    [[last]] = found.asked("SELECT max(position) FROM journal.entry WHERE agent <> ''")
    shards = found.asked(
        "SELECT 1 FROM service.cursor c JOIN (SELECT shard, max(position) AS last FROM journal.entry "
        "WHERE agent <> '' GROUP BY shard) e ON c.projection = 'rules/' || lpad(to_hex(e.shard), 2, '0') "
        "WHERE c.position < e.last"
    )
    return bool(last) and not shards
