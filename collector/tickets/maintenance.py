"""Maintenance: somebody works on a site or on one device of it, and what is found there meanwhile is held, not lost.

A maintenance covers event times from `begins` to before `ends`. A person starts it (from now on, 15 minutes to 14 days
long), extends it, or ends it early; when its end has passed nothing of it changes any more. What it holds, and when
that is let go, is decided in `collector.tickets.holding`, by the journal's time.

Every act is a transaction of its own, and carries the actor's name.

Errors:
    MaintenanceError
    ├─ Unknown   there is no such maintenance, site or device
    └─ Refused   the act is refused: `refusal` is one of `Refusal`; nothing changed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, Select, bindparam, case, func, insert, or_, select, update
from ulid import ULID

from collector.storage import tables
from collector.storage.database import reading
from collector.tickets.lifecycle import Fate, Kind, State
from collector.tickets.rows import clean

MINUTE = 60_000
SHORTEST = 15 * MINUTE
LONGEST = 14 * 24 * 60 * MINUTE
"""Milliseconds from beginning to end, extensions included."""

_m, _h, _t = tables.maintenance, tables.held_ticket, tables.ticket


class Refusal(StrEnum):
    """Why an act was not done. The words stand in answers of the API and on screens."""

    TOO_SHORT = "a maintenance lasts 15 minutes at least"
    TOO_LONG = "a maintenance lasts 14 days at most, with its extensions"
    RUNNING = "there is a maintenance of the same scope already: extend it"
    OVER = "the maintenance is over: start another one"
    NOT_LATER = "it would not end later than it does now"


class MaintenanceError(Exception):
    """Something asked of a maintenance that was not done."""


class Unknown(MaintenanceError):
    """There is no maintenance, site or device of this name."""


class Refused(MaintenanceError):
    """An act that time or another maintenance forbids."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """One maintenance; every time is Unix milliseconds. `device` is empty when it is the whole site's.

    `seen` is the journal's time at which its end was seen, `released` when the last of what it held was let go; both
    are None before. A record of its time that arrives later makes `released` None again.
    """

    id: str
    site: str
    device: str
    actor: str
    note: str
    begins: int
    ends: int
    ended_by: str
    extended_by: str
    created: int
    seen: int | None
    released: int | None

    def concerns(self, site: str, device: str) -> bool:
        """Whether it is about this device."""
        return self.site == site and self.device in ("", device)

    def runs(self, now: int) -> bool:
        """Whether its end has not come."""
        return self.seen is None and now < self.ends


class Counts(NamedTuple):
    """How many tickets a maintenance holds now, and how many it held in all."""

    now: int
    ever: int


class HeldTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that a maintenance holds or held, as it stands now; `became` is None while it is held."""

    maintenance: str
    ticket: str
    became: Fate | None
    turn: Kind
    occurred_at: int
    """Of the turn for which it is held."""
    title: dict[str, str]
    device: str
    severity: str
    state: State
    recovered: int | None


def lasting(begins: int, ends: int) -> Refusal | None:
    """Judges how long a maintenance is to last; None: it may."""
    if ends - begins < SHORTEST:
        return Refusal.TOO_SHORT
    return Refusal.TOO_LONG if ends - begins > LONGEST else None


def extending(maintenance: Maintenance, ends: int, now: int) -> Refusal | None:
    """Judges a later end; None: it may."""
    if not maintenance.runs(now):
        return Refusal.OVER
    if ends <= maintenance.ends:
        return Refusal.NOT_LATER
    return lasting(maintenance.begins, ends)


