"""What the collector needs, and whether it is there: the answer of /readyz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from collector.api.parts import Check
from collector.projections.runner import Progress
from collector.series.store import SeriesStore
from collector.storage.database import StorageError, reading, stated
from forewarn.bus import Bus


class Needed(NamedTuple):
    """Everything that is looked at; None or empty where this role has no such part."""

    journal: Engine
    service: Engine
    store: SeriesStore
    bus: Bus | None = None
    trouble: Callable[[], str] | None = None
    progress: Callable[[], Sequence[Progress]] = list


def checks(needed: Needed) -> list[Check]:
    """Looks at everything once, in the order of the path of a value."""
    found: list[Check] = []
    if needed.bus is not None:
        state = needed.bus.state
        found.append(Check(name="bus", ok=state.connected, detail=state.why))
    found.append(_database("journal", needed.journal))
    if needed.trouble is not None:
        why = needed.trouble()
        found.append(Check(name="intake", ok=not why, detail=why))
    found.append(_database("service", needed.service))
    why = needed.store.ping() or ""
    found.append(Check(name="store", ok=not why, detail=why))
    found += [_projection(progress) for progress in needed.progress()]
    return found


def _database(name: str, engine: Engine) -> Check:
    try:
        with stated(name), reading(engine) as connection:
            connection.execute(select(1))
    except StorageError as wrong:
        return Check(name=name, ok=False, detail=str(wrong))
    except (DBAPIError, PoolTimeout) as wrong:
        return Check(name=name, ok=False, detail=type(wrong).__name__)
    return Check(name=name, ok=True)


def _projection(progress: Progress) -> Check:
    # The first line alone: behind it a database error shows the statement with its values, which no stranger may see.
    why = progress.error.partition("\n")[0]
    return Check(name=progress.name, ok=not why, detail=why, lag=progress.lag)
