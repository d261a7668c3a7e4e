"""Charts: lines of series over time, a ticket's threshold, and the band in which a forecast sees it crossed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from nicegui import ui

from collector.console.units import Scale, scale
from collector.console.words import Say
from collector.series.store import Points

COLOURS = ("#3b82c4", "#d08a2e", "#4c9f70", "#b3568c", "#7a6fd0", "#b5523b", "#4aa3a8", "#8a8f3c", "#6b7c93", "#c2708a")
_INK = "#7d8a99"
_GRID = "rgba(128,140,155,.2)"
_BAD = "#cf4436"
MOST_LINES = 10


class Forecast(NamedTuple):
    """Where a trend goes: from (`t`, `level`) it reaches the threshold at `middle`, 90 % between `low` and `high`.

    Times are Unix milliseconds, the level in the field's unit.
    """

    t: int
    level: float
    low: int
    middle: int
    high: int


class Lines(NamedTuple):
    """A chart's content: named lines of one unit, and what is drawn over them."""

    unit: str
    lines: Sequence[tuple[str, Points]]
    threshold: float | None = None
    forecast: Forecast | None = None
    began: int | None = None
    """When the fault began."""
    steps: bool = False
    """Whether a value lasts until the next one, as a state does."""


def chart(content: Lines, span: tuple[int, int], say: Say) -> None:
    """Draws lines over a span (Unix milliseconds)."""
    ui.echart(options(content, span, say)).classes("fw-chart")


def options(content: Lines, span: tuple[int, int], say: Say) -> dict[str, Any]:
    """The chart as echarts takes it."""
    values = [value for _, points in content.lines for value in points.value.tolist()]
    known = values + ([content.threshold] if content.threshold is not None else [])
    axis = scale(content.unit, known, say)
    end = (
        span[1]
        if content.forecast is None
        else max(span[1], content.forecast.high + (content.forecast.high - span[0]) // 40)
    )
    series = [_line(name, points, axis, content) for name, points in content.lines]
    if content.forecast is not None and content.threshold is not None:
        series += _band(content.forecast, content.threshold, axis, say)
    if series:
        series[0]["markLine"] = _marks(content, axis, say)
    several = len(content.lines) > 1
    return {
        "animation": False,
        "color": list(COLOURS),
        "textStyle": {"fontFamily": "system-ui, sans-serif"},
        "grid": {"left": 8, "right": 20, "top": 34, "bottom": 30 if several else 8, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True, "order": "valueDesc", "textStyle": {"fontSize": 12}},
        "legend": {"show": several, "bottom": 0, "type": "scroll", "textStyle": {"color": _INK}, "itemHeight": 8},
        "xAxis": _x_axis(span[0], end),
        "yAxis": _y_axis(axis, known),
        "series": series,
    }


def _x_axis(begin: int, end: int) -> dict[str, Any]:
    label = {"color": _INK, "hideOverlap": True}
    return {
        "type": "time",
        "min": begin,
        "max": end,
        "axisLabel": label,
        "axisLine": {"lineStyle": {"color": _GRID}},
        "splitLine": {"show": False},
    }


def _y_axis(axis: Scale, known: Sequence[float]) -> dict[str, Any]:
    whole = bool(known) and all(value in (0, 1) for value in known)
    return {
        "type": "value",
        "scale": True,
        "name": axis.unit,
        "nameTextStyle": {"color": _INK, "align": "left"},
        "axisLabel": {"color": _INK},
        "splitLine": {"lineStyle": {"color": _GRID}},
        **({"min": 0, "max": 1, "interval": 1} if whole else {}),
    }


def _line(name: str, points: Points, axis: Scale, content: Lines) -> dict[str, Any]:
    pairs = zip(points.t.tolist(), (points.value / axis.size).tolist(), strict=True)
    return {
        "name": name,
        "type": "line",
        "showSymbol": len(points.t) < 3,  # noqa: PLR2004 - one or two points make no line to see
        "symbolSize": 5,
        "lineStyle": {"width": 1.6},
        "areaStyle": {"opacity": 0.07} if len(content.lines) == 1 else None,
        "step": "end" if content.steps else False,
        "sampling": "lttb",
        "data": [[t, _rounded(value)] for t, value in pairs],
    }


def _band(forecast: Forecast, threshold: float, axis: Scale, say: Say) -> list[dict[str, Any]]:
    """The dashed line of the trend, the band to its earliest and latest crossing, and that interval on the threshold.

    The band is two stacked lines: its lower edge, unseen, and the room above it.
    """
    level, limit = forecast.level / axis.size, threshold / axis.size
    share = (forecast.low - forecast.t) / max(forecast.high - forecast.t, 1)
    slow = level + (limit - level) * share  # Where the latest crossing's line stands at the earliest crossing.
    times = (forecast.t, forecast.low, forecast.high)
    first, second = (level, slow, limit), (level, limit, limit)
    lower, upper = (first, second) if limit >= level else (second, first)
    quiet = {"type": "line", "showSymbol": False, "silent": True, "stack": "band", "lineStyle": {"width": 0}}
    quiet |= {"stackStrategy": "all", "tooltip": {"show": False}, "z": 1}
    base = [[t, _rounded(low)] for t, low in zip(times, lower, strict=True)]
    room = [[t, _rounded(high - low)] for t, low, high in zip(times, lower, upper, strict=True)]
    middle = [[forecast.t, _rounded(level)], [forecast.middle, _rounded(limit)]]
    reach = [[forecast.low, _rounded(limit)], [forecast.high, _rounded(limit)]]
    thick = {"width": 7, "color": _BAD, "opacity": 0.55, "cap": "round"}
    dashed = {"width": 1.6, "type": "dashed", "color": _BAD}
    return [
        {
            "name": say("forecast"),
            "type": "line",
            "showSymbol": False,
            "data": middle,
            "lineStyle": dashed,
            "color": _BAD,
        },
        {
            "type": "line",
            "showSymbol": False,
            "silent": True,
            "data": reach,
            "lineStyle": thick,
            "tooltip": quiet["tooltip"],
        },
        {**quiet, "name": "", "data": base},
        {**quiet, "name": " ", "data": room, "areaStyle": {"color": _BAD, "opacity": 0.16}},
    ]


def _marks(content: Lines, axis: Scale, say: Say) -> dict[str, Any]:
    marks: list[dict[str, Any]] = []
    if content.threshold is not None:
        limit = _rounded(content.threshold / axis.size)
        label = {"formatter": f"{say('threshold')} {limit:g} {axis.unit}", "color": _BAD, "position": "insideStartTop"}
        marks.append({"yAxis": limit, "label": label, "lineStyle": {"color": _BAD, "type": "solid", "width": 1}})
    if content.began is not None:
        label = {"formatter": say("occurred"), "color": _INK, "position": "end"}
        marks.append({"xAxis": content.began, "label": label, "lineStyle": {"color": _INK, "type": "dotted"}})
    return {"symbol": "none", "silent": True, "data": marks}


def _rounded(value: float) -> float:
    """Six digits: what a screen can show."""
    return float(f"{value:.6g}") if math.isfinite(value) else value
