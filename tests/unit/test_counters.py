"""Counters become rates, or null; never a spike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.profiles.counters import WRAP_SECONDS, Clocks, Continuity, Past, continuity, marks_of, rate

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
    assert (found is None) == (now < before or now - before > 1.05e12 * seconds)


def judged(before: float | None, now: float | None, seconds: float, **clocks: int) -> Continuity:
    """What two uptimes say; `boots` and `engine` are those before, `boots_now` and `engine_now` those now."""
    then = Clocks(before, clocks.get("boots"), clocks.get("engine"))
    return continuity(then, Clocks(now, clocks.get("boots_now"), clocks.get("engine_now")), seconds)


def test_uptime_that_went_back_is_a_restart():
    assert judged(86400, 30, 60) is Continuity.RESTARTED


def test_an_uptime_shorter_than_the_time_between_two_polls_is_a_restart():
    assert judged(10, 400, 3600) is Continuity.RESTARTED
    assert judged(5, 65, 60) is Continuity.RESTARTED, "just begun: who knows whether it began again"


def test_an_engine_that_counted_another_boot_is_a_restart_whatever_its_uptime_says():
    assert judged(100, 160, 60, boots=4, boots_now=5) is Continuity.RESTARTED
    assert judged(100, 160, 60, boots=4, boots_now=4) is Continuity.WENT_ON


def test_uptime_that_wraps_after_497_days_is_no_restart():
    assert judged(WRAP_SECONDS - 20, 40, 60) is Continuity.WRAPPED
    assert judged(WRAP_SECONDS / 2, 40, 60) is Continuity.RESTARTED
    assert judged(WRAP_SECONDS - 20, 400, 60) is Continuity.RESTARTED


def test_the_time_of_the_engine_proves_that_a_wrap_was_one():
    wrapping = {"boots": 1, "boots_now": 1, "engine": 42_949_700}
    assert judged(WRAP_SECONDS - 20, 40, 60, engine_now=42_949_760, **wrapping) is Continuity.WENT_ON
    assert judged(WRAP_SECONDS - 20, 40, 60, engine_now=40, **wrapping) is Continuity.WRAPPED, "made of sysUpTime"


def test_more_time_there_than_here_is_in_doubt():
    """The machine of the agent slept for an hour: what was counted then is not the traffic of a minute."""
    assert judged(1000, 4660, 60) is Continuity.DOUBTFUL


def test_a_clock_that_stands_or_is_not_there_tells_nothing():
    assert judged(None, 10, 60) is Continuity.UNKNOWN
    assert judged(10, None, 60) is Continuity.UNKNOWN
    assert judged(47, 47, 60) is Continuity.UNKNOWN
    assert judged(47, 47, 3600) is Continuity.UNKNOWN


@given(st.floats(200, 1e6), SECONDS)
def test_a_device_that_just_goes_on_has_not_restarted(before, seconds):
    assert judged(before, before + seconds, seconds) is Continuity.WENT_ON


IN_1, OUT_1, IN_2 = "1.3.6.1.2.1.31.1.1.1.6.1", "1.3.6.1.2.1.31.1.1.1.10.1", "1.3.6.1.2.1.31.1.1.1.6.2"
ERRORS_1, POE_1 = "1.3.6.1.2.1.2.2.1.14.1", "1.3.6.1.2.1.105.1.1.1.12.1.1"
MARK_1, SPEED_2 = "1.3.6.1.2.1.31.1.1.1.19.1", "1.3.6.1.2.1.2.2.1.5.2"
OUT_2 = "1.3.6.1.2.1.31.1.1.1.10.2"
BEFORE = {IN_1: 1000, OUT_1: 2000, IN_2: 3000, OUT_2: 4_000_000_000, ERRORS_1: 5, POE_1: 7}


def known(now: dict[str, int], judged: Continuity = Continuity.WENT_ON, **got: int) -> set[str]:
    """The counters left after a minute; `mark` is the discontinuity of interface 1, `speed` that of 2."""
    past = Past(0.0, Clocks(), BEFORE, {MARK_1: 5})
    shown = {MARK_1: got.get("mark", 5), SPEED_2: got.get("speed", 100_000_000)}
    return set(past.known(BEFORE | now, shown, judged, 60.0) or ())


def test_an_interface_whose_counters_began_anew_loses_all_its_rates_and_no_other_does():
    assert known({IN_1: 2000}, mark=77) == {IN_2, OUT_2, POE_1}


def test_counters_of_one_interface_that_go_back_together_were_cleared_not_wrapped():
    assert known({IN_1: 10, OUT_1: 20}) == {IN_2, OUT_2, POE_1}
    assert known({IN_2: 10, OUT_2: 20}) == {IN_1, OUT_1, ERRORS_1, POE_1}


def test_a_counter_that_goes_back_alone_has_wrapped_only_with_proof():
    assert known({IN_1: 10}) == set(BEFORE), "its interface says that its counters went on"
    assert known({IN_2: 10}) == set(BEFORE), "the other one had more than 100 Mbit/s carry in a minute, and went on"
    assert known({IN_2: 10}, speed=1_000_000_000) == {IN_1, OUT_1, ERRORS_1, POE_1}
    assert known({IN_1: 10}, Continuity.UNKNOWN) == {IN_2, OUT_2, POE_1}, "who knows whether it restarted"
    assert known({POE_1: 1}) == {IN_1, OUT_1, IN_2, OUT_2, ERRORS_1}


def test_after_a_restart_or_in_doubt_no_counter_is_known():
    for judged in (Continuity.RESTARTED, Continuity.WRAPPED, Continuity.DOUBTFUL):
        assert known({}, judged) == set()


def test_the_marks_asked_for_are_those_of_the_interfaces_counted():
    assert marks_of([IN_1, OUT_1, IN_2, POE_1]) == [MARK_1, MARK_1[:-1] + "2"]


def test_nothing_counts_faster_than_the_link_carries():
    assert rate(0, 60 * 12_500_000, 60, bits=64, ceiling=12_500_000) == 12_500_000
    assert rate(0, 60 * 14_000_000, 60, bits=64, ceiling=12_500_000) is None
    assert rate(0, 2**63, 60, bits=64, ceiling=None) is None
