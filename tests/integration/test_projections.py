"""Projections run from their cursors, each at its own pace, and go on after failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from collector.journal.disk import DatabaseJournal
from collector.journal.entry import Entry
from collector.projections.runner import Projections, Runner
from collector.storage.database import Databases
from forewarn.bus import Backoff

QUICK = Backoff(0.01, 0.05)


class Kept:
    """A projection that commits positions and cursor together, and fails when told to."""

    def __init__(self, name: str, kept: list[int] | None = None) -> None:
        self.name = name
        self.kept = kept if kept is not None else []
        self.failures = 0

    def cursor(self) -> int:
        return self.kept[-1] if self.kept else 0

    def apply(self, entries: Sequence[Entry]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the store is down")
        self.kept += [entry.position for entry in entries]


def wait(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def run(journal: DatabaseJournal, *projections: Kept) -> Projections:
    running = Projections([Runner(journal, each, gather=0.0, backoff=QUICK) for each in projections])
    running.start()
    return running


def test_each_entry_reaches_each_projection_once_from_its_own_cursor(sqlite_databases: Databases) -> None:
    journal = DatabaseJournal(sqlite_databases)
    for now in range(5):
        journal.tick(now)
    fresh, ahead = Kept("fresh"), Kept("ahead", [1, 2, 3])
    running = run(journal, fresh, ahead)
    wait(lambda: fresh.kept == ahead.kept == [1, 2, 3, 4, 5])
    journal.tick(6)
    wait(lambda: fresh.kept == ahead.kept == [1, 2, 3, 4, 5, 6])
    wait(lambda: running.lowest() == 6)
    running.stop()
    assert [(each.name, each.cursor, each.lag, each.error) for each in running.progress()] == [
        ("fresh", 6, 0, ""),
        ("ahead", 6, 0, ""),
    ]


def test_a_projection_that_fails_keeps_nobody_waiting_and_gets_the_same_again(
    sqlite_databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    journal = DatabaseJournal(sqlite_databases)
    well, ill = Kept("well"), Kept("ill")
    ill.failures = 10**9
    running = run(journal, well, ill)
    for now in range(3):
        journal.tick(now)
    wait(lambda: well.kept == [1, 2, 3])
    wait(lambda: bool(running.progress()[1].error))
    assert running.progress()[1][1:] == (0, 3, "OSError: the store is down")
    assert running.lowest() == 0
    ill.failures = 1
    wait(lambda: ill.kept == [1, 2, 3])
    wait(lambda: running.progress()[1].error == "")
    running.stop()
    said = [record.message for record in caplog.records if record.name == "collector.projections.runner"]
    assert said == ["projection stands still", "projection goes on"]


def test_a_journal_that_ends_before_a_cursor_is_named_until_it_reaches_it(
    sqlite_databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    journal = DatabaseJournal(sqlite_databases)
    journal.tick(1)
    ahead = Kept("ahead", [3])
    running = run(journal, ahead)
    wait(lambda: bool(running.progress()[0].error))
    [progress] = running.progress()
    assert "ahead has the journal up to 3, which ends at 1: it was replaced or restored" in progress.error
    assert "projection stands still" in caplog.text
    DatabaseJournal(sqlite_databases).tick(2)  # Another process goes on.
    DatabaseJournal(sqlite_databases).tick(3)
    DatabaseJournal(sqlite_databases).tick(4)
    journal.tick(5)  # Nobody asks any more once the journal ends where the cursor is: from there on it tells.
    wait(lambda: ahead.kept == [3, 4, 5] and not running.progress()[0].error)
    running.stop()


def test_a_new_run_goes_on_where_the_last_one_committed(sqlite_databases: Databases) -> None:
    journal = DatabaseJournal(sqlite_databases)
    kept: list[int] = []
    for run_number in range(1, 4):
        projection = Kept("p", kept)
        running = run(journal, projection)
        journal.tick(run_number)
        wait(lambda run_number=run_number: kept[-1:] == [run_number])
        running.stop()
    assert kept == [1, 2, 3]
