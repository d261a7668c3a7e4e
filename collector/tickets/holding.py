"""What maintenance holds back from people, and when it is let go: one view for one transaction of the book.

A ticket that opens or reopens at a time of a maintenance of its device is *held*. When the journal's time passes the
end, each held ticket is let go, its fate decided by `lifecycle.let_go`, at the first of

- that moment, when it has recovered, somebody ended it, or it is about the agent itself (silence needs no record);
- the moment its agent has delivered all it had, so that what happened before the end is known;
- the moment a finding on it from after the end comes;
- `WAIT` after the end was seen (or after it opened, when it came later): an agent that is gone for good loses nothing.

A record of the maintenance's time that comes only after its end is held likewise. A recovery that began in the time of
the maintenance and is learned when the ticket was let go already closes it too, unless somebody has it in hand. So
whether a backlog comes before or after the end leads to the same tickets.

The journal's time is that of its entries and of nothing else: a replay, a collector that was down over the end, and how
the journal was cut decide nothing. The caller holds the lock of the cursor, so that only one writer is here at a time.

Errors: what the database raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, RowMapping, select, update

from collector.storage import tables
from collector.storage.database import upsert
from collector.tickets import rows
from collector.tickets.lifecycle import SYSTEM, Fate, Kind, State, let_go
from collector.tickets.maintenance import Maintenance, changed, covering, locked, unsettled
from collector.tickets.ticket import Ticket
from rules.finding import Finding

LAGGING = 5 * 60 * 1000
"""A finding whose record arrived this many milliseconds after its time belongs to its agent's backlog."""
WAIT = 15 * 60 * 1000
"""Milliseconds for which a held ticket waits for its agent after the end."""

_CHANGES_HANDS = (Kind.OPENED, Kind.REOPENED, Kind.RECOVERED)
"""What may hold a ticket, or end one that was held, whether it is told or not."""
_NEVER = 2**63
_HOME_OF_NONE = frozenset({0})
"""Where the maintenance of a site without agents is settled."""
_h, _t = tables.held_ticket, tables.ticket


class Moment(NamedTuple):
    """A journal entry, as far as time goes: `caught_up` is its agent when it had delivered all it held with it."""

    position: int
    arrived: int
    caught_up: str = ""


class Teller(Protocol):
    """What is needed of the outbox here."""

    def tell(
        self,
        connection: Connection,
        ticket: Ticket,
        kind: Kind,
        occurred_at: int,
        *,
        backlog_of: str = "",
        maintenance: str = "",
    ) -> None:
        """Queues notices of a ticket's turn in this transaction.

        They wait for the end of the backlog of an agent, or of a maintenance, where one is named.
        """

    def resume(self, connection: Connection, maintenance: str) -> None:
        """Lets go what was queued during a maintenance."""


def backlog_of(finding: Finding) -> str:
    """The agent in whose backlog a finding lies; empty when it is live."""
    return finding.agent if finding.arrived - finding.t > LAGGING else ""


def split(connection: Connection, shards: Sequence[int | None]) -> dict[int | None, list[Maintenance]]:
    """The maintenances that are not settled, for each shard those of its sites; for None all.

    The time of one shard says nothing of another's: a process may be level with one and hours behind with the other.
    """
    found = unsettled(connection)
    if not found or list(shards) == [None]:
        return dict.fromkeys(shards, found)
    agent = tables.agent.c
    of_sites = select(agent.site, agent.shard).where(agent.site.in_({one.site for one in found})).distinct()
    homes: dict[str, set[int]] = {}
    for site, shard in connection.execute(of_sites).tuples():
        homes.setdefault(site, set()).add(shard)
    return {
        shard: [one for one in found if shard is None or shard in homes.get(one.site, _HOME_OF_NONE)]
        for shard in shards
    }


