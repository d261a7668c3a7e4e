"""The zone of a time that a device shows: hours west of Greenwich are later in UTC, those east of it earlier."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.profiles.clockface import moment

NOON = datetime(2024, 6, 8, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("shown", "hours"),
    [
        (bytes([7, 232, 6, 8, 12, 0, 0, 0]) + b"+\x08\x00", -8),
        (bytes([7, 232, 6, 8, 12, 0, 0, 0]) + b"-\x03\x1e", 3.5),
        (b"2024-06-08T12:00:00+08:00", -8),
        (b"2024-06-08T12:00:00-03:30", 3.5),
        (b"2024-06-08 12:00:00Z", 0),
    ],
)
def test_a_time_with_its_zone_is_the_same_moment_everywhere(shown, hours):
    assert moment(shown) == NOON + hours * 3600
