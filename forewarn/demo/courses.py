"""How values move over time: pure functions of the instant, so that history and live answers are one series."""

from __future__ import annotations

import math
from collections.abc import Callable

Course = Callable[[int], float]
"""Unix milliseconds → a value in the field's unit."""

HOUR = 3_600_000
DAY = 24 * HOUR


def noise(t: int, seed: float) -> float:
    """Something even between -1 and 1 that looks random and is the same for the same instant."""
    turned = math.sin(t * 1.29898e-4 + seed * 78.233) * 43758.5453
    return 2.0 * (turned - math.floor(turned)) - 1.0


def daily(base: float, *, swing: float, rough: float, seed: float) -> Course:
    """Around `base`, by `swing` more at midday and less at night (UTC), rough by up to `rough`."""

    def course(t: int) -> float:
        return base - swing * math.cos(2 * math.pi * (t % DAY) / DAY) + rough * noise(t, seed)

    return course


def line(start: int, first: float, per_hour: float, *, rough: float = 0.0, least: float = 0.0, most: float) -> Course:
    """A straight line from `first` at `start`, rough by up to `rough`, within `least` and `most`."""

    def course(t: int) -> float:
        value = first + per_hour * (t - start) / HOUR + rough * noise(t, first)
        return min(max(value, least), most)

    return course


def wandering(straight: Course, start: int, by: float) -> Course:
    """Another course that runs ahead and behind by up to `by`, over a day and over half a week, as use does."""

    def course(t: int) -> float:
        hours = (t - start) / HOUR
        return straight(t) + by * (0.6 * math.sin(hours / 4.7) + 0.4 * math.sin(hours / 12.1))

    return course


def since(boot: int) -> Course:
    """Seconds since an instant."""
    return lambda t: (t - boot) / 1000.0


def scaled(course: Course, factor: float, plus: float = 0.0) -> Course:
    """Another course, times `factor`, plus `plus`."""
    return lambda t: course(t) * factor + plus


def total(courses: list[Course]) -> Course:
    """The sum of others."""
    return lambda t: sum(course(t) for course in courses)
