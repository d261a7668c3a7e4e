"""The whole way through a real mosquitto: agents' spools to committed series and tickets, in processes of their own.

`values_per_second` is a backlog of two agents, from the moment they may send until journal, rules and DuckDB have all
of it; `agent_` and `collector_cpu_ns_per_value` are the CPU of their processes meanwhile, `broker_` mosquitto's.

The rest is live: one-record blocks of 200 agents, sent by this process. `live_blocks_per_second` is the most that is
committed with 2,000 of them under way at any time; this process, mosquitto and the collector share the cores. It is
taken anew before each of three stretches at a tenth, at half and at nine tenths of it (the figure is the middle one),
since others may use the machine too. Latencies are from the call that publishes a block to the moment this process sees
its entry in the journal, or its ticket, committed. They include the reader's own interval of a few milliseconds.
`p99_commit_ms` and `p99_ticket_ms` are those at half of the maximum.
"""

from __future__ import annotations

import random
import sqlite3
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
UNDER_WAY = 2000
FAULT_EVERY = 50
WARM = 2.0
SHIPPED = ("max_inflight_messages 200", "max_queued_messages 20000")
"""Of the broker's configuration as `forewarn collector broker-files` writes it; by default it holds back more."""
LEVELS = (
    (0.1, ("p50_commit_ms_at_10", "p99_commit_ms_at_10", "p50_ticket_ms_at_10", "p99_ticket_ms_at_10")),
    (0.5, ("p50_commit_ms", "p99_commit_ms", "p50_ticket_ms", "p99_ticket_ms")),
    (0.9, ("p50_commit_ms_at_90", "p99_commit_ms_at_90", "p50_ticket_ms_at_90", "p99_ticket_ms_at_90")),
)
"""Shares of the maximum, with the names of their figures."""

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
    return backlog(rounds=300 if quick else 1000) | live(seconds=4 if quick else 30)


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
        broker = site.broker(*SHIPPED)
        with ending(broker):
            collector = site.collector()
            with ending(collector):
                bus = MqttBus(Broker(host="127.0.0.1", port=site.port), "bench")
                bus.connect()
                until(lambda: bus.state.connected, "the broker is reached")
                with closing(Live(site, bus, senders)) as run:
                    figures = levels(run, collector, seconds)
                bus.close()
                return figures


def levels(run: Live, collector: Running, seconds: float) -> dict[str, float]:
    most: list[float] = []
    figures: dict[str, float] = {}
    before, sent = collector.spent(), run.sent
    for share, names in LEVELS:
        most.append(run.flat_out(min(seconds, 10.0)))
        run.paced(share * most[-1], seconds)
        figures |= dict(zip(names, run.latencies(), strict=True))
    spent = collector.spent() - before
    return {
        "live_blocks_per_second": percentile(most, 0.5),
        "live_collector_cpu_us_per_block": 1e6 * spent / (run.sent - sent),
        "live_load": run.busy,
        **figures,
    }


class Live:
    """Publishes live blocks and looks what is committed meanwhile.

    `sent` counts the blocks, `busy` is the share of a core that this process took when it sent as fast as it could.
    """

    def __init__(self, site: Site, bus: MqttBus, senders: list[Sender]) -> None:
        self.sent = 0
        self.busy = 0.0
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

    def close(self) -> None:
        self._journal.close()
        self._service.close()

    def flat_out(self, seconds: float) -> float:
        """Blocks committed a second, with UNDER_WAY of them published and not committed at any time."""
        began = counted = 0.0
        start = time.monotonic()
        while (now := time.monotonic() - start) < seconds + WARM:
            if now > WARM and not began:
                began, counted, spent = now, float(len(self._commits)), time.process_time()
            while len(self._published) < UNDER_WAY:
                self._publish(fault=False)
            self._look()
        self.busy = (time.process_time() - spent) / (now - began)
        most = (len(self._commits) - counted) / (now - began)
        until(self._all_seen, "everything is committed", 60)
        return most

    def paced(self, rate: float, seconds: float) -> None:
        """Publishes so many blocks a second and waits for all of them; the first WARM seconds do not count."""
        start, sent = time.monotonic(), 0
        self._commits.clear()
        self._tickets.clear()
        warm = True
        while (now := time.monotonic() - start) < seconds + WARM:
            while sent < now * rate:
                self._publish(fault=sent % FAULT_EVERY == 0)
                sent += 1
            self._look()
            if warm and now > WARM:
                warm = False
                self._commits.clear()
                self._tickets.clear()
            time.sleep(0.002)
        until(self._all_seen, "everything measured is committed", 60)

    def latencies(self) -> tuple[float, float, float, float]:
        """Median and 99th percentile to the commit and to the ticket, ms."""
        return tuple(percentile(times, share) for times in (self._commits, self._tickets) for share in (0.5, 0.99))  # type: ignore[return-value]

    def _publish(self, *, fault: bool) -> None:
        sender = self._senders[self.sent % len(self._senders)]
        t = int(time.time() * 1000)
        device = f"fault-{self.sent}"
        if fault:
            sender.devices = [device]
        bodies = sender.bodies(t, self._chance, {"used_percent": 99.0} if fault else {})
        topic, payload = sender.block(bodies, t, consent=CONSENT)
        sender.devices = [f"{sender.agent}-cam"]
        now = time.monotonic()
        self._published[sender.agent, sender.seq] = now
        if fault:
            self._faults[device] = now
        self._bus.publish(topic, payload)
        self.sent += 1

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
