from __future__ import annotations

import math

import numpy as np
import pytest

from rules.engine import Engine
from rules.frames import Frame, Runs
from rules.trend import BLOCKS, fit
from tests.rule_batches import BEGIN, batch, one_rule, series, shape, told

VOLUME = shape(("volume", ["a"], ["used_percent"]))
HOUR = 3_600_000


def line(hours: int, start: float, per_hour: float, noise: float = 0.0, seed: int = 1) -> list[list[float]]:
    random = np.random.default_rng(seed)
    at = np.arange(hours * 12) / 12
    return (
        (start + per_hour * at + random.normal(0, noise, len(at)))[:, None].tolist()
        if noise
        else (start + per_hour * at)[:, None].tolist()
    )


def opened(when: str, values: list[list[float]]) -> list[float]:
    """Hours at which a condition first opened."""
    found = told(Engine(one_rule(when)), batch(series(values, VOLUME, every=300_000)))
    return [(one.t - BEGIN) / HOUR for one in found]


def test_a_rise_is_foretold_once_a_day_of_it_is_known() -> None:
    at = opened("ttt(used_percent, 98) < 72h", line(60, 65, 0.5, noise=0.3))
    assert len(at) == 1
    assert 23 <= at[0] <= 30


def test_forecasts_are_right_and_their_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(40):
        engine = Engine(one_rule("ttt(used_percent, 98) < 72h"))
        found = told(engine, batch(series(line(60, 65, 0.5, noise=0.3, seed=seed), VOLUME, every=300_000)))[0]
        evidence = found.reason.evidence[0]
        truth = (98 - 65) / 0.5 * 3600 - (found.t - BEGIN) / 1000
        assert evidence.value == pytest.approx(truth, rel=0.15)
        assert evidence.detail["slope_per_day"] == pytest.approx(12, rel=0.15)
        assert evidence.detail["p"] < 0.01
        held += evidence.detail["low"] < truth < evidence.detail["high"]
    assert 34 <= held <= 40


def test_what_falls_is_foretold_downwards_only() -> None:
    values = line(60, 60, -0.5, noise=0.3)
    assert opened("ttt(used_percent, 20, 1h, down) < 72h", values)
    assert opened("ttt(used_percent, 98) < 720h", values) == []


def test_noise_a_step_and_a_short_rise_foretell_nothing() -> None:
    assert opened("ttt(used_percent, 98) < 720h", line(160, 80, 0.0, noise=2.0)) == []
    step = line(48, 70, 0.0, noise=0.2) + line(48, 85, 0.0, noise=0.2, seed=2)
    assert opened("ttt(used_percent, 98) < 72h", step) == []
    assert opened("ttt(used_percent, 98) < 72h", line(20, 80, 0.8, noise=0.2)) == []


def test_a_level_far_below_the_threshold_is_not_foretold_however_sure_its_rise() -> None:
    assert opened("ttt(used_percent, 98) < 100h", line(60, 20, 0.6, noise=0.2)) == []
    at = opened("ttt(used_percent, 98) < 100h", line(80, 20, 0.6, noise=0.2))
    assert len(at) == 1
    assert 63 <= at[0] <= 68


def test_an_interval_that_ends_late_holds_a_forecast_back() -> None:
    horizon = 60
    ends: list[float] = []
    for seed in range(30):
        values = line(70, 70, 0.25, noise=12.0, seed=seed)
        engine = Engine(one_rule(f"ttt(used_percent, 98) < {horizon}h"))
        found = told(engine, batch(series(values, VOLUME, every=300_000)))
        ends += [one.reason.evidence[0].detail["high"] / 3600 for one in found]
    assert len(ends) >= 10
    assert max(ends) < 1.5 * horizon


def test_what_is_purged_every_day_fills_nothing_whenever_it_was_first_seen() -> None:
    polls = []
    for phase in range(24):
        values = [[60 + 25 * ((at / 12 + phase) % 24) / 24] for at in range(72 * 12)]
        polls += series(values, VOLUME, f"purged{phase}", every=300_000)
    assert told(Engine(one_rule("ttt(used_percent, 98) < 72h and used_percent >= 60")), batch(polls)) == []


def test_a_steady_rise_stays_foretold_as_its_history_grows() -> None:
    assert opened("ttt(used_percent, 98) > 900h", line(120, 10, 0.5, noise=0.2)) == []


def test_daily_buckets_foretell_after_two_weeks() -> None:
    at = opened("ttt(used_percent, 20, 1d, down) < 30d", line(30 * 24, 55, -1.2 / 24, noise=0.2))
    assert len(at) == 1
    assert 13 * 24 <= at[0] <= 15 * 24


