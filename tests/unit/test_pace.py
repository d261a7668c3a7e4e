"""The window doubles, halves and remembers what was too much; every wait that many agents share is spread."""

from __future__ import annotations

import pytest

from agent.delivery.pace import Pace, Tempo
from agent.delivery.window import Window


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> int:
        return int(self.at * 1000)

    def monotonic(self) -> float:
        return self.at


def fill(window: Window, last: int) -> int:
    while window.has_room():
        last += 1
        window.sent(last)
    return last


def rounds(window: Window, count: int) -> list[int]:
    """The window's size after each of some rounds in which all that was sent is confirmed."""
    sizes: list[int] = []
    last = 0
    for _ in range(count):
        last = fill(window, last)
        window.confirm(last)
        sizes.append(window.size)
    return sizes


def test_the_window_opens_from_one_to_sixteen_by_doubling() -> None:
    assert rounds(Window(16), 6) == [2, 4, 8, 16, 16, 16]


def test_a_rewind_halves_the_window_and_it_grows_slowly_from_there() -> None:
    window = Window(16)
    rounds(window, 5)
    window.halve()
    assert (window.size, len(window)) == (8, 0)
    assert rounds(window, 3) == [8, 9, 10]
    for _ in range(10):
        window.halve()
    assert window.size == 1


def test_a_new_beginning_sends_one_block_and_doubles_to_half_of_what_was() -> None:
    window = Window(16)
    rounds(window, 5)
    fill(window, 0)
    window.restart()
    assert (window.size, len(window), window.first) == (1, 0, None)
    assert rounds(window, 6)[:3] == [2, 4, 8]
    assert window.size < 16


def test_several_new_beginnings_in_a_row_do_not_forget_what_was_borne() -> None:
    window = Window(16)
    rounds(window, 5)
    for _ in range(2):
        window.restart()
    assert rounds(window, 2) == [2, 4]


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_a_thousand_agents_that_begin_anew_together_do_not_send_together(spread: float) -> None:
    clock = Clock()
    waits = []
    for _ in range(1000):
        pace = Pace(Tempo(spread=spread), clock)
        pace.spread()
        waits.append(pace.waits())
    assert max(waits) <= spread
    for begin in (0.0, 0.5, 1.0, 1.5):
        within = sum(begin <= wait < begin + 0.5 for wait in waits)
        assert within < 400 or not spread
    clock.at += spread
    assert pace.waits() == 0


def test_patience_doubles_to_its_end_and_progress_gives_it_back() -> None:
    clock = Clock()
    pace = Pace(Tempo(patience=10.0, patience_most=40.0), clock)
    waits = []
    for _ in range(4):
        pace.sent(alone=True)
        waits.append(pace.until_lost())
        assert not pace.is_lost()
        clock.at += waits[-1]
        assert pace.is_lost()
    for wait, least in zip(waits, (10, 20, 40, 40), strict=True):
        assert least <= wait <= least * 1.25
    pace.progressed()
    assert pace.until_lost() <= 12.5


def test_being_held_waits_once_for_all_blocks_of_a_window_longer_each_time() -> None:
    clock = Clock()
    pace = Pace(Tempo(held=4.0, held_most=8.0), clock)
    assert pace.hold("unknown_agent")
    assert not pace.hold("unknown_agent")
    assert 3 <= pace.waits() <= 4
    clock.at += 4
    assert pace.waits() == 0
    assert pace.hold("unknown_agent")
    assert 6 <= pace.waits() <= 8
    pace.unhold()
    assert (pace.held, pace.waits()) == ("", 0)


def test_a_gap_is_heeded_once_for_all_the_blocks_that_followed_it() -> None:
    clock = Clock()
    pace = Pace(Tempo(glance=1.0), clock)
    assert [pace.heeds(5), pace.heeds(5), pace.heeds(9)] == [True, False, True]
    clock.at += 1
    assert pace.heeds(9)


def test_epochs_are_not_begun_one_after_the_other() -> None:
    clock = Clock()
    pace = Pace(Tempo(), clock)
    begun = 0
    for _ in range(24 * 3600 // 10):
        clock.at += 10
        begun += pace.may_roll()
    assert 24 <= begun <= 32
    clock.at += 3 * 3600
    assert pace.may_roll()
    assert not pace.may_roll()
    clock.at += 60
    assert pace.may_roll(), "after a calm time the waits begin anew"
