"""What to ask one device for, and where each answer goes: a profile met with the rows that the device has.

A plan is made once, in `agent.profiles.drawing`, and serves every poll until the rows change: each poll then asks for exactly
the objects that exist, packed across tables, and walks only the columns that are taken as a whole. The shape
follows from the profile and the row names alone; an object that the device lacks leaves a null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.profiles.conversion import Converter, Scales
from agent.profiles.counters import rate
from agent.profiles.formula import Formula
from agent.profiles.language import Profile
from agent.snmp.session import Value
from forewarn.wire import Shape

Known = Mapping[str, Value]
DEVICE_FIELDS = ("up", "snmp_up", "rtt_seconds", "uptime_seconds", "poll_seconds")
"""The first values of every shape."""
_EARLY = 1.0
"""Seconds by which a poll may come before a seldom value is due, so that it does not wait for the next one."""


class Read(NamedTuple):
    """A column's objects, each into its slot."""

    convert: Converter
    slots: list[int]
    oids: list[str]


class Count(NamedTuple):
    """A column of counters, each into its slot as a rate; `ceilings` are the slots that bound them, or empty."""

    bits: int
    scale: float
    slots: list[int]
    oids: list[str]
    ceilings: list[int]


class Gathered(NamedTuple):
    """Many objects into one slot."""

    slot: int
    oids: tuple[str, ...]
    convert: Converter
    take: str


class Sum(NamedTuple):
    """A formula over slots, by name."""

    slot: int
    formula: Formula
    slots: dict[str, int]


@dataclass(slots=True)
class Seldom:
    """Objects that are asked for once in `every` seconds, and what they showed last."""

    every: float
    oids: frozenset[str]
    heard: float = float("-inf")
    """When one of them was answered last, by the clock of `Plan.ask`."""
    held: dict[str, Value] = field(default_factory=dict)

    def due(self, at: float) -> bool:
        """Whether to ask now."""
        return at - self.heard >= self.every - _EARLY

    def carried(self, got: Known, at: float) -> Mapping[str, Value]:
        """What to go by now: what came with this poll, else what came last, for twice the time between two askings."""
        fresh = {oid: got[oid] for oid in self.oids if oid in got}
        if fresh:
            self.heard = at
            self.held |= fresh
        elif at - self.heard > 2 * self.every:
            self.held.clear()
        return self.held


