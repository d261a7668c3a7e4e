"""What each rule costs: measured beside the engine that runs, kept where every process of the collector can read it.

The process that evaluates writes a line a rule to `rule_cost` every few seconds; the API and the console read it, in
the same process or in another. A line that has grown old says that nobody evaluates.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Engine as Database
from sqlalchemy import delete, select

from collector.storage import tables
from collector.storage.database import reading, stated, upsert
from rules.engine import Cost

EVERY_SECONDS = 10
STALE_MS = 60_000
"""A line older than this is of a process that ended or stands still."""
_WINDOW_SECONDS = 60.0


class Measured(Protocol):
    """What is asked of an engine."""

    def costs(self) -> list[Cost]:
        """What each rule costs, since the engine began."""


E = TypeVar("E", bound=Measured)


class RuleCost(NamedTuple):
    """What a rule costs; `since` and `at` are Unix milliseconds.

    `state_bytes` are per series. `evaluations` count since `since`; `evaluations_per_second` and `busy` (seconds of
    evaluation a second) are of the last minute before `at`.
    """

    rule: str
    version: str
    state_bytes: int
    series: int
    evaluations: int
    evaluations_per_second: float
    busy: float
    since: int
    at: int

    @property
    def bytes(self) -> int:
        """Bytes of state of all its series; up to as many again are held ready for new ones."""
        return self.state_bytes * self.series


class _Count(NamedTuple):
    evaluations: int = 0
    seconds: float = 0.0


class Meter:
    """Measures the engines of a process: one after another, or one for each shard. Safe to use from several threads."""

    def __init__(self, *, now: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """Takes the clocks: Unix milliseconds, and seconds that never go back."""
        self._now = now
        self._monotonic = monotonic
        self._since = now()
        self._lock = threading.Lock()
        self._engines: dict[int | None, Measured] = {}
        self._before: dict[str, _Count] = {}
        """Counts of the engines that were replaced."""
        self._samples: deque[tuple[float, dict[str, _Count]]] = deque([(monotonic(), {})])

    def watch(self, engine: E, shard: int | None = None) -> E:
        """From now on measures this engine, in place of the one before it; gives it back."""
        with self._lock:
            self._forget(shard)
            self._engines[shard] = engine
        return engine

    def forget(self, shards: Collection[int]) -> None:
        """Measures the engines of some shards no longer."""
        with self._lock:
            for shard in shards:
                self._forget(shard)

    def _forget(self, shard: int | None) -> None:
        gone = self._engines.pop(shard, None)
        for cost in gone.costs() if gone is not None else ():
            before = self._before.get(cost.rule, _Count())
            self._before[cost.rule] = _Count(before.evaluations + cost.evaluations, before.seconds + cost.seconds)

    def figures(self) -> list[RuleCost]:
        """What each rule costs now; empty before there is an engine."""
        with self._lock:
            costs, at = self._costs(), self._monotonic()
            counts = self._counts(costs)
            self._samples.append((at, counts))
            # The one before the window stays, so that there is always a whole window to look back on.
            while len(self._samples) > 1 and self._samples[1][0] <= at - _WINDOW_SECONDS:
                self._samples.popleft()
            began, first = self._samples[0]
        span = max(at - began, 1e-9)
        return [_figure(cost, counts, first, span, self._since, self._now()) for cost in costs]

    def _costs(self) -> list[Cost]:
        """What each rule costs in all engines together."""
        summed: dict[str, Cost] = {}
        for engine in self._engines.values():
            for cost in engine.costs():
                so_far = summed.get(cost.rule)
                summed[cost.rule] = cost if so_far is None else _both(so_far, cost)
        return list(summed.values())

    def _counts(self, costs: Sequence[Cost]) -> dict[str, _Count]:
        counts = dict(self._before)
        for cost in costs:
            before = counts.get(cost.rule, _Count())
            counts[cost.rule] = _Count(before.evaluations + cost.evaluations, before.seconds + cost.seconds)
        return counts


def _both(one: Cost, other: Cost) -> Cost:
    return one._replace(
        series=one.series + other.series,
        evaluations=one.evaluations + other.evaluations,
        seconds=one.seconds + other.seconds,
    )


def _figure(
    cost: Cost, counts: Mapping[str, _Count], first: Mapping[str, _Count], span: float, since: int, at: int
) -> RuleCost:
    count, before = counts[cost.rule], first.get(cost.rule, _Count())
    rate = (count.evaluations - before.evaluations) / span
    busy = (count.seconds - before.seconds) / span
    return RuleCost(cost.rule, cost.version, cost.state_bytes, cost.series, count.evaluations, rate, busy, since, at)


def keep(service: Database, figures: Sequence[RuleCost]) -> None:
    """Writes what each rule costs, and forgets rules that are no longer in force.

    Raises:
        StorageError: the database cannot take it now.
    """
    if not figures:
        return
    with stated("service"), service.begin() as connection:
        upsert(connection, tables.rule_cost, [figure._asdict() for figure in figures])
        gone = tables.rule_cost.c.rule.not_in([figure.rule for figure in figures])
        connection.execute(delete(tables.rule_cost).where(gone))


def kept(service: Database) -> dict[str, RuleCost]:
    """What each rule costs, as last written, by rule."""
    with reading(service) as connection:
        return {row["rule"]: RuleCost(**row) for row in connection.execute(select(tables.rule_cost)).mappings()}


def shares(costs: Mapping[str, RuleCost]) -> dict[str, float]:
    """Each rule's share of the time that rules took in the last minute, 0 to 1; empty when they took none."""
    whole = sum(cost.busy for cost in costs.values())
    return {rule: cost.busy / whole for rule, cost in costs.items()} if whole > 0 else {}
