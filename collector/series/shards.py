"""The series of the shards that this process holds, in a store that several processes write to.

The store is indifferent to the same value twice, so a cursor (`series/07` in the service database) may trail what is
stored: it is moved every few seconds to where the store was some seconds before, since a store may lose the last
seconds it acknowledged. Each transaction proves the lease.

Errors: as `collector.series.projection`, and
    Fenced   some shards are another's; the cursors of the others are moved by the next call
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection
from operator import attrgetter

from sqlalchemy import Engine

from collector.journal.entry import Unable
from collector.projections.lanes import Given
from collector.series.projection import SeriesProjection
from collector.series.store import SharedStore, Uncounted
from collector.shards.leases import Fences, Tenure, limit_idle
from collector.storage.database import reading, stated
from collector.tickets import cursors
from forewarn.wire import SHARDS

NAME = SeriesProjection.name
SETTLED_SECONDS = 5.0
"""How long something must have been stored before the cursor passes it."""


class ShardSeries:
    """Implements `collector.projections.lanes.LaneProjection`.

    Args:
        store: takes the values; the caller closes it.
        service: the service database, PostgreSQL.
        tenure: proves what is held.
        monotonic: seconds that never go back.
        unable: keeps the blocks whose values the store refuses.
    """

    name = NAME

    def __init__(
        self,
        store: SharedStore,
        service: Engine,
        tenure: Tenure,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        unable: Unable | None = None,
    ) -> None:
        self._inner = SeriesProjection(Uncounted(store), unable=unable)
        self._service = service
        self._tenure = tenure
        self._monotonic = monotonic
        self._fences: dict[int, int] = {}
        self._stored: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._looked = monotonic()

    @property
    def refused(self) -> int:
        """Values or lines the store will never take."""
        return self._inner.refused

    def take_up(self, fences: Fences) -> dict[int, int]:
        """See LaneProjection."""
        names = {_name(shard): shard for shard in fences}
        with stated("service"), self._service.begin() as connection:
            limit_idle(connection)
            self._tenure.prove(connection, fences)
            stand = cursors.begin(connection, sorted(names), 0)
        self._fences |= fences
        return {names[name]: position for name, position in stand.items()}

    def let_go(self, shards: Collection[int]) -> None:
        """See LaneProjection. The next owner stores the last seconds once more."""
        for shard in shards:
            for kept in (self._fences, self._stored, self._settled):
                kept.pop(shard, None)

    def apply(self, given: Given) -> None:
        """See LaneProjection.

        Raises:
            Unavailable: some may be stored; storing them again changes nothing.
            StorageError: a cursor or a refusal could not be written; the same holds.
        """
        merged = heapq.merge(*given.values(), key=attrgetter("position"))
        blocks = [entry for entry in merged if not entry.is_tick]
        if blocks:
            self._inner.apply(blocks)
        self._stored |= {shard: entries[-1].position for shard, entries in given.items()}
        if self._monotonic() - self._looked >= SETTLED_SECONDS:
            self._move()

    def _move(self) -> None:
        """Moves the cursors to where they could have been moved the last time."""
        self._looked = self._monotonic()
        moved, self._settled = self._settled, dict(self._stored)
        if not moved:
            return
        with stated("service"), self._service.begin() as connection:
            limit_idle(connection)
            self._tenure.prove(connection, {shard: self._fences[shard] for shard in moved})
            cursors.advance(connection, {_name(shard): position for shard, position in moved.items()})


def needed_after(service: Engine) -> int:
    """From where on the journal is needed by the series of every shard; 0 until every shard was held once.

    Raises:
        StorageError: the database cannot be asked.
    """
    with stated("service"), reading(service) as connection:
        stand = cursors.under(connection, NAME)
    return min(stand.values()) if len(stand) == SHARDS else 0


def _name(shard: int) -> str:
    return f"{NAME}/{shard:02x}"
