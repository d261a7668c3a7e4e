"""The inbox: order is kept, the broker is held back above the limit, and memory is bounded whatever it does."""

from __future__ import annotations

import threading
import time

from collector.inbox import OVERHEAD, Inbox

SIZE = 100
COST = SIZE + OVERHEAD


def filled(inbox: Inbox, count: int, acknowledged: list[int] | None = None) -> None:
    for number in range(count):
        done = (lambda: None) if acknowledged is None else (lambda number=number: acknowledged.append(number))  # type: ignore[misc]
        inbox.put("t", bytes([number]) * SIZE, done)


def test_messages_come_out_in_order_with_their_arrival() -> None:
    clock = iter(range(100))
    inbox = Inbox(10**6, now=clock.__next__)
    filled(inbox, 5)
    first = inbox.take(3, timeout=0, linger=0)
    rest = inbox.take(3, timeout=0, linger=0)
    assert [(message.payload[0], message.arrived) for message in [*first, *rest]] == [(n, n) for n in range(5)]


def test_above_the_limit_the_broker_hears_nothing_until_there_is_room() -> None:
    inbox = Inbox(3 * COST, now=lambda: 0)
    acknowledged: list[int] = []
    filled(inbox, 5, acknowledged)
    assert acknowledged == [0, 1, 2]
    taken = inbox.take(1, timeout=0, linger=0)
    assert acknowledged == [0, 1, 2]
    inbox.settle(taken)
    assert acknowledged == [0, 1, 2]
    inbox.settle(inbox.take(1, timeout=0, linger=0))
    assert acknowledged == [0, 1, 2, 3, 4]
    assert inbox.used == 3 * COST


def test_a_broker_that_pushes_on_is_dropped_and_counted_at_twice_the_limit() -> None:
    inbox = Inbox(3 * COST, now=lambda: 0)
    acknowledged: list[int] = []
    filled(inbox, 20, acknowledged)
    assert inbox.used <= 7 * COST
    assert inbox.dropped == 13
    assert len(inbox.take(100, timeout=0, linger=0)) == 7


def test_taking_waits_for_the_first_message_and_gathers_a_little() -> None:
    inbox = Inbox(10**6, now=lambda: 0)
    threading.Timer(0.05, filled, (inbox, 3)).start()
    assert len(inbox.take(100, timeout=10, linger=0.1)) == 3


def test_enough_messages_end_the_gathering() -> None:
    inbox = Inbox(10**6, now=lambda: 0)
    threading.Timer(0.05, filled, (inbox, 3)).start()
    began = time.monotonic()
    assert len(inbox.take(3, timeout=10, linger=30)) == 3
    assert time.monotonic() - began < 20


def test_waking_ends_the_wait() -> None:
    inbox = Inbox(10**6, now=lambda: 0)
    threading.Timer(0.05, inbox.wake).start()
    assert inbox.take(3, timeout=30, linger=0) == []
