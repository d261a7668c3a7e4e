"""Notices wait here until the other side has them: written with the ticket's transition, sent at least once.

A row is written in the transaction of the event it tells of, one for each channel. A sender **claims** a due row with
one conditional UPDATE that counts the attempt and pushes `due` behind the back-off; only then it sends. So whatever
happens in between (a crash, two senders, a notice that kills its sender) the row is tried again later, under the same
id, and never in a tight loop. What a channel refuses for good is closed with the reason.

A turn inside a backlog (see `collector.tickets.holding.LAGGING`) is **held**: it waits until its agent has delivered
what it had spooled, at most `HELD_AT_MOST`. So is a turn of a ticket that was open when a maintenance began: it waits for
the end of that, however long. Turns of one ticket that cancel each other meanwhile are withdrawn (`netted`).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from collector.notify.compose import bodies, titles
from collector.notify.notifier import Notice, Notifier, NotifyError
from collector.storage import tables
from collector.storage.database import reading, stated
from collector.tickets.lifecycle import Kind
from collector.tickets.ticket import Ticket
from forewarn.telemetry import Log

log = Log(__name__)

HELD_AT_MOST = 15 * 60 * 1000
"""Milliseconds after which a held notice goes out although its agent is still delivering."""
GIVE_UP_AFTER = 7 * 24 * 3600 * 1000
"""Milliseconds after which a notice that never got through is closed."""
KEPT = 30 * 24 * 3600 * 1000
"""Milliseconds for which a notice is kept that was sent, withdrawn or given up; its ticket's history stays."""

_MAINTENANCE = "maintenance:"
"""Begins what is held for a maintenance; no agent's name has a colon."""
_UNTIL_RESUMED = 2**53
_FIRST_DELAY = 5.0
_LONGEST_DELAY = 3600.0
_o = tables.outbox
_waiting = (_o.c.sent.is_(None), _o.c.failed.is_(None))
_named: ColumnElement[bool] = literal_column("held_for <> ''")
_held = (*_waiting, _named, _o.c.attempts == 0)
"""As the condition of the index `outbox_held`, which only a literal can prove; a claimed row is no longer held."""
_ADD = insert(_o)
_HELD_OF = select(_o.c.notice).where(*_held, _o.c.ticket == bindparam("wanted")).limit(1)
_WITHDRAW = update(_o).where(*_held, _o.c.ticket == bindparam("wanted"))

_BEGINS = (Kind.OPENED, Kind.REOPENED, Kind.OCCURRENCE)


def netted(held: Kind, new: Kind) -> Kind | None:
    """What people need to hear of two turns of one ticket while neither was told; None: nothing."""
    if held in _BEGINS:
        return None if new is Kind.RECOVERED else held
    if held is Kind.RECOVERED:
        return None if new in _BEGINS else new
    return new


class Outbox:
    """Queues notices in the transaction of what they tell of, one for each channel."""

    def __init__(self, channels: Sequence[str], *, now: Callable[[], int]) -> None:
        self._channels = tuple(channels)
        self._now = now

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
        """Queues a turn of a ticket.

        Args:
            connection: in a transaction.
            ticket: as it is after the turn.
            kind: what happened.
            occurred_at: when, Unix milliseconds.
            backlog_of: the agent whose backlog it is part of, empty for none.
            maintenance: the one whose end it waits for, empty for none.
        """
        now = self._now()
        before = _withdraw(connection, ticket.id, now)
        told = kind if before is None else netted(before, kind)
        if told is None:
            return
        held_for = f"{_MAINTENANCE}{maintenance}" if maintenance else backlog_of
        due = _UNTIL_RESUMED if maintenance else now + HELD_AT_MOST if backlog_of else now
        notice = _notice(ticket, told, ticket.occurred_at if told is Kind.OPENED else occurred_at, now)
        rows = []
        for channel in self._channels:
            id_ = str(ULID())
            row = {
                "id": id_,
                "ticket": ticket.id,
                "channel": channel,
                "created": now,
                "due": due,
                "held_for": held_for,
            }
            rows.append({**row, "notice": msgspec.to_builtins(msgspec.structs.replace(notice, id=id_))})
        if rows:
            connection.execute(_ADD, rows)

    def release(self, connection: Connection, agents: Collection[str]) -> None:
        """Lets go what was held for agents that have delivered their backlog."""
        if agents:
            freed = update(_o).where(*_held, _o.c.held_for.in_(agents)).values(due=self._now(), held_for="")
            connection.execute(freed)

    def resume(self, connection: Connection, maintenance: str) -> None:
        """Lets go what was queued during a maintenance; the time to give up counts from now."""
        now = self._now()
        mine = (*_held, _o.c.held_for == f"{_MAINTENANCE}{maintenance}")
        connection.execute(update(_o).where(*mine).values(due=now, created=now, held_for=""))


def _notice(ticket: Ticket, kind: Kind, occurred_at: int, now: int) -> Notice:
    return Notice(
        id="",
        ticket=ticket.id,
        event=kind,
        severity=ticket.severity,
        site=ticket.site,
        device=ticket.device,
        rule=ticket.rule,
        title=titles(ticket),
        body=bodies(ticket, kind, occurred_at),
        occurred_at=occurred_at,
        recorded_at=now,
    )


def _withdraw(connection: Connection, ticket: str, now: int) -> Kind | None:
    """Takes back what is held of a ticket; says what it would have told."""
    row = connection.execute(_HELD_OF, {"wanted": ticket}).first()
    if row is None:
        return None
    why = "withdrawn: what it told had passed before the agent's backlog was through"
    taken = connection.execute(_WITHDRAW, {"wanted": ticket, "failed": now, "why": why})
    return Kind(row.notice["event"]) if taken.rowcount else None


