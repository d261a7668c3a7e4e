"""Windows made of buckets: a ring of closed ones and the open one, rolled for all series at once.

A window never keeps its samples, only one summary a bucket. Rolling is a pure function of bucket numbers, so it does
not matter whether buckets close one by one, many in one batch, or late because a series was away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from rules.frames import UNSEEN, Booleans, Frame, Runs
from rules.samples import Integers

Rings = npt.NDArray[np.floating]
Kept = TypeVar("Kept", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class Segments:
    """The rows of a frame cut where a device enters another bucket.

    Shapes over S segments: `bucket` and `device` (index into the frame's D) int64[S]; `first` of its device bool[S];
    `rolls` bool[S]: the closed buckets before it must be looked at anew. `current` int64[D]: the bucket open before
    the frame. `runs` has the rows of each segment.
    """

    runs: Runs
    bucket: Integers
    device: Integers
    first: Booleans
    rolls: Booleans
    current: Integers
    blank: bool
    """Whether a series is seen for the first time."""

    @property
    def goes_on(self) -> Booleans:
        """Which segments go on in the bucket that was open before, bool[S]."""
        return np.asarray(self.first & (self.bucket == self.current[self.device]))

    @property
    def single(self) -> bool:
        """Whether every device has one segment: what a segment has is then what its device has."""
        return len(self.bucket) == len(self.current)

    def each(self, by_device: Kept) -> Kept:
        """By device to by segment, along the first axis."""
        return by_device if self.single else cast("Kept", by_device[self.device])

    @property
    def finals(self) -> Integers:
        """The last segment of each device, int64[D]."""
        return np.append(np.flatnonzero(self.first)[1:], len(self.bucket)) - 1


def segments(frame: Frame, width: int, held: Integers, late: Callable[[int, int], None]) -> Segments:
    """Cuts a frame into segments of `width` ms buckets.

    Args:
        frame: the rows.
        width: of a bucket, milliseconds.
        held: int64[D, k], the bucket open in each slot, UNSEEN for a blank one.
        late: called with (slot, buckets behind) for a series that was away while its device went on.
    """
    number = frame.buckets(width)
    owner = frame.runs.owner
    runs = frame.runs if frame.runs.single else Runs.split((number[1:] != number[:-1]) | (owner[1:] != owner[:-1]))
    bucket, device = number[runs.starts], owner[runs.starts]
    first = np.ones(len(bucket), np.bool_)
    first[1:] = device[1:] != device[:-1]
    current = held[:, 0]
    apart = not bool((held == held[:, :1]).all())
    if apart:
        current = held.max(axis=1)
    rolls = ~first | (bucket != current[device])
    if apart:
        behind = (held != current[:, None]) & (held != UNSEEN)
        for row, column in np.argwhere(behind).tolist():
            late(int(frame.slots[row, column]), int(current[row] - held[row, column]))
            rolls |= first & (device == row)
    unseen = current == UNSEEN
    current = np.where(unseen, bucket[first] - 1, current)
    blank = bool((held == UNSEEN).any()) if apart else bool(unseen.any())
    return Segments(runs, bucket, device, first, rolls, current, blank)


class Roll:
    """Which closed buckets lie before each segment that rolls: indices once, used for each channel.

    For R rolling segments of M devices. `rolling` int64[R] are the segments, `devices` int64[M] theirs.
    """

    def __init__(self, cut: Segments, length: int) -> None:
        self.length = length
        self.rolling = np.flatnonzero(cut.rolls)
        own = cut.device[self.rolling]
        self.next_only = cut.single and bool((cut.bucket[self.rolling] == cut.current[own] + 1).all())
        """Whether each device has one segment, in the bucket right after the one open before: the live case."""
        if self.next_only:
            self.devices, self.involved, self.last = own, self.rolling, np.arange(len(own))
            return
        self.devices, counts = np.unique(own, return_counts=True)
        index = np.full(len(cut.current), -1)
        index[self.devices] = np.arange(len(self.devices))
        self.involved = np.flatnonzero(index[cut.device] >= 0)
        home = index[cut.device[self.involved]]
        sizes = np.bincount(home, minlength=len(self.devices))
        self.base = np.cumsum(sizes + length + 1) - (sizes + length + 1)
        self.entries = int(sizes.sum() + len(sizes) * (length + 1))
        ordinal = np.arange(len(home)) - (np.cumsum(sizes) - sizes)[home]
        self.at = self.base[home] + length + 1 + ordinal
        self.last = np.cumsum(counts) - 1
        """int64[M]: the last rolling segment of each device, index into `rolling`."""
        self._relate(cut)

    def _relate(self, cut: Segments) -> None:
        number = np.full(self.entries, UNSEEN // 2)
        back = np.arange(self.length)
        further = np.arange(self.length + 1)
        current = cut.current[self.devices]
        number[self.base[:, None] + back] = current[:, None] - self.length + back
        leading = np.flatnonzero(cut.first)[self.devices]
        number[self.base + self.length] = np.where(cut.bucket[leading] != current, current, UNSEEN // 2)
        number[self.at] = cut.bucket[self.involved]
        where = np.full(len(cut.bucket), -1)
        where[self.involved] = self.at
        self.source = where[self.rolling][:, None] - 1 - further
        self.age = cut.bucket[self.rolling][:, None] - number[self.source] - 1
        self.inside = self.age < self.length
        self.regular = bool((self.age[:, :-1] == back).all())

    def windows(self, ring: Rings, opened: Rings, summaries: Rings, blank: float) -> Rings:
        """The closed buckets before each rolling segment, newest first: [R, k, length].

        Args:
            ring: [M, k, length] of the devices before the frame, newest first.
            opened: [M, k] summary of the bucket open before the frame.
            summaries: [S, k] of each segment; those of `involved` are read.
            blank: stands for a bucket without a value.
        """
        if self.next_only:
            out = np.empty(ring.shape, ring.dtype)
            out[:, :, 0] = opened
            out[:, :, 1:] = ring[:, :, :-1]
            return out
        flat = np.full((self.entries, ring.shape[1]), blank, ring.dtype)
        flat[self.base[:, None] + np.arange(self.length)] = ring[:, :, ::-1].transpose(0, 2, 1)
        flat[self.base + self.length] = opened
        flat[self.at] = summaries[self.involved]
        if self.regular:
            return np.ascontiguousarray(flat[self.source[:, :-1]].transpose(0, 2, 1))
        out = np.full((len(self.rolling), self.length, ring.shape[1]), blank, ring.dtype)
        segment, back = np.nonzero(self.inside)
        out[segment, self.age[segment, back]] = flat[self.source[segment, back]]
        return np.ascontiguousarray(out.transpose(0, 2, 1))


def shifted(ring: Rings, opened: float, behind: int, blank: float) -> Rings:
    """One ring after its open bucket closed `behind` buckets ago."""
    moved = np.full(len(ring), blank, ring.dtype)
    if behind <= len(ring):
        moved[behind - 1] = opened
        moved[behind:] = ring[: len(ring) - behind]
    return moved
