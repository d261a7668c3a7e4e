"""Keeps what agents say happened to a device: another one answers under its name, its firmware changed, its SNMP fails.

Only the newest of each device are kept. Events of an agent itself belong to no device and are not kept here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.storage import tables
from rules.samples import Batch

EVENT = "event"
KEPT = 100
"""Events kept of each device."""

_e = tables.device_event


def events(batches: Iterable[Batch]) -> list[dict[str, Any]]:
    """The rows of what happened in some batches, each at its place in the journal; how they were cut does not matter."""
    found: list[dict[str, Any]] = []
    ranks: Counter[int] = Counter()
    for batch in batches:
        for one in batch.happened:
            ranks[one.position] += 1
            if one.kind != EVENT or not one.device.device:
                continue
            place = {"position": one.position, "rank": ranks[one.position]}
            what = {"site": one.device.site, "device": one.device.device, "t": one.t, "text": one.text}
            found.append(place | what)
    return found


def write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Adds events in the caller's transaction, and lets the oldest of their devices go.

    One that is there stays: a transaction of which nobody knows whether it was committed is tried again.
    """
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(_e).on_conflict_do_nothing(), rows)
    for site, device in {(row["site"], row["device"]) for row in rows}:
        mine = (_e.c.site == site, _e.c.device == device)
        newest = select(_e.c.position, _e.c.rank).where(*mine).order_by(_e.c.position.desc(), _e.c.rank.desc())
        last = connection.execute(newest.offset(KEPT).limit(1)).first()
        if last is not None:
            connection.execute(delete(_e).where(*mine, _e.c.position < last.position))
            connection.execute(delete(_e).where(*mine, _e.c.position == last.position, _e.c.rank <= last.rank))


def of_device(connection: Connection, site: str, device: str) -> list[RowMapping]:
    """What happened to a device, the newest first: `t` (Unix milliseconds), `text`."""
    query = select(_e.c.t, _e.c.text).where(_e.c.site == site, _e.c.device == device)
    return list(connection.execute(query.order_by(_e.c.position.desc(), _e.c.rank.desc())).mappings())
