"""Evaluates the rules over the journal, and keeps what they find.

The state of the rules lives in memory; what it led to (tickets, notices, the register of devices) is committed to the
service database in one transaction with the cursor. After a restart, or when an entry broke the engine half-way, the
state is made again (see `collector.evaluation.lane`). When the transaction fails, the state is ahead of the cursor: what was found
is kept, and committed by the next call before anything else. So a crash, or a database that is down for a while, at
whatever place gives the same tickets.

Errors: whatever the databases raise, and a want of memory, passes through; nothing of that call took effect.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from collector.evaluation import happenings
from collector.evaluation.devices import Changes, Devices
from collector.evaluation.lane import Lane, MakeEngine, Whole
from collector.evaluation.snapshots import SnapshotStore
from collector.journal.entry import Entry, Journal, Unable
from collector.notify.outbox import held_agents
from collector.storage.database import reading, stated
from collector.tickets.book import PROJECTION, Book
from collector.tickets.holding import LAGGING, Moment
from collector.tickets.lifecycle import Verdict
from rules.finding import Finding


@dataclass
class Found:
    """What entries up to `last` led to, not yet committed."""

    last: int
    findings: list[Finding]
    devices: Changes
    events: list[dict[str, Any]]
    lagging: dict[str, int] = field(default_factory=dict)
    """Agents with findings inside a backlog, and the position of the last."""
    caught_up: list[tuple[int, str]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)


class Evaluation:
    """The rules as a projection of the journal; see `collector.journal.entry.Projection`. One thread calls `apply`."""

    name = PROJECTION

    def __init__(
        self,
        make: MakeEngine,
        *,
        service: Engine,
        journal: Journal,
        book: Book,
        snapshots: SnapshotStore,
        every: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        unable: Unable | None = None,
    ) -> None:
        """Takes its parts; nothing is read before the first `apply`.

        Args:
            make: makes the engine.
            service: the service database.
            journal: read when state must be made again.
            book: takes the findings.
            snapshots: keeps the state.
            every: seconds between snapshots.
            monotonic: seconds that never go back.
            unable: keeps what the rules can never take.
        """
        self._lane = Lane(make, Whole(journal), snapshots, every=every, monotonic=monotonic, unable=unable)
        self._service = service
        self._book = book
        self._snapshots = snapshots
        self._devices = Devices()
        self._found: Found | None = None
        self._held: set[str] = set()
        self.verdicts: Counter[Verdict] = Counter()
        """How often findings led to what, since the start."""

    @property
    def set_aside(self) -> int:
        """Entries that the rules could not take, since the start."""
        return self._lane.set_aside

    def cursor(self) -> int:
        """The last position whose findings are in the book."""
        with stated("service"):
            return self._book.cursor()

    def needed_after(self) -> int:
        """The journal is needed from here on: a restart replays what no kept snapshot covers."""
        return min(self._snapshots.oldest(), self.cursor())

    def apply(self, entries: Sequence[Entry]) -> None:
        """Evaluates the next entries and commits what they led to together with the cursor.

        Raises:
            StorageError: nothing took effect; the findings are kept for the next call.
            Exception: the engine failed for want of something; its state is made again by the next call.
        """
        self._commit()
        lane = self._lane
        if not lane.ready:
            self._rebuild()
        fresh = [entry for entry in entries if entry.position > lane.at]
        if not fresh:
            return
        self._found = found_in(fresh, lane, self._devices, self._held)
        self._commit()
        lane.save_when_due()

    def close(self) -> None:
        """Keeps the state, so that the next start replays nothing."""
        if self._found is None:
            self._lane.save()

    def _commit(self) -> None:
        found = self._found
        if found is None:
            return
        with stated("service"), self._service.begin() as connection:
            verdicts = self._book.apply(
                found.findings, found.last, connection, caught_up=found.caught_up, moments=found.moments
            )
            self._devices.write(connection, found.devices)
            happenings.write(connection, found.events)
        self._devices.settle(found.devices)
        self._held = still_held(self._held, found)
        self.verdicts.update(verdicts)
        self._found = None

    def _rebuild(self) -> None:
        self._lane.restore(self.cursor())
        self._devices = Devices()
        with stated("service"), reading(self._service) as connection:
            self._devices.load(connection)
            self._held = held_agents(connection)


def still_held(held: Collection[str], found: Found) -> set[str]:
    """The agents whose notices wait after what was found is committed."""
    through = {agent: position for position, agent in found.caught_up}
    return {agent for agent in {*held, *found.lagging} if found.lagging.get(agent, 0) > through.get(agent, -1)}


def found_in(entries: Sequence[Entry], lane: Lane, devices: Devices, held: Collection[str]) -> Found:
    """Gives a lane the entries it stands before; `held` are the agents whose notices wait for the end of a backlog."""
    findings, batches = lane.evaluated(entries)
    found = Found(lane.at, findings, devices.changes(batches), happenings.events(batches))
    found.lagging = {one.agent: one.position for one in findings if one.arrived - one.t > LAGGING}
    found.moments = [_moment(entry) for entry in entries]
    found.caught_up = _caught_up(found.moments, {*held, *found.lagging})
    return found


def _moment(entry: Entry) -> Moment:
    """An entry as the book needs it; it names its agent when that delivered the newest record its spool held."""
    through = entry.received is not None and not entry.only and entry.received.block.head <= entry.last
    return Moment(entry.position, entry.arrived, entry.agent if through else "")


def _caught_up(moments: Sequence[Moment], agents: set[str]) -> list[tuple[int, str]]:
    """Where some agents had delivered all they held: (position, agent) in order."""
    if not agents:
        return []
    return [(moment.position, moment.caught_up) for moment in moments if moment.caught_up in agents]