class Holding:
    """The maintenances of one transaction.

    Args:
        connection: to the service database, in a transaction.
        maintenances: those that are not settled.
        now: Unix milliseconds.
        teller: tells of what is let go; without it nobody is told.
    """

    def __init__(
        self,
        connection: Connection,
        maintenances: Sequence[Maintenance],
        *,
        now: Callable[[], int],
        teller: Teller | None,
    ) -> None:
        self.connection = connection
        self._now = now
        self._teller = teller
        self._unsettled = {one.id: one for one in maintenances}
        self._waiting: dict[str, list[RowMapping]] = {}
        self._from = self._soonest()

    # Findings

    def before(self, ticket: Ticket | None, finding: Finding) -> Ticket | None:
        """The ticket a finding speaks of, let go first where the finding shows that its maintenance has passed."""
        if ticket is None or ticket.held is None:
            return ticket
        self._waiting.pop(ticket.held, None)  # Whatever comes of the finding, what is known of the ticket has changed.
        of = self._unsettled[ticket.held]
        if finding.t < of.ends or finding.arrived < of.ends:
            return ticket
        at = Moment(finding.position, finding.arrived)
        return self._release(of, _held(self.connection, of.id, ticket.id), at, backlog_of(finding))

    def turned(self, ticket: Ticket, kind: Kind, finding: Finding, *, tell: bool) -> None:
        """Takes notice of a turn of a ticket, as it is after it: holds it, or tells of it now or later.

        Args:
            ticket: with the turn in its history.
            kind: what happened.
            finding: what turned it.
            tell: whether people are to hear of such a turn at all.
        """
        if ticket.held is not None or not (tell or kind in _CHANGES_HANDS):
            return
        of = covering(self.connection, ticket.site, ticket.device, finding.t)
        if of is not None and kind in (Kind.OPENED, Kind.REOPENED):
            self._hold(ticket, of, _Held(finding.agent, kind, finding.t, finding.arrived), finding.position)
            return
        if tell and self._teller is not None:
            during = of is not None and of.seen is None and finding.arrived < of.ends
            waits = {"maintenance": of.id} if of is not None and during else {"backlog_of": backlog_of(finding)}
            self._teller.tell(self.connection, ticket, kind, finding.t, **waits)
        if kind is Kind.RECOVERED:
            self._mended(ticket, finding)

    def _mended(self, ticket: Ticket, finding: Finding) -> None:
        """Closes a ticket that was let go before it was known that it had recovered in the maintenance."""
        if ticket.state is not State.OPEN or rows.standing(ticket).in_hand:
            return
        of = covering(self.connection, ticket.site, ticket.device, finding.reason.since)
        if of is None or not _was_let_go(self.connection, of.id, ticket.id):
            return
        self._settled(ticket, of, Fate.RECOVERED, Moment(finding.position, finding.arrived))

    def _hold(self, ticket: Ticket, of: Maintenance, held: _Held, position: int) -> Ticket:
        if of.id not in self._unsettled:
            of = changed(self.connection, of, {"released": None})
        self._remember(of)
        self._waiting.pop(of.id, None)
        row = {"maintenance": of.id, "ticket": ticket.id, **held._asdict(), "became": ""}
        upsert(self.connection, _h, [row])
        self._note(ticket, Kind.HELD, of, Moment(position, held.occurred_at))
        return rows.change(self.connection, ticket, {"held": of.id})

    # Time

    def passes(self, moment: Moment) -> None:
        """Takes notice of a journal entry, after all that was found in it."""
        if moment.arrived < self._from:
            return
        for of in list(self._unsettled.values()):
            now = self._seen(of, moment) if of.seen is None and of.ends <= moment.arrived else of
            if now.seen is not None:
                self._release_due(now, now.seen, moment)

    def _seen(self, of: Maintenance, moment: Moment) -> Maintenance:
        """Notes that the end has come, unless somebody has moved it meanwhile."""
        of = locked(self.connection, of.id)
        if of.ends <= moment.arrived:
            of = changed(self.connection, of, {"seen": moment.arrived})
            if self._teller is not None:
                self._teller.resume(self.connection, of.id)
        self._remember(of)
        return of

    def _remember(self, of: Maintenance) -> None:
        self._unsettled[of.id] = of
        self._from = self._soonest()

    def _soonest(self) -> int:
        """Before this time no entry changes anything; most entries are passed over by it."""
        return min((one.ends if one.seen is None else 0 for one in self._unsettled.values()), default=_NEVER)

    def _release_due(self, of: Maintenance, seen: int, moment: Moment) -> None:
        if of.id not in self._waiting:
            self._waiting[of.id] = _all_held(self.connection, of.id)
        still = []
        for row in self._waiting[of.id]:
            if _due(row, seen, moment):
                self._release(of, row, moment)
            else:
                still.append(row)
        self._waiting[of.id] = still
        if not still:
            changed(self.connection, of, {"released": moment.arrived})
            del self._unsettled[of.id]
            self._from = self._soonest()

    def _release(self, of: Maintenance, row: RowMapping, at: Moment, backlog: str = "") -> Ticket:
        ticket = rows.locked(self.connection, row["ticket"])
        recovered = ticket.recovered
        inside = recovered is not None and self._covered(ticket, recovered)
        other = self._other(of, ticket, at)
        fate = let_go(rows.standing(ticket), inside=inside, other=other is not None)
        ticket = self._settled(ticket, of, fate, at)
        if fate is Fate.HANDED_OVER and other is not None:
            held = _Held(row["agent"], Kind(row["turn"]), row["occurred_at"], row["arrived"])
            return self._hold(ticket, other, held, at.position)
        if fate is Fate.OPEN and ticket.holds and self._teller is not None:
            kind = Kind(row["turn"])
            self._teller.tell(self.connection, ticket, kind, row["occurred_at"], backlog_of=backlog)
        return ticket

    def _covered(self, ticket: Ticket, t: int) -> bool:
        return covering(self.connection, ticket.site, ticket.device, t) is not None

    def _other(self, of: Maintenance, ticket: Ticket, at: Moment) -> Maintenance | None:
        running = (one for one in self._unsettled.values() if one.id != of.id and one.runs(at.arrived))
        return next((one for one in running if one.concerns(ticket.site, ticket.device)), None)

    def _settled(self, ticket: Ticket, of: Maintenance, fate: Fate, at: Moment) -> Ticket:
        """Writes down what becomes of a ticket."""
        mine = (_h.c.maintenance == of.id, _h.c.ticket == ticket.id)
        self.connection.execute(update(_h).where(*mine).values(became=fate))
        changes: dict[str, Any] = {"held": None}
        if fate is Fate.RECOVERED:
            changes |= {"state": State.CLOSED, "closed_at": self._now()}
        if fate is not Fate.HANDED_OVER:
            self._note(ticket, Kind.CLOSED if fate is Fate.RECOVERED else Kind.RELEASED, of, at)
        return rows.change(self.connection, ticket, changes)

    def _note(self, ticket: Ticket, kind: Kind, of: Maintenance, at: Moment) -> None:
        detail = rows.storable({"maintenance": of.id, "by": of.actor})
        made = {"ticket": ticket.id, "kind": kind, "actor": SYSTEM, "position": at.position, "detail": detail}
        rows.note(self.connection, {**made, "occurred_at": at.arrived, "recorded_at": self._now()})


