"""Reads and writes single tickets and events; every function works inside the caller's transaction."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, insert, literal_column, select, update

from collector.storage import tables
from collector.tickets.lifecycle import Standing, State
from collector.tickets.ticket import Event, Fault, Ticket, Unknown, event_of, ticket_of
from rules.finding import Finding, Reason

_t = tables.ticket
_e = tables.ticket_event


# Statements are made once; the planner may use a partial index only where its condition stands in the statement itself.
_by_rule: ColumnElement[bool] = literal_column("rule <> ''")
_NEWEST = (
    select(_t)
    .where(*(_t.c[name] == bindparam(name) for name in Fault._fields), _by_rule)
    .order_by(case((_t.c.state != State.CLOSED, 0), else_=1), _t.c.position.desc())
    .limit(1)
    .with_for_update()
)
_ONE = select(_t).where(_t.c.id == bindparam("wanted"))
_LOCKED = _ONE.with_for_update()
_ADD = insert(_t)
_CHANGE = update(_t).where(_t.c.id == bindparam("wanted"))
_NOTE = insert(_e)
_HISTORY = select(_e).where(_e.c.ticket == bindparam("wanted")).order_by(_e.c.id)


def newest(connection: Connection, fault: Fault) -> Ticket | None:
    """The ticket of a rule's fault that is not closed, else the one opened last; locked until the transaction ends."""
    row = connection.execute(_NEWEST, fault._asdict()).mappings().first()
    return None if row is None else ticket_of(row)


def locked(connection: Connection, id_: str) -> Ticket:
    """One ticket, locked until the transaction ends.

    Raises:
        Unknown: there is none of this id.
    """
    return _read(connection, _LOCKED, id_)


def one(connection: Connection, id_: str) -> Ticket:
    """One ticket.

    Raises:
        Unknown: there is none of this id.
    """
    return _read(connection, _ONE, id_)


def _read(connection: Connection, query: Select[Any], id_: str) -> Ticket:
    row = connection.execute(query, {"wanted": id_}).mappings().first()
    if row is None:
        raise Unknown(f"there is no ticket `{id_}`")
    return ticket_of(row)


def standing(ticket: Ticket) -> Standing:
    """What decisions look at."""
    ends = [at for at in (ticket.recovered, ticket.ended_at) if at is not None]
    return Standing(
        state=ticket.state,
        severity=ticket.severity,
        holds=ticket.holds,
        position=ticket.position,
        ended=max(ends, default=None),
        acknowledged_by=ticket.acknowledged_by,
        assignee=ticket.assignee,
        by_hand=not ticket.rule,
        false_alarm=ticket.false_at is not None,
    )


def ended(ticket: Ticket, state: State, now: int) -> int | None:
    """When people ended a ticket that is to be in `state` now; None while they have not."""
    if state is State.OPEN:
        return None
    return ticket.ended_at if state is ticket.state else now


def add(connection: Connection, columns: dict[str, Any]) -> Ticket:
    """Writes a new ticket."""
    whole = {**_NEW, **columns}
    connection.execute(_ADD, whole)
    return ticket_of(whole)


_NEW: dict[str, Any] = {
    "table": "",
    "instance": "",
    "state": State.OPEN,
    "reason": None,
    "recovered": None,
    "assignee": "",
    "acknowledged_by": "",
    "previous": None,
    "closed_at": None,
    "held": None,
    "false_at": None,
    "false_by": "",
    "false_why": "",
    "ended_at": None,
    "version": "",
}


def change(connection: Connection, ticket: Ticket, columns: dict[str, Any]) -> Ticket:
    """Changes some columns of a ticket; gives the ticket as it is then."""
    connection.execute(_CHANGE, {"wanted": ticket.id, **columns})
    return ticket_of({**msgspec.structs.asdict(ticket), **columns})


def note(connection: Connection, columns: dict[str, Any]) -> None:
    """Adds a line to a ticket's history. There is nothing that changes or removes one."""
    connection.execute(_NOTE, columns)


def history(connection: Connection, id_: str) -> list[Event]:
    """All that happened to a ticket, in order."""
    return [event_of(row) for row in connection.execute(_HISTORY, {"wanted": id_}).mappings()]


def fault_of(finding: Finding) -> Fault:
    """What a finding is about."""
    return Fault(clean(finding.site), clean(finding.device), clean(finding.rule), clean(finding.instance))


def said(finding: Finding) -> dict[str, Any]:
    """What a finding says, as an event keeps it."""
    texts = {"title": finding.title, "advice": finding.advice}
    return cast("dict[str, Any]", storable({"severity": finding.severity, **texts, "reason": plain(finding.reason)}))


def plain(reason: Reason) -> dict[str, Any]:
    """A reason as JSON values; a number that JSON cannot say (NaN, infinity) is left out or null."""
    values = msgspec.to_builtins(reason)
    for evidence in values["evidence"]:
        evidence["detail"] = {name: n for name, n in evidence.get("detail", {}).items() if math.isfinite(n)}
    return cast("dict[str, Any]", storable(values))


def storable(value: Any) -> Any:
    """JSON values that every database keeps: no NaN, no infinity, no U+0000."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(name)): storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    return value


def clean(text: str) -> str:
    """Text without U+0000, which PostgreSQL refuses: a device's name must not stop the collector."""
    return text.replace("\x00", "\ufffd")
