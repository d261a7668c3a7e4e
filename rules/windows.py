"""`avg`, `min` and `max` over a window, from 12 closed buckets and the open one.

A window of 1 h is looked at in steps of 5 min: it reaches back between 60 and 65 minutes. Only what is known counts;
a window that has just begun speaks of what it has.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rules.buckets import Rings, Roll, Segments, segments, shifted
from rules.frames import UNSEEN, Frame
from rules.operators import Operator, Place
from rules.samples import Floats
from rules.scans import accumulate

BUCKETS = 12


class _Channel:
    """One running quantity of a window: how it adds up, and under which names it is kept."""

    def __init__(self, name: str, ufunc: np.ufunc, blank: float) -> None:
        self.open, self.ring, self.closed = f"{name}_open", f"{name}_ring", f"{name}_closed"
        self.ufunc = ufunc
        self.blank = blank

    def places(self) -> dict[str, Place]:
        return {
            self.open: Place(np.float64, self.blank),
            self.closed: Place(np.float64, self.blank),
            self.ring: Place(np.float64, self.blank, (BUCKETS,)),
        }

    def merged(self, windows: Rings) -> Floats:
        """[R, k, length] to [R, k], always in the same order of adding."""
        merged = windows[:, :, -1].astype(np.float64)
        for back in range(windows.shape[2] - 2, -1, -1):
            merged = self.ufunc(merged, windows[:, :, back])
        return merged


_SUM = (_Channel("sum", np.add, 0.0), _Channel("count", np.add, 0.0))
_EXTREMES = {"min": (_Channel("min", np.fmin, np.nan),), "max": (_Channel("max", np.fmax, np.nan),)}


class Window(Operator):
    """One of avg, min, max over `seconds`. State 232 B for avg, 120 B for the others."""

    kinds: ClassVar[tuple[str, ...]] = ("avg", "min", "max")

    def __init__(self, kind: str, seconds: float) -> None:
        self.channels = _SUM if kind == "avg" else _EXTREMES[kind]
        layout = {"bucket": Place(np.int64, UNSEEN)}
        for channel in self.channels:
            layout |= channel.places()
        super().__init__(layout)
        self.width = max(1, round(seconds * 1000 / BUCKETS))

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """The mean, least or greatest known value in the window, after each row."""
        cut = segments(frame, self.width, self.state["bucket"][frame.slots], self._late)
        roll = Roll(cut, BUCKETS) if cut.rolls.any() else None
        if len(self.channels) == 1:
            return self._follow(self.channels[0], frame, cut, roll, x) + x * 0
        unknown = np.isnan(x)
        counted = np.where(unknown, 0.0, 1.0)
        total = self._follow(self.channels[0], frame, cut, roll, np.where(unknown, 0.0, x))
        count = self._follow(self.channels[1], frame, cut, roll, counted)
        return np.divide(total, np.where(unknown, np.nan, count))

    def _follow(self, channel: _Channel, frame: Frame, cut: Segments, roll: Roll | None, x: Floats) -> Floats:
        """Adds the rows to one channel; returns it over the window, closed and open, after each row."""
        slots = frame.slots
        opened = self.state[channel.open][slots]
        closed = cut.each(self.state[channel.closed][slots])
        initial = np.where(cut.goes_on[:, None], cut.each(opened), channel.blank) if roll is not None else opened
        running = accumulate(channel.ufunc, x, cut.runs, initial)
        if roll is not None:
            moved = slots[roll.devices]
            summaries = running[cut.runs.lasts]
            windows = roll.windows(self.state[channel.ring][moved], opened[roll.devices], summaries, channel.blank)
            closed[roll.rolling] = channel.merged(windows)
            self.state[channel.ring][moved] = windows[roll.last]
            self.state[channel.closed][moved] = closed[roll.rolling[roll.last]]
        self.state[channel.open][slots] = running[frame.runs.lasts]
        self.state["bucket"][slots] = cut.bucket[cut.finals][:, None]
        return np.asarray(channel.ufunc(closed if cut.runs.single else closed[cut.runs.owner], running))

    def _late(self, slot: int, behind: int) -> None:
        for channel in self.channels:
            opened = float(self.state[channel.open][slot])
            self.state[channel.ring][slot] = shifted(self.state[channel.ring][slot], opened, behind, channel.blank)
            self.state[channel.open][slot] = channel.blank
