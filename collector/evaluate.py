"""Evaluates the rules over the journal, and keeps what they find.

The state of the rules lives in memory; what it led to (tickets, notices, the register of devices) is committed to the
service database in one transaction with the cursor. The state is kept in snapshots with their journal position, so
after a restart, or when an entry broke the engine half-way, it is made again:

    newest sound snapshot at or before the cursor (or an empty state)
    → replay of the journal up to the cursor, findings dropped: they are in the book
    → on from there

When the transaction fails, the state is ahead of the cursor: what was found is kept, and committed by the next call
before anything else. So a crash, or a database that is down for a while, at whatever place gives the same tickets.

An entry at which a rule makes a mistake (a `MISTAKES`) is looked for by halves, set aside for the rules, counted and
named; a replay that meets it again does the same. Everything else it holds is in the series and in the journal.

Errors: whatever the databases raise, and a want of memory, passes through; nothing of that call took effect.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Engine

from collector import happenings
from collector.batching import to_batches
from collector.database import reading, stated
from collector.devices import Changes, Devices
from collector.entry import Entry, Journal
from collector.notify.outbox import held_agents
from collector.snapshots import Snapshots
from collector.tickets.book import PROJECTION, Book
from collector.tickets.holding import LAGGING, Moment
from collector.tickets.lifecycle import Verdict
from forewarn.telemetry import Log
from rules.finding import Finding
from rules.samples import Batch

log = Log(__name__)

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


@dataclass
class _Found:
    """What entries up to `last` led to, not yet committed."""

    last: int
    findings: list[Finding]
    devices: Changes
    events: list[dict[str, Any]]
    lagging: dict[str, int] = field(default_factory=dict)
    """Agents with findings inside a backlog, and the position of the last."""
    caught_up: list[tuple[int, str]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)


class Evaluation:
    """The rules as a projection of the journal; see `collector.entry.Projection`. One thread calls `apply`."""

    name = PROJECTION

    def __init__(
        self,
        make: MakeEngine,
        *,
        service: Engine,
        journal: Journal,
        book: Book,
        snapshots: Snapshots,
        every: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes its parts; nothing is read before the first `apply`.

        Args:
            make: makes the engine.
            service: the service database.
            journal: read when state must be made again.
            book: takes the findings.
            snapshots: keeps the state.
            every: seconds between snapshots.
            monotonic: seconds that never go back.
        """
        self._make = make
        self._service = service
        self._journal = journal
        self._book = book
        self._snapshots = snapshots
        self._every = every
        self._monotonic = monotonic
        self._engine: RuleEngine | None = None
        self._devices = Devices()
        self._at = 0
        self._found: _Found | None = None
        self._held: set[str] = set()
        self._ill: set[int] = set()
        self._saved = (0, monotonic())
        self.set_aside = 0
        """Entries that the rules could not take, since the start."""
        self.verdicts: Counter[Verdict] = Counter()
        """How often findings led to what, since the start."""

    def cursor(self) -> int:
        """The last position whose findings are in the book."""
        with stated("service"):
            return self._book.cursor()

    def needed_after(self) -> int:
        """The journal is needed from here on: a restart replays what no kept snapshot covers."""
        return min(self._snapshots.oldest(), self.cursor())

    def apply(self, entries: Sequence[Entry]) -> None:
        """Evaluates the next entries and commits what they led to together with the cursor.

        Raises:
            StorageError: nothing took effect; the findings are kept for the next call.
            Exception: the engine failed for want of something; its state is made again by the next call.
        """
        self._commit()
        if self._engine is None:
            self._rebuild()
        fresh = [entry for entry in entries if entry.position > self._at]
        if not fresh:
            return
        findings, batches = self._evaluated(fresh)
        self._found = _Found(self._at, findings, self._devices.changes(batches), happenings.events(batches))
        self._found.lagging = {one.agent: one.position for one in findings if one.arrived - one.t > LAGGING}
        self._found.moments = [_moment(entry) for entry in fresh]
        self._found.caught_up = _caught_up(self._found.moments, self._held.union(self._found.lagging))
        self._commit()
        self._save_when_due()

    def close(self) -> None:
        """Keeps the state, so that the next start replays nothing."""
        if self._engine is not None and self._found is None:
            self._save(self._engine)

    def _evaluated(self, entries: Sequence[Entry]) -> tuple[list[Finding], list[Batch]]:
        """Gives the engine, which stands right before them, some entries; one that it cannot take is set aside."""
        engine, self._engine = self._engine, None
        assert engine is not None
        try:
            batches = list(to_batches(entry for entry in entries if entry.position not in self._ill))
            findings = [finding for batch in batches for finding in engine.apply(batch)]
        except MISTAKES as wrong:
            if len(entries) == 1:
                self._set_aside(entries[0], wrong)
            self._restore(entries[0].position - 1)
            middle = len(entries) // 2
            halves = [self._evaluated(half) for half in (entries[:middle], entries[middle:]) if half]
            return [one for half in halves for one in half[0]], [one for half in halves for one in half[1]]
        self._engine, self._at = engine, entries[-1].position
        return findings, batches

    def _set_aside(self, entry: Entry, wrong: Exception) -> None:
        self._ill.add(entry.position)
        self.set_aside += 1
        of = {"position": entry.position, "agent": entry.agent, "epoch": entry.epoch}
        why = f"{type(wrong).__name__}: {wrong}"
        log.error("an entry was set aside for the rules", **of, first=entry.first, last=entry.last, why=why)

    def _commit(self) -> None:
        found = self._found
        if found is None:
            return
        with stated("service"), self._service.begin() as connection:
            verdicts = self._book.apply(
                found.findings, found.last, connection, caught_up=found.caught_up, moments=found.moments
            )
            self._devices.write(connection, found.devices)
            happenings.write(connection, found.events)
        self._devices.settle(found.devices)
        through = {agent: position for position, agent in found.caught_up}
        held = self._held.union(found.lagging)
        self._held = {agent for agent in held if found.lagging.get(agent, 0) > through.get(agent, -1)}
        self.verdicts.update(verdicts)
        self._found = None

    def _rebuild(self) -> None:
        cursor = self.cursor()
        self._restore(cursor)
        self._devices = Devices()
        with stated("service"), reading(self._service) as connection:
            self._devices.load(connection)
            self._held = held_agents(connection)

    def _restore(self, position: int) -> None:
        """Makes the state after a journal position again; what is found on the way is known."""
        self._engine, self._at = self._restored(position)
        log.info("the state of the rules is made again", snapshot=self._at, cursor=position)
        while self._at < position:
            entries = [one for one in self._journal.read(self._at, _REPLAYED_AT_ONCE) if one.position <= position]
            if not entries or entries[0].position > self._at + 1:
                log.warning("the journal no longer has all that the rules had seen", after=self._at, cursor=position)
            if not entries:
                break
            self._evaluated(entries)
        self._at = position

    def _restored(self, cursor: int) -> tuple[RuleEngine, int]:
        at_most = cursor
        while (snapshot := self._snapshots.load(at_most)) is not None:
            try:
                return self._make(snapshot.parts), snapshot.position
            except ValueError as wrong:
                log.warning("a snapshot is not for these rules", position=snapshot.position, why=str(wrong))
                at_most = snapshot.position - 1
        return self._make(None), 0

    def _save_when_due(self) -> None:
        position, when = self._saved
        if self._engine is not None and self._at > position and self._monotonic() - when >= self._every:
            self._save(self._engine)

    def _save(self, engine: RuleEngine) -> None:
        self._saved = (self._saved[0], self._monotonic())
        try:
            self._snapshots.save(self._at, engine.snapshot())
        except OSError as wrong:
            log.warning("the state of the rules could not be kept; a restart replays more", why=str(wrong))
        else:
            self._saved = (self._at, self._saved[1])
            self._ill = {ill for ill in self._ill if ill > self._snapshots.oldest()}


def _moment(entry: Entry) -> Moment:
    """An entry as the book needs it; it names its agent when that delivered the newest record its spool held."""
    through = entry.received is not None and entry.received.block.head <= entry.last
    return Moment(entry.position, entry.arrived, entry.agent if through else "")


def _caught_up(moments: Sequence[Moment], agents: set[str]) -> list[tuple[int, str]]:
    """Where some agents had delivered all they held: (position, agent) in order."""
    if not agents:
        return []
    return [(moment.position, moment.caught_up) for moment in moments if moment.caught_up in agents]
