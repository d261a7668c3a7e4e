"""The functions of the language: the explicit list, what each takes, and the operator it becomes."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from rules.foresight import TimeTo
from rules.operators import Operator, Silence, Smoothed, Step
from rules.windows import Window


class Takes(Enum):
    """What an argument may be."""

    SERIES = "a field or an expression over fields"
    LEVEL = "a number in the unit of the series"
    DURATION = "a duration, like 15m"
    UP_OR_DOWN = "`up` or `down`"


class Function(NamedTuple):
    """A function: its arguments in order (`required` of them must be there), and what it gives."""

    takes: tuple[Takes, ...]
    required: int
    unit: Callable[[str], str]
    """The unit of the result, from the unit of the series."""
    make: Callable[..., Operator]
    """Called with the arguments after the series: floats in base units, words as str."""
    parts: tuple[str, ...] = ()
    says: str = ""


def _same(unit: str) -> str:
    return unit


def _per_second(unit: str) -> str:
    return f"{unit}/s"


def _seconds(_unit: str) -> str:
    return "s"


def _step(what: str) -> Callable[..., Operator]:
    return lambda *_none: Step(what)


def _window(kind: str) -> Callable[..., Operator]:
    return lambda seconds: Window(kind, seconds)


def _time_to(threshold: float, *more: Any) -> Operator:
    return TimeTo(threshold, *more)


_SERIES = (Takes.SERIES,)
_OVER = (Takes.SERIES, Takes.DURATION)

FUNCTIONS: dict[str, Function] = {
    "prev": Function(_SERIES, 1, _same, _step("prev"), says="the last known value before this one"),
    "delta": Function(_SERIES, 1, _same, _step("delta"), says="the change since the last known value"),
    "rate": Function(_SERIES, 1, _per_second, _step("rate"), says="the change a second since the last known value"),
    "avg": Function(_OVER, 2, _same, _window("avg"), says="the mean over a window"),
    "min": Function(_OVER, 2, _same, _window("min"), says="the least value in a window"),
    "max": Function(_OVER, 2, _same, _window("max"), says="the greatest value in a window"),
    "ewma": Function(_OVER, 2, _same, Smoothed, says="the exponentially weighted mean with a time constant"),
    "ttt": Function(
        (Takes.SERIES, Takes.LEVEL, Takes.DURATION, Takes.UP_OR_DOWN),
        2,
        _seconds,
        _time_to,
        TimeTo.parts,
        says="the time until a trend reaches a threshold, with a 90 % interval",
    ),
    "absent": Function((), 0, _seconds, Silence, says="for how long the agent has not been heard, as ticks attest"),
}

_SUFFIXES = {
    "_seconds": "s",
    "_bytes": "B",
    "_percent": "%",
    "_celsius": "°C",
    "_bits_per_second": "bit/s",
    "_bytes_per_second": "B/s",
    "_per_second": "/s",
    "_watts": "W",
    "_volts": "V",
    "_rpm": "rpm",
    "_hours": "h",
}
_BARE = {suffix[1:]: unit for suffix, unit in _SUFFIXES.items()}


def unit_of(field: str) -> str:
    """The unit that a field's name carries; "" for a count, a state or a share."""
    if field in _BARE:
        return _BARE[field]
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if field.endswith(suffix):
            return _SUFFIXES[suffix]
    return ""
