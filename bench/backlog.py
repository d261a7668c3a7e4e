"""A day's backlog of a 200-device site is taken in, while other agents go on reporting live; `--sites 5`: of five at once.

The agent is a real one with a full spool (a poll a minute and device, 20 values each); broker and collector are the
programs people run. `backlog_minutes` is from the moment it may send until its last record is committed: records leave
in order, so that this is also how long the agent's own live records wait behind its backlog (`own_live_seconds`).
Meanwhile `OTHERS` agents publish `PER_SECOND` one-record blocks; `calm_` and `busy_` are how long theirs take, before
and during the backlog, from the call that publishes one until another process sees it committed, or its
ticket. `quick` takes a twentieth of a day, and adds the rest at the rate of its second half.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench._pipeline import CAMERA, Sender
from bench._processes import SITE, Site, SpooledAgent, ending, until
from bench.mqtt import FAULT_EVERY, RULE, Live, percentile
from forewarn.bus import Broker
from forewarn.bus.mqtt import MqttBus
from forewarn.wire import GENESIS

TARGETS: dict[str, str | float] = {
    "backlog_minutes": "<= 5",
    "own_live_seconds": "< 60",
    "busy_p99_commit_ms": "< 1000",
}
OPTIONS = {"sites": 1}
DEVICES = 200
DAY = 1440
"""Polls of a device."""
PART = 20
OTHERS = 50
PER_SECOND = 100
CALM = 6.0


def run(*, quick: bool, sites: int) -> dict[str, float]:
    """Measures; see the module and TARGETS."""
    with tempfile.TemporaryDirectory() as name:
        site = Site(Path(name), rules=RULE)
        rounds = DAY // PART if quick else DAY
        agents = [site.agent(f"backlog-{at}", CAMERA, devices=DEVICES, rounds=rounds) for at in range(sites)]
        enrolled = [site.register.add_agent(SITE, f"l{number}") for number in range(OTHERS)]
        others = [Sender(one.agent, one.shard, [f"{one.agent}-cam"], CAMERA, GENESIS) for one in enrolled]
        with ending(site.broker()), ending(site.collector()), ending(*[agent.start() for agent in agents]):
            bus = MqttBus(Broker(host="127.0.0.1", port=site.port), "bench")
            bus.connect()
            until(lambda: bus.state.connected, "the broker is reached")
            figures = taken_in(site, agents, Pulse(site, bus, others), part=PART if quick else 1)
            bus.close()
        return figures


class Pulse(Live):
    """Publishes at a steady rate while something else happens, and says how long its blocks took."""

    def during(self, over: Callable[[], bool], *, most: float) -> dict[str, float]:
        began, sent = time.monotonic(), 0
        asked = began
        while (now := time.monotonic()) - began < most:
            while sent < (now - began) * PER_SECOND:
                self._publish(fault=self.sent % FAULT_EVERY == 0)
                sent += 1
            self._look()
            if now - asked > 0.1:
                asked = now
                if over():
                    break
            time.sleep(0.002)
        until(self._all_seen, "everything published is committed", 60)
        commits, tickets = self._commits, self._tickets
        self._commits, self._tickets = [], []
        return {
            "p50_commit_ms": percentile(commits, 0.5),
            "p99_commit_ms": percentile(commits, 0.99),
            "p99_ticket_ms": percentile(tickets, 0.99),
        }


def taken_in(site: Site, agents: list[SpooledAgent], pulse: Pulse, *, part: int) -> dict[str, float]:
    head = sum(agent.head for agent in agents)
    pulse.during(lambda: False, most=2.0)
    calm = pulse.during(lambda: False, most=CALM)
    for agent in agents:
        agent.go()
    began = time.monotonic()
    seen: list[tuple[float, int]] = []

    def over() -> bool:
        seen.append((time.monotonic() - began, sum(upto(site, agent) for agent in agents)))
        return seen[-1][1] >= head

    busy = pulse.during(over, most=600)
    whole = head * part
    half, at_half = next((at, reached) for at, reached in seen if reached >= head / 2)
    end = seen[-1][0]
    rate = (head - at_half) / (end - half)
    drained = end + (whole - head) / rate
    until(lambda: site.lag() == 0, "rules and series have it", 600)
    return {
        "records": float(whole),
        "records_per_second": rate,
        "backlog_minutes": drained / 60,
        "own_live_seconds": drained,
        "rules_and_series_behind_seconds": time.monotonic() - began - end,
        "busy_to_calm": busy["p99_commit_ms"] / calm["p99_commit_ms"],
        **{f"calm_{name}": value for name, value in calm.items()},
        **{f"busy_{name}": value for name, value in busy.items()},
    }


def upto(site: Site, agent: SpooledAgent) -> int:
    with closing(sqlite3.connect(f"file:{site.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
        query = "SELECT coalesce(max(upto), 0) FROM watermark WHERE agent = ?"
        return int(db.execute(query, (agent.name,)).fetchone()[0])
