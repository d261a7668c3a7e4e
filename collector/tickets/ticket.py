"""A ticket and its history as they are read: plain data for screens, the API and notices.

Times are Unix milliseconds; `occurred_at` is when it happened on the site (or when the person acted), `recorded_at`
when the collector wrote it down.

Errors:
    TicketError
    ├─ Unknown      there is no such ticket
    └─ NotAllowed   the act is refused: `refusal` is one of `lifecycle.Refusal`; nothing changed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from collector.tickets.lifecycle import Kind, Refusal, State
from rules.finding import Reason


class TicketError(Exception):
    """Something asked of a ticket that was not done."""


class Unknown(TicketError):
    """There is no ticket of this id."""


class NotAllowed(TicketError):
    """An act that the ticket's standing forbids."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(f"{refusal}: {detail}" if detail else str(refusal))
        self.refusal = refusal


class Fault(NamedTuple):
    """What a ticket is about; at most one ticket of a fault is not closed. `rule` is empty when made by hand."""

    site: str
    device: str
    rule: str
    instance: str


class Event(msgspec.Struct, frozen=True):
    """One line of a ticket's history, never changed once written.

    `detail` by kind: of the system's turns severity, title, advice, reason; of a person's act what was said
    (`note`, `cause`, `assignee`, `why`). `position` is the journal position of the deciding record, None for a person's act.
    """

    id: int
    ticket: str
    kind: Kind
    actor: str
    occurred_at: int
    recorded_at: int
    position: int | None
    detail: dict[str, Any]


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket. `title` and `advice` are texts by language (zh, en); `recovered` is None while the condition holds."""

    id: str
    site: str
    device: str
    rule: str
    table: str
    instance: str
    position: int
    state: State
    severity: str
    title: dict[str, str]
    advice: dict[str, str]
    reason: Reason | None
    recovered: int | None
    assignee: str
    acknowledged_by: str
    previous: str | None
    occurred_at: int
    recorded_at: int
    closed_at: int | None
    held: str | None = None
    """The maintenance it is held for, None when people are to see it."""
    false_at: int | None = None
    """When a person called it a false alarm, with `false_by` and `false_why`; None when nobody did."""
    false_by: str = ""
    false_why: str = ""
    ended_at: int | None = None
    """When a person last resolved or closed it; None when nobody has since it was last opened."""
    version: str = ""
    """Of the rule that spoke last of it."""

    @property
    def fault(self) -> Fault:
        """What it is about."""
        return Fault(self.site, self.device, self.rule, self.instance)

    @property
    def holds(self) -> bool:
        """Whether a rule's condition holds now, as far as is known."""
        return bool(self.rule) and self.recovered is None


class Page(NamedTuple):
    """Some tickets, newest first; `after` asks for the next ones, None when there are no more."""

    tickets: list[Ticket]
    after: str | None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which tickets are wanted; what is None does not matter. `text` is a part of a title, device, instance or id."""

    states: tuple[State, ...] = ()
    site: str | None = None
    device: str | None = None
    rule: str | None = None
    severity: str | None = None
    assignee: str | None = None
    holds: bool | None = None
    false_alarm: bool | None = None
    held: bool | None = None
    text: str | None = None


def ticket_of(row: Mapping[Any, Any]) -> Ticket:
    """Reads a ticket out of its row."""
    return msgspec.convert({str(name): value for name, value in row.items()}, Ticket)


def event_of(row: Mapping[Any, Any]) -> Event:
    """Reads an event out of its row."""
    return msgspec.convert({str(name): value for name, value in row.items()}, Event)
