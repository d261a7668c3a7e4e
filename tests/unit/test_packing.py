"""What a device takes in one request is halved where it fails, and tried again with patience."""

from __future__ import annotations

from agent.snmp.packing import LADDER, MOST, Packing


def answered(packing: Packing, times: int) -> None:
    for _ in range(times):
        packing.answered(packing.size)


def test_a_device_begins_with_what_nearly_all_can_and_is_halved_to_a_step_of_the_ladder():
    packing = Packing()
    assert packing.size == MOST
    for expected in (28, 13, 6, 3, 1, 1):
        packing.refused(packing.size)
        assert packing.size == expected
        assert packing.size in LADDER


def test_one_step_more_is_tried_after_fifty_full_requests():
    packing = Packing(28)
    answered(packing, 49)
    assert packing.size == 28
    answered(packing, 1)
    assert packing.size == 42


def test_requests_that_are_not_full_say_nothing_about_more():
    packing = Packing(28)
    for _ in range(1000):
        packing.answered(5)
    assert packing.size == 28


def test_a_step_that_failed_is_tried_less_and_less_often():
    packing = Packing(28)
    tries = 0
    for _ in range(10_000):
        if packing.size > 28:
            packing.refused(packing.size)
            packing.size = 28
            tries += 1
        packing.answered(packing.size)
    assert 5 <= tries <= 8, "fifty, a hundred, two hundred answers apart"


def test_nonsense_that_was_remembered_does_no_harm():
    assert Packing(10**6, -5).size == MOST
    assert Packing(0).size == 1
