"""The cursors in the service database: how far in the journal each projection is committed there.

A name is a projection's (`rules`), or a projection's of one shard (`rules/07`). The row of a cursor is the lock of who
writes for it: it is taken first, in the order of names, so that two who need several wait for each other in order.

Errors: what the database raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.storage.tables import cursor

_c = cursor.c
_MOVE = update(cursor).where(_c.projection == bindparam("of")).values(position=bindparam("to"))


def of(connection: Connection, projection: str) -> int:
    """Where a cursor stands, 0 before the first."""
    return int(connection.execute(select(_c.position).where(_c.projection == projection)).scalar() or 0)


def under(connection: Connection, projection: str) -> dict[str, int]:
    """Where the cursors of a projection's shards stand, by name."""
    rows = connection.execute(select(_c.projection, _c.position).where(_c.projection.startswith(f"{projection}/")))
    return dict(rows.tuples().all())


def begin(connection: Connection, projections: Sequence[str], first: int) -> dict[str, int]:
    """Where some cursors stand; those that are not there yet begin at `first`."""
    _insert(connection, projections, first)
    rows = connection.execute(select(_c.projection, _c.position).where(_c.projection.in_(projections)))
    return dict(rows.tuples().all())


def advance(connection: Connection, positions: Mapping[str, int]) -> dict[str, int]:
    """Locks some cursors, moves each up to its position, and says where they stood."""
    names = sorted(positions)
    _insert(connection, names, 0)
    query = select(_c.projection, _c.position).where(_c.projection.in_(names)).order_by(_c.projection)
    before: dict[str, int] = dict(connection.execute(query.with_for_update()).tuples().all())
    moved = [{"of": name, "to": to} for name, to in positions.items() if to > before[name]]
    if moved:
        connection.execute(_MOVE, moved)
    return before


def _insert(connection: Connection, projections: Sequence[str], first: int) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    rows = [{"projection": name, "position": first} for name in projections]
    connection.execute(dialect.insert(cursor).on_conflict_do_nothing(), rows)
