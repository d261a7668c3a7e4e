"""What hangs on what at a site."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from collector.api.parts import Name, Use
from collector.api.problems import NotFound, described
from collector.storage import tables
from collector.storage.database import reading
from collector.topology import Branch, Device, Standing, What, topology
from forewarn.vocabulary import LINKS

router = APIRouter(tags=["fleet"])


class Link(BaseModel):
    """A device hangs on `on` (by `relation`: switch, recorder or ups), at a port or channel when that is said.

    `standing` is `unknown` when the site has no device of that name, `loop` when following it leads back.
    """

    relation: str
    on: str
    at: str
    standing: Standing


class Linked(BaseModel):
    """A device and what it says it hangs on."""

    device: str
    kind: str
    agent: str
    links: list[Link]


class Row(BaseModel):
    """One row of a tree, `depth` levels in; a row's own rows follow it.

    `what` is agent, device, unknown (a name that devices give and nobody has) or apart (the heading, without a name,
    of devices that do not say what they hang on). `at` is the port or channel, empty when it is not said.
    """

    depth: int
    what: What
    name: str
    at: str
    standing: Standing


class Topology(BaseModel):
    """A site's devices with their links, and the trees these make, by relation."""

    site: str
    devices: list[Linked]
    trees: dict[str, list[Row]]


@router.get("/sites/{site}/topology", responses=described(404))
def get_topology(parts: Use, site: Name) -> Topology:
    """What hangs on what at one site, by switch, by recorder and by UPS."""
    device = tables.device
    query = select(device.c.device, device.c.kind, device.c.agent, device.c.inventory).where(device.c.site == site)
    with reading(parts.service) as connection:
        rows = connection.execute(query).mappings().all()
        known = rows or connection.execute(select(tables.site.c.id).where(tables.site.c.id == site)).first()
    if not known:
        raise NotFound(f"there is no site `{site}`")
    found = topology(rows)
    return Topology(
        site=site,
        devices=[_linked(one) for one in found.devices.values()],
        trees={relation: [_row(branch) for branch in found.tree(relation)] for relation in LINKS},
    )


def _linked(one: Device) -> Linked:
    links = [Link(relation=relation, **link._asdict()) for relation, link in one.links.items()]
    return Linked(device=one.name, kind=one.kind, agent=one.agent, links=links)


def _row(branch: Branch) -> Row:
    standing = Standing.KNOWN if branch.link is None else branch.link.standing
    at = "" if branch.link is None else branch.link.at
    return Row(depth=branch.depth, what=branch.what, name=branch.name, at=at, standing=standing)
