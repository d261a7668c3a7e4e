"""A device is suspect after a failed poll, down after three, and then asked ever more seldom."""

from __future__ import annotations

from itertools import pairwise

from agent.devices.health import FIRST_PAUSE, LONGEST_PAUSE, Health, Standing


def test_one_failed_poll_makes_suspect_three_make_down_and_one_good_one_ends_it():
    health = Health()
    seen = []
    for at in range(3):
        health.failed("did not answer", now=1000 + at, at=float(at))
        seen.append(health.standing)
    assert seen == [Standing.SUSPECT, Standing.SUSPECT, Standing.DOWN]
    assert (health.why, health.since) == ("did not answer", 1000)
    health.answered()
    assert (health.standing, health.why) == (Standing.UP, "")


def test_the_pauses_double_up_to_five_minutes_and_no_two_devices_keep_step():
    health = Health()
    at, pauses = 0.0, []
    for _ in range(12):
        health.failed("did not answer", now=0, at=at)
        if health.standing is Standing.DOWN:
            pauses.append(health.ask_at - at)
            at = health.ask_at
    assert FIRST_PAUSE <= pauses[0] <= FIRST_PAUSE * 1.25
    assert LONGEST_PAUSE <= pauses[-1] <= LONGEST_PAUSE * 1.25
    assert all(later > earlier * 1.5 for earlier, later in pairwise(pauses[:4]))
    assert len(set(pauses)) == len(pauses)


def test_one_that_answered_a_single_object_and_then_nothing_is_down_at_once_and_pauses_longer():
    health = Health()
    for _ in range(5):
        health.failed("did not answer", now=0, at=0.0)
    paused = health.ask_at
    health.knocked()
    assert health.standing is Standing.SUSPECT
    health.failed("did not answer", now=0, at=0.0)
    assert health.standing is Standing.DOWN
    assert health.ask_at > paused