class Maintenances:
    """What people do with maintenances and ask of them. Safe to use from several threads and processes."""

    def __init__(self, service: Engine, *, now: Callable[[], int]) -> None:
        """Opens them; `now` gives Unix milliseconds."""
        self._service = service
        self._now = now

    def start(self, actor: str, *, site: str, lasts: int, device: str = "", note: str = "") -> Maintenance:
        """Begins one now, of a site or (with `device`) of one device, that lasts so many milliseconds.

        Raises:
            Unknown: there is no such site or device.
            Refused: it would be too short or too long, or one of the same scope is running.
        """
        now = self._now()
        ends = now + lasts
        _demand(lasting(now, ends))
        scope = {"site": site, "device": device}
        texts = {"actor": clean(actor), "note": clean(note.strip()), "ended_by": "", "extended_by": ""}
        times = {"begins": now, "ends": ends, "created": now, "seen": None, "released": None}
        made = Maintenance(id=str(ULID()), **scope, **texts, **times)  # type: ignore[arg-type] # msgspec checks nothing here; the columns do.
        with self._service.begin() as connection:
            _demand_scope(connection, site, device)
            same = select(_m.c.id).where(_m.c.site == site, _m.c.device == device, _m.c.ends > now, _m.c.seen.is_(None))
            if connection.execute(same).first() is not None:
                raise Refused(Refusal.RUNNING)
            connection.execute(insert(_m), msgspec.structs.asdict(made))
        return made

    def extend(self, id_: str, ends: int, actor: str) -> Maintenance:
        """Moves the end of a running one to later.

        Raises:
            Unknown, Refused: see above.
        """
        with self._service.begin() as connection:
            found = locked(connection, id_)
            _demand(extending(found, ends, self._now()))
            return changed(connection, found, {"ends": ends, "extended_by": clean(actor)})

    def end(self, id_: str, actor: str) -> Maintenance:
        """Ends a running one now.

        Raises:
            Unknown, Refused: see above.
        """
        with self._service.begin() as connection:
            found, now = locked(connection, id_), self._now()
            _demand(None if found.runs(now) else Refusal.OVER)
            return changed(connection, found, {"ends": now, "ended_by": clean(actor)})

    def get(self, id_: str) -> Maintenance:
        """One maintenance.

        Raises:
            Unknown: there is none of this id.
        """
        with reading(self._service) as connection:
            return _one(connection, select(_m).where(_m.c.id == id_), id_)

    def running(self, site: str | None = None) -> list[Maintenance]:
        """Those whose end has not come, of a site or of all, the one that ends first before the others."""
        query = select(_m).where(_m.c.released.is_(None), _m.c.seen.is_(None), _m.c.ends > self._now())
        if site is not None:
            query = query.where(_m.c.site == site)
        with reading(self._service) as connection:
            return _all(connection, query.order_by(_m.c.ends, _m.c.id))

    def of_site(self, site: str, *, after: str = "", limit: int = 100) -> list[Maintenance]:
        """All of a site, newest first; `after` is the id of the last one known."""
        query = select(_m).where(_m.c.site == site)
        if after:
            query = query.where(_m.c.id < after)
        with reading(self._service) as connection:
            return _all(connection, query.order_by(_m.c.id.desc()).limit(limit))

    def counts(self, ids: Iterable[str]) -> dict[str, Counts]:
        """How many tickets each of these maintenances holds and held; quick where `tickets` reads them all."""
        wanted = list(ids)
        now = func.sum(case((_h.c.became == "", 1), else_=0))
        query = select(_h.c.maintenance, now, func.count()).where(_h.c.maintenance.in_(wanted))
        with reading(self._service) as connection:
            rows = connection.execute(query.group_by(_h.c.maintenance)).all()
        found = {id_: Counts(int(held), int(ever)) for id_, held, ever in rows}
        return {id_: found.get(id_, Counts(0, 0)) for id_ in wanted}

    def tickets(self, ids: Iterable[str]) -> dict[str, list[HeldTicket]]:
        """What each of these maintenances holds or held, oldest first."""
        wanted = list(ids)
        about = (_t.c.title, _t.c.device, _t.c.severity, _t.c.state, _t.c.recovered)
        kept = (_h.c.maintenance, _h.c.ticket, _h.c.became, _h.c.turn, _h.c.occurred_at)
        query = select(*kept, *about).join(_t, _t.c.id == _h.c.ticket).where(_h.c.maintenance.in_(wanted))
        found: dict[str, list[HeldTicket]] = {id_: [] for id_ in wanted}
        with reading(self._service) as connection:
            for row in connection.execute(query.order_by(_h.c.occurred_at, _h.c.ticket)).mappings():
                columns = {str(name): value for name, value in row.items()} | {"became": row["became"] or None}
                held = msgspec.convert(columns, HeldTicket)
                found[held.maintenance].append(held)
        return found


def locked(connection: Connection, id_: str) -> Maintenance:
    """One maintenance, locked until the transaction ends.

    Raises:
        Unknown: there is none of this id.
    """
    return _one(connection, select(_m).where(_m.c.id == id_).with_for_update(), id_)


def changed(connection: Connection, maintenance: Maintenance, columns: Mapping[str, Any]) -> Maintenance:
    """Changes some columns; gives the maintenance as it is then."""
    connection.execute(update(_m).where(_m.c.id == maintenance.id).values(**columns))
    return msgspec.structs.replace(maintenance, **columns)


def unsettled(connection: Connection) -> list[Maintenance]:
    """Those that run, or whose end is not yet seen, or that still hold something."""
    return _all(connection, _UNSETTLED)


def covering(connection: Connection, site: str, device: str, t: int) -> Maintenance | None:
    """The maintenance of a device at an event time; of several the one that ends last."""
    row = connection.execute(_COVERING, {"of": site, "what": device, "at": t}).mappings().first()
    return None if row is None else _made(row)


_UNSETTLED = select(_m).where(_m.c.released.is_(None)).order_by(_m.c.id)
_COVERING = (
    select(_m)
    .where(
        _m.c.site == bindparam("of"),
        _m.c.ends > bindparam("at"),
        _m.c.begins <= bindparam("at"),
        or_(_m.c.device == "", _m.c.device == bindparam("what")),
    )
    .order_by(_m.c.ends.desc(), _m.c.id.desc())
    .limit(1)
)


def _one(connection: Connection, query: Select[Any], id_: str) -> Maintenance:
    row = connection.execute(query).mappings().first()
    if row is None:
        raise Unknown(f"there is no maintenance `{id_}`")
    return _made(row)


def _all(connection: Connection, query: Select[Any]) -> list[Maintenance]:
    return [_made(row) for row in connection.execute(query).mappings()]


def _made(row: RowMapping) -> Maintenance:
    return msgspec.convert({str(name): value for name, value in row.items()}, Maintenance)


def _demand(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused(refusal)


def _demand_scope(connection: Connection, site: str, device: str) -> None:
    """Locks the site's row too: two that start the same maintenance at once meet here."""
    known = select(tables.site.c.id).where(tables.site.c.id == site).with_for_update()
    if connection.execute(known).first() is None:
        raise Unknown(f"there is no site `{site}`")
    if device:
        one = select(tables.device.c.device).where(tables.device.c.site == site, tables.device.c.device == device)
        if connection.execute(one).first() is None:
            raise Unknown(f"site `{site}` has no device `{device}`")
