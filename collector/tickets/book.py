"""The book of tickets: what rules find and what people do about it, each as one line that stays.

Identity is the database's to guard, not this code's: a unique index on (fault, opening position) and one on the fault
among tickets that are not closed. Where two writers meet, the index refuses one of them, which then looks again.

`apply` runs inside the caller's transaction, together with the cursor of the projection that found something. Every
act of a person is a transaction of its own. Notices are queued in the same transaction as the event they tell of.

Errors: see `collector.tickets.ticket`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import IntegrityError
from ulid import ULID

from collector.storage import tables
from collector.storage.database import reading
from collector.tickets import cursors, holding, rows
from collector.tickets.holding import Holding, Moment
from collector.tickets.lifecycle import (
    SYSTEM,
    TEXTS,
    Act,
    Kind,
    Refusal,
    State,
    Verdict,
    judge,
    weigh,
    worsened,
)
from collector.tickets.searching import conditions
from collector.tickets.ticket import Event, NotAllowed, Page, Search, Ticket, ticket_of
from rules.finding import Finding

PROJECTION = "rules"
"""The name under which the cursor of tickets is kept."""

_CONTESTED = (Verdict.OPEN, Verdict.SUCCEED, Verdict.REOPEN)
"""What another writer can make impossible."""
_TRIES = 5
_t = tables.ticket


class Part(NamedTuple):
    """What the rules found up to a journal position, in the whole journal or in one shard of it; see `Book.apply`."""

    position: int
    findings: Sequence[Finding]
    caught_up: Sequence[tuple[int, str]] = ()
    moments: Sequence[Moment] = ()
    shard: int | None = None

    @property
    def projection(self) -> str:
        """The name of its cursor."""
        return projection_of(self.shard)


def projection_of(shard: int | None) -> str:
    """The name under which the cursor of tickets is kept for a shard."""
    return PROJECTION if shard is None else f"{PROJECTION}/{shard:02x}"


class Teller(holding.Teller, Protocol):
    """What the book needs of the outbox."""

    def release(self, connection: Connection, agents: Collection[str]) -> None:
        """Lets go what was queued in the backlogs of these agents, which are through."""


class Book:
    """All tickets. Safe to use from several threads and processes."""

    def __init__(self, service: Engine, *, now: Callable[[], int], teller: Teller | None = None) -> None:
        """Opens the book.

        Args:
            service: the service database.
            now: Unix milliseconds.
            teller: queues notices; without it nobody is told.
        """
        self._service = service
        self._now = now
        self._teller = teller

    # What rules find

    def cursor(self) -> int:
        """The last journal position whose findings are in the book; 0 before the first."""
        with reading(self._service) as connection:
            return cursors.of(connection, PROJECTION)

    def apply(
        self,
        findings: Sequence[Finding],
        position: int,
        connection: Connection,
        *,
        caught_up: Sequence[tuple[int, str]] = (),
        moments: Sequence[Moment] = (),
    ) -> list[Verdict]:
        """Takes what was found up to a journal position, inside the caller's transaction.

        Args:
            findings: in the order they were found; those at or below the cursor change nothing.
            position: where the cursor stands afterwards.
            connection: to the service database, in a transaction that the caller commits.
            caught_up: (position, agent) in order: with that journal entry the agent had delivered all it held, and
                what waited for the end of its backlog goes out.
            moments: the journal entries up to `position`, in order: the time by which maintenances end.

        Returns:
            What each finding above the cursor led to.
        """
        return self.apply_parts([Part(position, findings, caught_up, moments)], connection)

    def apply_parts(self, parts: Sequence[Part], connection: Connection) -> list[Verdict]:
        """Takes what was found in several shards, inside the caller's transaction; each has a cursor of its own.

        Returns:
            What each finding above its cursor led to, part by part.
        """
        before = cursors.advance(connection, {part.projection: part.position for part in parts})
        split = holding.split(connection, [part.shard for part in parts])
        verdicts: list[Verdict] = []
        for part in parts:
            held = Holding(connection, split[part.shard], now=self._now, teller=self._teller)
            verdicts += self._take_part(held, part, before[part.projection])
        return verdicts

    def _take_part(self, held: Holding, part: Part, before: int) -> Iterator[Verdict]:
        connection, position = held.connection, part.position
        through, time = deque(part.caught_up), deque(one for one in part.moments if one.position > before)
        for finding in part.findings:
            if finding.position > before:
                self._release(connection, through, finding.position)
                _pass(held, time, finding.position)
                yield self._take(held, finding)
        self._release(connection, through, position + 1)
        _pass(held, time, position + 1)

    def _release(self, connection: Connection, through: deque[tuple[int, str]], below: int) -> None:
        """Takes off `through` what lies below a position: how the journal was cut decides nothing."""
        agents = set()
        while through and through[0][0] < below:
            agents.add(through.popleft()[1])
        if agents and self._teller is not None:
            self._teller.release(connection, agents)

    def _take(self, held: Holding, finding: Finding) -> Verdict:
        connection = held.connection
        for last in range(_TRIES, 0, -1):
            ticket = held.before(rows.newest(connection, rows.fault_of(finding)), finding)
            verdict = weigh(None if ticket is None else rows.standing(ticket), finding)
            try:
                with connection.begin_nested() if verdict in _CONTESTED else nullcontext():
                    self._carry_out(held, verdict, ticket, finding)
            except IntegrityError:
                # A person reopened an older ticket of the fault, or another process opened one, just now.
                if last == 1:
                    raise
            else:
                return verdict
        raise AssertionError

    def _carry_out(self, held: Holding, verdict: Verdict, ticket: Ticket | None, finding: Finding) -> None:
        if verdict is Verdict.UNMATCHED:
            return
        if ticket is None or verdict is Verdict.SUCCEED:
            self._open(held, finding, ticket)
        elif verdict is Verdict.RECOVER:
            after = rows.change(held.connection, ticket, {"recovered": finding.t})
            self._turned(held, after, Kind.RECOVERED, finding, tell=ticket.state is not State.CLOSED)
        else:
            self._again(held, verdict, ticket, finding)

    def _open(self, held: Holding, finding: Finding, previous: Ticket | None) -> None:
        connection, now, id_ = held.connection, self._now(), str(ULID())
        if previous is not None and previous.state is not State.CLOSED:
            rows.change(connection, previous, {"state": State.CLOSED, "closed_at": now})
            self._note(connection, previous.id, Kind.CLOSED, finding, {"successor": id_})
        opened = {
            "id": id_,
            **rows.fault_of(finding)._asdict(),
            "table": finding.table,
            "position": finding.position,
            **rows.said(finding),
            "version": finding.reason.version,
            "previous": None if previous is None else previous.id,
            "occurred_at": finding.t,
            "recorded_at": now,
        }
        self._turned(held, rows.add(connection, opened), Kind.OPENED, finding)

    def _again(self, held: Holding, verdict: Verdict, ticket: Ticket, finding: Finding) -> None:
        changes: dict[str, Any] = {**rows.said(finding), "version": finding.reason.version}
        kind = Kind.OCCURRENCE
        tell = verdict is not Verdict.REPEAT
        if verdict is Verdict.CHANGE:
            kind = Kind.CHANGED
            tell = worsened(ticket.severity, finding.severity) and ticket.state is not State.CLOSED
        else:
            changes["recovered"] = None
        if verdict is Verdict.REOPEN:
            kind = Kind.REOPENED
            changes |= {"state": State.OPEN, "closed_at": None, "ended_at": None, "acknowledged_by": ""}
        self._turned(held, rows.change(held.connection, ticket, changes), kind, finding, tell=tell)

    def _turned(self, held: Holding, ticket: Ticket, kind: Kind, finding: Finding, *, tell: bool = True) -> None:
        """Notes a turn in the history of `ticket`, as it is after it, and tells of it unless a maintenance holds it."""
        self._note(held.connection, ticket.id, kind, finding, rows.said(finding))
        held.turned(ticket, kind, finding, tell=tell)

    def _note(self, connection: Connection, id_: str, kind: Kind, finding: Finding, detail: dict[str, Any]) -> None:
        made = {"ticket": id_, "kind": kind, "actor": SYSTEM, "position": finding.position, "detail": detail}
        rows.note(connection, {**made, "occurred_at": finding.t, "recorded_at": self._now()})

    # What people do

    def create(
        self,
        actor: str,
        *,
        site: str,
        device: str,
        severity: str,
        title: dict[str, str],
        advice: dict[str, str] | None = None,
        occurred_at: int | None = None,
    ) -> Ticket:
        """Opens a ticket by hand; several may be open for one device. Texts are by language (zh, en)."""
        now, id_ = self._now(), str(ULID())
        at = now if occurred_at is None else occurred_at
        texts = rows.storable({"severity": severity, "title": title, "advice": advice or {}, "reason": None})
        about = {"site": site, "device": device, "rule": "", "position": 0}
        with self._service.begin() as connection:
            ticket = rows.add(connection, {"id": id_, **about, **texts, "occurred_at": at, "recorded_at": now})
            self._acted(connection, id_, Kind.OPENED, actor, texts, at)
            if self._teller is not None:
                self._teller.tell(connection, ticket, Kind.OPENED, at)
            return ticket

    def acknowledge(self, id_: str, actor: str, note: str = "") -> Ticket:
        """Takes notice of a ticket."""
        return self._act(id_, Act.ACKNOWLEDGE, actor, note, {"note": note}, acknowledged_by=actor)

    def assign(self, id_: str, actor: str, assignee: str, note: str = "") -> Ticket:
        """Gives a ticket to somebody, or with an empty name to nobody."""
        detail = {"assignee": assignee.strip(), "note": note}
        return self._act(id_, Act.ASSIGN, actor, assignee, detail, assignee=assignee.strip())

    def comment(self, id_: str, actor: str, text: str) -> Ticket:
        """Adds a remark; closed tickets take remarks too."""
        return self._act(id_, Act.COMMENT, actor, text, {"note": text})

    def resolve(self, id_: str, actor: str, cause: str) -> Ticket:
        """Says that the fault is mended and what it was."""
        return self._act(id_, Act.RESOLVE, actor, cause, {"cause": cause})

    def close(self, id_: str, actor: str, note: str = "") -> Ticket:
        """Ends a ticket; while its condition still holds only with a reason."""
        return self._act(id_, Act.CLOSE, actor, note, {"note": note}, closed_at=self._now())

    def reopen(self, id_: str, actor: str, note: str = "") -> Ticket:
        """Opens a resolved or closed ticket again, unless another of the same fault is open."""
        return self._act(id_, Act.REOPEN, actor, note, {"note": note}, closed_at=None)

    def mark_false(self, id_: str, actor: str, why: str) -> Ticket:
        """Calls a ticket a false alarm of its rule; an open one is resolved by it."""
        mark = {"false_at": self._now(), "false_by": actor, "false_why": why}
        return self._act(id_, Act.MARK_FALSE, actor, why, {"why": why}, **mark)

    def unmark_false(self, id_: str, actor: str, note: str = "") -> Ticket:
        """Takes the mark of a false alarm off; the ticket stays in the state it is in."""
        mark = {"false_at": None, "false_by": "", "false_why": ""}
        return self._act(id_, Act.UNMARK_FALSE, actor, note, {"note": note}, **mark)

    def _act(self, id_: str, act: Act, actor: str, text: str, detail: dict[str, Any], **changes: Any) -> Ticket:
        """Does one act in one transaction.

        Raises:
            Unknown: there is no such ticket.
            NotAllowed: its standing forbids the act; nothing changed.
        """
        try:
            with self._service.begin() as connection:
                ticket = rows.locked(connection, id_)
                step = judge(rows.standing(ticket), act, text)
                if isinstance(step, Refusal):
                    raise NotAllowed(step, f"`{TEXTS[act]}` is empty" if not text.strip() and act in TEXTS else "")
                now = self._now()
                self._acted(connection, id_, step.kind, actor, {**detail, "holds": ticket.holds}, now)
                if step.kind is Kind.MARKED_FALSE and step.state is not ticket.state:
                    cause = {"cause": f"false alarm: {text.strip()}", "false_alarm": True, "holds": ticket.holds}
                    self._acted(connection, id_, Kind.RESOLVED, actor, cause, now)
                changes |= {"state": step.state, "ended_at": rows.ended(ticket, step.state, now)}
                return rows.change(connection, ticket, rows.storable(changes))
        except IntegrityError as refused:
            raise NotAllowed(Refusal.ANOTHER_OPEN) from refused

    def _acted(
        self, connection: Connection, id_: str, kind: Kind, actor: str, detail: dict[str, Any], occurred_at: int
    ) -> None:
        said = {name: value for name, value in detail.items() if value != ""}
        made = {"occurred_at": occurred_at, "recorded_at": self._now(), "position": None}
        rows.note(connection, {"ticket": id_, "kind": kind, "actor": actor, "detail": rows.storable(said), **made})

    # What is asked

    def get(self, id_: str) -> Ticket:
        """One ticket.

        Raises:
            Unknown: there is none of this id.
        """
        with reading(self._service) as connection:
            return rows.one(connection, id_)

    def history(self, id_: str) -> list[Event]:
        """All that happened to a ticket, in order.

        Raises:
            Unknown: there is none of this id.
        """
        with reading(self._service) as connection:
            rows.one(connection, id_)
            return rows.history(connection, id_)

    def search(self, wanted: Search | None = None, *, after: str | None = None, limit: int = 100) -> Page:
        """Tickets, newest first; `after` is the `after` of the page before."""
        query = select(_t).where(*conditions(wanted or Search()))
        if after:
            query = query.where(_t.c.id < after)
        with reading(self._service) as connection:
            found = connection.execute(query.order_by(_t.c.id.desc()).limit(limit + 1)).mappings().all()
        tickets = [ticket_of(row) for row in found[:limit]]
        return Page(tickets, tickets[-1].id if len(found) > limit else None)

    def counts(self) -> dict[tuple[str, str], int]:
        """How many tickets there are by (state, severity), for metrics."""
        query = select(_t.c.state, _t.c.severity, func.count()).group_by(_t.c.state, _t.c.severity)
        with reading(self._service) as connection:
            return {(state, severity): count for state, severity, count in connection.execute(query)}


def _pass(held: Holding, time: deque[Moment], below: int) -> None:
    """Takes off `time` what lies below a position, as `Book._release` does."""
    while time and time[0].position < below:
        held.passes(time.popleft())
