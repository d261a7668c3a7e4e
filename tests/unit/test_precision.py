"""The share of a rule's judged tickets that were right, and how sure that is."""

from __future__ import annotations

import pytest

from collector.tickets.precision import Precision, Standing, wilson


@pytest.mark.parametrize(
    ("right", "judged", "low", "high"),
    # Computed apart from this code, by solving |share - p| = z sqrt(p (1 - p) / n) for p by bisection.
    [
        (0, 1, 0.0, 0.7935),
        (1, 1, 0.2065, 1.0),
        (9, 10, 0.5958, 0.9821),
        (5, 10, 0.2366, 0.7634),
        (0, 10, 0.0, 0.2775),
        (81, 100, 0.7222, 0.8749),
    ],
)
def test_the_interval_is_wilsons(right: int, judged: int, low: float, high: float) -> None:
    assert wilson(right, judged) == pytest.approx((low, high), abs=5e-5)


def test_nothing_is_said_of_nothing() -> None:
    none = Precision(0, 0)
    assert (none.share, none.interval, none.few, none.standing) == (None, None, False, Standing.UNJUDGED)


@pytest.mark.parametrize(
    ("judged", "right", "few", "standing"),
    [
        (1, 0, True, Standing.DOUBTFUL),
        (3, 1, True, Standing.DOUBTFUL),
        (4, 1, True, Standing.BAD),
        (4, 3, True, Standing.GOOD),
        (19, 19, True, Standing.GOOD),
        (20, 20, False, Standing.GOOD),
        (40, 27, False, Standing.DOUBTFUL),
        (100, 60, False, Standing.BAD),
    ],
)
def test_a_rule_is_bad_only_when_that_is_sure(judged: int, right: int, few: bool, standing: Standing) -> None:
    assert (Precision(judged, right).few, Precision(judged, right).standing) == (few, standing)
