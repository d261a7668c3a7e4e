"""Ten thousand reboots, wraps and resets of a simulated interface, and not one rate above what was really carried."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.profiles.counters import BOOTS, ENGINE_TIME, UPTIME, Clocks, Past, continuity, rate
from agent.snmp.session import Value

IN, OUT, ERRORS = "1.3.6.1.2.1.2.2.1.10.1", "1.3.6.1.2.1.2.2.1.16.1", "1.3.6.1.2.1.2.2.1.14.1"
MARK, SPEED = "1.3.6.1.2.1.31.1.1.1.19.1", "1.3.6.1.2.1.31.1.1.1.15.1"
WRAP = 2**32
EVENTS = 10_000


@dataclass
class Simulated:
    """A device with one interface: `bits` is what it says its counters have, `real` what they have.

    `marks` and `engine` say which of the standard's means against false rates it has.
    """

    dice: random.Random
    speed: float
    bits: int
    real: int
    marks: bool
    engine: bool
    uptime: float = 0.0
    boots: int = 7
    engine_time: float = 0.0
    mark: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
    load: float = 0.3
    quiet: float = 1.0
    """What share of its way in goes out."""

    def __post_init__(self) -> None:
        self.uptime = self.dice.choice([self.dice.uniform(1000, 4e7), WRAP / 100 - self.dice.uniform(0, 3000)])
        self.engine_time = self.uptime
        self.quiet = self.dice.choice([1.0, 0.0001])
        top = 2**self.real
        out = int(self.dice.randrange(top) * self.quiet)
        self.counts = {IN: self.dice.randrange(top), OUT: out, ERRORS: self.dice.randrange(1_000_000)}

    def run(self, seconds: float) -> None:
        """Time passes and traffic with it."""
        self.uptime = (self.uptime + seconds) % (WRAP / 100)
        self.engine_time += seconds
        self.load = min(max(self.load + self.dice.uniform(-0.1, 0.1), 0.0), 0.98)
        for oid in self.counts:
            share = self.load * self.dice.uniform(0.5, 1.0) * (self.quiet if oid == OUT else 1.0)
            more = int(seconds * (self.speed / 8 * share if oid != ERRORS else 0.2))
            self.carried[oid] = self.carried.get(oid, 0) + more
            self.counts[oid] = (self.counts[oid] + more) % 2 ** (self.real if oid != ERRORS else 32)

    def reboot(self) -> None:
        """Counters begin anew, or (some devices) anywhere."""
        self.uptime = self.engine_time = 0.0
        self.boots += 1
        kept = self.dice.random() < 0.3
        self.counts = {oid: self.dice.randrange(2**self.real) if kept else 0 for oid in self.counts}

    def reset_card(self) -> None:
        """The interface's counters begin anew, the device goes on; with a mark they may begin anywhere."""
        self.mark = int(self.uptime * 100)
        anywhere = self.marks and self.dice.random() < 0.5
        self.counts = {oid: self.dice.randrange(2**self.real) if anywhere else 0 for oid in self.counts}

    def shown(self) -> dict[str, Value]:
        got: dict[str, Value] = dict(self.counts)
        got |= {UPTIME: int(self.uptime * 100), SPEED: int(self.speed / 1e6)}
        got |= {MARK: self.mark} if self.marks else {}
        return got | ({BOOTS: self.boots, ENGINE_TIME: int(self.engine_time)} if self.engine else {})


@dataclass
class Polled:
    """What the agent makes of it; `worst` is the highest rate told against the true one."""

    device: Simulated
    past: Past | None = None
    at: float = 0.0
    since: float = 0.0
    told: int = 0
    spikes: list[str] = field(default_factory=list)

    def poll(self, passed: float, really: float, what: str) -> None:
        """A poll after `passed` seconds by our clock, `really` by everybody's."""
        self.at += passed
        self.since += really
        got = self.device.shown()
        clocks = Clocks.of(got)
        counters = dict(self.device.counts)
        if self.past is not None:
            seconds = self.at - self.past.at
            judged = continuity(self.past.clocks, clocks, seconds)
            before = self.past.known(counters, got, judged, seconds)
            for oid in counters if before else ():
                self._tell(oid, before or {}, counters, seconds, f"{what}, {judged}")
        self.past = Past(self.at, clocks, counters, {MARK: got[MARK]} if MARK in got else {})
        self.device.carried.clear()
        self.since = 0.0

    def _tell(self, oid: str, before: dict[str, int], now: dict[str, int], seconds: float, what: str) -> None:
        if oid not in before:
            return
        ceiling, bits = (None, 32) if oid == ERRORS else (self.device.speed / 8, self.device.bits)
        found = rate(before[oid], now[oid], seconds, bits=bits, ceiling=ceiling)
        if found is None:
            return
        self.told += 1
        true = self.device.carried[oid] / self.since
        if found > true * 1.5 + 1:
            self.spikes.append(f"{what}: {found:.0f} a second instead of {true:.0f}, {self.device}")


def simulated(dice: random.Random) -> Simulated:
    bits, real = dice.choice([(32, 32), (64, 64), (64, 32)])
    speed = dice.choice([1e7, 1e8, 1e9, 1e10])
    return Simulated(dice, speed, bits, real, marks=dice.random() < 0.5, engine=dice.random() < 0.5)


def live(dice: random.Random, polls: int) -> tuple[Polled, Counter[str]]:
    """One device over some polls, something happening in most intervals; what happened, by name."""
    polled, seen = Polled(simulated(dice)), Counter[str]()
    polled.poll(0.0, 0.0, "first")
    for _ in range(polls):
        device, seconds = polled.device, dice.choice([10.0, 60.0, 60.0, 300.0, 3600.0]) + dice.uniform(-2, 2)
        what = dice.choice(["nothing", "nothing", "reboot", "card", "slept", "wrap of uptime"])
        before = dict(device.counts)
        first, slept = dice.uniform(0, seconds), 0.0
        if what == "wrap of uptime":
            device.uptime = WRAP / 100 - dice.uniform(0, seconds)
            polled.past = None  # It got there by itself, in another life.
            polled.poll(0.0, 0.0, "first")
        device.run(first)
        if what == "reboot":
            device.reboot()
            first += min(dice.uniform(0, 60), max(seconds - first - dice.uniform(0.1, 3), 0.0))
        elif what == "card":
            device.reset_card()
        elif what == "slept":
            slept = dice.uniform(600, 30_000)
            device.run(slept)
        device.run(max(seconds - first, 0.0))
        seen[what] += 1
        seen["wrap"] += what == "nothing" and any(device.counts[oid] < before[oid] for oid in before)
        polled.poll(seconds, seconds + slept, what)
    return polled, seen


def test_ten_thousand_reboots_wraps_and_resets_give_no_false_rate() -> None:
    dice, seen, told, spikes = random.Random(20_260_101), Counter[str](), 0, list[str]()
    while sum(seen[what] for what in ("reboot", "wrap", "card", "wrap of uptime")) < EVENTS:
        polled, here = live(dice, 100)
        seen.update(here)
        told += polled.told
        spikes += polled.spikes
    assert spikes == []
    assert min(seen["reboot"], seen["card"], seen["slept"], seen["wrap of uptime"]) > EVENTS / 6
    assert seen["wrap"] > 500
    assert told > EVENTS, "silence would be no art"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**63))
def test_no_history_of_a_device_gives_a_false_rate(seed: int) -> None:
    polled, _ = live(random.Random(seed), 15)
    assert polled.spikes == []
