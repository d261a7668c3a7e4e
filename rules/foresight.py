"""`ttt`: time until a series reaches a threshold, kept as bucket medians and one fitted line.

Within a bucket (an hour, or as the rule says) the last value of each twelfth is kept; a closed bucket is their
median; 168 closed buckets make the ring. A line is fitted when a bucket closes (`rules.trend`), so that between
closes a value costs one subtraction.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rules.buckets import Rings, Roll, Segments, segments, shifted
from rules.frames import UNSEEN, Booleans, Frame, Runs
from rules.operators import Operator, Place
from rules.samples import Floats, Integers
from rules.scans import known_before
from rules.trend import BLOCKS, chance, fit

RING = 168
PIECES = 12
_FITS = ("crossing", "low", "high", "slope", "z", "level", "span")
_AT_ONCE = 2048
"""Series fitted together: bounds the memory of their 276 pairwise slopes."""
LEAST_SPAN = 24 * 3600 * 1000
"""Milliseconds of buckets, the first perhaps begun half-way, below which nothing is foretold: a shorter rise is as
often a daily habit."""
STRETCH = 1.5
"""`ttt < D` also wants the late end of the interval below D times this."""
HABIT = 30 * 3600 * 1000
"""`ttt < D` also wants this many milliseconds of history: what is filled and purged every day rises for a day, and
only its fall tells it from what fills."""
SWING = 14
"""... and this many buckets: fewer daily ones make a trend of a warm week."""
LEVERAGE = 4
"""`ttt < D` also wants a history of at least D / this."""
FLOOR = 0.6
"""`ttt < D` also wants a level of at least this share of a positive threshold that is reached from below."""


class TimeTo(Operator):
    """`ttt(x, threshold[, bucket][, up | down])` in seconds. State 784 B.

    Unknown until 24 h and 8 blocks are known; infinite where no trend towards the threshold is sure (Mann-Kendall
    p < 0.01, same sign in both halves of the history); 0 once it is reached.
    """

    parts: ClassVar[tuple[str, ...]] = ("low", "high")

    def __init__(self, threshold: float, bucket: float = 3600.0, direction: str = "up") -> None:
        layout = {
            "bucket": Place(np.int64, UNSEEN),
            "open": Place(np.float32, np.nan, (PIECES,)),
            "ring": Place(np.float32, np.nan, (RING,)),
        }
        super().__init__(layout | {name: Place(np.float64, np.nan) for name in _FITS})
        self.sign = -1.0 if direction == "down" else 1.0
        self.threshold = threshold
        self.width = round(bucket * 1000)
        self._cut: Segments | None = None
        self._fits: dict[str, Floats] = {}

    def apply(self, frame: Frame, x: Floats) -> Floats:
        """Seconds to the crossing after each row: the middle estimate."""
        slots = frame.slots
        self._cut = cut = segments(frame, self.width, self.state["bucket"][slots], self._late)
        self._fits = {}
        pieces = _Pieces(frame, cut, x, self.width)
        places = cut.each(slots)
        if cut.rolls.any():
            if not cut.single:
                # A device with several segments has several fits; else the state after rolling has the only one.
                self._fits = {name: cut.each(self.state[name][slots]) for name in _FITS}
            self._roll(frame, cut, pieces, places)
        else:
            pieces.write(self.state["open"], places)
        if cut.blank or cut.rolls.any():
            self.state["bucket"][slots] = cut.bucket[cut.finals][:, None]
        return self._until("crossing", frame) + x * 0

    def part(self, frame: Frame, name: str) -> Floats:
        """`low` or `high` end of the 90 % interval, seconds."""
        return self._until(name, frame)

    def soon(self, frame: Frame, until: Floats, horizon: float) -> Booleans:
        """Whether the crossing is nearer than `horizon` seconds on evidence that carries it; bool[N, k]."""
        near = until < horizon
        if not near.any():
            return near
        carried = self._per_row("span", frame) >= max(horizon * 1000 / LEVERAGE, HABIT, SWING * self.width)
        if self.sign > 0 and self.threshold > 0:
            carried &= self._per_row("level", frame) >= FLOOR * self.threshold
        return np.asarray(near & carried & (self._until("high", frame) < STRETCH * horizon))

    def detail(self, frame: Frame, row: int, column: int) -> dict[str, float]:
        """Slope per day, interval, p, and the history behind one value."""
        assert self._cut is not None, "evidence follows apply"
        segment = self._cut.runs.owner[row]
        kept = {name: float(self._fit(name, frame)[segment, column]) for name in _FITS}
        until = {name: max(kept[name] - float(frame.t[row]), 0.0) / 1000 for name in ("low", "high")}
        history = {"p": chance(kept["z"]), "history_seconds": kept["span"] / 1000, "level": self.sign * kept["level"]}
        return {"slope_per_day": self.sign * kept["slope"] * 86_400_000, **until, **history}

    def _until(self, name: str, frame: Frame) -> Floats:
        at = self._per_row(name, frame)
        return np.asarray(np.maximum(at - frame.t[:, None], 0.0) / 1000)

    def _fit(self, name: str, frame: Frame) -> Floats:
        """One number of the fit in force for each segment, [S, k]; without a roll that is the state's."""
        assert self._cut is not None, "results follow apply"
        if name not in self._fits:
            self._fits[name] = self._cut.each(self.state[name][frame.slots])
        return self._fits[name]

    def _per_row(self, name: str, frame: Frame) -> Floats:
        fitted = self._fit(name, frame)
        assert self._cut is not None, "results follow apply"
        return fitted if self._cut.runs.single else fitted[self._cut.runs.owner]

    def _roll(self, frame: Frame, cut: Segments, pieces: _Pieces, places: Integers) -> None:
        """Closes buckets, fits, and leaves the state as after the last row; `places` are the slots of segments."""
        roll = Roll(cut, RING)
        moved = frame.slots[roll.devices]
        if roll.next_only:
            opened = summaries = _middle(self.state["open"][moved])
            self.state["open"][moved] = np.nan
            pieces.write(self.state["open"], places)
        else:
            pieces.write(self.state["open"], places, cut.goes_on)
            opened, summaries = self._summed_up(frame, cut, roll, pieces)
        windows = roll.windows(self.state["ring"][moved], opened, summaries, np.nan)
        begins = cut.bucket[roll.rolling] * self.width - frame.shifts(self.width)[cut.device[roll.rolling]]
        fits = self._fitted(windows, begins)
        self.state["ring"][moved] = windows[roll.last]
        for name in _FITS:
            if self._fits:
                self._fits[name][roll.rolling] = fits[name]
            self.state[name][moved] = fits[name][roll.last]

    def _summed_up(self, frame: Frame, cut: Segments, roll: Roll, pieces: _Pieces) -> tuple[Rings, Rings]:
        """The medians of the buckets open before, [M, k], and of each segment, [S, k]; leaves the last ones open."""
        moved, across = frame.slots[roll.devices], len(frame.instances)
        opened = _middle(self.state["open"][moved])
        new = ~cut.goes_on
        fresh = roll.involved[new[roll.involved]]
        buffers = np.full((len(fresh), across, PIECES), np.nan, np.float32)
        pieces.write_buffers(buffers, fresh)
        summaries = np.full((len(cut.bucket), across), np.nan, np.float32)
        home = np.full(len(cut.current), -1)
        home[roll.devices] = np.arange(len(roll.devices))
        going = np.flatnonzero(~new & (home[cut.device] >= 0))
        summaries[going] = opened[home[cut.device[going]]]
        summaries[fresh] = _middle(buffers)
        final = cut.finals[roll.devices]
        renewed = new[final]
        self.state["open"][moved[renewed]] = buffers[np.searchsorted(fresh, final)[renewed]]
        return opened, summaries

    def _fitted(self, windows: Rings, begins: Integers) -> dict[str, Floats]:
        """Fits each series before each rolling segment; [R, k] by name, times in Unix ms, slope per ms."""
        rolling, across, _ = windows.shape
        rings = windows.reshape(rolling * across, RING)
        if self.sign < 0:
            rings = -rings
        start = np.repeat(begins, across).astype(np.float64)
        out = {name: np.full(len(rings), np.nan) for name in _FITS}
        known = ~np.isnan(rings)
        history = np.where(known.any(axis=1), RING - np.argmax(known[:, ::-1], axis=1), 0)
        fold = -(-history // BLOCKS)
        told = history * self.width >= LEAST_SPAN
        for size in np.unique(fold[told]).tolist():
            rows = np.flatnonzero(told & (fold == size))
            for first in range(0, len(rows), _AT_ONCE):
                some = rows[first : first + _AT_ONCE]
                self._fit_some(rings[some], start[some], size, out, some)
        out["span"][told] = history[told] * self.width
        reached = told & (rings[:, 0] >= self.sign * self.threshold)
        for name in ("crossing", "low", "high"):
            out[name][reached] = start[reached]
        out["span"][reached], out["level"][reached] = np.inf, rings[reached, 0]
        return {name: values.reshape(rolling, across) for name, values in out.items()}

    def _fit_some(self, rings: Rings, start: Floats, size: int, out: dict[str, Floats], rows: Integers) -> None:
        line = fit(_folded(rings, size), self.sign * self.threshold)
        step = float(size * self.width)
        centre = start - step / 2
        for name in ("crossing", "low", "high"):
            out[name][rows] = centre + getattr(line, name) * step
        out["slope"][rows] = line.slope / step
        out["z"][rows], out["level"][rows] = line.z, line.level

    def _late(self, slot: int, behind: int) -> None:
        opened = float(_middle(self.state["open"][slot][None, None])[0, 0])
        self.state["ring"][slot] = shifted(self.state["ring"][slot], opened, behind, np.nan)
        self.state["open"][slot] = np.nan


class _Pieces:
    """The last known value of each twelfth of a bucket, in the rows of a frame.

    Shapes: Q stretches of rows in one device, bucket and twelfth: `segment` and `piece` int64[Q]; `values`
    float64[Q, k], NaN where none is known.
    """

    def __init__(self, frame: Frame, cut: Segments, x: Floats, width: int) -> None:
        shifted_t = frame.t + frame.shifts(width)[frame.runs.owner]
        piece = shifted_t % width * PIECES // width
        if frame.runs.single:
            self.segment, self.piece, self.values = cut.runs.owner, piece, x
            return
        segment = cut.runs.owner
        runs = Runs.split((segment[1:] != segment[:-1]) | (piece[1:] != piece[:-1]))
        rows = known_before(x, runs)[runs.lasts]
        self.segment, self.piece = segment[runs.starts], piece[runs.starts]
        self.values = np.where(rows >= 0, np.take_along_axis(x, np.maximum(rows, 0), 0), np.nan)

    def write(self, opened: Rings, slots: Integers, which: Booleans | None = None) -> None:
        """Puts the pieces of the segments `which` (None: all) into `opened` [slots, 12].

        `slots` int64[S, k] are the places of each segment.
        """
        home = slots if len(slots) == len(self.segment) else slots[self.segment]
        at, values = home * PIECES + self.piece[:, None], self.values
        if which is not None:
            mine = which[self.segment]
            at, values = at[mine], values[mine]
        known = ~np.isnan(values)
        flat = opened.reshape(-1)
        if known.all():
            flat[at] = values
        else:
            flat[at[known]] = values[known]

    def write_buffers(self, buffers: Rings, which: Integers) -> None:
        """Puts the pieces of the segments `which` (ascending) into `buffers` [len(which), k, 12]."""
        at = np.minimum(np.searchsorted(which, self.segment), max(len(which) - 1, 0))
        mine = np.flatnonzero(which[at] == self.segment) if len(which) else np.empty(0, np.int64)
        stretch, column = np.nonzero(~np.isnan(self.values[mine]))
        chosen = mine[stretch]
        buffers[at[chosen], column, self.piece[chosen]] = self.values[chosen, column]


def _middle(pieces: Rings) -> Rings:
    """Medians over the last axis of what is known; NaN for nothing."""
    ordered = np.sort(pieces, axis=-1)
    if not np.isnan(ordered[..., -1]).any():
        return np.asarray((ordered[..., (PIECES - 1) // 2] + ordered[..., PIECES // 2]) * np.float32(0.5))
    count = PIECES - np.isnan(ordered).sum(axis=-1)
    lower = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[..., None], -1)
    upper = np.take_along_axis(ordered, np.minimum(count // 2, PIECES - 1)[..., None], -1)
    return np.asarray((lower[..., 0] + upper[..., 0]) * np.float32(0.5))


def _folded(rings: Rings, size: int) -> Floats:
    """Means of `size` buckets, [M, 24], oldest first; rings are newest first."""
    taken = rings[:, : BLOCKS * size].reshape(len(rings), BLOCKS, size).astype(np.float64)
    if size == 1:
        return taken[:, ::-1, 0]
    known = ~np.isnan(taken)
    total, count = np.zeros(taken.shape[:2]), np.zeros(taken.shape[:2])
    for at in range(size):
        total += np.where(known[:, :, at], taken[:, :, at], 0.0)
        count += known[:, :, at]
    with np.errstate(invalid="ignore"):
        return np.asarray((total / count)[:, ::-1])
