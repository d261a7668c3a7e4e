"""Counters become rates, or null; never a spike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.counters import rate, restarted

COUNT_32 = st.integers(0, 2**32 - 1)
COUNT_64 = st.integers(0, 2**64 - 1)
SECONDS = st.floats(0.5, 3600)


def test_a_counter_that_rose_gives_its_rate():
    assert rate(1000, 7000, 60, bits=64, ceiling=None) == 100


def test_a_32_bit_counter_that_wrapped_under_the_link_speed_gives_its_rate():
    assert rate(2**32 - 1000, 5000, 60, bits=32, ceiling=12_500_000) == 100


def test_a_32_bit_counter_that_was_cleared_gives_null_not_a_wrap():
    assert rate(1_000_000, 10, 60, bits=32, ceiling=12_500_000) is None


def test_a_32_bit_counter_without_a_known_ceiling_never_wraps():
    assert rate(2**32 - 10, 10, 60, bits=32, ceiling=None) is None


def test_no_time_between_two_readings_gives_null():
    assert rate(1, 2, 0, bits=64, ceiling=None) is None
    assert rate(1, 2, -5, bits=64, ceiling=None) is None


@given(COUNT_32, COUNT_32, SECONDS, st.one_of(st.none(), st.floats(1, 1e10)))
def test_a_rate_is_null_or_positive_and_after_a_wrap_under_the_ceiling(before, now, seconds, ceiling):
    found = rate(before, now, seconds, bits=32, ceiling=ceiling)
    assert found is None or found >= 0
    if now < before and found is not None:
        assert ceiling is not None
        assert found <= ceiling * 1.05


@given(COUNT_64, COUNT_64, SECONDS)
def test_a_64_bit_counter_that_goes_back_gives_null(before, now, seconds):
    found = rate(before, now, seconds, bits=64, ceiling=1e12)
    assert (found is None) == (now < before)


def test_uptime_that_went_back_is_a_restart():
    assert restarted(86400, 30, 60)


def test_an_uptime_shorter_than_the_time_between_two_polls_is_a_restart():
    assert restarted(10, 400, 3600)


def test_uptime_that_wraps_after_497_days_is_no_restart():
    wraps = 2**32 / 100
    assert not restarted(wraps - 20, 40, 60)
    assert restarted(wraps / 2, 40, 60)


def test_without_uptime_nothing_is_known():
    assert not restarted(None, 10, 60)
    assert not restarted(10, None, 60)


@given(st.floats(0, 1e6), SECONDS)
def test_a_device_that_just_goes_on_has_not_restarted(before, seconds):
    assert not restarted(before, before + seconds, seconds)
