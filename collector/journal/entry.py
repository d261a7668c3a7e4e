"""The journal as its readers see it, and what a reader promises.

Everything the collector derives (series, rule state, tickets) is a projection of the journal: it can be thrown away
and made again. A projection's cursor is committed where its effect is, so that each entry has its effect exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from forewarn.wire import Received


class Entry(NamedTuple):
    """One journal entry: an accepted block, or a tick (`agent` empty, `received` None).

    Only records with `first` <= seq <= `last` count: what lay below the watermark was trimmed. `arrived` is Unix
    milliseconds. `position` rises by commit; an entry never changes. `shard` is the agent's; of a tick `shards` has a bit
    for each it speaks for (None: for all), and `listened` says how many milliseconds it attests at most. One that is
    given again names in `only` the projection it is for; all others pass it over.
    """

    position: int
    arrived: int
    site: str
    agent: str
    epoch: str
    first: int
    last: int
    received: Received | None
    shard: int = 0
    shards: int | None = None
    listened: int | None = None
    only: str = ""

    @property
    def is_tick(self) -> bool:
        """Whether this entry only says that time passed."""
        return self.received is None

    def concerns(self, projection: str) -> bool:
        """Whether a projection is to apply it."""
        return not self.only or self.only == projection


class Unable(Protocol):
    """Who keeps what a projection can never take; see `collector.journal.deadletter`."""

    def note(self, projection: str, entry: Entry, reason: str, detail: str) -> None:
        """Notes it, once however often it is told."""


class Projection(Protocol):
    """Something derived from the journal, in order, exactly once."""

    name: str

    def cursor(self) -> int:
        """The last position whose effect is committed; 0 before the first."""

    def apply(self, entries: Sequence[Entry]) -> None:
        """Takes the next entries (contiguous, in order) and commits their effect together with the cursor.

        Raises:
            Exception: nothing of the call took effect; the same entries are given again after a back-off.
        """


class Journal(Protocol):
    """What projections need of the journal."""

    def head(self) -> int:
        """The last committed position."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > `after`, decoded, in order."""

    def wait(self, after: int, timeout: float) -> bool:
        """Blocks until head > `after` or `timeout` seconds passed; says whether there is something to read."""
