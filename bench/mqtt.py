"""The whole way through a real mosquitto: agents' spools to committed series and tickets, in processes of their own.

`values_per_second` is a backlog of two agents, from the moment they may send until journal, rules and DuckDB have all
of it; `agent_` and `collector_cpu_ns_per_value` are the CPU of their processes meanwhile, `broker_` mosquitto's.
`p99_commit_ms` and `p99_ticket_ms` are taken with live one-record blocks of 200 agents at half the rate that one core
must sustain (1,500 a second): from the call that publishes a block to the moment another process sees its watermark,
or its ticket, committed. Both include the reader's own interval of a few milliseconds.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench._pipeline import CAMERA, RECORDER, Sender
from bench._processes import CONSENT, SITE, Running, Site, SpooledAgent, ending, until
from forewarn.bus import Broker
from forewarn.bus.mqtt import MqttBus
from forewarn.wire import GENESIS

TARGETS: dict[str, str | float] = {
    "values_per_second": ">= 600000",
    "p99_commit_ms": "< 250",
    "p99_ticket_ms": "< 250",
}
DEVICES = 50
AGENTS = 2
LIVE_AGENTS = 200
LIVE_PER_SECOND = 1500
FAULT_EVERY = 50

RULE = """\
- id: bench.full
  on: {table: volume, device: camera}
  when: {critical: used_percent >= 95}
  recover: {when: used_percent < 90}
  ticket:
    title: {zh: "{device} 满", en: "{device} is full"}
    advice: {zh: "-", en: "-"}
"""


def run(*, quick: bool) -> dict[str, float]:
    """Measures; see the module and TARGETS."""
    return backlog(rounds=400 if quick else 1000) | live(seconds=8 if quick else 30)


def backlog(*, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        agents = [site.agent(f"a{number}", RECORDER, devices=DEVICES, rounds=rounds) for number in range(AGENTS)]
        broker = site.broker()
        with ending(broker):
            collector = site.collector()
            with ending(collector):
                return drained(site, agents, broker, collector)


def drained(site: Site, agents: list[SpooledAgent], broker: Running, collector: Running) -> dict[str, float]:
    senders = [agent.start() for agent in agents]
    with ending(*senders):
        time.sleep(2.0)
        before = [collector.spent(), sum(sender.spent() for sender in senders), broker.spent()]
        for agent in agents:
            agent.go()
        until(lambda: committed(site) > 0, "the first block is committed")
        began = time.monotonic()
        until(lambda: committed(site) >= sum(agent.head for agent in agents), "the backlog is committed", 300)
        until(lambda: site.lag() == 0, "rules and series have it", 300)
        took = time.monotonic() - began
        after = [collector.spent(), sum(sender.spent() for sender in senders), broker.spent()]
    values = sum(agent.head for agent in agents) * RECORDER.width
    collected, sent, carried = (1e9 * (late - early) / values for early, late in zip(before, after, strict=True))
    return {
        "values_per_second": values / took,
        "agent_cpu_ns_per_value": sent,
        "collector_cpu_ns_per_value": collected,
        "broker_cpu_ns_per_value": carried,
    }


def committed(site: Site) -> int:
    with closing(sqlite3.connect(f"file:{site.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
        return int(db.execute("SELECT coalesce(sum(upto), 0) FROM watermark").fetchone()[0])


def live(*, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), rules=RULE)
        enrolled = [site.register.add_agent(SITE, f"l{number}") for number in range(LIVE_AGENTS)]
        senders = [Sender(one.agent, one.shard, [f"{one.agent}-cam"], CAMERA, GENESIS) for one in enrolled]
        broker = site.broker()
        with ending(broker):
            collector = site.collector()
            with ending(collector):
                bus = MqttBus(Broker(host="127.0.0.1", port=site.port), "bench")
                bus.connect()
                until(lambda: bus.state.connected, "the broker is reached")
                figures = Live(site, bus, senders).measured(seconds)
                bus.close()
                return figures


class Live:
    """Publishes at a steady rate and looks what is committed meanwhile."""

    def __init__(self, site: Site, bus: MqttBus, senders: list[Sender]) -> None:
        self._bus = bus
        self._senders = senders
        self._chance = random.Random(7)
        self._published: dict[tuple[str, int], float] = {}
        self._faults: dict[str, float] = {}
        self._commits: list[float] = []
        self._tickets: list[float] = []
        self._journal = sqlite3.connect(f"file:{site.folder}/data/journal.db?mode=ro", uri=True, timeout=10)
        self._service = sqlite3.connect(f"file:{site.folder}/data/service.db?mode=ro", uri=True, timeout=10)
        self._entry = self._ticket = 0

    def measured(self, seconds: float) -> dict[str, float]:
        warm = 2.0
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic() - began) < seconds + warm:
            while sent < now * LIVE_PER_SECOND:
                self._publish(sent, measured=now > warm)
                sent += 1
            self._look()
            time.sleep(0.002)
        until(self._all_seen, "everything measured is committed", 30)
        self._journal.close()
        self._service.close()
        return {
            "p99_commit_ms": percentile(self._commits, 0.99),
            "p50_commit_ms": statistics.median(self._commits),
            "p99_ticket_ms": percentile(self._tickets, 0.99),
            "p50_ticket_ms": statistics.median(self._tickets),
            "tickets_measured": len(self._tickets),
        }

    def _publish(self, number: int, *, measured: bool) -> None:
        sender = self._senders[number % len(self._senders)]
        t = int(time.time() * 1000)
        fault = measured and number % FAULT_EVERY == 0
        if fault:
            sender.devices = [f"fault-{number}"]
        bodies = sender.bodies(t, self._chance, {"used_percent": 99.0} if fault else {})
        topic, payload = sender.block(bodies, t, consent=CONSENT)
        sender.devices = [f"{sender.agent}-cam"]
        if measured:
            self._published[sender.agent, sender.seq] = time.monotonic()
        if fault:
            self._faults[f"fault-{number}"] = time.monotonic()
        self._bus.publish(topic, payload)

    def _look(self) -> None:
        rows = self._journal.execute(
            "SELECT position, agent, last FROM entry WHERE position > ? ORDER BY position", (self._entry,)
        ).fetchall()
        now = time.monotonic()
        for position, agent, last in rows:
            self._entry = position
            if (at := self._published.pop((agent, last), None)) is not None:
                self._commits.append(1000 * (now - at))
        rows = self._service.execute("SELECT rowid, device FROM ticket WHERE rowid > ?", (self._ticket,)).fetchall()
        now = time.monotonic()
        for row, device in rows:
            self._ticket = max(self._ticket, row)
            if (at := self._faults.pop(device, None)) is not None:
                self._tickets.append(1000 * (now - at))

    def _all_seen(self) -> bool:
        self._look()
        return not self._published and not self._faults


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
