"""Acknowledgements: one a second for an agent that streams, at once for one that waits."""

from __future__ import annotations

import pytest

from collector.intake.acks import Acks
from collector.intake.sitting import Note
from forewarn.bus import Offline
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.signals import Ack, open_ack, peek_ack

KEY = "ab" * 32


class Told:
    """An `Acks` whose publishing is written down."""

    def __init__(self) -> None:
        self.clock = 100.0
        self.acks: list[tuple[Ack, bool]] = []
        self.offline = False
        bus = LoopbackBus(Exchange(), "collector")
        bus.publish = self.publish  # type: ignore[method-assign, assignment]
        key = {"a": KEY, "b": KEY}.get
        self.under = Acks(bus, "B1", key=key, now=lambda: 1_700_000_000_000, monotonic=lambda: self.clock)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if self.offline:
            raise Offline("not connected")
        self.acks.append((open_ack(payload, KEY) if retain else peek_ack(payload), retain))

    def block(self, upto: int, agent: str = "a", **more: object) -> list[tuple[str, int, str, bool]]:
        self.under.note(Note(agent, "E", upto, **more))  # type: ignore[arg-type]
        return self.turn({agent})

    def turn(self, touched: set[str]) -> list[tuple[str, int, str, bool]]:
        before = len(self.acks)
        self.under.publish(touched=touched)
        return [(ack.agent, ack.upto, ack.held, ack.rewind) for ack, _ in self.acks[before:]]


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_acknowledgement_says_when_it_was_made_so_that_an_agent_can_see_how_its_clock_goes(told: Told) -> None:
    told.block(1)
    assert told.acks[0][0].at == 1_700_000_000_000


def test_the_first_block_is_acknowledged_at_once_and_a_stream_once_a_second(told: Told) -> None:
    assert told.block(1) == [("a", 1, "", False)]
    heard = 0
    for number in range(2, 100):
        told.clock += 0.2
        heard += len(told.block(number))
    assert 18 <= heard <= 20
    due = told.under.next_due()
    assert due is not None
    told.clock = due
    assert told.turn(set()) == [("a", 99, "", False)]
    assert told.under.next_due() is None


def test_eight_blocks_do_not_wait(told: Told) -> None:
    told.block(1)
    assert [told.block(number) for number in range(2, 10)][-2:] == [[], [("a", 9, "", False)]]


def test_a_gap_a_reason_and_its_end_do_not_wait_and_are_not_repeated(told: Told) -> None:
    told.block(1)
    assert told.block(1, rewind=True) == [("a", 1, "", True)]
    assert [told.block(1, rewind=True) for _ in range(20)] == [[]] * 20
    assert told.block(2) == [("a", 2, "", False)]
    assert told.block(2, held="forked") == [("a", 2, "forked", False)]
    assert told.block(2, held="forked") == []
    assert told.block(3) == [("a", 3, "", False)]
    assert told.block(3, rewind=True) == [("a", 3, "", True)]
    assert told.block(4, rewind=True) == [("a", 4, "", True)]


def test_one_agent_does_not_wait_for_another(told: Told) -> None:
    for number in range(1, 7):
        told.block(number)
    assert told.block(1, "b") == [("b", 1, "", False)]


def test_a_stranger_gets_an_ack_nobody_can_believe_and_the_broker_does_not_keep(told: Told) -> None:
    told.block(0, "stranger", held="unknown_agent")
    ack, retained = told.acks[-1]
    assert (ack.held, retained) == ("unknown_agent", False)


def test_what_could_not_be_said_offline_is_said_when_asked_again(told: Told) -> None:
    told.offline = True
    assert told.block(7) == []
    told.offline = False
    told.under.again("a", "E", 7, bytes(range(16)))
    ack, retained = told.acks[-1]
    assert (ack.upto, ack.boot, retained) == (7, "B1", True)
    assert ack.hash == bytes(range(16)).hex()


def test_an_acknowledgement_names_the_record_it_ends_with(told: Told) -> None:
    told.block(7, chain=b"\1" * 16)
    assert told.acks[-1][0].hash == "01" * 16
