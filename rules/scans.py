"""Running values within runs, bit for bit what one step after another would give.

A sum of floats depends on its order, so both ways of doing it add in the order of time: across many short runs at
once, or down one long run. Which way is taken never shows in the result.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rules.frames import Runs
from rules.samples import Floats, Integers

_NARROW = 8
"""Up to this many columns, plain floats in a loop are quicker than arrays a row at a time."""


def accumulate(ufunc: np.ufunc, x: Floats, runs: Runs, initial: Floats) -> Floats:
    """`ufunc` over each run from its `initial`, after every row.

    Shapes: x float64[N, k], initial float64[R, k]; returns float64[N, k].
    """
    out = np.empty(x.shape)
    out[runs.starts] = ufunc(initial, x[runs.starts])
    if runs.single:
        return out
    long, steps = _ways(runs)
    for run in long:
        first, last = runs.starts[run], runs.starts[run] + runs.lengths[run]
        column = x[first:last].copy()
        column[0] = out[first]
        ufunc.accumulate(column, axis=0, out=out[first:last])
    for rows in steps:
        out[rows] = ufunc(out[rows - 1], x[rows])
    return out


def approach(x: Floats, weight: Floats, runs: Runs, initial: Floats) -> Floats:
    """Y ← y + weight · (x - y) within each run from its `initial`, after every row.

    Shapes as in `accumulate`; weight float64[N, k]. A row of weight 0 and value 0 leaves y as it is.
    """
    out = np.empty(x.shape)
    first = runs.starts
    out[first] = initial + weight[first] * (x[first] - initial)
    if runs.single:
        return out
    long, steps = _ways(runs)
    for run in long:
        _approach_one(x, weight, out, range(int(runs.starts[run]) + 1, int(runs.starts[run] + runs.lengths[run])))
    for rows in steps:
        before = out[rows - 1]
        out[rows] = before + weight[rows] * (x[rows] - before)
    return out


def _approach_one(x: Floats, weight: Floats, out: Floats, rows: range) -> None:
    if x.shape[1] > _NARROW:
        for row in rows:
            before = out[row - 1]
            out[row] = before + weight[row] * (x[row] - before)
        return
    stretch = slice(rows.start, rows.stop)
    for column in range(x.shape[1]):
        y = float(out[rows.start - 1, column])
        reached = []
        for value, share in zip(x[stretch, column].tolist(), weight[stretch, column].tolist(), strict=True):
            y = y + share * (value - y)
            reached.append(y)
        out[stretch, column] = reached


def _ways(runs: Runs) -> tuple[list[int], Iterator[Integers]]:
    """Which runs to take one by one, and the rows of each further step over all the others.

    A step over many runs costs about what one run taken alone does: the split with the fewest of both is taken.
    """
    order = np.argsort(-runs.lengths, kind="stable")
    lengths = np.append(runs.lengths[order], 1)
    alone = int(np.argmin(np.arange(len(lengths)) + lengths))
    return order[:alone].tolist(), _steps(runs, order[alone:])


def _steps(runs: Runs, order: Integers) -> Iterator[Integers]:
    starts, lengths = runs.starts[order], runs.lengths[order]
    for step in range(1, int(lengths[0]) if len(lengths) else 1):
        starts = starts[: np.searchsorted(-lengths, -step)]
        lengths = lengths[: len(starts)]
        yield starts + step


def known_before(x: Floats, runs: Runs) -> Integers:
    """The row of the last known (not NaN) value up to and with each row of its run, -1 for none; int64[N, k]."""
    rows = np.where(np.isnan(x), -1, np.arange(runs.rows)[:, None])
    if not runs.single:
        np.maximum.accumulate(rows, axis=0, out=rows)
        rows[rows < runs.starts[runs.owner][:, None]] = -1
    return rows
