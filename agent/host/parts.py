"""The form of a part of this machine: what it reads becomes rows of tables, what it cannot read gets its reason.

Errors: none; a part that cannot be read leaves its values null and says why under `unread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.profiles.counters import rate

Row = dict[str, float | None]
Tables = dict[str, dict[str, Row]]
"""Table → instance → field → value; None is "not known"."""

MOST_ROWS = 64
"""Of one table. What a container host has more of would fill a record with noise."""


class Unread(NamedTuple):
    """What cannot be read of this machine although it may be there, why, and what a person can do about it."""

    part: str
    why: str
    remedy: str


class Part:
    """Something of this machine that is read together."""

    def read(self, seconds: float | None) -> Tables:
        """What it holds now.

        Args:
            seconds: since the last reading by a clock that nobody sets; None at the first, which has no rates.
        """
        raise NotImplementedError

    def texts(self) -> Mapping[str, str]:
        """What it adds to the inventory."""
        return {}

    def unread(self) -> Sequence[Unread]:
        """What of it could not be read the last time."""
        return ()

    def settle(self, seconds: float) -> None:
        """Waits until all that is asked aside has answered, so long at most."""


def per_second(before: float | None, now: float | None, seconds: float | None) -> float | None:
    """The rate of a counter of 64 bits; None when it went back, or when one of the three is not known."""
    if before is None or now is None or seconds is None:
        return None
    return rate(int(before), int(now), seconds, bits=64, ceiling=None)


def share(before: float | None, now: float | None, seconds: float | None) -> float | None:
    """Percent of the time by a counter of seconds, at most 100."""
    if before is None or now is None or not seconds or now < before or seconds < 0:
        return None
    return min(100 * (now - before) / seconds, 100.0)


def merge(into: Tables, more: Tables) -> None:
    """Adds rows and fields; a field that is known stays."""
    for table, rows in more.items():
        there = into.setdefault(table, {})
        for instance, row in rows.items():
            known = there.setdefault(instance, {})
            for name, value in row.items():
                if known.get(name) is None:
                    known[name] = value
