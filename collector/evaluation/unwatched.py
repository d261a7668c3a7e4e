"""Keeps what agents say of devices that they found and nobody watches, until somebody does or they are gone.

They are no devices of the register: nothing polls them, no rule knows them. An agent speaks of one by an inventory record
with the word `watched`: no, yes (it is in the settings now) or gone (not seen for long).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.storage import tables
from rules.samples import Batch, Happened

WATCHED = "watched"
INVENTORY = "inventory"
KEPT = 1000
"""Kept of each site; the agent itself remembers fewer."""

_u = tables.unwatched


class Said(NamedTuple):
    """What was said of one, at its arrival (Unix milliseconds); `text` None: it is no longer one of them."""

    site: str
    device: str
    agent: str
    arrived: int
    text: dict[str, str] | None


def speaks_of_one(happened: Happened) -> bool:
    """Whether a record is about a device that nobody watches, and no device of the register."""
    return happened.kind == INVENTORY and WATCHED in happened.text


def said(batches: Iterable[Batch]) -> list[Said]:
    """What some batches say, in the order of the journal."""
    found: list[Said] = []
    for batch in batches:
        for one in filter(speaks_of_one, batch.happened):
            text = {word: told for word, told in one.text.items() if word != WATCHED}
            new = text if one.text[WATCHED] == "no" else None
            found.append(Said(one.device.site, one.device.device, one.device.agent, one.arrived, new))
    return found


def write(connection: Connection, rows: Iterable[Said]) -> None:
    """Writes it in the caller's transaction; beyond `KEPT` of a site the oldest go."""
    for one in rows:
        connection.execute(_statement(connection, one))
    for site in {one.site for one in rows if one.text is not None}:
        mine = select(func.count()).select_from(_u).where(_u.c.site == site)
        over = connection.execute(mine).scalar_one() - KEPT
        if over > 0:
            oldest = select(_u.c.device).where(_u.c.site == site).order_by(_u.c.last_seen, _u.c.device).limit(over)
            connection.execute(delete(_u).where(_u.c.site == site, _u.c.device.in_(oldest.scalar_subquery())))


def _statement(connection: Connection, one: Said) -> Any:
    if one.text is None:
        return delete(_u).where(_u.c.site == one.site, _u.c.device == one.device)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"site": one.site, "device": one.device, "agent": one.agent, "text": one.text}
    statement = dialect.insert(_u).values(**row, first_seen=one.arrived, last_seen=one.arrived)
    changed = {name: statement.excluded[name] for name in ("agent", "text", "last_seen")}
    return statement.on_conflict_do_update(index_elements=["site", "device"], set_=changed)


def of_site(connection: Connection, site: str) -> list[RowMapping]:
    """Those of a site, the newest first: `device`, `agent`, `text`, `first_seen`, `last_seen` (Unix milliseconds)."""
    query = select(_u).where(_u.c.site == site).order_by(_u.c.first_seen.desc(), _u.c.device)
    return list(connection.execute(query).mappings())
