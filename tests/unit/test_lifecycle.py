"""Every act in every state of a ticket, and every finding on every standing."""

from __future__ import annotations

import pytest

from collector.tickets.lifecycle import (
    REOPEN_WITHIN,
    Act,
    Kind,
    Refusal,
    Standing,
    State,
    Step,
    Verdict,
    judge,
    weigh,
)
from rules.finding import Turn
from tests.findings import START, finding


def standing(state: State = State.OPEN, **facts) -> Standing:
    return Standing(state=state, **{"severity": "warning", "holds": True, "position": 1} | facts)


OPEN, RESOLVED, CLOSED = State.OPEN, State.RESOLVED, State.CLOSED


@pytest.mark.parametrize(
    ("state", "act", "text", "expected"),
    [
        (OPEN, Act.ACKNOWLEDGE, "", Step(Kind.ACKNOWLEDGED, OPEN)),
        (OPEN, Act.ASSIGN, "li", Step(Kind.ASSIGNED, OPEN)),
        (OPEN, Act.COMMENT, "called them", Step(Kind.COMMENTED, OPEN)),
        (OPEN, Act.RESOLVE, "disk replaced", Step(Kind.RESOLVED, RESOLVED)),
        (OPEN, Act.CLOSE, "a test", Step(Kind.CLOSED, CLOSED)),
        (OPEN, Act.REOPEN, "", Refusal.NOT_ENDED),
        (RESOLVED, Act.ACKNOWLEDGE, "", Step(Kind.ACKNOWLEDGED, RESOLVED)),
        (RESOLVED, Act.ASSIGN, "li", Step(Kind.ASSIGNED, RESOLVED)),
        (RESOLVED, Act.COMMENT, "thanks", Step(Kind.COMMENTED, RESOLVED)),
        (RESOLVED, Act.RESOLVE, "again", Refusal.ALREADY_RESOLVED),
        (RESOLVED, Act.CLOSE, "", Step(Kind.CLOSED, CLOSED)),
        (RESOLVED, Act.REOPEN, "", Step(Kind.REOPENED, OPEN)),
        (CLOSED, Act.ACKNOWLEDGE, "", Refusal.CLOSED),
        (CLOSED, Act.ASSIGN, "li", Refusal.CLOSED),
        (CLOSED, Act.COMMENT, "one more thing", Step(Kind.COMMENTED, CLOSED)),
        (CLOSED, Act.RESOLVE, "x", Refusal.CLOSED),
        (CLOSED, Act.CLOSE, "x", Refusal.CLOSED),
        (CLOSED, Act.REOPEN, "", Step(Kind.REOPENED, OPEN)),
    ],
)
def test_every_act_in_every_state_has_one_answer(state, act, text, expected):
    assert judge(standing(state), act, text) == expected


def test_what_is_already_so_is_refused_by_name():
    assert judge(standing(acknowledged_by="li"), Act.ACKNOWLEDGE) is Refusal.ALREADY_ACKNOWLEDGED
    assert judge(standing(assignee="li"), Act.ASSIGN, "li") is Refusal.ALREADY_ASSIGNED
    assert judge(standing(assignee="li"), Act.ASSIGN, "") == Step(Kind.ASSIGNED, OPEN)


@pytest.mark.parametrize("act", [Act.COMMENT, Act.RESOLVE])
def test_a_comment_and_a_cause_must_say_something(act):
    assert judge(standing(), act, "  \n") is Refusal.SAYS_NOTHING


def test_closing_while_the_condition_holds_needs_a_reason():
    assert judge(standing(), Act.CLOSE) is Refusal.STILL_HOLDS
    assert judge(standing(holds=False), Act.CLOSE) == Step(Kind.CLOSED, CLOSED)


MARKED = {"false_alarm": True}


