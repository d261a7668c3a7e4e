"""What a notice says, in both languages."""

from __future__ import annotations

from collector.notify.compose import bodies
from collector.tickets.lifecycle import Kind, State
from collector.tickets.ticket import Ticket

BY_HAND = Ticket(
    id="T1",
    site="north",
    device="",
    rule="",
    table="",
    instance="",
    position=0,
    state=State.OPEN,
    severity="warning",
    title={"zh": "巡检", "en": "Visit"},
    advice={},
    reason=None,
    recovered=None,
    assignee="",
    acknowledged_by="",
    previous=None,
    occurred_at=0,
    recorded_at=0,
    closed_at=None,
)


def test_a_ticket_made_by_hand_without_a_device_has_no_empty_line_for_one() -> None:
    told = bodies(BY_HAND, Kind.OPENED, 0)
    assert told["en"].splitlines()[3:] == ["Site: north", "Time: 1970-01-01 00:00:00 UTC", "Ticket: T1"]
    assert "设备" not in told["zh"]
