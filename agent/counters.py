"""Counters into rates, without inventing traffic: what cannot be known is None, never a spike.

Sources: RFC 2578 section 7.1.6 (a counter has no defined start and wraps at 2**32 or 2**64), RFC 3418 (sysUpTime,
hundredths of a second, wraps after 497 days).
"""

from __future__ import annotations

_WRAP_32 = 1 << 32
_UPTIME_WRAPS = _WRAP_32 / 100
_CLOCK_SLACK = 120.0
"""Seconds that a device's uptime may differ from ours over one poll."""
_RATE_SLACK = 1.05


def rate(before: int, now: int, seconds: float, *, bits: int, ceiling: float | None) -> float | None:
    """The rate between two readings of a counter of an uninterrupted device.

    Args:
        before: the earlier reading.
        now: the later one.
        seconds: between them, by a clock that nobody sets.
        bits: 32 or 64.
        ceiling: the highest possible rate, in counts per second, None when not known.

    Returns:
        Counts per second; None when no time passed, or when the counter went back and did not plausibly wrap.
    """
    if seconds <= 0:
        return None
    delta = now - before
    if delta < 0:
        if bits != 32 or ceiling is None:  # noqa: PLR2004 - 64 bits do not wrap in a lifetime
            return None
        delta += _WRAP_32
        if delta < 0 or delta / seconds > ceiling * _RATE_SLACK:
            return None
    return delta / seconds


def restarted(before: float | None, now: float | None, seconds: float) -> bool:
    """Whether a device began anew between two polls, by its uptime then and now (seconds)."""
    if before is None or now is None:
        return False
    if before + seconds > _UPTIME_WRAPS - _CLOCK_SLACK and now < seconds + _CLOCK_SLACK:
        return False
    return now < before or now < seconds - _CLOCK_SLACK
