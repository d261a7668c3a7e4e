"""Maintenance: say that one works on a site or a device, for how long, and read what was held meanwhile."""

from __future__ import annotations

import http
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from collector.api.door import Actor
from collector.api.parts import NO_NUL, After, Limit, Name, Page, Parts, Use
from collector.api.problems import Conflict, NotFound, described
from collector.storage import tables
from collector.storage.database import reading
from collector.tickets import maintenance as shape
from collector.tickets.lifecycle import Fate, State
from collector.tickets.maintenance import LONGEST, MINUTE, SHORTEST, Refused, Unknown

router = APIRouter(tags=["maintenance"])
_ACT = described(400, 404, 409, 413)


class HeldTicket(BaseModel):
    """A ticket that was held. `became` is null while it is held; `state` and `recovered` are the ticket's of now.

    `became`: open (an ordinary ticket), recovered (closed by the system: over before the maintenance was), kept (over
    as well, but somebody has it in hand), ended (a person had resolved or closed it), handed_over (another maintenance
    went on). `occurred_at` is of the turn for which it was held.
    """

    ticket: str
    device: str
    title: dict[str, str]
    severity: str
    occurred_at: int
    became: Fate | None
    state: State
    recovered: int | None


class Maintenance(BaseModel):
    """A maintenance of a site, or of one `device` of it, from `begins` to before `ends`.

    `released` is when the last of what was held was let go, null before. `ended_by` is empty when nobody ended it early,
    `extended_by` when nobody let it last longer.
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
    running: bool
    released: int | None
    tickets: list[HeldTicket]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewMaintenance(_Asked):
    """One that begins now. An empty `device` is the whole site."""

    minutes: Annotated[int, Field(ge=SHORTEST // MINUTE, le=LONGEST // MINUTE)]
    device: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    note: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] = ""


class Extension(_Asked):
    """How much later it ends than it would; no maintenance lasts longer than 14 days in all."""

    minutes: Annotated[int, Field(ge=1, le=LONGEST // MINUTE)]


@router.get("/sites/{site}/maintenance", responses=described(404))
def list_maintenance(parts: Use, site: Name, limit: Limit = 100, after: After = "") -> Page[Maintenance]:
    """All of a site, newest first, with what each held."""
    with reading(parts.service) as connection:
        if connection.execute(select(tables.site.c.id).where(tables.site.c.id == site)).first() is None:
            raise NotFound(f"there is no site `{site}`")
    found = parts.maintenances.of_site(site, after=after, limit=limit + 1)
    items = _told(parts, found[:limit])
    return Page(items=items, next=items[-1].id if len(found) > limit else None)


@router.post("/sites/{site}/maintenance", status_code=http.HTTPStatus.CREATED, responses=_ACT)
def start_maintenance(parts: Use, actor: Actor, site: Name, new: NewMaintenance) -> Maintenance:
    """Begins one now."""
    lasts = new.minutes * MINUTE
    with _answered():
        made = parts.maintenances.start(actor, site=site, lasts=lasts, device=new.device, note=new.note)
    return _told(parts, [made])[0]


@router.post("/sites/{site}/maintenance/{maintenance}/extend", responses=_ACT)
def extend_maintenance(parts: Use, actor: Actor, site: Name, maintenance: Name, asked: Extension) -> Maintenance:
    """Lets a running one end later."""
    with _answered():
        before = _of(parts, site, maintenance)
        changed = parts.maintenances.extend(maintenance, before.ends + asked.minutes * MINUTE, actor)
    return _told(parts, [changed])[0]


@router.post("/sites/{site}/maintenance/{maintenance}/end", responses=_ACT)
def end_maintenance(parts: Use, actor: Actor, site: Name, maintenance: Name) -> Maintenance:
    """Ends a running one now; what it held is let go within seconds."""
    with _answered():
        _of(parts, site, maintenance)
        changed = parts.maintenances.end(maintenance, actor)
    return _told(parts, [changed])[0]


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except Unknown as wrong:
        raise NotFound(str(wrong)) from wrong
    except Refused as wrong:
        raise Conflict(str(wrong)) from wrong


def _of(parts: Parts, site: str, id_: str) -> shape.Maintenance:
    found = parts.maintenances.get(id_)
    if found.site != site:
        raise Unknown(f"site `{site}` has no maintenance `{id_}`")
    return found


def _told(parts: Parts, found: list[shape.Maintenance]) -> list[Maintenance]:
    held, now = parts.maintenances.tickets([one.id for one in found]), parts.now()
    return [
        Maintenance(
            **{name: getattr(one, name) for name in Maintenance.model_fields if hasattr(one, name)},
            running=one.runs(now),
            tickets=[HeldTicket.model_validate(ticket, from_attributes=True) for ticket in held[one.id]],
        )
        for one in found
    ]
