"""The series as a projection of the journal: every value of every record, the flagged ones too, goes to the store.

Errors:
    Unavailable   the store is down or full: the same entries come again after a back-off
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.journal.batching import to_batches
from collector.journal.entry import Entry, Unable
from collector.series.lines import tag
from collector.series.store import Refused, Sink
from forewarn.telemetry import Log
from rules.samples import Batch

log = Log(__name__)


class SeriesProjection:
    """See Projection. The store commits the cursor with the rows, or is indifferent to the same rows twice."""

    name = "series"

    def __init__(self, store: Sink, *, unable: Unable | None = None) -> None:
        """Args: store: takes the values; the caller closes it. unable: keeps the blocks whose values it refuses."""
        self._store = store
        self._unable = unable
        self._untold: list[tuple[Entry, str]] = []
        self.refused = 0
        """Values or lines the store will never take; each batch that has some is logged with their names."""

    def cursor(self) -> int:
        """The last position whose values are stored for good; it may trail `apply` by the store's flush time."""
        return self._store.cursor()

    def apply(self, entries: Sequence[Entry]) -> None:
        """Stores the values of the entries.

        Raises:
            Unavailable: some may be stored; storing them again changes nothing.
            StorageError: a block with refused values could not be noted; the same holds.
        """
        self._tell()
        for batch in to_batches(entry for entry in entries if entry.concerns(self.name)):
            try:
                self._store.write(batch)
            except Refused as refused:
                self._name(batch, refused)
                mine = [one for one in entries if batch.first <= one.position <= batch.last]
                self._untold += [(one, str(refused)) for one in mine if _refused_of(one, refused)]
                self._tell()

    def _tell(self) -> None:
        """Notes the blocks whose values were refused; the store does not refuse them a second time."""
        while self._untold:
            if self._unable is not None:
                self._unable.note(self.name, self._untold[0][0], "refused", self._untold[0][1])
            del self._untold[0]

    def _name(self, batch: Batch, refused: Refused) -> None:
        self.refused += refused.count
        log.error("values refused", first=batch.first, last=batch.last, why=refused, rows=refused.rows)


def _refused_of(entry: Entry, refused: Refused) -> bool:
    """Whether values of this entry are among those refused."""
    if entry.received is None or not entry.concerns(SeriesProjection.name):
        return False
    counted = (one for one in entry.received.block.records if entry.first <= one.seq <= entry.last and not one.kind)
    return any(one.t in refused.times.get(tag(one.device), ()) for one in counted)
