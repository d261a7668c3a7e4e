"""Polls in the order that rules need: all rows of a device together, in its order of time.

Sorted so, a whole batch is evaluated as a few operations over one matrix, whether it is a thousand devices with one
row each or one device with ten thousand. What came before a batch enters as state, so that where it was cut never
shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rules.samples import Floats, Integers

Booleans = npt.NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max
UNSEEN = np.iinfo(np.int64).min
WAVES = 12
"""How many groups of series take turns in closing a bucket."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Consecutive rows that belong together, covering all rows in order.

    Shapes: `starts` and `lengths` int64[R]; `rows` N. `owner[i]` is the run of row i.
    """

    starts: Integers
    lengths: Integers
    rows: int
    owner: Integers

    @classmethod
    def of(cls, keys: Integers) -> Runs:
        """Runs of equal neighbours in `keys`, which is int64[N] with N ≥ 1."""
        return cls.split(keys[1:] != keys[:-1])

    @classmethod
    def split(cls, changes: Booleans) -> Runs:
        """Runs that end where `changes`, bool[N - 1], is true between a row and its next."""
        rows = len(changes) + 1
        edges = np.empty(int(np.count_nonzero(changes)) + 2, np.int64)
        edges[0], edges[-1] = 0, rows
        np.add(np.flatnonzero(changes), 1, out=edges[1:-1])
        starts, lengths = edges[:-1], edges[1:] - edges[:-1]
        if len(starts) == rows:
            return cls(starts, lengths, rows, starts)
        return cls(starts, lengths, rows, np.repeat(np.arange(len(starts)), lengths))

    @property
    def single(self) -> bool:
        """Whether every run is one row: the live case, which needs no scan."""
        return len(self.starts) == self.rows

    @property
    def lasts(self) -> Integers:
        """The last row of each run."""
        return self.starts + self.lengths - 1


@dataclass(frozen=True, eq=False)
class Frame:
    """One table of the polls of one shape, as one rule sees it.

    Shapes: N rows of D devices, k instances. `t`, `arrived`, `position` int64[N]; `runs` the rows of each device;
    `devices` int64[D] numbers of the engine; `offsets` int64[D] milliseconds that a device's buckets are shifted by;
    `slots` int64[D, k] places in the rule's state arrays; `columns` field → float64[N, k] (a view where possible),
    NaN for unknown.
    """

    t: Integers
    arrived: Integers
    position: Integers
    runs: Runs
    devices: Integers
    offsets: Integers
    slots: Integers
    instances: tuple[str, ...]
    columns: dict[str, Floats] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, k)."""
        return len(self.t), len(self.instances)

    @cached_property
    def unknown(self) -> Floats:
        """NaN[N, k]: a field that these devices do not have."""
        return np.full(self.shape, np.nan)

    def column(self, name: str) -> Floats:
        """Values of a field, float64[N, k]."""
        found = self.columns.get(name)
        return self.unknown if found is None else found

    def shifts(self, width: int) -> Integers:
        """Milliseconds that each device's buckets of `width` ms are shifted by, int64[D].

        In twelfths of a bucket, so that buckets close in twelve waves: neither all series at once, nor at every poll
        a few, whose fixed cost would be that of many.
        """
        return self.offsets - self.offsets % max(1, width // WAVES)

    def buckets(self, width: int) -> Integers:
        """The number of the bucket of `width` ms that each row falls into, shifted by device; int64[N]."""
        return (self.t + self.shifts(width)[self.runs.owner]) // width
