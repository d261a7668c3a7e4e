"""When a noisy series will cross a threshold, with an interval that means what it says.

Up to 24 block means of closed buckets go in. The slope is Theil and Sen's median of pairwise slopes (Theil 1950, Sen
1968), its interval Sen's rank interval, significance Mann and Kendall's; both variances are widened for the lag-1
autocorrelation of the residuals (as Hamed and Rao 1998 correct it). The crossing's interval is Fieller's (1954),
which is asymmetric, and unbounded where the slope is not sure. Robust against single outliers; blocks of several
buckets take most of the autocorrelation out before it is corrected for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rules.frames import Booleans
from rules.samples import Floats, Integers

BLOCKS = 24
Z90 = 1.6448536269514722
"""Standard normal quantile of a two-sided 90 % interval."""
SURE = 2.5758293035489004
"""Two-sided 1 %: a trend with less is none."""
ENOUGH = 8
"""Blocks with a value, below which nothing is said."""

_BIAS = 2.0
"""The residuals of a fitted line look less correlated than they are: by about (1 + 4 rho) / n (Kendall 1954), and
once more for the slope."""
_DOUBT = 1.0
"""As much again for the interval: the correlation is itself a guess, and an interval too wide costs less."""
_TREND_LIMIT = 0.7
"""Keeps a clean ramp of rounded readings a trend."""
_INTERVAL_LIMIT = 0.8
"""Beyond it hardly any interval would end."""

_EARLIER, _LATER = np.triu_indices(BLOCKS, 1)
_GAP = 1.0 / (_LATER - _EARLIER)


class Fit(NamedTuple):
    """One line per series, float64[M] each; times in blocks after the newest block's centre.

    `crossing` is when the line reaches the threshold (inf: it does not rise towards it for sure), `low` and `high`
    its 90 % interval, `slope` per block, `z` Mann-Kendall's statistic with its sign, `level` the line's value at the
    newest block, `known` the blocks with a value. NaN where `known` < ENOUGH, and for slope and level where no line was
    needed because the series does not rise.
    """

    crossing: Floats
    low: Floats
    high: Floats
    slope: Floats
    z: Floats
    level: Floats
    known: Integers


def fit(blocks: Floats, threshold: float) -> Fit:
    """Fits a line to each series and says when it rises to `threshold`.

    Args:
        blocks: float64[M, 24], oldest first, evenly spaced, NaN where nothing is known.
        threshold: what is reached from below; for reaching from above negate both.
    """
    known = ~np.isnan(blocks)
    count = known.sum(axis=1)
    # Buckets are kept in single precision, which is all that a sign needs.
    across = np.ascontiguousarray(blocks.T, np.float32)
    later, earlier = across[_LATER], across[_EARLIER]
    signs = (later > earlier).view(np.int8) - (later < earlier).view(np.int8)
    score = signs.sum(axis=0, dtype=np.int16).astype(np.int64)
    z = _significance(score, count, 1.0)
    enough = count >= ENOUGH
    endless, unsaid = np.where(enough, np.inf, np.nan), np.full(len(blocks), np.nan)
    out = Fit(endless, endless.copy(), endless.copy(), unsaid, np.where(enough, z, np.nan), unsaid.copy(), count)
    # Autocorrelation only ever weakens z: what does not rise for sure without it needs no line.
    rising = np.flatnonzero((z >= SURE) & enough)
    rising = rising[_steady(signs[:, rising], known[rising])]
    if len(rising):
        lines = _lines(blocks[rising], known[rising], score[rising], threshold)
        for column, values in zip(out, lines, strict=True):
            column[rising] = values
    return out


def _steady(signs: npt.NDArray[np.int8], known: Booleans) -> Booleans:
    """Whether both halves of each history rise; signs int8[276, M] of the pairs. A short history has halves too."""
    middle = (np.argmax(known, axis=1) + BLOCKS) / 2
    old = np.where(_LATER[:, None] < middle, signs, 0).sum(axis=0, dtype=np.int16)
    new = np.where(_EARLIER[:, None] >= middle, signs, 0).sum(axis=0, dtype=np.int16)
    return np.asarray((old > 0) & (new > 0))


def _lines(blocks: Floats, known: Booleans, score: Integers, threshold: float) -> Fit:
    """The lines of series that may rise for sure."""
    count = known.sum(axis=1)
    slopes = (blocks[:, _LATER] - blocks[:, _EARLIER]) * _GAP
    slopes.sort(axis=1)
    pairs = count * (count - 1) // 2
    slope = _quantile(slopes, pairs, (pairs - 1) / 2)
    centre, level, error, correlation = _about(blocks, known, count, slope)
    z = _significance(score, count, _inflation(correlation, count, _BIAS, _TREND_LIMIT))
    inflation = _inflation(correlation, count, _BIAS + _DOUBT, _INTERVAL_LIMIT)
    half = Z90 * _rank_deviation(count, inflation) / 2
    low_slope = _quantile(slopes, pairs, (pairs - 1) / 2 - half)
    high_slope = _quantile(slopes, pairs, (pairs - 1) / 2 + half)
    deviation = np.maximum(high_slope - low_slope, 0) / (2 * Z90)
    crossing, low, high = _fieller(
        threshold - level, slope, deviation, error * np.sqrt(inflation), _student(count, inflation)
    )
    ahead = centre - (BLOCKS - 1)
    sure = (slope > 0) & (z >= SURE)
    crossing, low, high = (np.where(sure, at + ahead, np.inf) for at in (crossing, low, high))
    return Fit(crossing, low, high, slope, z, level - slope * ahead, count)


def _rank_deviation(count: Integers, inflation: Floats | float) -> Floats:
    """Standard deviation of Mann and Kendall's score without a trend."""
    return np.asarray(np.sqrt(count * (count - 1) * (2 * count + 5) / 18 * inflation))


