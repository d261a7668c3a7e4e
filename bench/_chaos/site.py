"""One whole site: a broker, a database, a store, a collector and an agent, as real programs with gates."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import yaml

from bench._chaos import programs, script
from bench._chaos.agent import TAP, Plan, Promise, promises
from bench._chaos.gate import Gates, until
from bench._chaos.programs import Program, free_port
from collector.register import Register
from collector.storage.database import open_postgres
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import Source

CONSENT = "c-chaos"
ALL = "all"
STARTED = ("broker", "database", "store", "collector", "agent")
"""In the order in which what was killed is started again."""


@dataclass
class Site:
    """See the module. `store` is duckdb, victoria or influxdb; DuckDB lives in the collector."""

    folder: Path
    plan: Plan
    database: Program
    url: str
    store: str
    devices: list[dict[str, Any]] = field(default_factory=list)
    parts: dict[str, Program] = field(default_factory=dict)
    store_port: int = field(default_factory=free_port)
    begun: int = field(default_factory=programs.now)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.gates = Gates(self.folder / "gate")
        broker_port, api = free_port(), free_port()
        self.parts = {"broker": programs.broker(self.folder / "broker", broker_port), "database": self.database}
        if self.store != "duckdb":
            make = programs.victoria if self.store == "victoria" else programs.influxdb
            self.parts["store"] = make(self.folder / "store", self.store_port)
        self._settle(broker_port, api)
        (self.folder / "plan").write_bytes(msgspec.json.encode(self.plan))
        words = ["collector.yaml", "gate"]
        self.parts["collector"] = programs.runner("collector", words, self.folder, lambda: programs.answers(api))
        words = ["agent.yaml", str(self.folder / "gate"), str(self.folder / "plan")]
        self.parts["agent"] = programs.runner("agent", words, self.folder / "site", lambda: True)

    @property
    def tap(self) -> Path:
        return self.folder / "site" / TAP

    @property
    def ledger(self) -> list[tuple[str, int, str]]:
        """What the spool itself says it took: (epoch, seq, hash)."""
        lines = (self.folder / "site" / "agent" / "ledger").read_text().splitlines()
        return [(epoch, int(seq), chained) for epoch, seq, chained in (line.split() for line in lines)]

    @property
    def held(self) -> set[tuple[str, int]]:
        """What still lies in the spool of an agent that is dead: (epoch, seq)."""
        held: set[tuple[str, int]] = set()
        for file in (self.folder / "site" / "agent" / "spool").glob("*.spool"):
            with contextlib.closing(sqlite3.connect(file)) as spool:
                held.update((file.stem, int(row[0])) for row in spool.execute("SELECT seq FROM record"))
        return held

    def start(self) -> None:
        for name in STARTED:
            if name in self.parts and name != "database":
                self.parts[name].start()

    def _settle(self, broker_port: int, api: int) -> None:
        databases = open_postgres(self.url)
        databases.migrate()
        register = Register(databases)
        register.add_site("s1", "Chaos")
        private, public = new_key()
        first = min(self.plan.begin, self.begun) - 86_400_000
        draft = Consent(
            id=CONSENT,
            site="s1",
            customer="Chaos",
            signed_by="Chaos",
            scopes=[Source.SNMP, Source.HOST],
            networks=["127.0.0.0/8"],
            valid_from=instant(first),
            valid_until=instant(self.begun + 86_400_000),
        )
        consent = document(sign(draft, private))
        register.add_consent(consent, key=public)
        made = register.add_agent("s1", "a1")._asdict()
        databases.close()
        home = self.folder / "site"
        (home / "agent").mkdir(parents=True)
        (home / "agent" / "consent.json").write_bytes(consent)
        self._write_collector(broker_port, api)
        settings = {**made, "broker": {"host": "127.0.0.1", "port": broker_port}, "trusted_keys": [public]}
        (home / "agent.yaml").write_text(yaml.safe_dump(settings | self._agent()))

    def _agent(self) -> dict[str, Any]:
        """Everything of an agent that is quick enough for a short run."""
        return {
            "folder": "agent",
            "devices": self.devices,
            "host": {"interval": "1s"},
            "report": "1s",
            "spool": {"ledger": "agent/ledger"},
            "delivery": {
                "patience": "1s",
                "patience_most": "2s",
                "held": "500ms",
                "held_most": "1s",
                "gather": "100ms",
            },
        }

    def _write_collector(self, broker_port: int, api: int) -> None:
        series: dict[str, Any] = {"store": "duckdb"}
        if self.store != "duckdb":
            series = {"store": "influxdb", "influxdb": {"url": f"http://127.0.0.1:{self.store_port}"}}
        settings = {
            "folder": "kept",
            "broker": {"host": "127.0.0.1", "port": broker_port},
            "database": {"url": self.url},
            "series": series,
            "rules": {"snapshot": "2s"},
            "api": {"port": api},
            "console": {"enabled": False},
        }
        (self.folder / "collector.yaml").write_text(yaml.safe_dump(settings))

    def promised(self) -> list[Promise]:
        return promises(self.tap)

    def asked(self, *questions: str) -> list[list[tuple[Any, ...]]]:
        """The rows of each question, all of one moment, read beside the running collector."""
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            return [connection.execute(question.encode()).fetchall() for question in questions]

    def watermarks(self) -> dict[str, int]:
        """Epoch → how far it is committed."""
        [rows] = self.asked("SELECT epoch, upto FROM journal.watermark")
        return {epoch: int(upto) for epoch, upto in rows}

    def level(self) -> bool:
        """Whether everything promised so far is committed."""
        marks = self.watermarks()
        return all(marks.get(epoch, 0) >= head for epoch, head in self.heads().items())

    def heads(self) -> dict[str, int]:
        """Epoch → the last seq that the agent's spool promised."""
        heads: dict[str, int] = {}
        for promise in self.promised():
            heads[promise.epoch] = max(heads.get(promise.epoch, 0), promise.seq)
        return heads

    def lag(self) -> int:
        """Entries with blocks that the rules have not applied; ticks go on for ever."""
        [[[last]], [[cursor]]] = self.asked(
            "SELECT coalesce(max(position), 0) FROM journal.entry WHERE agent <> ''",
            "SELECT coalesce(min(position), 0) FROM service.cursor",
        )
        return max(0, int(last) - int(cursor))

    def victims(self, target: str) -> list[Program]:
        names = [name for name in STARTED if target in (name, ALL) and name in self.parts]
        return [self.parts[name] for name in names]

    def kill(self, target: str) -> None:
        """Kill -9, all at once."""
        for victim in self.victims(target):
            victim.kill()
            self.gates.gone(victim.name)

    def revive(self, target: str) -> None:
        """Starts again what was killed."""
        for victim in self.victims(target):
            victim.start()

    def finish(self) -> None:
        """Lets the script end, waits until everything is where it belongs, and ends the programs in order."""
        self.gates.tell("agent", "rush")
        last = self.plan.begin + (self.plan.steps - 1) * script.STEP
        until(lambda: self._through(last), lambda: f"the script ends: {self.parts['agent'].log()}", 600)
        heads = self.heads()
        until(lambda: self.has(heads), lambda: f"all is committed: {self.tails()}", 120)
        self.parts["agent"].kill()
        until(lambda: self.lag() == 0, lambda: f"the rules are through: {self.tails()}", 120)

    def _through(self, last: int) -> bool:
        times = {promise.device: promise.t for promise in self.promised()[-2000:]}
        return all(times.get(device) == last for device in script.DEVICES)

    def has(self, heads: dict[str, int]) -> bool:
        """Whether so much of each epoch is committed."""
        marks = self.watermarks()
        return all(marks.get(epoch, 0) >= head for epoch, head in heads.items())

    def tails(self) -> str:
        return "\n".join(f"--- {name}\n{part.log()}" for name, part in self.parts.items())

    def end(self) -> None:
        """Ends what still runs, but for the database, which is not only ours."""
        for name in reversed(STARTED):
            if name in self.parts and name != "database":
                self.parts[name].end()
        self.gates.close()


@contextlib.contextmanager
def running(made: Site) -> Iterator[Site]:
    """A site with all its programs, ended whatever happens."""
    try:
        made.start()
        yield made
    finally:
        made.end()
