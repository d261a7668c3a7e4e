"""What the collector needs of a series store.

Errors:
    StoreError
    ├─ Unavailable   down, full or slow: try again; nothing is lost, the journal has it
    └─ Refused       the store will never take some rows, which are named; all others are stored
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rules.samples import Batch


class StoreError(Exception):
    """Anything a series store could not do."""


class Unavailable(StoreError):
    """The store cannot take or give anything now; trying again helps."""


class Refused(StoreError):
    """The store will not take some rows of a batch, ever; the rest is stored and the cursor has moved.

    `rows` has up to 20 of them as text, `count` how many there are; `times` are those of all of them (Unix
    milliseconds), by the device as the store writes it.
    """

    def __init__(
        self, why: str, rows: Sequence[str], count: int, times: Mapping[str, frozenset[int]] | None = None
    ) -> None:
        named = "; ".join(rows[:3])
        super().__init__(f"{count} refused: {why}" + (f" ({named})" if named else ""))
        self.rows = list(rows[:20])
        self.count = count
        self.times = times or {}


class SeriesKey(NamedTuple):
    """One series."""

    site: str
    device: str
    table: str
    instance: str
    field: str


class Points(NamedTuple):
    """A series' values: `t` int64[n] Unix milliseconds ascending, `value` float64[n]; nulls are not stored."""

    t: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


class Sink(Protocol):
    """What takes values in the order of the journal."""

    def cursor(self) -> int:
        """The last journal position whose rows are stored for good: what a reader of the journal resumes behind."""

    def write(self, batch: Batch) -> None:
        """Takes all values of a batch (only finite ones are stored); the cursor follows when they are on disk."""


class SeriesStore(Protocol):
    """Keeps values by series and time.

    Writing the same batch again changes nothing (exactly once by cursor, or idempotent by key and time).
    """

    def cursor(self) -> int:
        """The last journal position whose rows are stored for good: what a reader of the journal resumes behind."""

    def write(self, batch: Batch) -> None:
        """Takes all values of a batch (only finite ones are stored); the cursor follows when they are on disk.

        What was taken can be read at once. Positions that were taken before are passed over.

        Raises:
            Unavailable: nothing was stored, or storing it again is harmless.
            Refused: see above.
        """

    def last(self, site: str, device: str | None = None) -> dict[SeriesKey, tuple[int, float]]:
        """The newest (t, value) of every series of a site or one device."""

    def read(self, keys: Sequence[SeriesKey], begin: int, end: int, *, most: int = 2000) -> dict[SeriesKey, Points]:
        """Values with begin <= t < end (Unix milliseconds); more than `most` a series are thinned to bucket means."""

    def series(self, site: str, device: str | None = None) -> list[SeriesKey]:
        """The series known for a site or one device, sorted."""

    def tend(self, now: int) -> None:
        """Stores what waits, drops what is past its time and tidies up, a few seconds at most; called about every minute.

        Args:
            now: Unix milliseconds.
        """

    def ping(self) -> str | None:
        """None when the store works, else what is wrong, in a sentence."""

    def close(self) -> None:
        """Flushes and lets go."""


@runtime_checkable
class SharedStore(Protocol):
    """A store that several processes write to: it keeps no cursor of theirs."""

    def put(self, batch: Batch) -> None:
        """Takes all values of a batch; the same again changes nothing.

        Raises:
            Unavailable: some may be stored.
            Refused: see above.
        """


class Uncounted:
    """Writes to a shared store; the cursor is kept elsewhere."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    def cursor(self) -> int:
        """Nothing is known here."""
        return 0

    def write(self, batch: Batch) -> None:
        """See SharedStore.put."""
        self._store.put(batch)
