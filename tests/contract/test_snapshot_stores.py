"""What both places promise that keep the state of rules: files, and a database by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.evaluation.shard_snapshots import ShardSnapshots
from collector.evaluation.snapshots import NotKept, Snapshot, Snapshots, SnapshotStore
from collector.shards.leases import Fenced
from collector.storage.database import Databases, open_sqlite
from collector.storage.lease_tables import snapshot, snapshot_part

NEWEST = 10**9
Open = Callable[[], SnapshotStore]


def granted(_: sa.Connection) -> None:
    """A lease that stands."""


@pytest.fixture(params=["files", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Open, Callable[[bytes], None]]]:
    """Opens the same store anew; and spoils every part with this content."""
    if request.param == "files":

        def rot(content: bytes) -> None:
            for part in (tmp_path / "parts").iterdir():
                if part.read_bytes() == content:
                    part.write_bytes(b"rotten")

        yield lambda: Snapshots(tmp_path), rot
        return
    if request.param == "sqlite":
        databases = open_sqlite(tmp_path)
    else:
        from collector.storage.database import open_postgres
        from tests.servers import new_database

        databases = open_postgres(new_database(request.getfixturevalue("postgres_server")))
    databases.migrate()
    other = ShardSnapshots(databases.journal, 8, granted)
    other.save(2, {"a": b"of another shard"})

    def spoil(content: bytes) -> None:
        with databases.journal.begin() as connection:
            mine = sa.update(snapshot_part).where(snapshot_part.c.content == content)
            connection.execute(mine.values(content=b"rotten"))

    yield lambda: ShardSnapshots(databases.journal, 7, granted), spoil
    assert other.load(NEWEST) == Snapshot(2, {"a": b"of another shard"})
    databases.close()


def test_the_newest_state_at_or_before_a_position_is_given(place: tuple[Open, Callable[[bytes], None]]) -> None:
    opened = place[0]
    assert opened().load(NEWEST) is None
    assert opened().oldest() == 0
    opened().save(5, {"a": b"one", "b": bytes(range(256))})
    opened().save(9, {"a": b"two", "b": b""})
    assert opened().load(NEWEST) == Snapshot(9, {"a": b"two", "b": b""})
    assert opened().load(8) == Snapshot(5, {"a": b"one", "b": bytes(range(256))})
    assert opened().load(4) is None
    assert opened().oldest() == 5


def test_two_are_kept_and_a_state_kept_again_at_its_position_counts(
    place: tuple[Open, Callable[[bytes], None]],
) -> None:
    kept = place[0]()
    for at in range(1, 6):
        kept.save(at, {"same": b"same", "changing": b"%d" % at})
    kept.save(5, {"same": b"same", "changing": b"again"})
    assert place[0]().load(3) is None
    assert place[0]().load(4) == Snapshot(4, {"same": b"same", "changing": b"4"})
    assert place[0]().load(NEWEST) == Snapshot(5, {"same": b"same", "changing": b"again"})
    assert kept.oldest() == 4


def test_a_spoilt_state_is_passed_over_and_its_parts_are_written_again(
    place: tuple[Open, Callable[[bytes], None]],
) -> None:
    opened, spoil = place
    opened().save(1, {"a": b"one"})
    opened().save(2, {"a": b"two"})
    spoil(b"two")
    kept = opened()
    assert kept.load(NEWEST) == Snapshot(1, {"a": b"one"})
    kept.save(3, {"a": b"two"})
    assert opened().load(NEWEST) == Snapshot(3, {"a": b"two"})


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Databases]:
    databases = open_sqlite(tmp_path)
    databases.migrate()
    yield databases
    databases.close()


def test_a_state_is_kept_only_by_who_holds_the_shard(sqlite: Databases) -> None:
    def refused(_: sa.Connection) -> None:
        raise Fenced([7])

    ShardSnapshots(sqlite.journal, 7, granted).save(1, {"a": b"one"})
    with pytest.raises(Fenced):
        ShardSnapshots(sqlite.journal, 7, refused).save(2, {"a": b"two"})
    assert ShardSnapshots(sqlite.journal, 7, granted).load(NEWEST) == Snapshot(1, {"a": b"one"})


def test_a_database_that_takes_nothing_leaves_the_states_before(tmp_path: Path) -> None:
    databases = open_sqlite(tmp_path)
    databases.migrate()
    kept = ShardSnapshots(databases.journal, 7, granted)
    kept.save(1, {"a": b"one"})
    databases.close()
    small = open_sqlite(tmp_path, journal_pages=1)
    with pytest.raises(NotKept, match="has no room"):
        ShardSnapshots(small.journal, 7, granted).save(2, {"a": b"two" * 100_000})
    assert ShardSnapshots(small.journal, 7, granted).load(NEWEST) == Snapshot(1, {"a": b"one"})
    small.close()


def test_parts_that_no_state_names_are_deleted(sqlite: Databases) -> None:
    kept = ShardSnapshots(sqlite.journal, 7, granted)
    for at in range(1, 6):
        kept.save(at, {"a": b"%d" % at})
    with sqlite.journal.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(snapshot_part)).scalar() == 2
        assert connection.execute(sa.select(sa.func.count()).select_from(snapshot)).scalar() == 2