@pytest.mark.parametrize(
    ("state", "facts", "act", "text", "expected"),
    [
        (OPEN, {}, Act.MARK_FALSE, "sensor wrong", Step(Kind.MARKED_FALSE, RESOLVED)),
        (RESOLVED, {}, Act.MARK_FALSE, "sensor wrong", Step(Kind.MARKED_FALSE, RESOLVED)),
        (CLOSED, {}, Act.MARK_FALSE, "sensor wrong", Step(Kind.MARKED_FALSE, CLOSED)),
        (OPEN, {}, Act.MARK_FALSE, " \n", Refusal.SAYS_NOTHING),
        (RESOLVED, MARKED, Act.MARK_FALSE, "again", Refusal.ALREADY_FALSE),
        (OPEN, MARKED, Act.UNMARK_FALSE, "", Step(Kind.UNMARKED_FALSE, OPEN)),
        (RESOLVED, MARKED, Act.UNMARK_FALSE, "", Step(Kind.UNMARKED_FALSE, RESOLVED)),
        (CLOSED, MARKED, Act.UNMARK_FALSE, "", Step(Kind.UNMARKED_FALSE, CLOSED)),
        (CLOSED, {}, Act.UNMARK_FALSE, "", Refusal.NOT_FALSE),
        (OPEN, {"by_hand": True}, Act.MARK_FALSE, "x", Refusal.BY_HAND),
        (OPEN, {"by_hand": True}, Act.UNMARK_FALSE, "", Refusal.BY_HAND),
        (RESOLVED, MARKED, Act.REOPEN, "", Step(Kind.REOPENED, OPEN)),
    ],
)
def test_a_rules_ticket_is_called_a_false_alarm_in_any_state_and_an_open_one_ends_by_it(
    state, facts, act, text, expected
):
    assert judge(standing(state, **facts), act, text) == expected


JUST, LONG = START - REOPEN_WITHIN, START - REOPEN_WITHIN - 1
HAND = {"acknowledged_by": "li"}


@pytest.mark.parametrize(
    ("before", "turn", "expected"),
    [
        (None, Turn.OPENED, Verdict.OPEN),
        (None, Turn.CHANGED, Verdict.OPEN),
        (None, Turn.RECOVERED, Verdict.UNMATCHED),
        (standing(), Turn.OPENED, Verdict.REPEAT),
        (standing(), Turn.RECOVERED, Verdict.RECOVER),
        (standing(holds=False, ended=JUST), Turn.RECOVERED, Verdict.UNMATCHED),
        (standing(holds=False, ended=JUST), Turn.OPENED, Verdict.RECUR),
        (standing(holds=False, ended=LONG), Turn.OPENED, Verdict.SUCCEED),
        (standing(holds=False, ended=LONG, **HAND), Turn.OPENED, Verdict.RECUR),
        (standing(holds=False, ended=LONG, assignee="li"), Turn.OPENED, Verdict.RECUR),
        (standing(RESOLVED, holds=False, ended=JUST), Turn.OPENED, Verdict.REOPEN),
        (standing(RESOLVED, holds=False, ended=LONG), Turn.OPENED, Verdict.SUCCEED),
        (standing(RESOLVED, ended=JUST), Turn.RECOVERED, Verdict.RECOVER),
        (standing(CLOSED, holds=False, ended=JUST), Turn.OPENED, Verdict.REOPEN),
        (standing(CLOSED, holds=False, ended=START + 1), Turn.OPENED, Verdict.REOPEN),
        (standing(CLOSED, holds=False, ended=LONG), Turn.OPENED, Verdict.SUCCEED),
        (standing(CLOSED, ended=JUST), Turn.RECOVERED, Verdict.RECOVER),
        (standing(CLOSED, holds=False, ended=JUST), Turn.RECOVERED, Verdict.UNMATCHED),
    ],
)
def test_every_finding_on_every_standing_has_one_verdict(before, turn, expected):
    assert weigh(before, finding(turn, position=2)) is expected


@pytest.mark.parametrize(
    ("state", "before", "after", "expected"),
    [
        (OPEN, "warning", "critical", Verdict.CHANGE),
        (OPEN, "critical", "warning", Verdict.CHANGE),
        (RESOLVED, "warning", "critical", Verdict.REOPEN),
        (CLOSED, "warning", "critical", Verdict.REOPEN),
        (CLOSED, "critical", "warning", Verdict.CHANGE),
    ],
)
def test_a_fault_that_grows_worse_brings_an_ended_ticket_back(state, before, after, expected):
    now = standing(state, severity=before, ended=None if state is OPEN else JUST)
    assert weigh(now, finding(Turn.CHANGED, position=2, severity=after)) is expected


def test_two_tickets_never_begin_at_one_journal_position():
    over = standing(holds=False, ended=LONG, position=7)
    assert weigh(over, finding(position=7)) is Verdict.RECUR
    assert weigh(over, finding(position=8)) is Verdict.SUCCEED