def prune(service: Engine, now: int, *, most: int = 1000) -> int:
    """Deletes notices that were over `KEPT` ago, some of them; call again until it says 0.

    Args:
        service: the service database.
        now: Unix milliseconds.
        most: how many at once, so that no ticket waits long.
    """
    # An id begins with the time it was made at, and nothing waits longer than GIVE_UP_AFTER: the key finds the old.
    made_before = str(ULID.from_timestamp(max(0, now - KEPT) / 1000))[:10]
    over = or_(_o.c.sent.is_not(None), _o.c.failed.is_not(None))
    oldest = select(_o.c.id).where(_o.c.id < made_before, over).order_by(_o.c.id).limit(most)
    with stated("service"), service.begin() as connection:
        return connection.execute(delete(_o).where(_o.c.id.in_(oldest))).rowcount


def held_agents(connection: Connection) -> set[str]:
    """The agents for which something is held."""
    names = connection.execute(select(_o.c.held_for).where(*_held).distinct()).scalars()
    return {name for name in names if not name.startswith(_MAINTENANCE)}


def delay(attempts: int, chance: float) -> int:
    """Milliseconds until the next attempt: 5 s doubling to 1 h, of which `chance` (0 to 1) takes up to half off."""
    whole = min(_FIRST_DELAY * 2 ** min(attempts - 1, 20), _LONGEST_DELAY)
    return int(1000 * whole * (1 - chance / 2))


class Waiting(msgspec.Struct, frozen=True):
    """What a channel has not delivered: how many, since when (Unix milliseconds), and the last trouble."""

    channel: str
    notices: int
    oldest: int
    why: str


class Sender:
    """Sends what is due, a thread for each channel so that a slow one delays no other.

    Several senders may work on one database: a row is claimed by exactly one of them at a time.
    """

    def __init__(
        self,
        service: Engine,
        notifiers: Sequence[Notifier],
        *,
        now: Callable[[], int],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._service = service
        self._notifiers = {notifier.name: notifier for notifier in notifiers}
        self._now = now
        self._chance = chance
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def channels(self) -> list[str]:
        """The names of all channels."""
        return list(self._notifiers)

    def start(self) -> None:
        """Begins to send."""
        for name in self._notifiers:
            thread = threading.Thread(target=self._work, args=(name,), name=f"notices-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stops after the notice under way; what waits stays in the outbox."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self, channel: str) -> None:
        pause = 1.0
        while not self._stop.wait(pause):
            try:
                self.send_due(channel)
                pause = 1.0
            except SQLAlchemyError as wrong:
                pause = min(pause * 2, 60.0)
                log.warning("the outbox cannot be worked on", channel=channel, why=str(wrong))
            except Exception:  # A fault in one notice's way out: it was pushed back, the others must go on.
                log.exception("a notice broke its sender", channel=channel)

    def send_due(self, channel: str, most: int = 100) -> int:
        """Sends what is due on a channel, oldest first, until something does not get through.

        Returns:
            How many notices got through.

        Raises:
            Exception: what a notifier raised beside NotifyError; the notice was pushed back before.
        """
        done = 0
        for row in self._due(channel, most):
            if self._stop.is_set() or not self._claim(row):
                continue
            if not self._send(row):
                break
            done += 1
        return done

    def _due(self, channel: str, most: int) -> Sequence[RowMapping]:
        query = select(_o).where(*_waiting, _o.c.channel == channel, _o.c.due <= self._now())
        with reading(self._service) as connection:
            return connection.execute(query.order_by(_o.c.due, _o.c.id).limit(most)).mappings().all()

    def _claim(self, row: RowMapping) -> bool:
        """Counts the attempt and pushes the row back, unless another sender was faster."""
        attempts = row["attempts"] + 1
        due = self._now() + delay(attempts, self._chance())
        return self._settle(row["id"], row["attempts"], {"attempts": attempts, "due": due, "held_for": ""})

    def _send(self, row: RowMapping) -> bool:
        try:
            self._notifiers[row["channel"]].send(msgspec.convert(row["notice"], Notice))
        except NotifyError as wrong:
            self._failed(row, wrong)
            return wrong.permanent
        self._settle(row["id"], row["attempts"] + 1, {"sent": self._now(), "why": ""})
        return True

    def _failed(self, row: RowMapping, wrong: NotifyError) -> None:
        now, which = self._now(), {"notice": row["id"], "ticket": row["ticket"]}
        if wrong.permanent or now - row["created"] > GIVE_UP_AFTER:
            log.error("a notice was given up", **which, why=str(wrong))
            self._settle(row["id"], row["attempts"] + 1, {"failed": now, "why": str(wrong)})
        else:
            log.warning("a notice did not get through and is tried again", **which, why=str(wrong))
            self._settle(row["id"], row["attempts"] + 1, {"why": str(wrong)})

    def _settle(self, id_: str, attempts: int, values: dict[str, Any]) -> bool:
        change = update(_o).where(_o.c.id == id_, _o.c.attempts == attempts, *_waiting).values(values)
        with self._service.begin() as connection:
            return connection.execute(change).rowcount == 1

    def waiting(self) -> list[Waiting]:
        """What is due and not delivered, by channel, for health and metrics; also of channels no longer set."""
        late = or_(_o.c.attempts > 0, _o.c.due <= self._now())
        query = select(
            _o.c.channel, func.count().label("notices"), func.min(_o.c.created).label("oldest"), func.max(_o.c.why)
        ).where(*_waiting, late)
        with reading(self._service) as connection:
            return [Waiting(*row) for row in connection.execute(query.group_by(_o.c.channel)).all()]
