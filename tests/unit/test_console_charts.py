"""A ticket's curve shows where the threshold lies and when a trend reaches it, upwards and downwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collector.console.charts import Forecast, Lines, options
from collector.console.sentences import Focus
from collector.console.ticket import forecast
from collector.console.words import Say
from collector.series.store import Points
from rules.finding import Evidence

EN = Say("en")
HOUR = 3_600_000


def points(*values: float) -> Points:
    return Points(np.arange(len(values), dtype=np.int64) * HOUR, np.array(values, np.float64))


def drawn(level: float, threshold: float, *, unit: str = "%") -> dict[str, Any]:
    seen = Forecast(3 * HOUR, level, 10 * HOUR, 15 * HOUR, 24 * HOUR)
    lines = Lines(unit, [("x", points(level, level, level, level))], threshold, seen, 2 * HOUR)
    return options(lines, (0, 4 * HOUR), EN)


@pytest.mark.parametrize(("level", "threshold"), [(80.0, 98.0), (50.0, 10.0)])
def test_the_band_opens_from_where_the_forecast_was_made_to_its_earliest_and_latest_crossing(
    level: float, threshold: float
) -> None:
    series = drawn(level, threshold)["series"]
    middle = next(one for one in series if one.get("name") == "Forecast")
    assert middle["data"] == [[3 * HOUR, level], [15 * HOUR, threshold]]
    base, room = (one["data"] for one in series if one.get("stack") == "band")
    assert [t for t, _ in base] == [3 * HOUR, 10 * HOUR, 24 * HOUR]
    edges = [(low, low + high) for (_, low), (_, high) in zip(base, room, strict=True)]
    slow = level + (threshold - level) / 3
    expected = [(level, level), (min(slow, threshold), max(slow, threshold)), (threshold, threshold)]
    assert [pytest.approx(edge, rel=1e-5) for edge in expected] == edges


def test_the_axis_reaches_to_the_latest_crossing_and_the_threshold_is_named() -> None:
    shown = drawn(80.0, 98.0)
    assert shown["xAxis"]["max"] > 24 * HOUR
    marks = shown["series"][0]["markLine"]["data"]
    assert [mark["label"]["formatter"] for mark in marks] == ["Threshold 98 %", "Since"]


def test_spans_are_drawn_in_a_unit_one_can_read() -> None:
    shown = drawn(3000.0, 600.0, unit="s")
    assert shown["yAxis"]["name"] == "min"
    assert shown["series"][0]["data"][0] == [0, 50.0]
    assert shown["series"][0]["markLine"]["data"][0]["yAxis"] == 10.0


def test_a_forecast_begins_on_its_own_line_and_not_at_the_last_noisy_value() -> None:
    detail = {"slope_per_day": 4.8, "low": 36 * 3600.0, "high": 60 * 3600.0}
    evidence = Evidence("ttt(used_percent, 98) < 72h", 48 * 3600.0, 72 * 3600.0, held=True, unit="s", detail=detail)
    seen = forecast(Focus("used_percent", 98.0, evidence), 5 * HOUR)
    assert seen is not None
    assert (seen.level, seen.low, seen.middle, seen.high) == (pytest.approx(88.4), 41 * HOUR, 53 * HOUR, 65 * HOUR)
    assert forecast(Focus("used_percent", 98.0), 5 * HOUR) is None
