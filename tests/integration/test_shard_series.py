"""The cursor of a shard's series trails what is stored, and is moved only by who holds the shard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from collector.journal.entry import Entry
from collector.series.shards import SETTLED_SECONDS, ShardSeries
from collector.shards.leases import Fenced, Leases
from collector.storage.database import Databases, open_postgres
from collector.storage.lease_tables import lease
from collector.tickets import cursors
from rules.samples import Batch
from tests.blocks import NOW
from tests.servers import new_database

SHARD = 5


class NoStore:
    """Takes everything."""

    def put(self, batch: Batch) -> None:
        """Nothing is kept."""


@pytest.fixture
def databases(postgres_server: str) -> Iterator[Databases]:
    opened = open_postgres(new_database(postgres_server))
    opened.migrate()
    yield opened
    opened.close()


def test_a_cursor_trails_by_some_seconds_and_a_former_owner_does_not_move_it(databases: Databases) -> None:
    clock = [100.0]
    first, second = (Leases(databases.journal, name, wanted=frozenset({SHARD})) for name in ("first", "second"))
    first.turn()
    series = ShardSeries(NoStore(), databases.service, first, monotonic=lambda: clock[0])
    assert series.take_up(first.held()) == {SHARD: 0}

    def stored(position: int) -> int:
        clock[0] += SETTLED_SECONDS
        series.apply({SHARD: [Entry(position, NOW, "", "", "", 0, 0, None)]})
        with databases.service.connect() as connection:
            return cursors.of(connection, "series/05")

    assert [stored(position) for position in (7, 9, 12)] == [0, 7, 9]
    with databases.journal.begin() as connection:
        connection.execute(sa.update(lease).values(until=0))
    second.turn()
    with pytest.raises(Fenced, match="shard 05"):
        stored(15)
    assert ShardSeries(NoStore(), databases.service, second).take_up(second.held()) == {SHARD: 9}
