"""Sites, agents and devices with their last values."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Select, func, select, tuple_

from collector.api.parts import After, Filter, Limit, Name, Page, Parts, Use
from collector.api.problems import NotFound, described
from collector.storage import tables
from collector.storage.database import reading

router = APIRouter(tags=["fleet"])


class Site(BaseModel):
    """A place with equipment. `created` is Unix milliseconds, as every instant of this API."""

    id: str
    name: str
    created: int
    agents: int
    devices: int


class Agent(BaseModel):
    """A program on a site that polls. `heard` is when a block of it last arrived, null for never."""

    id: str
    site: str
    shard: int
    created: int
    retired: int | None
    heard: int | None


class Device(BaseModel):
    """A piece of equipment as last described by its agent."""

    site: str
    device: str
    agent: str
    kind: str
    profile: str
    inventory: dict[str, Any]
    first_seen: int
    last_seen: int


class Value(BaseModel):
    """The newest value of one series, at `t`."""

    table: str
    instance: str
    field: str
    t: int
    value: float


class DeviceNow(Device):
    """A device with the newest value of each of its series."""

    values: list[Value]


def _sites() -> Select[Any]:
    site, agent, device = tables.site, tables.agent, tables.device
    agents = select(func.count()).where(agent.c.site == site.c.id).scalar_subquery()
    devices = select(func.count()).where(device.c.site == site.c.id).scalar_subquery()
    return select(site.c.id, site.c.name, site.c.created, agents.label("agents"), devices.label("devices"))


@router.get("/sites")
def list_sites(parts: Use, limit: Limit = 100, after: After = "") -> Page[Site]:
    """All sites, by id."""
    query = _sites().where(tables.site.c.id > after).order_by(tables.site.c.id).limit(limit + 1)
    with reading(parts.service) as connection:
        rows = connection.execute(query).mappings().all()
    items = [Site(**row) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/sites/{site}", responses=described(404))
def get_site(parts: Use, site: Name) -> Site:
    """One site."""
    with reading(parts.service) as connection:
        row = connection.execute(_sites().where(tables.site.c.id == site)).mappings().first()
    if row is None:
        raise NotFound(f"there is no site `{site}`")
    return Site(**row)


@router.get("/agents")
def list_agents(parts: Use, site: Filter = None, limit: Limit = 100, after: After = "") -> Page[Agent]:
    """All agents, by id."""
    agent = tables.agent
    query = _agents().where(agent.c.id > after).order_by(agent.c.id).limit(limit + 1)
    if site is not None:
        query = query.where(agent.c.site == site)
    with reading(parts.service) as connection:
        rows = connection.execute(query).mappings().all()
    heard = _heard(parts, [row["id"] for row in rows])
    items = [Agent(**row, heard=heard.get(row["id"])) for row in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/agents/{agent}", responses=described(404))
def get_agent(parts: Use, agent: Name) -> Agent:
    """One agent."""
    with reading(parts.service) as connection:
        row = connection.execute(_agents().where(tables.agent.c.id == agent)).mappings().first()
    if row is None:
        raise NotFound(f"there is no agent `{agent}`")
    return Agent(**row, heard=_heard(parts, [agent]).get(agent))


def _agents() -> Select[Any]:
    agent = tables.agent  # Its secret is never asked for.
    return select(agent.c.id, agent.c.site, agent.c.shard, agent.c.created, agent.c.retired)


def _heard(parts: Parts, agents: list[str]) -> dict[str, int]:
    ingest = tables.ingest
    query = select(ingest.c.agent, ingest.c.heard).where(ingest.c.agent.in_(agents), ingest.c.heard > 0)
    with reading(parts.journal) as connection:
        return {row.agent: row.heard for row in connection.execute(query)}


@router.get("/devices")
def list_devices(
    parts: Use, site: Filter = None, agent: Filter = None, kind: Filter = None, limit: Limit = 100, after: After = ""
) -> Page[Device]:
    """All devices, by site and name."""
    device = tables.device
    last = after.partition("/")
    query = select(device).where(tuple_(device.c.site, device.c.device) > tuple_(last[0], last[2]))
    for column, wanted in ((device.c.site, site), (device.c.agent, agent), (device.c.kind, kind)):
        if wanted is not None:
            query = query.where(column == wanted)
    with reading(parts.service) as connection:
        rows = connection.execute(query.order_by(device.c.site, device.c.device).limit(limit + 1)).mappings().all()
    items = [Device(**row) for row in rows[:limit]]
    return Page(items=items, next=f"{items[-1].site}/{items[-1].device}" if len(rows) > limit else None)


@router.get("/sites/{site}/devices/{device}", responses=described(404))
def get_device(parts: Use, site: Name, device: Name) -> DeviceNow:
    """One device with the newest value of each of its series."""
    table = tables.device
    with reading(parts.service) as connection:
        row = connection.execute(select(table).where(table.c.site == site, table.c.device == device)).mappings().first()
    if row is None:
        raise NotFound(f"site `{site}` has no device `{device}`")
    newest = sorted(parts.store.last(site, device).items())
    values = [
        Value(table=key.table, instance=key.instance, field=key.field, t=t, value=value) for key, (t, value) in newest
    ]
    return DeviceNow(**row, values=values)