def _significance(score: Integers, count: Integers, inflation: Floats | float) -> Floats:
    deviation = np.maximum(_rank_deviation(count, inflation), 1e-12)
    return np.asarray(np.sign(score) * np.maximum(np.abs(score) - 1, 0) / deviation)


def _quantile(ordered: Floats, count: Integers, rank: Floats) -> Floats:
    """The value at a fractional rank among the first `count` of each sorted row."""
    rank = np.clip(rank, 0, np.maximum(count - 1, 0))
    under = rank.astype(np.int64)
    share = rank - under
    row = np.arange(len(ordered))
    lower = ordered[row, under]
    upper = ordered[row, np.minimum(under + 1, np.maximum(count - 1, 0))]
    return np.asarray(lower + share * (upper - lower))


def _about(blocks: Floats, known: Booleans, count: Integers, slope: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(centre of the known times, level there, its standard error, lag-1 correlation), for independent residuals."""
    at = np.arange(BLOCKS, dtype=np.float64)
    some = np.maximum(count, 1)
    centre = np.where(known, at, 0.0).sum(axis=1) / some
    rest = blocks - slope[:, None] * (at - centre[:, None])
    level = np.where(known, rest, 0.0).sum(axis=1) / some
    rest = np.where(known, rest - level[:, None], 0.0)
    squares = (rest * rest).sum(axis=1)
    both = known[:, 1:] & known[:, :-1]
    lagged = (np.where(both, rest[:, 1:] * rest[:, :-1], 0.0)).sum(axis=1)
    correlation = np.divide(lagged, squares, out=np.zeros(len(squares)), where=squares > 0)
    variance = squares / np.maximum(count - 2, 1)
    return centre, level, np.sqrt(variance / some), correlation


def _inflation(correlation: Floats, count: Integers, bias: float, limit: float) -> Floats:
    """By how much autocorrelation widens a variance, from that of the residuals."""
    true = (correlation + bias / np.maximum(count, 1)) / (1 - 4 / np.maximum(count, 5))
    true = np.clip(true, 0.0, limit)
    return np.asarray((1 + true) / (1 - true))


def _student(count: Integers, inflation: Floats) -> Floats:
    """Student's two-sided 90 % quantile for the degrees of freedom that autocorrelation leaves."""
    free = np.maximum(count / inflation - 2, 2.0)
    return Z90 + (Z90**3 + Z90) / (4 * free) + (5 * Z90**5 + 16 * Z90**3 + 3 * Z90) / (96 * free**2)


def _fieller(
    rise: Floats, slope: Floats, slope_error: Floats, level_error: Floats, quantile: Floats
) -> tuple[Floats, Floats, Floats]:
    """When slope · time = rise, and Fieller's interval for it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at = rise / slope
        g = (quantile * slope_error / slope) ** 2
        half = quantile / np.abs(slope) * np.sqrt(level_error**2 * np.maximum(1 - g, 0) + (at * slope_error) ** 2)
        low, high = (at - half) / (1 - g), (at + half) / (1 - g)
    bounded = g < 1
    return at, np.where(bounded, low, 0.0), np.where(bounded, high, np.inf)


def chance(z: float) -> float:
    """Two-sided p of a standard normal z."""
    return math.erfc(abs(z) / math.sqrt(2))
