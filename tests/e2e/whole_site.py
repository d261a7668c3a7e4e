"""A whole site: simulated devices on real UDP, a real agent, mosquitto with passwords and ACL, a real collector."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import yaml

from agent.app import SystemClock
from agent.delivery.spool import Spool
from collector.journal.disk import DatabaseJournal
from collector.storage.database import open_sqlite
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Record, Shape, TableShape
from tests.e2e.collector_run import ROOT, Run, until

DAY = 86_400_000
CONSENT = "c-whole"

CAMERA = Shape(DeviceKind.CAMERA, "history", Source.SNMP, [TableShape("device", [""], ["up", "rtt_seconds"])])
RECORDER = Shape(
    DeviceKind.RECORDER,
    "history",
    Source.SNMP,
    [TableShape("device", [""], ["up"]), TableShape("volume", ["1"], ["used_percent", "overwrite"])],
)
POWER = Shape(
    DeviceKind.UPS,
    "history",
    Source.SNMP,
    [TableShape("ups", [""], ["on_battery", "charge_percent", "runtime_seconds"])],
)


def give_consent(folder: Path, run: Run, *more: Source) -> str:
    """Signs a consent that reaches ten days back, gives it to both sides, and returns the public key."""
    private, public = new_key()
    now = int(time.time() * 1000)
    consent = Consent(
        id=CONSENT,
        site="s1",
        customer="Harbour Ltd",
        signed_by="Li",
        scopes=[Source.SNMP, Source.HOST, *more],
        networks=["127.0.0.0/8"],
        valid_from=instant(now - 10 * DAY),
        valid_until=instant(now + DAY),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "consent.json").write_bytes(document(sign(consent, private)))
    run.typed("add-consent", str(folder / "consent.json"), "--key", public)
    return public


@dataclass
class WholeSite:
    """The collector's `run` and one agent beside it, each in its own folder."""

    run: Run
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def enrol(self, devices: list[dict[str, Any]], *scopes: Source, **more: Any) -> None:
        """Registers agent a1 with its consent and writes its settings; the broker learns its password.

        `scopes` are granted beside SNMP and the host, `more` stands in the settings.
        """
        made = yaml.safe_load(self.run.typed("add-agent", "s1", "--id", "a1"))
        public = give_consent(self.folder / "agent", self.run, *scopes)
        self.settings = {
            **made,
            "trusted_keys": [public],
            "devices": devices,
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
            **more,
        }
        (self.folder / "agent.yaml").write_text(yaml.safe_dump(self.settings))
        self.run.typed("broker-files", "broker-files")

    def start(self) -> None:
        """Starts `forewarn agent run`."""
        command = [sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"]
        with (self.folder / "log").open("ab") as log:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        """Ends the agent as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Asks the agent to end, and checks that it ended well."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, (self.folder / "log").read_text()[-3000:]

    def committed(self) -> int:
        """The watermark of the newest epoch, read beside the running collector."""
        with closing(sqlite3.connect(f"file:{self.run.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
            row = db.execute("SELECT upto FROM watermark ORDER BY epoch DESC LIMIT 1").fetchone()
        return int(row[0]) if row else 0

    def ledger(self) -> list[tuple[str, int, str]]:
        """Every record the agent's spool ever took: (epoch, seq, hash)."""
        lines = (self.folder / "agent" / "ledger").read_text().splitlines()
        return [(epoch, int(seq), chained) for epoch, seq, chained in (line.split() for line in lines)]


class Place(NamedTuple):
    """Where one stored value belongs."""

    device: str
    table: str
    instance: str
    field: str
    t: int


def journal_of(folder: Path) -> tuple[list[tuple[str, int, str]], Counter[Place], dict[Place, float]]:
    """What a stopped collector committed: its records as in a ledger, how often each value, and each value."""
    databases = open_sqlite(folder / "data")
    records: list[tuple[str, int, str]] = []
    counts: Counter[Place] = Counter()
    values: dict[Place, float] = {}
    try:
        journal, after = DatabaseJournal(databases, ring_bytes=0), 0
        while entries := journal.read(after, 500):
            after = entries[-1].position
            for entry in entries:
                if entry.received is None:
                    continue
                block = entry.received.block
                for record in block.records:
                    if entry.first <= record.seq <= entry.last:
                        records.append((entry.epoch, record.seq, record.hash))
                        _note(record, block.shapes, counts, values)
    finally:
        databases.close()
    return records, counts, values


def _note(record: Record, shapes: dict[str, Shape], counts: Counter[Place], values: dict[Place, float]) -> None:
    if record.kind:
        return
    for (table, instance, name), value in zip(shapes[record.shape].columns(), record.values, strict=True):
        if value is not None:
            place = Place(record.device, table, instance, name, record.t)
            counts[place] += 1
            values[place] = value


def stored_in(folder: Path) -> tuple[Counter[Place], dict[Place, float]]:
    """Every row that a stopped collector's DuckDB holds."""
    counts: Counter[Place] = Counter()
    values: dict[Place, float] = {}
    with duckdb.connect(str(next((folder / "data").glob("**/*.duckdb"))), read_only=True) as db:
        names = {
            row[0]: row[1:]
            for row in db.execute('SELECT DISTINCT series, device, "table", instance, field FROM series').fetchall()
        }
        days = [row[0] for row in db.execute("SELECT name FROM day").fetchall()]
        for day in days:
            for series, t, value in db.execute(f'SELECT series, t, value FROM "{day}"').fetchall():
                place = Place(*names[series], t)
                counts[place] += 1
                values[place] = value
    return counts, values


def tickets_of(folder: Path, devices: str) -> list[tuple[Any, ...]]:
    """What the tickets about some devices (SQL LIKE) say, without what depends on the hour of the run."""
    with closing(sqlite3.connect(folder / "data" / "service.db")) as db:
        tickets = db.execute(
            "SELECT id, device, rule, instance, severity, state, occurred_at, recovered, title FROM ticket "
            "WHERE device LIKE ? ORDER BY device, rule, instance, occurred_at",
            (devices,),
        ).fetchall()
        return [
            (
                *ticket[1:],
                *db.execute(
                    "SELECT kind, occurred_at FROM ticket_event WHERE ticket = ? ORDER BY id", (ticket[0],)
                ).fetchall(),
            )
            for ticket in tickets
        ]


def seed_history(folder: Path, *, devices: int, minutes: int, end: int, seed: int) -> int:
    """Fills a spool as after an outage: cameras that fail, a recorder that fills, a UPS on battery; returns records.

    One record a device and five minutes, in the order of time.
    """

    async def fill() -> int:
        spool = Spool(folder / "agent" / "spool", clock=SystemClock(), linger=0.0, ledger=folder / "agent" / "ledger")
        await spool.open()
        dice = random.Random(seed)
        faults = {device: dice.randrange(minutes // 5) for device in range(devices)}
        for step in range(minutes // 5):
            t = end - (minutes - step * 5) * 60_000
            batch = [_history(device, step, faults[device], t, minutes // 5) for device in range(devices)]
            await asyncio.gather(*(spool.put(record, shape, CONSENT) for record, shape in batch))
        standing = spool.standing
        await spool.close()
        return standing.head

    return asyncio.run(fill())


def _history(device: int, step: int, fault: int, t: int, steps: int) -> tuple[Record, Shape]:
    failing = 0 <= step - fault < 6
    if device % 10 == 0:
        used = 60 + 39.5 * step / steps + 0.3 * ((step * 7919) % 11 - 5) / 5
        return Record(0, t, f"history-nvr-{device}", values=[1.0, used, 0.0]), RECORDER
    if device % 10 == 1:
        return Record(0, t, f"history-ups-{device}", values=[float(failing), 100.0 - 2 * failing, 3600.0]), POWER
    if failing:
        dead: list[float | None] = [0.0, None]
        return Record(0, t, f"history-cam-{device}", ok=False, why="no answer within 2 s", values=dead), CAMERA
    return Record(0, t, f"history-cam-{device}", values=[1.0, 0.002]), CAMERA


def copied(spool: Path, site: WholeSite) -> None:
    """Gives the agent a seeded spool with its ledger."""
    shutil.copytree(spool / "agent", site.folder / "agent", dirs_exist_ok=True)


def settle(site: WholeSite) -> None:
    """Ends the agent, waits until the collector has all it spooled and has applied it, and ends the collector."""
    until(lambda: site.committed() >= _head(site), "what is spooled is committed", 120)
    site.end()
    head = _head(site)
    site.start()
    until(lambda: site.committed() >= head, "what was spooled last is committed", 60)
    site.kill()
    until(lambda: _lag(site) == 0, "the projections have the whole journal", 60)
    assert site.run.end() == 0, site.run.log()[-3000:]


def _head(site: WholeSite) -> int:
    return site.ledger()[-1][1]


def _lag(site: WholeSite) -> int:
    """Entries that hold blocks and that the rules have not applied; ticks go on for ever."""
    with closing(sqlite3.connect(f"file:{site.run.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
        last = db.execute("SELECT max(position) FROM entry WHERE agent <> ''").fetchone()[0] or 0
    with closing(sqlite3.connect(f"file:{site.run.folder}/data/service.db?mode=ro", uri=True, timeout=10)) as db:
        cursor = db.execute("SELECT min(position) FROM cursor").fetchone()[0] or 0
    return max(0, int(last) - int(cursor))


def points(rng: random.Random, count: int, head: int) -> Iterator[int]:
    """Seeded watermarks at which something is killed, rising."""
    yield from sorted(rng.sample(range(head // 50, head), count))
