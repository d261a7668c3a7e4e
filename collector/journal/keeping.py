"""What a commit of the journal writes beside blocks and watermarks: payloads set aside, letters given again, epochs forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from collector.storage import tables
from collector.storage.proof_tables import dead_letter
from forewarn.wire import MAX_PACKED

ASIDE_OF_AGENT = 100
ASIDE_IN_ALL = 5000


def forget(connection: Connection, forgotten: Iterable[tuple[str, str]]) -> None:
    """Deletes the watermarks of some epochs, given as (agent, epoch)."""
    table = tables.watermark
    for agent, epoch in forgotten:
        connection.execute(sa.delete(table).where(table.c.agent == agent, table.c.epoch == epoch))


def answered(connection: Connection, letter: int, position: int) -> bool:
    """Marks a dead letter as given again under a position; False when nobody asks for it any more."""
    mine = sa.update(dead_letter).where(dead_letter.c.id == letter, dead_letter.c.state == "asked")
    return bool(connection.execute(mine.values(state="retried", again=position)).rowcount)


def set_aside(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keeps payloads that could not be taken, the newest of each agent and of all."""
    if not rows:
        return
    table = tables.set_aside
    for row in rows:
        row["payload"] = None if row["payload"] is None else row["payload"][:MAX_PACKED]
    connection.execute(sa.insert(table), list(rows))
    newest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
    connection.execute(sa.delete(table).where(table.c.id <= newest - ASIDE_IN_ALL))
    for agent in {row["agent"] for row in rows}:
        mine = sa.select(table.c.id).where(table.c.agent == agent).order_by(table.c.id.desc())
        oldest = mine.offset(ASIDE_OF_AGENT).limit(1).scalar_subquery()
        connection.execute(sa.delete(table).where(table.c.agent == agent, table.c.id <= oldest))
