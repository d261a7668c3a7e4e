"""Tickets: find them, read why they were opened, and act on them in one's own name."""

from __future__ import annotations

import http
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from collector.api.door import Actor
from collector.api.parts import NO_NUL, After, Filter, Limit, Name, Page, Parts, Text, Use, Words
from collector.api.problems import NotFound, described
from collector.storage import tables
from collector.storage.database import reading
from collector.tickets import ticket as shape
from collector.tickets.lifecycle import Kind, State
from rules.explain import explained

router = APIRouter(tags=["tickets"])
_MADE = described(400, 404, 413)
_ACT = described(400, 404, 409, 413)
Severity = Literal["warning", "critical"]


class Evidence(BaseModel):
    """One sub-expression of the condition, as it was evaluated; `spare` says what would have prevented it."""

    text: str
    value: float | None
    threshold: float | None = None
    held: bool | None = None
    unit: str = ""
    detail: dict[str, float | None] = {}
    spare: str = ""


class Reason(BaseModel):
    """Why a rule held. `since` is when the condition began to hold, `source` the rule's file and line."""

    rule: str
    source: str
    version: str
    severity: str
    since: int
    evidence: list[Evidence]
    values: dict[str, float | None] = {}


class Ticket(BaseModel):
    """A ticket. `rule` is empty when it was made by hand; `recovered` is null while the condition holds.

    `false_at` is when `false_by` called it a false alarm, and `false_why` for what reason; null when nobody did. `held`
    is the maintenance that keeps it from people, null when they are to see it.
    """

    id: str
    site: str
    device: str
    rule: str
    table: str
    instance: str
    state: State
    severity: str
    title: dict[str, str]
    advice: dict[str, str]
    recovered: int | None
    assignee: str
    acknowledged_by: str
    previous: str | None
    occurred_at: int
    recorded_at: int
    closed_at: int | None
    held: str | None
    false_at: int | None
    false_by: str
    false_why: str


class Event(BaseModel):
    """One line of a ticket's history; `position` is the journal position that decided it, null for a person's act."""

    id: int
    kind: Kind
    actor: str
    occurred_at: int
    recorded_at: int
    position: int | None
    detail: dict[str, Any]


class TicketWhole(Ticket):
    """A ticket with its reason, the reason told in lines of text, and its history, oldest event first."""

    reason: Reason | None
    explanation: str
    events: list[Event]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewTicket(_Asked):
    """A ticket made by hand. `device` may be empty: the site as a whole."""

    site: Words
    title: Words
    device: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    text: Annotated[str, Field(max_length=8000, pattern=NO_NUL)] = ""
    severity: Severity = "warning"


class Assignment(_Asked):
    """To whom; empty takes it away from whoever had it."""

    assignee: Annotated[str, Field(max_length=200, pattern=NO_NUL)]


class Comment(_Asked):
    """What is to be remembered."""

    text: Text


class Resolution(_Asked):
    """What the cause was."""

    cause: Text


class FalseAlarm(_Asked):
    """Why it was none: what the rule took for a fault."""

    why: Text


class Remark(_Asked):
    """Why, where that is not obvious."""

    text: Annotated[str, Field(max_length=8000, pattern=NO_NUL)] = ""


@router.get("/tickets")
def list_tickets(  # noqa: PLR0913, PLR0917 - one parameter a filter
    parts: Use,
    state: Annotated[list[State] | None, Query(description="One or more; none means all.")] = None,
    severity: Severity | None = None,
    site: Filter = None,
    device: Filter = None,
    rule: Filter = None,
    assignee: Filter = None,
    holds: Annotated[bool | None, Query(description="Whether the condition holds now.")] = None,
    false_alarm: Annotated[bool | None, Query(description="Whether somebody called it a false alarm.")] = None,
    held: Annotated[bool, Query(description="Those a maintenance holds, instead of those people are to see.")] = False,
    limit: Limit = 100,
    after: After = "",
) -> Page[Ticket]:
    """Tickets, newest first."""
    search = shape.Search(
        states=tuple(state or ()),
        severity=severity,
        site=site,
        device=device,
        rule=rule,
        assignee=assignee,
        holds=holds,
        false_alarm=false_alarm,
        held=held,
    )
    found = parts.tickets.search(search, limit=limit, after=after or None)
    return Page(items=[_ticket(ticket) for ticket in found.tickets], next=found.after)


