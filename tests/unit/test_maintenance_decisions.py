"""How long a maintenance may last, when it may be moved, and what becomes of what it held."""

from __future__ import annotations

import pytest

from collector.tickets.lifecycle import Fate, Standing, State, let_go
from collector.tickets.maintenance import LONGEST, SHORTEST, Maintenance, Refusal, extending, lasting
from tests.findings import HOUR, START


@pytest.mark.parametrize(
    ("lasts", "said"),
    [
        (SHORTEST - 1, Refusal.TOO_SHORT),
        (SHORTEST, None),
        (LONGEST, None),
        (LONGEST + 1, Refusal.TOO_LONG),
        (-HOUR, Refusal.TOO_SHORT),
    ],
)
def test_it_lasts_a_quarter_of_an_hour_to_two_weeks_both_included(lasts, said):
    assert lasting(START, START + lasts) is said


def working(**facts) -> Maintenance:
    plain = {
        "id": "m",
        "site": "s1",
        "device": "",
        "actor": "Mei",
        "note": "",
        "ended_by": "",
        "extended_by": "",
        "created": START,
    }
    times = {"begins": START, "ends": START + HOUR, "seen": None, "released": None}
    return Maintenance(**{**plain, **times, **facts})


@pytest.mark.parametrize(
    ("of", "ends", "now", "said"),
    [
        (working(), START + 2 * HOUR, START + HOUR - 1, None),
        (working(), START + 2 * HOUR, START + HOUR, Refusal.OVER),
        (working(seen=START + HOUR), START + 2 * HOUR, START, Refusal.OVER),
        (working(), START + HOUR, START, Refusal.NOT_LATER),
        (working(), START + LONGEST + 1, START, Refusal.TOO_LONG),
    ],
)
def test_its_end_is_moved_only_while_it_runs_and_only_to_later(of, ends, now, said):
    assert extending(of, ends, now) is said


def test_it_concerns_its_device_or_every_device_of_its_site():
    assert working().concerns("s1", "nvr1")
    assert working(device="nvr1").concerns("s1", "nvr1")
    assert not working(device="nvr1").concerns("s1", "nvr2")
    assert not working().concerns("s2", "nvr1")


HAND = {"acknowledged_by": "Wei"}


@pytest.mark.parametrize(
    ("state", "facts", "inside", "other", "fate"),
    [
        (State.OPEN, {"holds": True}, False, False, Fate.OPEN),
        (State.OPEN, {"holds": True}, False, True, Fate.HANDED_OVER),
        (State.OPEN, {"holds": True, **HAND}, False, False, Fate.OPEN),
        (State.OPEN, {"holds": False}, True, False, Fate.RECOVERED),
        (State.OPEN, {"holds": False}, True, True, Fate.RECOVERED),
        (State.OPEN, {"holds": False, **HAND}, True, False, Fate.KEPT),
        (State.OPEN, {"holds": False}, False, False, Fate.OPEN),
        (State.OPEN, {"holds": False}, False, True, Fate.OPEN),
        (State.RESOLVED, {"holds": True}, False, True, Fate.ENDED),
        (State.CLOSED, {"holds": False}, True, False, Fate.ENDED),
    ],
)
def test_what_becomes_of_a_held_ticket(state, facts, inside, other, fate):
    standing = Standing(state=state, severity="warning", **facts)
    assert let_go(standing, inside=inside, other=other) is fate
