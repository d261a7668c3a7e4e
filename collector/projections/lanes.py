"""Runs a projection over shards that come and go: a lane for each, its own cursor, one turn for all.

A lane reads the table until it is level with what this process committed itself, then the ring. Shards are taken up a
few at a time, so that those that are level do not wait for another's replay. A shard is let go of when its lease is
given up or lost; what was found for it and is not committed is the next owner's to find.

Errors: whatever the projection raises goes the way of `collector.projections.runner.Turner`: the same entries come again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, Protocol

from collector.journal.entry import Entry
from collector.journal.shared import SharedJournal, attests
from collector.journal.witness import Witness
from collector.projections.runner import ENTRIES, GATHER, WAKE, Progress, Turner
from collector.shards.leases import Fenced, Fences, Tenure
from forewarn.bus import Backoff

BEHIND_ENTRIES = 500
TAKEN_UP_AT_ONCE = 4

Given = Mapping[int, Sequence[Entry]]
"""Entries by shard, in order."""


class LaneProjection(Protocol):
    """Something derived from the journal, shard by shard, exactly once. One thread uses it."""

    @property
    def name(self) -> str:
        """What its cursors are kept under: `name/07`."""

    def take_up(self, fences: Fences) -> dict[int, int]:
        """Makes the state of some shards again; gives the last position of each whose effect is committed.

        Raises:
            Fenced: some are another's; none was taken up.
        """

    def let_go(self, shards: Collection[int]) -> None:
        """Keeps what it can of the state of some shards, and forgets them."""

    def apply(self, given: Given) -> None:
        """Takes the next entries of some shards and commits their effect with the cursors.

        Raises:
            Fenced: some shards are another's; what was found for the others is kept for the next call.
            Exception: nothing of the call took effect; the same entries are given again.
        """


@dataclass
class _Place:
    """How far a lane has read; what lies at or below `taken` may be a former owner's."""

    fence: int
    read: int
    taken: int


class LaneRunner(Turner):
    """The thread of one projection over the shards held.

    Args:
        journal: shared with other processes.
        projection: what it runs; nobody else calls it from now on.
        tenure: says what is held.
        gather: seconds to wait, when level, for more entries: many at once cost far less than one by one.
        backoff: the pauses after failures.
        witness: knows whether the cursors are of this journal.
    """

    def __init__(
        self,
        journal: SharedJournal,
        projection: LaneProjection,
        tenure: Tenure,
        *,
        gather: float = GATHER,
        backoff: Backoff | None = None,
        witness: Witness | None = None,
    ) -> None:
        super().__init__(projection.name, gather=gather, backoff=backoff)
        self._journal = journal
        self._lanes = projection
        self._tenure = tenure
        self._witness = witness
        self._places: dict[int, _Place] = {}

    @property
    def progress(self) -> Progress:
        """How far the lane is that is furthest behind."""
        head = self._journal.head()
        cursor = min((place.read for place in list(self._places.values())), default=head)
        return Progress(self.name, cursor, max(0, head - cursor), self._error)

    def stop(self, timeout: float = 30.0) -> None:
        """Ends after the entries in hand, and lets go of every shard."""
        super().stop(timeout)
        self._let_go(list(self._places))

    def _turn(self) -> None:
        try:
            self._follow()
            given = self._behind()
            self._take(given | self._level(patient=not given))
        except Fenced as fenced:
            self._tenure.lost(fenced.shards)

    def _follow(self) -> None:
        held = self._tenure.held()
        gone = [shard for shard, place in self._places.items() if held.get(shard) != place.fence]
        if gone:
            self._let_go(gone)
        new = [shard for shard in held if shard not in self._places][:TAKEN_UP_AT_ONCE]
        if not new:
            return
        if self._witness is not None:
            self._witness.check(self.name)
        self._tenure.serve(self.name, [*self._places, *new])
        try:
            cursors = self._lanes.take_up({shard: held[shard] for shard in new})
            taken = self._journal.newest()
            for shard, cursor in cursors.items():
                self._places[shard] = _Place(held[shard], cursor, taken)
        finally:  # What could not be taken up must not keep its shard here when that is to be given back.
            self._tenure.serve(self.name, self._places)

    def _let_go(self, shards: Collection[int]) -> None:
        self._lanes.let_go(shards)
        for shard in shards:
            del self._places[shard]
        self._tenure.serve(self.name, self._places)

    def _is_level(self, place: _Place) -> bool:
        return place.read >= max(place.taken, self._journal.floor)

    def _level(self, *, patient: bool) -> dict[int, _Stretch]:
        """What is new for the lanes that are level; `patient` when there is nothing else to do."""
        places = {shard: place for shard, place in self._places.items() if self._is_level(place)}
        if not places:
            self._stopping.wait(WAKE / 4 if patient else 0)
            return {}
        after = min(place.read for place in places.values())
        if not self._journal.wait_own(after, WAKE / 4 if patient else 0):
            return {}
        if patient and self._journal.head() - after < ENTRIES:
            self._stopping.wait(self._gather)
        entries, upto = self._journal.own(after, ENTRIES)
        return {shard: _Stretch(_of(entries, shard, place.read), upto) for shard, place in places.items()}

    def _behind(self) -> dict[int, _Stretch]:
        """What comes next, in the table, for the lanes that are not level."""
        given = {}
        for shard, place in self._places.items():
            if not self._is_level(place):
                known = max(place.taken, self._journal.head())
                entries = self._journal.of_shard(shard, place.read, BEHIND_ENTRIES)
                given[shard] = _Stretch(entries, entries[-1].position if entries else known)
        return given

    def _take(self, given: Mapping[int, _Stretch]) -> None:
        entries = {shard: stretch.entries for shard, stretch in given.items() if stretch.entries}
        if entries:
            self._lanes.apply(entries)
            if self._witness is not None:
                newest = max((of[-1] for of in entries.values()), key=attrgetter("position"))
                self._witness.seen(self.name, newest.position, newest.arrived)
        for shard, stretch in given.items():
            self._places[shard].read = max(self._places[shard].read, stretch.upto)
        self._well()


class _Stretch(NamedTuple):
    """A lane's next entries; there are no others up to `upto`."""

    entries: list[Entry]
    upto: int


def _of(entries: Sequence[Entry], shard: int, after: int) -> list[Entry]:
    """A shard's entries behind a position, and the ticks that attest it."""
    return [
        one
        for one in entries
        if one.position > after and (attests(one, shard) if one.received is None else one.shard == shard)
    ]