@dataclass(slots=True, weakref_slot=True)
class Plan:
    """How to poll one device as it is now."""

    profile: Profile
    shape: Shape
    oids: list[str]
    """All objects, but for the columns that are walked; `ask` says which of them a poll needs."""
    watched: dict[str, tuple[str, ...]]
    """A column taken as a whole → the rows it had, in the device's order: other rows need another plan."""
    reads: list[Read]
    counts: list[Count]
    gathered: list[Gathered]
    sums: list[Sum]
    late_sums: list[Sum]
    """Those over rates."""
    clocks: list[int]
    """Slots that hold a device's time until ours is taken from it."""
    seldom: list[Seldom]
    scales: dict[str, Scales]
    """By column: which of its scales this device has; the next plan goes by it too."""
    places: list[int]
    """The slot of each position of the shape."""
    slots: int
    unread: dict[str, str] = field(default_factory=dict)
    """Columns that could not be walked when the plan was drawn, and why: what hangs on them is left out."""

    def ask(self, at: float) -> list[str]:
        """The objects to ask for in a poll at `at` (seconds of a steady clock)."""
        if not self.seldom:
            return self.oids
        resting = self._resting(at)
        return [oid for oid in self.oids if oid not in resting]

    def walks(self, at: float) -> dict[str, tuple[str, ...]]:
        """The columns to walk in a poll at `at`, as in `watched`."""
        if not self.seldom:
            return self.watched
        resting = self._resting(at)
        return {
            column: rows
            for column, rows in self.watched.items()
            if not rows or any(f"{column}.{row}" not in resting for row in rows)
        }

    def values(
        self, got: Known, before: Mapping[str, int] | None, seconds: float, *, at: float = 0.0, now: int | None = None
    ) -> list[float | None]:
        """The values of the shape, but for those of `DEVICE_FIELDS`, which stay None.

        Args:
            got: what the device answered.
            before: the `counters` of the poll before, None when rates cannot be had.
            seconds: between the two.
            at: of this poll, as given to `ask`.
            now: Unix milliseconds of this poll, which clocks are held against; None leaves them None.
        """
        slots: list[float | None] = [None] * self.slots
        for part in self.seldom:
            got = {**got, **part.carried(got, at)}
        for convert, places, oids in self.reads:
            for slot, oid in zip(places, oids, strict=True):
                raw = got.get(oid)
                if raw is not None:
                    slots[slot] = convert(raw)
        for slot in self.clocks:
            shown = slots[slot]
            slots[slot] = None if shown is None or now is None else shown - now / 1000
        for many in self.gathered:
            slots[many.slot] = _taken(many, got)
        _summed(self.sums, slots)
        if before is not None:
            self._rates(slots, got, before, seconds)
            _summed(self.late_sums, slots)
        return [slots[place] for place in self.places]

    def counters(self, got: Known) -> dict[str, int]:
        """What the next poll needs of this one's answers to give rates."""
        kept = ((oid, got.get(oid)) for part in self.counts for oid in part.oids)
        return {oid: value for oid, value in kept if isinstance(value, int)}

    def alike(self, other: Plan) -> bool:
        """Whether both ask for the same and put it in the same places; neither has scales, which a device has to itself."""
        if self.profile is not other.profile or self.scales or other.scales or self.shape != other.shape:
            return False
        return self._layout() == other._layout()

    def _layout(self) -> tuple[object, ...]:
        reads = [(part.slots, part.oids) for part in self.reads]
        gathered = [(part.slot, part.oids, part.take) for part in self.gathered]
        sums = [(part.slot, part.slots) for part in (*self.sums, *self.late_sums)]
        return self.oids, self.watched, reads, self.counts, gathered, sums, self.clocks, self.places, self.slots

    def forget(self) -> None:
        """Another device answers: its scales are to be found anew, and nothing is carried over."""
        for scales in self.scales.values():
            scales.kept = None
        for part in self.seldom:
            part.heard = float("-inf")
            part.held.clear()

    def _resting(self, at: float) -> frozenset[str]:
        """The objects that need not be asked for yet."""
        return frozenset[str]().union(*(part.oids for part in self.seldom if not part.due(at)))

    def _rates(self, slots: list[float | None], got: Known, before: Mapping[str, int], seconds: float) -> None:
        for bits, scale, places, oids, ceilings in self.counts:
            for at, oid in enumerate(oids):
                now, then = got.get(oid), before.get(oid)
                if isinstance(now, int) and then is not None:
                    bound = slots[ceilings[at]] if ceilings else None
                    found = rate(then, now, seconds, bits=bits, ceiling=bound / scale if bound else None)
                    slots[places[at]] = found * scale if found is not None else None


def _summed(sums: Iterable[Sum], slots: list[float | None]) -> None:
    for total in sums:
        slots[total.slot] = total.formula.evaluate({name: slots[place] for name, place in total.slots.items()})


def _taken(part: Gathered, got: Known) -> float | None:
    raws = (got.get(oid) for oid in part.oids)
    found = [value for raw in raws if raw is not None and (value := part.convert(raw)) is not None]
    if part.take == "count":
        # A column that was not read this time has not lost its rows.
        read = not part.oids or any(oid in got for oid in part.oids)
        return float(len(found)) if read else None
    if not found:
        return None
    if part.take == "mean":
        return sum(found) / len(found)
    if part.take == "sum":
        return sum(found)
    return max(found) if part.take == "max" else min(found)
