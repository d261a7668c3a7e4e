"""Runs the projections: each in a thread of its own, from its own cursor, however long the others take.

A projection that fails is given the same entries again, after a pause that doubles from a second to a minute; the
others and the intake go on meanwhile.

Errors:
    Beyond   a projection's cursor lies behind the journal's end: the journal was replaced, or restored from a copy
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from collector.journal.entry import Entry, Journal, Projection
from collector.journal.witness import REMEDY, Witness
from forewarn.bus import Backoff
from forewarn.telemetry import Log

log = Log(__name__)

ENTRIES = 2048
GATHER = 0.05
WAKE = 1.0


class Beyond(Exception):
    """A projection has seen entries that the journal does not have."""


class Progress(NamedTuple):
    """How far a projection is: `lag` in journal entries; `error` why it stands still, empty when it does not."""

    name: str
    cursor: int
    lag: int
    error: str


class Turner:
    """A thread that takes turns, and pauses after one that failed.

    Args:
        name: of what it runs.
        gather: seconds to wait, at the head, for more entries: many at once cost far less than one by one.
        backoff: the pauses after failures.
    """

    def __init__(self, name: str, *, gather: float = GATHER, backoff: Backoff | None = None) -> None:
        self.name = name
        self._gather = gather
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._stopping = threading.Event()
        self._failures = 0
        self._error = ""
        self._thread = threading.Thread(target=self._run, name=f"projection {name}", daemon=True)

    def start(self) -> None:
        """Begins at the projection's cursor."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Ends after the entries in hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        raise NotImplementedError

    def _turn(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception as wrong:  # noqa: BLE001 - whatever a projection's store raises, the others must go on
                self._fail(wrong)

    def _well(self) -> None:
        if self._failures:
            log.info("projection goes on", projection=self.name)
        self._failures, self._error = 0, ""

    def _fail(self, wrong: Exception) -> None:
        self._failures += 1
        self._error = f"{type(wrong).__name__}: {wrong}"
        if self._failures == 1:
            log.error("projection stands still", projection=self.name, why=self._error)
        self._stopping.wait(self._backoff.wait(self._failures))


class Runner(Turner):
    """The thread of one projection of the whole journal.

    Args:
        journal: what it reads.
        projection: what it runs; nobody else calls it from now on.
        gather: see Turner.
        backoff: see Turner.
        witness: knows whether the cursor is of this journal.
    """

    def __init__(
        self,
        journal: Journal,
        projection: Projection,
        *,
        gather: float = GATHER,
        backoff: Backoff | None = None,
        witness: Witness | None = None,
    ) -> None:
        super().__init__(projection.name, gather=gather, backoff=backoff)
        self._journal = journal
        self._projection = projection
        self._witness = witness
        self._cursor = 0
        self._placed = False

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        lag = max(0, self._journal.head() - self._cursor)
        return Progress(self.name, self._cursor, lag, self._error)

    def _turn(self) -> None:
        if not self._placed:
            if self._witness is not None:
                self._witness.check(self.name)
            self._cursor, self._placed = self._projection.cursor(), True
        if not self._journal.wait(self._cursor, WAKE):
            self._check_beyond()
            return
        if self._journal.head() - self._cursor < ENTRIES:
            self._stopping.wait(self._gather)
        entries = self._journal.read(self._cursor, ENTRIES)
        if entries:
            self._apply(entries)

    def _check_beyond(self) -> None:
        head = self._journal.head()
        if self._cursor > head:
            what = f"{self._projection.name} has the journal up to {self._cursor}, which ends at {head}"
            raise Beyond(f"{what}: it was replaced or restored. {REMEDY}")

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._projection.apply(entries)
        self._cursor = entries[-1].position
        if self._witness is not None:
            self._witness.seen(self.name, self._cursor, entries[-1].arrived)
        self._well()

    def _fail(self, wrong: Exception) -> None:
        self._placed = False
        super()._fail(wrong)


class Projections:
    """All runners together."""

    def __init__(self, runners: Sequence[Turner]) -> None:
        self._runners = list(runners)

    def start(self) -> None:
        """Starts every runner."""
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        """Ends every runner, after the entries it has in hand."""
        for runner in self._runners:
            runner.stop()

    def progress(self) -> list[Progress]:
        """How far each projection is."""
        return [runner.progress for runner in self._runners]

    def lowest(self) -> int:
        """The position up to which every projection is through: what the journal needs to keep begins behind it."""
        return min((runner.progress.cursor for runner in self._runners), default=0)
