"""A journal that was replaced, or restored and written on, is named and never skipped over."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.journal.disk import DatabaseJournal
from collector.journal.entry import Entry
from collector.journal.witness import MARGIN, Replaced, Witness, adopt
from collector.projections.runner import Runner
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.storage.proof_tables import identity
from forewarn.bus import Backoff
from tests.agents import until


class Kept:
    """A projection with its cursor beside its effect, as the real ones have."""

    name = "series"

    def __init__(self, *kept: int) -> None:
        self.kept = list(kept)

    def cursor(self) -> int:
        return self.kept[-1] if self.kept else 0

    def apply(self, entries: Sequence[Entry]) -> None:
        self.kept += [entry.position for entry in entries]


def ticks(journal: DatabaseJournal, *times: int) -> DatabaseJournal:
    for now in times:
        journal.tick(now)
    return journal


def run(databases: Databases, kept: Kept) -> Runner:
    witness = Witness(databases.journal, databases.service)
    return Runner(DatabaseJournal(databases), kept, gather=0.0, backoff=Backoff(0.01, 0.02), witness=witness)


def test_two_processes_that_begin_at_once_name_the_journal_once(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Witness(databases.journal, databases.service) for _ in range(2))

    def meanwhile() -> str:
        monkeypatch.setattr("collector.journal.witness.ULID", lambda: "01Z")
        second.check("rules")
        return "01A"

    monkeypatch.setattr("collector.journal.witness.ULID", meanwhile)
    first.check("rules")
    second.check("rules")


def test_the_same_journal_goes_on_after_a_restart(databases: Databases) -> None:
    journal, kept = ticks(DatabaseJournal(databases), 1, 2), Kept()
    for more in (3, 4):
        runner = run(databases, kept)
        runner.start()
        until(lambda: kept.cursor() == journal.head())
        runner.stop()
        ticks(journal, more)
    assert runner.progress.error == ""
    assert kept.kept == [1, 2, 3]


def test_another_journal_that_is_longer_is_refused_with_what_to_do(databases: Databases) -> None:
    ticks(DatabaseJournal(databases), 1, 2)
    Witness(databases.journal, databases.service).check("series")
    with databases.journal.begin() as connection:
        connection.execute(sa.delete(identity))
        connection.execute(sa.insert(identity).values(id="another"))
    kept = Kept(1)
    runner = run(databases, kept)
    runner.start()
    until(lambda: runner.progress.error)
    runner.stop()
    assert "`series` was made from another journal" in runner.progress.error
    assert "forewarn collector adopt-journal" in runner.progress.error
    assert kept.kept == [1]


def test_a_journal_restored_from_a_copy_and_written_on_is_refused(tmp_path: Path) -> None:
    databases = open_sqlite(tmp_path)
    databases.migrate()
    witness = Witness(databases.journal, databases.service)
    journal = ticks(DatabaseJournal(databases), 1, 2)
    witness.check("series")
    databases.journal.dispose()
    shutil.copy(tmp_path / "journal.db", tmp_path / "copy")
    ticks(journal, 3, 4, 5)
    witness.seen("series", 5, 5)
    databases.journal.dispose()
    for tail in ("-wal", "-shm"):
        (tmp_path / f"journal.db{tail}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", tmp_path / "journal.db")
    witness.check("series")  # It ends before what was seen: `Beyond` says so, until it has grown past.
    ticks(DatabaseJournal(databases), 30, 40, 50, 60)
    with pytest.raises(Replaced, match="entry 5 of the journal is not the one that `series` took"):
        witness.check("series")
    count, first = adopt(databases)
    assert (count, first) == (6, 5 + MARGIN + 6 + 1)
    kept = Kept(5)
    runner = run(databases, kept)
    runner.start()
    until(lambda: len(kept.kept) == 7)
    runner.stop()
    assert kept.kept[1:] == list(range(first, first + 6))
    assert DatabaseJournal(databases).head() == kept.kept[-1]
    databases.close()


def test_an_adopted_journal_goes_on_behind_its_last_entry(databases: Databases) -> None:
    journal = ticks(DatabaseJournal(databases), 1, 2, 3)
    with databases.service.begin() as connection:
        connection.execute(sa.insert(tables.cursor).values(projection="rules", position=500))
    assert adopt(databases) == (3, 500 + MARGIN + 4)
    ticks(journal, 4)
    assert [one.arrived for one in DatabaseJournal(databases).read(500, 10)] == [1, 2, 3, 4]


def test_what_was_seen_is_noted_about_once_a_minute(sqlite_databases: Databases) -> None:
    clock = [0.0]
    witness = Witness(sqlite_databases.journal, sqlite_databases.service, monotonic=lambda: clock[0])
    witness.check("series")
    seen = []
    for at in range(1, 6):
        witness.seen("series", at, at * 10)
        with sqlite_databases.service.connect() as connection:
            seen.append(connection.execute(sa.select(tables.witness.c.position)).scalar())
        clock[0] += 25
    assert seen == [1, 1, 1, 4, 4]
