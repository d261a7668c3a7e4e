"""The parts of a collector that take in and evaluate, put together: alone for all shards, or with leases for some."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from collector.clock import Clock
from collector.evaluation import shard_rules
from collector.evaluation.costs import Meter
from collector.evaluation.evaluate import Evaluation
from collector.evaluation.lane import MakeEngine
from collector.evaluation.shard_rules import ShardRules
from collector.evaluation.snapshots import Snapshots
from collector.intake.intake import Intake, Pace
from collector.intake.presences import PresenceBook
from collector.journal.deadletter import DeadLetters
from collector.journal.disk import DatabaseJournal
from collector.journal.room import FOREVER, Room, measure_of
from collector.journal.shared import SharedJournal
from collector.journal.witness import Witness
from collector.notify.notifier import Notifier
from collector.projections.lanes import LaneRunner
from collector.projections.runner import Projections, Runner
from collector.register import Register
from collector.series import shards
from collector.series.projection import SeriesProjection
from collector.series.shards import ShardSeries
from collector.series.store import SeriesStore, SharedStore
from collector.settings import Settings
from collector.shard_names import parsed
from collector.shards.entrance import Entrance
from collector.shards.leases import Leases, member_name
from collector.storage.database import Databases
from collector.tickets.book import Book
from forewarn.bus import Bus
from rules.engine import Engine
from rules.ruleset import Ruleset


@dataclass(frozen=True)
class Adapters:
    """What reaches the world outside; the collector closes all of it at its end."""

    bus: Bus
    databases: Databases
    store: SeriesStore
    notifiers: Sequence[Notifier]
    listener: socket.socket
    clock: Clock
    entrance: Entrance | None = None
    """The claim to the databases; None where nobody else can be there."""


class Around(NamedTuple):
    """What the parts are made with."""

    settings: Settings
    adapters: Adapters
    register: Register
    book: Book
    rules: Ruleset


class Part(NamedTuple):
    """What begins a part of the program, and what lets go of it."""

    begin: Callable[[], object] | None = None
    end: Callable[[], object] | None = None


class Counting(Protocol):
    """A projection of the rules, as far as it counts what it could not take."""

    @property
    def set_aside(self) -> int:
        """Entries that the rules could not take, since the start."""


class Refusing(Protocol):
    """A projection of the series, as far as it counts what the store will never take."""

    @property
    def refused(self) -> int:
        """Values or lines that the store will never take, since the start."""


@dataclass(frozen=True)
class Ingest:
    """The parts that take in and evaluate; `parts` in the order they begin."""

    journal: DatabaseJournal
    intake: Intake
    rules: Counting
    series: Refusing
    projections: Projections
    meter: Meter
    letters: DeadLetters
    room: Room
    presences: PresenceBook
    needed_after: Callable[[], int]
    trouble: Callable[[], str]
    parts: Sequence[Part]

    def refused(self) -> dict[str, int]:
        """What was not taken since the start, by the names that /metrics gives it."""
        return {
            "intake_dropped": self.intake.dropped,
            "intake_failed": self.intake.failed,
            "intake_strays": self.intake.standing.strays,
            "intake_strangers": self.intake.standing.strangers.total(),
            "rules_set_aside": self.rules.set_aside,
            "series_refused": self.series.refused,
            "presence_refused": self.presences.refused,
            "presence_late": self.presences.late,
        }

    def prune(self, before: int) -> None:
        """Drops journal entries that arrived before an instant and that no projection needs any more.

        Near the limit of the journal they go however young they are. Several processes may do it at once.
        """
        before = FOREVER if self.room.near() else before
        through = self.needed_after()
        while self.journal.prune(through, before):
            pass


def alone(around: Around) -> Ingest:
    """All shards in one lane, with their state in files."""
    settings, adapters, _, book, _ = around
    databases, clock = adapters.databases, adapters.clock
    meter, letters, room = _beside(around)
    journal = DatabaseJournal(databases, ring_bytes=settings.journal.ring)
    intake = _intake(around, journal, room)
    evaluation = Evaluation(
        _Engines(around, meter).of(None),
        service=databases.service,
        journal=journal,
        book=book,
        snapshots=Snapshots(settings.folder / "rules"),
        every=settings.rules.snapshot,
        monotonic=clock.monotonic,
        unable=letters,
    )
    series = SeriesProjection(adapters.store, unable=letters)
    witness = Witness(databases.journal, databases.service, monotonic=clock.monotonic)
    projections = Projections([Runner(journal, series, witness=witness), Runner(journal, evaluation, witness=witness)])
    return Ingest(
        journal=journal,
        intake=intake,
        rules=evaluation,
        series=series,
        projections=projections,
        meter=meter,
        letters=letters,
        room=room,
        presences=_presences(around),
        needed_after=lambda: min(evaluation.needed_after(), series.cursor()),
        trouble=intake.trouble,
        parts=[Part(end=evaluation.close), *_in_order(projections, intake, adapters.bus)],
    )


def shared(around: Around) -> Ingest:
    """The shards that this process has leases for, each in a lane of its own, with their state in the database."""
    settings, adapters, _, book, _ = around
    databases, clock, store = adapters.databases, adapters.clock, adapters.store
    assert isinstance(store, SharedStore), "the settings were checked"
    meter, letters, room = _beside(around)
    leases = Leases(
        databases.journal,
        member_name(),
        wanted=parsed(settings.shards),
        seconds=settings.lease,
        monotonic=clock.monotonic,
    )
    journal = SharedJournal(databases, leases, ring_bytes=settings.journal.ring)
    intake = _intake(around, journal, room, leases)
    rules = ShardRules(
        _Engines(around, meter),
        databases=databases,
        journal=journal,
        tenure=leases,
        book=book,
        every=settings.rules.snapshot,
        monotonic=clock.monotonic,
        unable=letters,
    )
    series = ShardSeries(store, databases.service, leases, monotonic=clock.monotonic, unable=letters)
    witness = Witness(databases.journal, databases.service, monotonic=clock.monotonic)
    projections = Projections([LaneRunner(journal, part, leases, witness=witness) for part in (series, rules)])
    return Ingest(
        journal=journal,
        intake=intake,
        rules=rules,
        series=series,
        projections=projections,
        meter=meter,
        letters=letters,
        room=room,
        presences=_presences(around),
        needed_after=lambda: min(shard_rules.needed_after(databases), shards.needed_after(databases.service)),
        trouble=lambda: leases.trouble() or intake.trouble(),
        parts=[Part(leases.start, leases.leave), *_in_order(projections, intake, adapters.bus)],
    )


def _beside(around: Around) -> tuple[Meter, DeadLetters, Room]:
    clock, journal, settings = around.adapters.clock, around.adapters.databases.journal, around.settings
    limit = settings.journal.limit
    measure = measure_of(journal, settings.folder, clock.monotonic, limit=limit)
    room = Room(measure, limit=limit, floor=settings.journal.floor, monotonic=clock.monotonic)
    return Meter(now=clock.now, monotonic=clock.monotonic), DeadLetters(journal, now=clock.now), room


def _presences(around: Around) -> PresenceBook:
    adapters = around.adapters
    return PresenceBook(adapters.databases.journal, around.register, adapters.bus, now=adapters.clock.now)


def _intake(around: Around, journal: DatabaseJournal, room: Room, leases: Leases | None = None) -> Intake:
    clock = around.adapters.clock
    return Intake(
        journal,
        around.register,
        around.adapters.bus,
        now=clock.now,
        monotonic=clock.monotonic,
        tenure=leases,
        pace=Pace(inbox_bytes=around.settings.journal.queue),
        full=room.full,
    )


class _Engines:
    """Makes engines of the rules, and has them measured."""

    def __init__(self, around: Around, meter: Meter) -> None:
        self._rules = around.rules
        self._timer = around.adapters.clock.monotonic
        self._meter = meter

    def of(self, shard: int | None) -> MakeEngine:
        """What makes the engine of a shard, or of all."""
        return lambda parts: self._meter.watch(self._made(parts), shard)

    def _made(self, parts: Mapping[str, bytes] | None) -> Engine:
        if parts is None:
            return Engine(self._rules, timer=self._timer)
        return Engine.restore(self._rules, parts, timer=self._timer)

    def forget(self, shards: Collection[int]) -> None:
        """See shard_rules.Engines."""
        self._meter.forget(shards)


def _in_order(projections: Projections, intake: Intake, bus: Bus) -> list[Part]:
    """What takes comes before what gives."""
    return [Part(projections.start, projections.stop), Part(intake.start, intake.stop), Part(bus.connect)]
