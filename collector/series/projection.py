"""The series as a projection of the journal: every value of every record, the flagged ones too, goes to the store.

Errors:
    Unavailable   the store is down or full: the same entries come again after a back-off
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.batching import to_batches
from collector.entry import Entry
from collector.series.store import Refused, SeriesStore
from forewarn.telemetry import Log
from rules.samples import Batch

log = Log(__name__)


class SeriesProjection:
    """See Projection. The store commits the cursor with the rows, or is indifferent to the same rows twice."""

    name = "series"

    def __init__(self, store: SeriesStore) -> None:
        """Args: store: takes the values; the caller closes it."""
        self._store = store
        self.refused = 0
        """Values or lines the store will never take; each batch that has some is logged with their names."""

    def cursor(self) -> int:
        """The last position whose values are stored for good; it may trail `apply` by the store's flush time."""
        return self._store.cursor()

    def apply(self, entries: Sequence[Entry]) -> None:
        """Stores the values of the entries.

        Raises:
            Unavailable: some may be stored; storing them again changes nothing.
        """
        for batch in to_batches(entries):
            try:
                self._store.write(batch)
            except Refused as refused:
                self._name(batch, refused)

    def _name(self, batch: Batch, refused: Refused) -> None:
        self.refused += refused.count
        log.error("values refused", first=batch.first, last=batch.last, why=refused, rows=refused.rows)