@router.post("/tickets", status_code=http.HTTPStatus.CREATED, responses=_MADE)
def create_ticket(parts: Use, actor: Actor, new: NewTicket) -> TicketWhole:
    """Makes a ticket by hand."""
    with reading(parts.service) as connection:
        if connection.execute(select(tables.site.c.id).where(tables.site.c.id == new.site)).first() is None:
            raise NotFound(f"there is no site `{new.site}`")
    made = parts.tickets.create(
        actor,
        site=new.site,
        device=new.device,
        severity=new.severity,
        title=dict.fromkeys(("zh", "en"), new.title),
        advice=dict.fromkeys(("zh", "en"), new.text) if new.text else {},
    )
    return _whole(parts, made.id)


@router.get("/tickets/{ticket}", responses=described(404))
def get_ticket(parts: Use, ticket: Name) -> TicketWhole:
    """One ticket with its reason and its history."""
    return _whole(parts, ticket)


@router.post("/tickets/{ticket}/acknowledge", responses=_ACT)
def acknowledge_ticket(parts: Use, actor: Actor, ticket: Name) -> TicketWhole:
    """Says that one has seen it and takes care."""
    return _whole(parts, parts.tickets.acknowledge(ticket, actor).id)


@router.post("/tickets/{ticket}/assign", responses=_ACT)
def assign_ticket(parts: Use, actor: Actor, ticket: Name, asked: Assignment) -> TicketWhole:
    """Gives it to somebody."""
    return _whole(parts, parts.tickets.assign(ticket, actor, asked.assignee).id)


@router.post("/tickets/{ticket}/comment", responses=_ACT)
def comment_ticket(parts: Use, actor: Actor, ticket: Name, asked: Comment) -> TicketWhole:
    """Adds a remark to its history."""
    return _whole(parts, parts.tickets.comment(ticket, actor, asked.text).id)


@router.post("/tickets/{ticket}/resolve", responses=_ACT)
def resolve_ticket(parts: Use, actor: Actor, ticket: Name, asked: Resolution) -> TicketWhole:
    """Says that it is mended, and what the cause was."""
    return _whole(parts, parts.tickets.resolve(ticket, actor, asked.cause).id)


@router.post("/tickets/{ticket}/close", responses=_ACT)
def close_ticket(parts: Use, actor: Actor, ticket: Name, asked: Remark) -> TicketWhole:
    """Closes it; while its condition still holds a text must say why."""
    return _whole(parts, parts.tickets.close(ticket, actor, asked.text).id)


@router.post("/tickets/{ticket}/reopen", responses=_ACT)
def reopen_ticket(parts: Use, actor: Actor, ticket: Name, asked: Remark) -> TicketWhole:
    """Takes a resolved or closed ticket up again."""
    return _whole(parts, parts.tickets.reopen(ticket, actor, asked.text).id)


@router.post("/tickets/{ticket}/mark-false", responses=_ACT)
def mark_ticket_false(parts: Use, actor: Actor, ticket: Name, asked: FalseAlarm) -> TicketWhole:
    """Calls it a false alarm of its rule; an open ticket is resolved by it."""
    return _whole(parts, parts.tickets.mark_false(ticket, actor, asked.why).id)


@router.post("/tickets/{ticket}/unmark-false", responses=_ACT)
def unmark_ticket_false(parts: Use, actor: Actor, ticket: Name, asked: Remark) -> TicketWhole:
    """Takes the mark of a false alarm off; a resolved or closed ticket stays so."""
    return _whole(parts, parts.tickets.unmark_false(ticket, actor, asked.text).id)


def _ticket(ticket: shape.Ticket) -> Ticket:
    return Ticket.model_validate(ticket, from_attributes=True)


def _whole(parts: Parts, ticket: str) -> TicketWhole:
    found = parts.tickets.get(ticket)
    return TicketWhole(
        **_ticket(found).model_dump(),
        reason=None if found.reason is None else Reason(**msgspec.to_builtins(found.reason)),
        explanation="" if found.reason is None else explained(found.reason),
        events=[Event.model_validate(event, from_attributes=True) for event in parts.tickets.history(ticket)],
    )
