"""Acknowledgements that wait are few, whoever sends how many, and nothing forged takes a true one's place."""

from __future__ import annotations

import logging

import pytest

from agent.delivery.answers import MOST, QUIET, Answers
from forewarn import signals
from forewarn.signals import Ack
from tests.agents import AGENT, SECRET
from tests.clocks import SteppedClock

KEY = signals.derive(SECRET, "ack")
OTHER = "11" * 32


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def answers(clock: SteppedClock) -> Answers:
    return Answers(AGENT, KEY, clock)


def sealed(upto: int, *, boot: str = "B", epoch: str = "E", held: str = "", key: str = KEY) -> bytes:
    return signals.seal_ack(Ack(agent=AGENT, epoch=epoch, upto=upto, boot=boot, held=held), key)


def test_a_later_word_of_the_collector_takes_the_place_of_an_earlier_one(answers: Answers) -> None:
    for upto in (*range(1000), 3):
        answers.hear(sealed(upto))
    answers.hear(sealed(999, held="unknown_consent"))
    proven, unproven = answers.take()
    assert [(ack.upto, ack.held) for ack in proven] == [(999, "unknown_consent")]
    assert unproven is None
    assert answers.take() == ([], None)
    assert not answers


def test_forged_words_take_no_room_and_push_no_true_one_out(answers: Answers) -> None:
    assert answers.hear(sealed(5))
    for number in range(1000):
        assert not answers.hear(sealed(number, boot=str(number), key=OTHER))
        assert answers.hear(sealed(number, boot=str(number), held="unknown_agent", key=OTHER))
        assert not answers.hear(b"no acknowledgement")
    proven, unproven = answers.take()
    assert [ack.upto for ack in proven] == [5]
    assert unproven is not None
    assert unproven.held == "unknown_agent"
    assert (answers.forged, answers.unreadable) == (1000, 1000)
    answers.hear(sealed(1, held="unknown_agent", key=OTHER))
    answers.hear(sealed(6))
    assert answers.take()[1] is None, "the collector itself has spoken since"


def test_of_many_runs_of_the_collector_the_newest_few_are_kept_in_order(answers: Answers) -> None:
    for number in range(100):
        answers.hear(sealed(1, boot=f"{number:03}"))
    assert [ack.boot for ack in answers.take()[0]] == [f"{number:03}" for number in range(100 - MOST, 100)]


def test_forged_words_are_named_once_a_minute_with_their_count(
    answers: Answers, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            answers.hear(sealed(1, key=OTHER))
            answers.hear(b"no acknowledgement")
        assert [one.message for one in caplog.records] == [
            "forged acknowledgement ignored",
            "acknowledgement unreadable",
        ]
        clock.step(QUIET)
        answers.hear(sealed(1, key=OTHER))
    assert len(caplog.records) == 3
    assert "51" in str(vars(caplog.records[-1]))
