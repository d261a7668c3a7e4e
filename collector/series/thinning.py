"""Fewer points for a screen: bucket means over the span a series really covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collector.series.store import Points

EMPTY = Points(np.empty(0, np.int64), np.empty(0, np.float64))


def bucket_width(first: int, last: int, most: int) -> int:
    """Milliseconds of a bucket, so that at most `most` buckets from `first` on hold everything up to `last`."""
    return max(1, -(-(last - first + 1) // most))


def thinned(points: Points, most: int) -> Points:
    """Returns the points, or when there are more than `most`, the means of equal buckets.

    The first bucket begins at the first point; a bucket's `t` is its begin; empty buckets are left out.
    """
    t, value = points
    if len(t) <= most:
        return points
    first = int(t[0])
    bucket = (t - first) // bucket_width(first, int(t[-1]), most)
    begins = np.flatnonzero(np.diff(bucket, prepend=-1))
    means = np.add.reduceat(value, begins) / np.diff(begins, append=len(t))
    return Points(first + bucket[begins] * bucket_width(first, int(t[-1]), most), means)


def settled(t: npt.NDArray[np.int64], value: npt.NDArray[np.float64]) -> Points:
    """Orders values by time; of two with the same time the one written later stays.

    Args:
        t: int64[n] in the order of writing.
        value: float64[n].
    """
    order = np.argsort(t, kind="stable")
    t, value = t[order], value[order]
    stays = np.ones(len(t), np.bool_)
    stays[:-1] = t[1:] != t[:-1]
    return Points(t[stays], value[stays])