class _Held(NamedTuple):
    """Why a ticket is held: the turn that did it, and of which agent."""

    agent: str
    turn: Kind
    occurred_at: int
    arrived: int


def _due(row: RowMapping, seen: int, moment: Moment) -> bool:
    if row["recovered"] is not None or row["state"] != State.OPEN or row["device"] == row["agent"]:
        return True
    if moment.caught_up == row["agent"] and moment.arrived >= seen:
        return True
    since: int = max(seen, row["arrived"])
    return moment.arrived >= since + WAIT


_ALL_HELD = (
    select(_h, _t.c.device, _t.c.state, _t.c.recovered).join(_t, _t.c.id == _h.c.ticket).where(_h.c.became == "")
)


def _all_held(connection: Connection, maintenance: str) -> list[RowMapping]:
    query = _ALL_HELD.where(_h.c.maintenance == maintenance).order_by(_h.c.ticket)
    return list(connection.execute(query).mappings())


def _held(connection: Connection, maintenance: str, ticket: str) -> RowMapping:
    query = select(_h).where(_h.c.maintenance == maintenance, _h.c.ticket == ticket)
    return connection.execute(query).mappings().one()


def _was_let_go(connection: Connection, maintenance: str, ticket: str) -> bool:
    query = select(_h.c.became).where(_h.c.maintenance == maintenance, _h.c.ticket == ticket)
    return connection.execute(query).scalar() == Fate.OPEN
