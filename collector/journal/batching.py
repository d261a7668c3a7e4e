"""Turns journal entries into the arrays that rules and series stores work on.

This lies on the path of every value: nothing here is done once a value, and little once a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from collector.journal.entry import Entry
from forewarn.wire import Record, Shape
from rules.samples import Arrival, Batch, Device, Happened, Rows

FUTURE = 5 * 60 * 1000
"""A record this many milliseconds ahead of its arrival is kept from the rules."""


class _Group:
    """The polls of one shape while they are gathered, a list for each column."""

    __slots__ = ("arrived", "devices", "position", "rank", "shape", "t", "values")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.devices: list[Device] = []
        self.t: list[int] = []
        self.arrived: list[int] = []
        self.position: list[int] = []
        self.rank: list[int] = []
        self.values: list[list[float | None]] = []

    def rows(self) -> Rows:
        count, width = len(self.t), self.shape.width
        t = np.array(self.t, dtype=np.int64)
        arrived = np.array(self.arrived, dtype=np.int64)
        flat = np.fromiter(chain.from_iterable(self.values), dtype=np.float64, count=count * width)
        return Rows(
            shape=self.shape,
            devices=self.devices,
            t=t,
            arrived=arrived,
            position=np.array(self.position, dtype=np.int64),
            rank=np.array(self.rank, dtype=np.int64),
            future=t > arrived + FUTURE,
            values=flat.reshape(count, width),
        )


class _Seen:
    """A device within the batch, and how many polls of it were taken."""

    __slots__ = ("device", "polls")

    def __init__(self, device: Device) -> None:
        self.device = device
        self.polls = 0


class _Gathering:
    """What one batch is made of, entry by entry."""

    def __init__(self) -> None:
        self.first = 0
        self.last = 0
        self.groups: dict[str, _Group] = {}
        self.happened: list[Happened] = []
        self.arrivals: dict[tuple[str, str], Arrival] = {}
        self.seen: dict[tuple[str, str], dict[str, _Seen]] = {}

    def note(self, entry: Entry) -> None:
        self.first = self.first or entry.position
        self.last = entry.position

    def add(self, entry: Entry) -> None:
        assert entry.received is not None
        block = entry.received.block
        agent = (entry.site, entry.agent)
        self.arrivals[agent] = Arrival(entry.site, entry.agent, entry.arrived, entry.position)
        seen = self.seen.setdefault(agent, {})
        for record in _counted(block.records, entry):
            known = seen.get(record.device)
            if known is None:
                known = seen[record.device] = _Seen(Device(entry.site, entry.agent, record.device))
            if record.kind:
                self._happen(record, known.device, entry)
                continue
            group = self.groups.get(record.shape)
            if group is None:
                group = self.groups[record.shape] = _Group(block.shapes[record.shape])
            group.devices.append(known.device)
            group.t.append(record.t)
            group.arrived.append(entry.arrived)
            group.position.append(entry.position)
            group.rank.append(known.polls)
            group.values.append(record.values)
            known.polls += 1

    def _happen(self, record: Record, device: Device, entry: Entry) -> None:
        text = {**record.text, "why": record.why} if record.why else record.text
        self.happened.append(Happened(device, record.kind, record.t, entry.arrived, entry.position, text))

    def batch(self, tick: int | None, listened: int | None = None) -> Batch:
        return Batch(
            first=self.first,
            last=self.last,
            rows=[group.rows() for group in self.groups.values()],
            happened=self.happened,
            arrivals=list(self.arrivals.values()),
            tick=tick,
            listened=listened,
        )


def _counted(records: list[Record], entry: Entry) -> list[Record]:
    """The records of a block that count: those below `first` were committed with an earlier block."""
    if records[0].seq >= entry.first and records[-1].seq <= entry.last:
        return records
    return [record for record in records if entry.first <= record.seq <= entry.last]


def to_batches(entries: Iterable[Entry]) -> Iterator[Batch]:
    """Yields the entries as batches: one up to each tick, which ends it, and one for what follows the last tick.

    Polls are grouped by the digest of their shape, so that two agents with the same profile share one `Rows`.
    `rank` counts a device's polls within the batch over all groups. A record's `why` stands in a happening's text.
    """
    gathering = _Gathering()
    for entry in entries:
        gathering.note(entry)
        if entry.received is None:
            yield gathering.batch(entry.arrived, entry.listened)
            gathering = _Gathering()
        else:
            gathering.add(entry)
    if gathering.last:
        yield gathering.batch(None)
