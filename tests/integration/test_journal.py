"""The journal: readers at the head and readers far behind get the same entries; old ones go, the newest stays."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.journal.batching import to_batches
from collector.journal.disk import Aside, Change, Counters, DatabaseJournal, Mark, Outrun, Taken
from collector.storage import tables
from collector.storage.database import Databases, Unreachable, open_postgres, open_sqlite, reading
from forewarn.wire import unpack
from tests.blocks import NOW, Script
from tests.servers import new_database

SPOOL = ("a1", "E1")


def change(script: Script, first: int, last: int) -> Change:
    payload = script.block(first, last)
    taken = Taken(NOW + last, 3, "s1", "a1", "E1", first, last, payload, unpack(payload))
    chain = bytes.fromhex(script.records[last - 1].hash)
    return Change([taken], {SPOOL: Mark(last, chain, NOW, NOW)}, {SPOOL: first - 1}, {"a1": Counters(records=last)})


@pytest.fixture
def journal(databases: Databases) -> DatabaseJournal:
    return DatabaseJournal(databases)


@pytest.fixture
def script() -> Script:
    return Script().poll(50)


def fill(journal: DatabaseJournal, script: Script, blocks: int) -> None:
    for number in range(blocks):
        journal.commit(change(script, number * 5 + 1, number * 5 + 5))
        journal.tick(NOW + number)


def test_ring_and_table_give_the_same(databases: Databases, script: Script) -> None:
    writer = DatabaseJournal(databases)
    fill(writer, script, 10)
    reader = DatabaseJournal(databases)
    assert reader.head() == writer.head() == 20
    for after in (0, 7, 19, 20):
        assert writer.read(after, 6) == reader.read(after, 6)
    ring, table = list(to_batches(writer.read(0, 20))), list(to_batches(reader.read(0, 20)))
    assert [batch.tick for batch in ring] == [batch.tick for batch in table]
    assert [batch.rows[0].values.tolist() for batch in ring] == [batch.rows[0].values.tolist() for batch in table]
    assert [batch.rows[0].devices for batch in ring] == [batch.rows[0].devices for batch in table]


def test_a_ring_too_small_is_made_up_for_by_the_table(databases: Databases, script: Script) -> None:
    small = DatabaseJournal(databases, ring_bytes=5000)
    fill(small, script, 10)
    assert len(small._ring) < 20
    entries = small.read(0, 100)
    assert [entry.position for entry in entries] == list(range(1, 21))
    assert entries == DatabaseJournal(databases).read(0, 100)


def test_a_reader_waits_for_the_next_entry(journal: DatabaseJournal, script: Script) -> None:
    assert not journal.wait(0, 0.01)
    waiting = threading.Timer(0.05, fill, (journal, script, 1))
    waiting.start()
    assert journal.wait(0, 10)
    assert journal.wait(1, 10)
    waiting.join()
    assert not journal.wait(2, 0.01)


def test_everything_of_a_change_is_committed_together(databases: Databases, script: Script) -> None:
    journal = DatabaseJournal(databases)
    broken = change(script, 1, 5)
    broken.asides.append(Aside(NOW, "t", "a1", "r", None, 1, None))  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError):
        journal.commit(broken)
    assert (journal.head(), journal.read(0, 10), journal.marks(), journal.counters()) == (0, [], {}, {})
    journal.commit(change(script, 1, 5))
    again = DatabaseJournal(databases)
    assert again.marks()[SPOOL].upto == 5
    assert again.marks()[SPOOL].chain == bytes.fromhex(script.records[4].hash)
    assert again.counters() == {"a1": Counters(records=5)}


def test_a_watermark_moved_by_another_process_is_noticed(databases: Databases, script: Script) -> None:
    first, second = DatabaseJournal(databases), DatabaseJournal(databases)
    first.commit(change(script, 1, 5))
    with pytest.raises(Outrun, match="up to 5 by another process, not 0"):
        second.commit(change(script, 1, 5))
    second.commit(change(script, 6, 10))
    first.tick(NOW)
    assert [entry.position for entry in first.read(0, 10)] == [1, 2, 3]
    assert [entry.last for entry in first.read(0, 10)] == [5, 10, 0]


def test_the_hash_of_a_committed_record_can_be_asked_for(journal: DatabaseJournal, script: Script) -> None:
    fill(journal, script, 2)
    assert journal.chain_of("a1", "E1", 7) == bytes.fromhex(script.records[6].hash)
    assert journal.chain_of("a1", "E1", 11) is None
    assert journal.chain_of("a1", "E2", 7) is None


def test_old_entries_go_but_not_what_a_projection_needs_nor_the_newest(databases: Databases, script: Script) -> None:
    journal = DatabaseJournal(databases)
    fill(journal, script, 5)
    assert journal.prune(through=0, before=NOW + 1000) == 0
    assert journal.prune(through=4, before=NOW + 6) == 2  # the entry at 3 arrived later
    assert journal.prune(through=10**9, before=NOW + 1000) == 7
    assert journal.prune(through=10**9, before=NOW + 1000) == 0
    with reading(databases.journal) as connection:
        assert connection.execute(sa.select(tables.entry.c.position)).scalars().all() == [10]
    assert DatabaseJournal(databases).head() == 10
    journal.tick(NOW)
    assert journal.head() == 11


def test_a_large_read_is_cut_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = open_sqlite(tmp_path)
    databases.migrate()
    journal = DatabaseJournal(databases)
    fill(journal, Script().poll(50), 10)
    monkeypatch.setattr("collector.journal.disk.READ_BYTES", 20_000)
    got: list[int] = []
    while got[-1:] != [20]:
        entries = journal.read(got[-1] if got else 0, 1000)
        assert 0 < len(entries) < 20
        got += [entry.position for entry in entries]
    assert got == list(range(1, 21))
    databases.close()


def test_a_database_that_dropped_its_connections_is_used_again(postgres_server: str, script: Script) -> None:
    databases = open_postgres(new_database(postgres_server))
    databases.migrate()
    journal = DatabaseJournal(databases)
    journal.commit(change(script, 1, 5))
    with databases.service.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        connection.execute(sa.text(others))
    journal.commit(change(script, 6, 10))
    assert [entry.last for entry in journal.read(0, 10)] == [5, 10]
    databases.close()


def test_a_connection_that_breaks_within_a_commit_commits_nothing_and_says_so(
    postgres_server: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = open_postgres(new_database(postgres_server))
    databases.migrate()
    journal = DatabaseJournal(databases)
    die = "SELECT pg_terminate_backend(pg_backend_pid())"
    begin = DatabaseJournal._begin

    def begin_and_die(self: DatabaseJournal, connection: sa.Connection, before: dict[tuple[str, str], int]) -> int:
        position = begin(self, connection, before)
        connection.execute(sa.text(die))
        return position

    monkeypatch.setattr(DatabaseJournal, "_begin", begin_and_die)
    with pytest.raises(Unreachable, match="tried again"):
        journal.commit(change(script, 1, 5))
    monkeypatch.undo()
    assert (journal.head(), DatabaseJournal(databases).marks()) == (0, {})
    journal.commit(change(script, 1, 5))
    assert journal.head() == 1
    databases.close()
