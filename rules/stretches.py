"""A batch in stretches: polls of one shape, each device's rows together and in its order of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from forewarn.wire import Shape
from rules.frames import Booleans, Runs
from rules.samples import Floats, Integers, Rows


@dataclass(frozen=True, eq=False)
class Stretch:
    """Rows of one shape that can be evaluated at once.

    Shapes: `order` int64[N], the row of `rows` that each came from; `devices` int64[D] numbers of the engine; `values`
    float64[N, width]; `offsets` int64[D].
    """

    rows: Rows
    order: Integers
    t: Integers
    runs: Runs
    devices: Integers
    offsets: Integers
    values: Floats = field(repr=False)

    @cached_property
    def arrived(self) -> Integers:
        """When each row arrived, int64[N]."""
        return self.rows.arrived[self.order]

    @cached_property
    def position(self) -> Integers:
        """Where each row lies in the journal, int64[N]."""
        return self.rows.position[self.order]

    @property
    def shape(self) -> Shape:
        """The shape of all rows."""
        return self.rows.shape


class Clocks:
    """The last event time of each device, and how many rows came out of their order."""

    def __init__(self) -> None:
        self.last = np.zeros(0, np.int64)
        self.late = 0

    def accept(self, t: Integers, runs: Runs, devices: Integers) -> Booleans | None:
        """Which rows are newer than all before them of their device; None: all are. Takes note of the newest."""
        before = np.empty_like(t)
        before[1:] = t[:-1]
        before[runs.starts] = self.last[devices]
        fresh = t > before
        if fresh.all():
            self.last[devices] = t[runs.lasts]
            return None
        newest = self.last[devices]
        for run in np.unique(runs.owner[~fresh]).tolist():
            rows = slice(int(runs.starts[run]), int(runs.starts[run] + runs.lengths[run]))
            before[rows] = np.maximum.accumulate(np.concatenate((newest[run : run + 1], t[rows][:-1])))
        fresh = t > before
        self.late += int((~fresh).sum())
        np.maximum.at(newest, runs.owner, t)
        self.last[devices] = newest
        return fresh


def stretches(groups: Sequence[tuple[Rows, Integers]], clocks: Clocks, offsets: Integers) -> Iterator[Stretch]:
    """Cuts the polls of a batch into stretches, in an order that keeps every device's order of time.

    Args:
        groups: the groups of a batch, each with the engine's number of each row's device, int64[n].
        clocks: decides which rows are late, and learns.
        offsets: int64 milliseconds by device number.
    """
    for rows, numbers, chosen in _stages(groups):
        order = np.flatnonzero(~rows.future) if chosen is None else chosen[~rows.future[chosen]]
        if not len(order):
            continue
        keys = numbers[order]
        if not bool((keys[1:] > keys[:-1]).all()):
            order = order[np.argsort(keys, kind="stable")]
            keys = numbers[order]
        runs, t = Runs.of(keys), rows.t[order]
        fresh = clocks.accept(t, runs, keys[runs.starts])
        if fresh is not None:
            if not fresh.any():
                continue
            order, keys, t = order[fresh], keys[fresh], t[fresh]
            runs = Runs.of(keys)
        devices = keys[runs.starts]
        whole = len(order) == len(rows.t) and bool((order[1:] > order[:-1]).all())
        yield Stretch(rows, order, t, runs, devices, offsets[devices], rows.values if whole else rows.values[order])


def _stages(groups: Sequence[tuple[Rows, Integers]]) -> Iterator[tuple[Rows, Integers, Integers | None]]:
    """Whole groups where no device is in two of them; otherwise in turns, as devices change their shape."""
    groups = [group for group in groups if len(group[0].t)]
    if len(groups) < 2 or not _shared(groups):  # noqa: PLR2004 - one group cannot share
        yield from ((rows, numbers, None) for rows, numbers in groups)
        return
    numbers = np.concatenate([numbers for _, numbers in groups])
    ranks = np.concatenate([rows.rank for rows, _ in groups])
    member = np.repeat(np.arange(len(groups)), [len(numbers) for _, numbers in groups])
    order = np.lexsort((ranks, numbers))
    same = numbers[order][1:] == numbers[order][:-1]
    moved = np.concatenate(([0], np.cumsum(same & (member[order][1:] != member[order][:-1]))))
    runs = Runs.of(numbers[order])
    stage = np.empty(len(order), np.int64)
    stage[order] = moved - moved[runs.starts][runs.owner]
    firsts = np.cumsum([0, *(len(numbers) for _, numbers in groups)])
    for turn in range(int(stage.max()) + 1):
        for at, (rows, own) in enumerate(groups):
            chosen = np.flatnonzero(stage[firsts[at] : firsts[at + 1]] == turn)
            if len(chosen):
                yield rows, own, chosen


def _shared(groups: Sequence[tuple[Rows, Integers]]) -> bool:
    each = [np.unique(numbers) for _, numbers in groups]
    return len(np.unique(np.concatenate(each))) < sum(len(numbers) for numbers in each)
