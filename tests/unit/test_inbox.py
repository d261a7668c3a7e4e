"""The inbox: agents take turns, order is kept, the broker is held back above the limit, and memory is bounded."""

from __future__ import annotations

import threading
import time

from collector.intake.inbox import LANE, LANE_LIMIT, OVERHEAD, ROOM, Inbox

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
    inbox = Inbox(LANE + 3 * COST, now=lambda: 0)
    acknowledged: list[int] = []
    filled(inbox, 5, acknowledged)
    assert acknowledged == [0, 1, 2]
    taken = inbox.take(1, timeout=0, linger=0)
    assert acknowledged == [0, 1, 2]
    inbox.settle(taken)
    assert acknowledged == [0, 1, 2]
    inbox.settle(inbox.take(1, timeout=0, linger=0))
    assert acknowledged == [0, 1, 2, 3, 4]
    assert inbox.used == LANE + 3 * COST


def test_a_broker_that_pushes_on_is_dropped_and_counted_at_twice_the_limit() -> None:
    inbox = Inbox(LANE + 3 * COST, now=lambda: 0)
    acknowledged: list[int] = []
    filled(inbox, 20, acknowledged)
    assert inbox.used <= 2 * (LANE + 3 * COST) + LANE + COST
    assert inbox.dropped == 12
    assert len(inbox.take(100, timeout=0, linger=0)) == 8


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


def test_agents_take_turns_so_that_a_live_block_never_waits_behind_anothers_backlog() -> None:
    inbox = Inbox(10**9, now=lambda: 0)
    for number in range(100):
        inbox.put("backlog", bytes([number]) * SIZE, lambda: None)
    inbox.put("live-1", b"1", lambda: None)
    inbox.put("live-2", b"2", lambda: None)
    first = [message.topic for message in inbox.take(4, timeout=0, linger=0)]
    assert first == ["backlog", "live-1", "live-2", "backlog"]
    inbox.put("live-1", b"3", lambda: None)
    second = inbox.take(3, timeout=0, linger=0)
    assert [message.topic for message in second] == ["backlog", "live-1", "backlog"]
    rest = [*second, *inbox.take(1000, timeout=0, linger=0)]
    assert [message.payload[0] for message in rest if message.topic == "backlog"] == list(range(2, 100))


def test_full_blocks_are_taken_a_few_at_a_time_and_their_agents_in_turn() -> None:
    inbox = Inbox(10**9, now=lambda: 0)
    for number in range(40):
        inbox.put(f"agent-{number % 2}", bytes(64 * 1024), lambda: None)
    taken = inbox.take(512, timeout=0, linger=0)
    assert len(taken) == ROOM // (64 * 1024)
    assert {message.topic for message in taken} == {"agent-0", "agent-1"}
    began = time.monotonic()
    assert inbox.take(512, timeout=10, linger=30)
    assert time.monotonic() - began < 20, "it does not linger for more when there is enough"


def test_a_flood_of_names_is_bounded_as_a_flood_of_messages_is() -> None:
    inbox = Inbox(10 * (LANE + COST), now=lambda: 0)
    for number in range(100):
        inbox.put(f"stranger-{number}", b"x" * SIZE, lambda: None)
    assert inbox.dropped == 100 - 21
    for _ in range(30):
        inbox.settle(inbox.take(1, timeout=0, linger=0))
    assert inbox.used == 0


def test_an_agent_has_one_lane_however_many_topics_it_writes_on() -> None:
    inbox = Inbox(10**9, now=lambda: 0)
    for number in range(100):
        inbox.put(f"fw/1/t/{number:x}/loud", b"x", lambda: None)
    inbox.put("fw/1/t/00/quiet", b"x", lambda: None)
    assert [message.topic for message in inbox.take(2, timeout=0, linger=0)] == ["fw/1/t/0/loud", "fw/1/t/00/quiet"]


def test_an_agent_that_floods_fills_its_own_lane_and_the_broker_brings_the_others() -> None:
    inbox = Inbox(4 * LANE_LIMIT, now=lambda: 0)
    acknowledged: list[str] = []
    for _ in range(1000):
        inbox.put("fw/1/t/00/loud", bytes(64 * 1024), lambda: acknowledged.append("loud"))
    inbox.put("fw/1/t/00/quiet", b"x", lambda: acknowledged.append("quiet"))
    assert acknowledged == ["loud"] * 1000 + ["quiet"], "nobody is held back for one agent's flood"
    assert inbox.used <= LANE_LIMIT + 2 * (LANE + OVERHEAD)
    assert inbox.dropped > 800
    taken = inbox.take(10_000, timeout=0, linger=0)
    assert taken[1].topic == "fw/1/t/00/quiet"
    dropped = inbox.dropped
    inbox.put("fw/1/t/00/loud", b"x", lambda: None)
    assert inbox.dropped == dropped, "there is room in its lane again"
