"""Devices that a site's agents found and nobody watches."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from collector.api.parts import Name, Use
from collector.api.problems import NotFound, described
from collector.evaluation import unwatched
from collector.storage import tables
from collector.storage.database import reading

router = APIRouter(tags=["fleet"])


class Unwatched(BaseModel):
    """A device that answered while the agent looked, and that is in nobody's settings.

    `device` is what it is known by: its MAC address, serial or IP address. `text` has what is known of it, by name:
    address, mac, maker, answers, name, model. `last_seen` is when something new of it arrived, or daily.
    """

    device: str
    agent: str
    text: dict[str, str]
    first_seen: int
    last_seen: int


class UnwatchedOfSite(BaseModel):
    """Those of one site, the newest first."""

    site: str
    items: list[Unwatched]


@router.get("/sites/{site}/unwatched", responses=described(404))
def get_unwatched(parts: Use, site: Name) -> UnwatchedOfSite:
    """Devices of a site that nobody watches, as its agents found them."""
    with reading(parts.service) as connection:
        rows = unwatched.of_site(connection, site)
        known = rows or connection.execute(select(tables.site.c.id).where(tables.site.c.id == site)).first()
    if not known:
        raise NotFound(f"there is no site `{site}`")
    return UnwatchedOfSite(
        site=site, items=[Unwatched(**{name: row[name] for name in Unwatched.model_fields}) for row in rows]
    )
