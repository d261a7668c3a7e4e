"""What takes long is asked aside: nobody waits for it, and an old answer counts for nothing."""

from __future__ import annotations

import threading

from agent.host.aside import Aside
from tests.clocks import SteppedClock


def test_who_reads_never_waits_and_gets_no_answer_that_is_too_old() -> None:
    clock, may_answer, asked = SteppedClock(), threading.Event(), []

    def ask() -> int:
        asked.append(clock.steady)
        if len(asked) > 1:
            may_answer.wait(30)
        return len(asked)

    aside = Aside(ask, every=10, monotonic=clock.monotonic, name="ask slowly")
    aside.latest()
    aside.settle(5)
    assert aside.latest() == 1
    clock.step(10)
    assert aside.latest() == 1, "the second hangs, and the first is not too old"
    clock.step(10)
    assert aside.latest() == 1
    clock.step(1)
    assert aside.latest() is None
    assert asked == [1000, 1010], "never two at once"
    may_answer.set()
    aside.settle(5)
    assert aside.latest() in (2, 3), "the next may be asked and answered already"
    aside.settle(5)
