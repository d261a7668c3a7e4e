"""One engine of rules and where it stands in the journal: evaluates entries, and makes its state again after a loss.

    newest sound snapshot at or before the cursor (or an empty state)
    → replay of the journal up to the cursor, findings dropped: they are in the book
    → on from there

An entry at which a rule makes a mistake (a `MISTAKES`) is looked for by halves, set aside for the rules, counted and
named; a replay that meets it again does the same. Everything else it holds is in the series and in the journal.

Errors: whatever the journal raises, and a want of memory, passes through; the state is made again by the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from collector.evaluation.snapshots import SnapshotStore
from collector.journal.batching import to_batches
from collector.journal.entry import Entry, Journal, Unable
from forewarn.telemetry import Log
from rules.finding import Finding
from rules.samples import Batch

log = Log(__name__)

RULES = "rules"
"""What dead letters and entries given again call the rules, of whatever shard."""
_REPLAYED_AT_ONCE = 500
MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What code raises that is wrong for an input, however often it is tried again."""


class RuleEngine(Protocol):
    """What is needed of `rules.engine.Engine`: deterministic, and indifferent to how batches are cut."""

    def apply(self, batch: Batch) -> list[Finding]:
        """Takes the next batch; gives what it decided, in order."""

    def snapshot(self) -> Mapping[str, bytes]:
        """The whole state, in parts that change as little as possible."""


MakeEngine = Callable[[Mapping[str, bytes] | None], RuleEngine]
"""Makes an engine from a snapshot's parts, or None for an empty one; ValueError: the parts are not for these rules."""


class Source(Protocol):
    """Where a lane's entries come from when its state must be made again."""

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Up to `limit` entries with position > `after`, in order."""

    def complete(self, after: int, entries: Sequence[Entry]) -> bool:
        """Whether `entries`, read after a position, can be all there were."""


class Whole:
    """The whole journal as a Source: its positions have no holes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def read(self, after: int, limit: int) -> Sequence[Entry]:
        """See Source."""
        return self._journal.read(after, limit)

    def complete(self, after: int, entries: Sequence[Entry]) -> bool:
        """See Source."""
        return bool(entries) and entries[0].position == after + 1


class Lane:
    """The rules over the entries of a source; one thread uses it.

    Args:
        make: makes the engine.
        source: gives entries when state must be made again.
        snapshots: keeps the state.
        every: seconds between snapshots.
        monotonic: seconds that never go back.
        unable: is told of entries that are set aside.
    """

    def __init__(
        self,
        make: MakeEngine,
        source: Source,
        snapshots: SnapshotStore,
        *,
        every: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        unable: Unable | None = None,
    ) -> None:
        self._make = make
        self._source = source
        self._snapshots = snapshots
        self._every = every
        self._monotonic = monotonic
        self._unable = unable
        self._engine: RuleEngine | None = None
        self._ill: set[int] = set()
        self._saved = (0, monotonic())
        self.at = 0
        """The last position evaluated."""
        self.set_aside = 0
        """Entries that the rules could not take, since the start."""

    @property
    def ready(self) -> bool:
        """Whether there is a state; without one, `restore` makes it."""
        return self._engine is not None

    def evaluated(self, entries: Sequence[Entry]) -> tuple[list[Finding], list[Batch]]:
        """Gives the engine, which stands right before them, some entries; one that it cannot take is set aside."""
        engine, self._engine = self._engine, None
        assert engine is not None
        try:
            batches = list(to_batches(entry for entry in entries if self._takes(entry)))
            findings = [finding for batch in batches for finding in engine.apply(batch)]
        except MISTAKES as wrong:
            if len(entries) == 1:
                self._set_aside(entries[0], wrong)
            self.restore(entries[0].position - 1)
            middle = len(entries) // 2
            halves = [self.evaluated(half) for half in (entries[:middle], entries[middle:]) if half]
            return [one for half in halves for one in half[0]], [one for half in halves for one in half[1]]
        self._engine, self.at = engine, entries[-1].position
        return findings, batches

    def _takes(self, entry: Entry) -> bool:
        return entry.position not in self._ill and entry.concerns(RULES)

    def _set_aside(self, entry: Entry, wrong: Exception) -> None:
        of = {"position": entry.position, "agent": entry.agent, "epoch": entry.epoch}
        why = f"{type(wrong).__name__}: {wrong}"
        if self._unable is not None:  # Before anything else: what cannot be noted is tried again.
            self._unable.note(RULES, entry, type(wrong).__name__, why)
        self._ill.add(entry.position)
        self.set_aside += 1
        log.error("an entry was set aside for the rules", **of, first=entry.first, last=entry.last, why=why)

    def restore(self, position: int) -> None:
        """Makes the state after a journal position again; what is found on the way is known."""
        self._engine, self.at = self._restored(position)
        if position:
            log.info("the state of the rules is made again", snapshot=self.at, cursor=position)
        while self.at < position:
            entries = [one for one in self._source.read(self.at, _REPLAYED_AT_ONCE) if one.position <= position]
            if not self._source.complete(self.at, entries):
                log.warning("the journal no longer has all that the rules had seen", after=self.at, cursor=position)
            if not entries:
                break
            self.evaluated(entries)
        self.at = position

    def _restored(self, cursor: int) -> tuple[RuleEngine, int]:
        at_most = cursor
        while (snapshot := self._snapshots.load(at_most)) is not None:
            try:
                return self._make(snapshot.parts), snapshot.position
            except ValueError as wrong:
                log.warning("a snapshot is not for these rules", position=snapshot.position, why=str(wrong))
                at_most = snapshot.position - 1
        return self._make(None), 0

    @property
    def due(self) -> bool:
        """Whether the last state kept is old, and there is a newer one."""
        position, when = self._saved
        return self.at > position and self._monotonic() - when >= self._every

    @property
    def saved_at(self) -> float:
        """When the state was last kept, or tried to be, on the monotonic clock; when this began, before the first."""
        return self._saved[1]

    def save_when_due(self) -> None:
        """Keeps the state when the last one kept is old; only what the book has may be in it."""
        if self.due:
            self.save()

    def save(self) -> None:
        """Keeps the state, so that nothing up to here is replayed; without room for it more is."""
        if self._engine is None:
            return
        self._saved = (self._saved[0], self._monotonic())
        try:
            self._snapshots.save(self.at, self._engine.snapshot())
        except OSError as wrong:
            log.warning("the state of the rules could not be kept; a restart replays more", why=str(wrong))
        else:
            self._saved = (self.at, self._saved[1])
            self._ill = {ill for ill in self._ill if ill > self._snapshots.oldest()}
