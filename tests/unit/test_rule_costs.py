"""What the engine says its rules cost, and what the meter makes of it."""

from __future__ import annotations

import itertools

import pytest

from collector.evaluation.costs import Meter, RuleCost, shares
from rules.engine import Cost, Engine
from rules.samples import Arrival
from tests.rule_batches import BEGIN, batch, one_rule, series, shape

OF = shape(("volume", ["a", "b"], ["used_percent", "overwrite"]))


def test_an_engine_counts_each_rule_on_each_poll_of_each_series_and_the_time_it_took() -> None:
    seconds = itertools.count()
    engine = Engine(one_rule("used_percent > 90"), timer=lambda: float(next(seconds)))
    engine.apply(batch(series([[50.0, 0.0, 60.0, 0.0]] * 7, OF)))
    (cost,) = engine.costs()
    assert (cost.rule, cost.series, cost.evaluations, cost.seconds) == ("test.rule", 2, 14, 1.0)
    assert cost.state_bytes == engine.state_bytes["test.rule"]
    assert cost.version == engine.ruleset.rules[0].version


def test_a_rule_that_looks_at_something_else_costs_no_evaluation() -> None:
    engine = Engine(one_rule("used_percent > 90"), timer=lambda: 0.0)
    engine.apply(batch(series([[50.0]], shape(("sensor", ["a"], ["temperature_celsius"])))))
    assert [(cost.evaluations, cost.series) for cost in engine.costs()] == [(0, 0)]


def test_silence_is_evaluated_once_an_agent_and_tick() -> None:
    engine = Engine(one_rule("absent() >= 3m", table="agent"))
    heard = [Arrival("site", f"agent{at}", BEGIN, 1) for at in range(3)]
    for at in range(1, 5):
        engine.apply(batch([], arrivals=heard if at == 1 else [], tick=BEGIN + at * 10_000, last=at))
    assert [(cost.evaluations, cost.series) for cost in engine.costs()] == [(12, 3)]


def test_the_time_measured_changes_no_decision() -> None:
    polls = batch(series([[95.0, 0.0, 20.0, 0.0]] * 5, OF))
    timed = Engine(one_rule("used_percent > 90"), timer=lambda: 1e9)
    assert timed.apply(polls) == Engine(one_rule("used_percent > 90")).apply(polls)


class Clock:
    """Seconds a test sets."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> int:
        return int(self.at * 1000)

    def monotonic(self) -> float:
        return self.at


class Counted:
    """An engine with one rule whose counts a test sets."""

    def __init__(self, evaluations: int = 0, seconds: float = 0.0) -> None:
        self.evaluations, self.seconds = evaluations, seconds

    def costs(self) -> list[Cost]:
        return [Cost("a.b", "v1", 10, 3, self.evaluations, self.seconds)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(now=clock.now, monotonic=clock.monotonic)


def test_a_meter_without_an_engine_says_nothing(meter: Meter) -> None:
    assert meter.figures() == []


def test_rates_are_those_of_the_last_minute(meter: Meter, clock: Clock) -> None:
    engine = meter.watch(Counted())
    for _ in range(12):  # Two minutes, a hundred evaluations a second.
        clock.at += 10
        engine.evaluations, engine.seconds = engine.evaluations + 1000, engine.seconds + 2.5
        (figure,) = meter.figures()
    assert (figure.evaluations, figure.evaluations_per_second, figure.busy) == (12_000, 100.0, 0.25)
    assert (figure.since, figure.at, figure.bytes) == (1_000_000, 1_120_000, 30)
    for _ in range(6):
        clock.at += 10
        (figure,) = meter.figures()
    assert (figure.evaluations, figure.evaluations_per_second, figure.busy) == (12_000, 0.0, 0.0)


def test_what_an_engine_did_before_it_was_replaced_still_counts(meter: Meter, clock: Clock) -> None:
    meter.watch(Counted(500, 1.0))
    meter.watch(Counted(70, 0.5))
    meter.watch(Counted(5, 0.5))
    clock.at += 10
    (figure,) = meter.figures()
    assert (figure.evaluations, figure.evaluations_per_second, figure.busy) == (575, 57.5, 0.2)


def test_shares_are_of_the_time_all_rules_took() -> None:
    costs = {name: RuleCost(name, "v", 1, 1, 1, 1.0, busy, 0, 0) for name, busy in (("a", 0.3), ("b", 0.1))}
    assert shares(costs) == pytest.approx({"a": 0.75, "b": 0.25})
    assert shares({"a": costs["a"]._replace(busy=0.0)}) == {}
