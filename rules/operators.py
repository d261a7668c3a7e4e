"""Functions with memory: fixed state per series in arrays, a cost per value that no window changes.

An operator takes a `Frame` and the values of its argument, and gives the function's value after every row. A function
of an unknown value is unknown, and an unknown value leaves the state as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rules.frames import UNSEEN, Frame
from rules.samples import Floats, Integers
from rules.scans import approach, known_before


class Place(NamedTuple):
    """What an operator keeps per series under one name."""

    dtype: type[np.generic]
    blank: float
    inner: tuple[int, ...] = ()


class Operator:
    """Base of the operators: holds `state`, one array per name of `layout`, first axis slots."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Further results by name (`ttt(...).high`)."""

    def __init__(self, layout: Mapping[str, Place]) -> None:
        self.layout = layout
        self.state: dict[str, npt.NDArray[Any]] = {}
        self.grow(0)

    @property
    def state_bytes(self) -> int:
        """Bytes of state per series."""
        return sum(
            int(np.prod(place.inner, dtype=int)) * np.dtype(place.dtype).itemsize for place in self.layout.values()
        )

    def grow(self, slots: int) -> None:
        """Makes room for `slots` series; new ones are blank."""
        for name, place in self.layout.items():
            old = self.state.get(name)
            new = np.full((slots, *place.inner), place.blank, place.dtype)
            if old is not None:
                new[: len(old)] = old
            self.state[name] = new

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """The function's value after each row, float64[N, k], for its argument x, float64[N, k]."""
        raise NotImplementedError

    def part(self, frame: Frame, name: str) -> Floats:
        """A further result of the last `apply`, float64[N, k]."""
        raise NotImplementedError

    def detail(self, frame: Frame, row: int, column: int) -> dict[str, float]:
        """What evidence says of the state behind one value of the last `apply`."""
        del frame, row, column
        return {}


class Step(Operator):
    """`prev`, `delta` and `rate`: against the last known value before. State 16 B."""

    def __init__(self, what: str) -> None:
        super().__init__({"last": Place(np.float64, np.nan), "at": Place(np.int64, UNSEEN)})
        self.what = what

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """`prev`: the value before; `delta`: x less it; `rate`: delta per second between the two."""
        last, at = self.state["last"][frame.slots], self.state["at"][frame.slots]
        value, since, rows = _before(frame, x, last, at)
        ends = rows[frame.runs.lasts]
        known = ends >= 0
        self.state["last"][frame.slots] = np.where(known, np.take_along_axis(x, np.maximum(ends, 0), 0), last)
        self.state["at"][frame.slots] = np.where(known, frame.t[ends], at)
        if self.what == "prev":
            return value + x * 0
        if self.what == "delta":
            return x - value
        return np.divide(x - value, (frame.t[:, None] - since) / 1000)


def _before(frame: Frame, x: Floats, last: Floats, at: Integers) -> tuple[Floats, Integers, Integers]:
    """(last known value before each row, its time, the row of the last known value up to each row)."""
    rows = known_before(x, frame.runs)
    if frame.runs.single:
        return last, at, rows
    before = np.empty_like(rows)
    before[1:] = rows[:-1]
    before[frame.runs.starts] = -1
    inside = before >= 0
    owner = frame.runs.owner
    value = np.where(inside, np.take_along_axis(x, np.maximum(before, 0), 0), last[owner])
    since = np.where(inside, frame.t[before], at[owner])
    return value, since, rows


class Smoothed(Operator):
    """`ewma`: exponentially weighted mean with time constant tau; irregular steps weigh by their length. State 16 B.

    weight = 1 - exp(-Δt/τ), as for a first-order low-pass filter sampled at uneven times (Roberts 1959).
    """

    def __init__(self, tau: float) -> None:
        super().__init__({"mean": Place(np.float64, 0.0), "at": Place(np.int64, UNSEEN)})
        self.tau = tau
        """Seconds."""

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """The mean after each row."""
        slots = frame.slots
        mean, at = self.state["mean"][slots], self.state["at"][slots]
        unknown = np.isnan(x)
        if frame.runs.single and not unknown.any():
            # The instances of a device are mostly read together: one weight then serves them all.
            since = at[:, :1] if (at == at[:, :1]).all() else at
            out: Floats = mean + self._weight(frame, since) * (x - mean)
            self.state["mean"][slots] = out
            self.state["at"][slots] = frame.t[:, None]
            return out
        _, since, rows = _before(frame, x, mean, at)
        weight = self._weight(frame, since)
        weight[unknown] = 0.0
        out = approach(np.where(unknown, 0.0, x), weight, frame.runs, mean)
        ends = rows[frame.runs.lasts]
        self.state["mean"][slots] = out[frame.runs.lasts]
        self.state["at"][slots] = np.where(ends >= 0, frame.t[ends], at)
        out[unknown] = np.nan
        return out

    def _weight(self, frame: Frame, since: Integers) -> Floats:
        passed = np.where(since == UNSEEN, np.inf, (frame.t[:, None] - since).astype(np.float64))
        return np.asarray(-np.expm1(passed / (-1000 * self.tau)))


class Silence(Operator):
    """`absent()`: seconds since the agent was last heard, as far as ticks attest them. Kept by the engine itself."""

    def __init__(self) -> None:
        super().__init__({})

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """The silence of each agent, handed in as the column `""`."""
        del x
        return frame.column("")
