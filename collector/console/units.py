"""Values as people read them: states in words, everything else with a fitting unit, and the scale of a chart's axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from collector.console.words import Say
from forewarn.vocabulary import Status
from rules.functions import unit_of
from rules.wording import worded

YES_NO = frozenset(
    {"admin_up", "read_only", "overwrite", "on_battery", "battery_replace", "recording", "video_loss", "running"}
    | {"clock_synchronised", "standby", "full_duplex", "certificate_accepted", "stream"}
)
_STATUSES = frozenset({"status", "battery_status", "test_status"})
_STATUS_WORDS = {Status.OK: "ok", Status.WARNING: "warning", Status.CRITICAL: "critical", Status.UNKNOWN: "unknown"}
_MORE_UNITS = {"amperes": "A", "hertz": "Hz"}
_BITS = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))
_BYTES = ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))
_SPANS: dict[str, tuple[tuple[float, str], ...]] = {
    "zh": ((86400.0, "天"), (3600.0, "小时"), (60.0, "分钟"), (1.0, "秒"), (0.001, "毫秒")),
    "en": ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms")),
}


class Scale(NamedTuple):
    """What values are divided by on an axis, and the unit they then have."""

    size: float
    unit: str


def is_state(field: str) -> bool:
    """Whether a field says how something is rather than how much of it there is."""
    return field == "up" or field in YES_NO or field in _STATUSES


def lasting(seconds: float, say: Say) -> str:
    """A span that is read closely, in two units: "5 d 7 h", "41.3 h", "6 h 20 min"."""
    spans = _SPANS[say.language]
    if not math.isfinite(seconds) or seconds < 120:  # noqa: PLR2004 - seconds say it best
        return measured(seconds, "s", say)
    (day, days), (hour, hours), (minute, minutes) = spans[:3]
    if seconds >= 10 * day:
        return f"{seconds / day:.0f} {days}"
    if 12 * hour <= seconds < 4 * day:
        return f"{seconds / hour:.3g} {hours}"
    (large, long), (small, short) = (
        ((day, days), (hour, hours)) if seconds >= day else ((hour, hours), (minute, minutes))
    )
    whole, rest = divmod(round(seconds / small), round(large / small))
    return " ".join([f"{whole} {long}"] * bool(whole) + [f"{rest} {short}"] * bool(rest))


def unit(field: str) -> str:
    """The unit of a field; empty for a count or a state."""
    return _MORE_UNITS.get(field) or unit_of(field)


def shown(field: str, value: float | None, say: Say) -> str:
    """One value of a field in words."""
    if value is None or math.isnan(value):
        return say("unknown")
    if field == "up":
        return say("up" if value else "down")
    if field in YES_NO:
        return say("yes" if value else "no")
    if field in _STATUSES:
        return say(_STATUS_WORDS[Status(int(value))]) if value in list(Status) else f"{value:g}"
    return measured(value, unit(field), say)


def measured(value: float | None, of: str, say: Say) -> str:
    """A number with its unit: bits a second and small times scaled, the rest as tickets word it."""
    if value is not None and math.isfinite(value):
        if of == "bit/s":
            size, name = next(((size, name) for size, name in _BITS if abs(value) >= size), (1.0, of))
            return f"{worded(value / size, '')} {name}"
        if of == "s" and 0 < abs(value) < 1:
            return f"{worded(value * 1000, '')} {_SPANS[say.language][-1][1]}"
    return worded(value, of, say.language)


def scale(of: str, values: Iterable[float], say: Say) -> Scale:
    """The scale of an axis that shows these values."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    steps: tuple[tuple[float, str], ...] = ()
    if of == "bit/s":
        steps = _BITS
    elif of in ("B", "B/s"):
        steps = tuple((size, name + of[1:]) for size, name in _BYTES)
    elif of == "s":
        steps = _SPANS[say.language]
    for size, name in steps:
        if largest >= 2 * size:
            return Scale(size, name)
    return Scale(*steps[-1]) if of == "s" and 0 < largest < 1 else Scale(1.0, of if of != "s" else steps[-2][1])


def tone(field: str, value: float) -> str:
    """How a value is to be seen: bad, warn, or nothing in particular."""
    if field in _STATUSES:
        return {Status.WARNING: "warn", Status.CRITICAL: "bad"}.get(Status(int(value)), "") if value in (1, 2) else ""
    if field in ("on_battery", "battery_replace", "video_loss", "read_only"):
        return "bad" if value else ""
    return "bad" if field == "up" and not value else ""
