"""The rules over the shards that this process holds: an engine for each, one transaction for all.

A shard is taken up from its last snapshot in the database and what the journal has since; its cursor (`rules/07`), its
tickets and its notices are committed in one transaction that proves the lease. What was found for a shard that turns
out to be another's is dropped: the other finds it as well.

Errors: as `collector.evaluation.evaluate`, and
    Fenced   some shards are another's; what was found for the others is committed by the next call
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from operator import attrgetter
from typing import Protocol

from sqlalchemy import Connection

from collector.evaluation import happenings
from collector.evaluation.devices import Devices
from collector.evaluation.evaluate import Found, found_in, still_held
from collector.evaluation.lane import Lane, MakeEngine
from collector.evaluation.shard_snapshots import ShardSnapshots, oldest
from collector.journal.entry import Unable
from collector.journal.shared import OfShard, SharedJournal
from collector.notify.outbox import held_agents
from collector.projections.lanes import Given
from collector.shards.leases import Fenced, Fences, Tenure, limit_idle
from collector.storage.database import Databases, reading, stated
from collector.tickets import cursors
from collector.tickets.book import PROJECTION, Book, Part, projection_of
from collector.tickets.lifecycle import Verdict
from forewarn.telemetry import Log
from forewarn.wire import SHARDS

log = Log(__name__)


class Engines(Protocol):
    """Makes the engines of shards."""

    def of(self, shard: int) -> MakeEngine:
        """What makes the engine of a shard."""

    def forget(self, shards: Collection[int]) -> None:
        """The engines of these shards were dropped."""


class ShardRules:
    """Implements `collector.projections.lanes.LaneProjection`.

    Args:
        engines: makes them.
        databases: a PostgreSQL.
        journal: shared with other processes.
        tenure: proves what is held.
        book: takes the findings.
        every: seconds between snapshots of a shard.
        monotonic: seconds that never go back.
        unable: keeps what the rules can never take.
    """

    name = PROJECTION

    def __init__(
        self,
        engines: Engines,
        *,
        databases: Databases,
        journal: SharedJournal,
        tenure: Tenure,
        book: Book,
        every: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        unable: Unable | None = None,
    ) -> None:
        self._engines = engines
        self._databases = databases
        self._journal = journal
        self._tenure = tenure
        self._book = book
        self._every = every
        self._monotonic = monotonic
        self._unable = unable
        self._lanes: dict[int, Lane] = {}
        self._fences: dict[int, int] = {}
        self._found: dict[int, Found] = {}
        self._devices = Devices()
        self._held: set[str] = set()
        self._set_aside = 0
        self.verdicts: Counter[Verdict] = Counter()
        """How often findings led to what, since the start."""

    @property
    def set_aside(self) -> int:
        """Entries that the rules could not take, since the start."""
        return self._set_aside + sum(lane.set_aside for lane in list(self._lanes.values()))

    def take_up(self, fences: Fences) -> dict[int, int]:
        """See LaneProjection.

        Raises:
            StorageError: none was taken up.
        """
        shards = sorted(fences)
        with stated("service"), self._databases.service.begin() as connection:
            self._prove(connection, fences)
            first = cursors.of(connection, PROJECTION)  # A collector that was alone until now has seen so much.
            stand = cursors.begin(connection, [projection_of(shard) for shard in shards], first)
            self._devices.load(connection, shards)
            self._held |= held_agents(connection)
        for shard in shards:
            lane = self._lane(shard, fences)
            lane.restore(stand[projection_of(shard)])
            self._lanes[shard], self._fences[shard] = lane, fences[shard]
        return {shard: stand[projection_of(shard)] for shard in shards}

    def _lane(self, shard: int, fences: Fences) -> Lane:
        prove = partial(self._tenure.prove, fences={shard: fences[shard]})
        kept = ShardSnapshots(self._databases.journal, shard, prove)
        of = OfShard(self._journal, shard)
        return Lane(
            self._engines.of(shard), of, kept, every=self._every, monotonic=self._monotonic, unable=self._unable
        )

    def let_go(self, shards: Collection[int]) -> None:
        """See LaneProjection."""
        owned = self._tenure.owned()
        for shard in shards:
            lane, found = self._lanes.pop(shard, None), self._found.pop(shard, None)
            fence = self._fences.pop(shard, None)
            if lane is None:
                continue
            self._set_aside += lane.set_aside
            if found is None and fence is not None and owned.get(shard) == fence:
                self._keep(lane)
        self._engines.forget(shards)

    def _keep(self, lane: Lane) -> None:
        """Keeps the state of a shard that is given back: what is found is committed, so it is not ahead of it."""
        try:
            lane.save()
        except Fenced as fenced:
            log.info("the state of a shard's rules is not kept", why=str(fenced))

    def apply(self, given: Given) -> None:
        """See LaneProjection.

        Raises:
            StorageError: nothing took effect; the findings are kept for the next call.
        """
        self._commit()
        for shard, entries in given.items():
            lane = self._lanes[shard]
            if not lane.ready:
                lane.restore(self._cursor(shard))
            fresh = [entry for entry in entries if entry.position > lane.at]
            if fresh:
                self._found[shard] = found_in(fresh, lane, self._devices, self._held)
        self._commit()
        self._save_one(list(given))

    def _cursor(self, shard: int) -> int:
        with stated("service"), reading(self._databases.service) as connection:
            return cursors.of(connection, projection_of(shard))

    def _commit(self) -> None:
        if not self._found:
            return
        try:
            self._write()
        except Fenced as fenced:
            for shard in fenced.shards:
                self._found.pop(shard, None)
            raise
        for found in self._found.values():
            self._devices.settle(found.devices)
            self._held = still_held(self._held, found)
        self._found = {}

    def _write(self) -> None:
        parts = [
            Part(found.last, found.findings, found.caught_up, found.moments, shard)
            for shard, found in sorted(self._found.items())
        ]
        with stated("service"), self._databases.service.begin() as connection:
            self._prove(connection, {shard: self._fences[shard] for shard in self._found})
            verdicts = self._book.apply_parts(parts, connection)
            for found in self._found.values():
                self._devices.write(connection, found.devices)
                happenings.write(connection, found.events)
        self.verdicts.update(verdicts)

    def _prove(self, connection: Connection, fences: Fences) -> None:
        limit_idle(connection)
        self._tenure.prove(connection, fences)

    def _save_one(self, shards: Sequence[int]) -> None:
        """Keeps the state of one shard at most, so that live findings never wait for many; who waited longest first.

        The journal is kept from the oldest state on: one shard that never has its turn would keep it for ever.
        """
        due = [lane for shard in shards if (lane := self._lanes[shard]).due]
        if due:
            min(due, key=attrgetter("saved_at")).save()


def needed_after(databases: Databases) -> int:
    """From where on the journal is needed to make the rules of every shard again; 0 until every shard was held once.

    Raises:
        StorageError: a database cannot be asked.
    """
    with stated("service"), reading(databases.service) as connection:
        stand = {int(name.rpartition("/")[2], 16): at for name, at in cursors.under(connection, PROJECTION).items()}
    with stated("journal"), reading(databases.journal) as connection:
        kept = oldest(connection)
    return min(min(at, kept.get(shard, 0)) for shard, at in stand.items()) if len(stand) == SHARDS else 0
