"""A series store in memory: the twin of the real ones, for tests and for the demo. It forgets everything at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from collector.series.store import Points, SeriesKey
from collector.series.thinning import EMPTY, settled, thinned
from rules.samples import Batch, Rows


class MemoryStore:
    """Keeps every series as a dict from time to value."""

    def __init__(self, *, keep: float = float("inf")) -> None:
        """Args: keep: seconds after which `tend` drops a value."""
        self._keep = keep
        self._cursor = 0
        self._values: dict[SeriesKey, dict[int, float]] = {}
        self._lock = threading.Lock()

    def cursor(self) -> int:
        """See SeriesStore."""
        return self._cursor

    def write(self, batch: Batch) -> None:
        """See SeriesStore."""
        with self._lock:
            if batch.last <= self._cursor:
                return
            for rows in batch.rows:
                self._take(rows)
            self._cursor = batch.last

    def _take(self, rows: Rows) -> None:
        columns = list(rows.shape.columns())
        for at, device in enumerate(rows.devices):
            t = int(rows.t[at])
            for column in np.flatnonzero(np.isfinite(rows.values[at])):
                key = SeriesKey(device.site, device.device, *columns[column])
                self._values.setdefault(key, {})[t] = float(rows.values[at, column])

    def last(self, site: str, device: str | None = None) -> dict[SeriesKey, tuple[int, float]]:
        """See SeriesStore."""
        with self._lock:
            newest = {key: max(self._values[key]) for key in self._of(site, device)}
            return {key: (t, self._values[key][t]) for key, t in newest.items()}

    def read(self, keys: Sequence[SeriesKey], begin: int, end: int, *, most: int = 2000) -> dict[SeriesKey, Points]:
        """See SeriesStore."""
        found = {}
        with self._lock:
            for key in keys:
                pairs = [(t, value) for t, value in self._values.get(key, {}).items() if begin <= t < end]
                t = np.array([pair[0] for pair in pairs], np.int64)
                value = np.array([pair[1] for pair in pairs], np.float64)
                found[key] = thinned(settled(t, value), most) if pairs else EMPTY
        return found

    def series(self, site: str, device: str | None = None) -> list[SeriesKey]:
        """See SeriesStore."""
        with self._lock:
            return self._of(site, device)

    def _of(self, site: str, device: str | None) -> list[SeriesKey]:
        return sorted(key for key in self._values if key.site == site and device in (None, key.device))

    def tend(self, now: int) -> None:
        """See SeriesStore."""
        oldest = now - self._keep * 1000
        with self._lock:
            kept = {key: {t: v for t, v in values.items() if t >= oldest} for key, values in self._values.items()}
            self._values = {key: values for key, values in kept.items() if values}

    def ping(self) -> str | None:
        """See SeriesStore."""
        return None

    def close(self) -> None:
        """See SeriesStore."""