def test_what_stands_above_its_threshold_is_due_without_a_trend() -> None:
    assert len(opened("ttt(used_percent, 98) < 24h", line(48, 99.5, 0.0, noise=0.1))) == 1


def test_a_low_level_and_a_far_horizon_on_a_short_history_wait() -> None:
    assert opened("ttt(used_percent, 98) < 240h", line(40, 20, 0.5, noise=0.2)) == []
    assert opened("ttt(used_percent, 98) < 240h", line(40, 65, 0.25, noise=0.1)) == []


def test_a_threshold_that_is_reached_is_no_time_away() -> None:
    at = opened("ttt(used_percent, 98).high == 0", line(48, 90, 0.25, noise=0.05))
    assert len(at) == 1
    assert 31 <= at[0] <= 34


def test_a_gap_in_the_history_is_bridged_not_filled() -> None:
    values = line(60, 65, 0.5, noise=0.3)
    polls = [poll for poll in series(values, VOLUME, every=300_000) if not 10 * HOUR < poll.t - BEGIN < 20 * HOUR]
    found = told(Engine(one_rule("ttt(used_percent, 98) < 72h")), batch(polls))
    truth = (98 - 65) / 0.5 * 3600 - (found[0].t - BEGIN) / 1000
    assert found[0].reason.evidence[0].value == pytest.approx(truth, rel=0.15)


def test_unknown_until_there_is_enough() -> None:
    recovered = "ttt(used_percent, 98) > 1h"
    at = opened(recovered, line(30, 50, 0.0, noise=0.5))
    assert len(at) == 1
    assert 23 <= at[0] <= 25.1


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_the_interval_covers_the_true_crossing_as_often_as_it_says(correlation: float) -> None:
    random = np.random.default_rng(3)
    count, fold = 1000, 7
    length = BLOCKS * fold
    noise = random.normal(size=(count, length + 100))
    for at in range(1, noise.shape[1]):
        noise[:, at] = correlation * noise[:, at - 1] + math.sqrt(1 - correlation**2) * noise[:, at]
    ahead = random.uniform(4, 20, count)
    at = np.arange(BLOCKS) - (BLOCKS - 1)
    slope = random.uniform(0.15, 0.6, count)
    blocks = slope[:, None] * (at - ahead[:, None]) + noise[:, 100:].reshape(count, BLOCKS, fold).mean(axis=2)
    found = fit(blocks, 0.0)
    told = np.isfinite(found.crossing)
    covered = (found.low <= ahead) & (ahead <= found.high)
    assert told.mean() > 0.7
    assert 0.85 <= covered[told].mean() <= 0.95


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 0.9, 0.95])
def test_two_days_of_noise_that_lasts_for_hours_are_enough_for_the_interval(correlation: float) -> None:
    random = np.random.default_rng(11)
    count, fold = 4000, 2
    length = BLOCKS * fold
    noise = random.normal(size=(count, length + 100))
    for step in range(1, noise.shape[1]):
        noise[:, step] = correlation * noise[:, step - 1] + math.sqrt(1 - correlation**2) * noise[:, step]
    ahead = random.uniform(4, 24, count)
    slope = random.uniform(3, 12, count) / BLOCKS
    centres = np.arange(BLOCKS) - (BLOCKS - 1)
    blocks = slope[:, None] * (centres - ahead[:, None]) + noise[:, 100:].reshape(count, BLOCKS, fold).mean(axis=2)
    found = fit(blocks, 0.0)
    told = np.isfinite(found.crossing)
    covered = (found.low <= ahead) & (ahead <= found.high)
    assert told.mean() > 0.4
    assert 0.85 <= covered[told].mean() <= 0.95


def test_buckets_close_in_turns_neither_all_at_once_nor_each_alone() -> None:
    offsets = np.random.default_rng(1).integers(0, 2**32, 6000)
    number = np.arange(6000)
    t = np.full(6000, BEGIN)
    frame = Frame(t, t, t, Runs(number, np.ones(6000, np.int64), 6000, number), number, offsets, number[:, None], ("",))
    _, shares = np.unique(frame.shifts(HOUR) % HOUR, return_counts=True)
    assert len(shares) == 12
    assert shares.max() < 6000 / 8


def test_outliers_do_not_bend_the_line() -> None:
    blocks = np.linspace(10, 33, BLOCKS)[None].copy()
    blocks[0, [4, 15]] = 500, -300
    assert fit(blocks, 40.0).slope[0] == pytest.approx(1.0, rel=0.01)


def test_few_blocks_say_nothing() -> None:
    blocks = np.full((1, BLOCKS), np.nan)
    blocks[0, -7:] = np.arange(7)
    assert math.isnan(fit(blocks, 40.0).crossing[0])
