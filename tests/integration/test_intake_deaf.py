"""A collector without its broker hears nobody, and says so: its ticks attest no agent's silence."""

from __future__ import annotations

import time
from collections.abc import Callable

from collector.storage.database import Databases
from tests.intakes import FAST, Collector


def settled(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_tick_attests_only_what_was_listened_to(databases: Databases) -> None:
    collector = Collector(databases, FAST)
    bus = collector.bus

    def tick() -> int | None:
        collector.intake._next_tick = 0.0
        collector.intake.turn(0)
        return collector.journal.read(collector.journal.head() - 1, 1)[0].listened

    assert tick() == 0, "it never had a broker"
    bus.connect()
    settled(lambda: bus.state.connected)
    assert [tick(), tick()] == [0, None], "it has one now, from the tick before on"
    collector.exchange.kill()
    settled(lambda: not bus.state.connected)
    collector.exchange.start()
    settled(lambda: bus.state.connected)
    assert [tick(), tick()] == [0, None], "it was away for a moment in between"
    again = type(collector.journal)(databases)
    assert [entry.listened for entry in again.read(0, 10) if entry.is_tick] == [0, 0, 0, None, 0, None]
    bus.close()
