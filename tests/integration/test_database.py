"""The two databases: their schema is what the tables say, commits are safe, and trouble has a name."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from collector.storage import lease_tables, proof_tables, tables
from collector.storage.database import Databases, Full, Unreachable, open_postgres, open_sqlite, reading, stated, upsert
from tests.servers import free_port, new_database


def differences(engine: sa.Engine, metadata: sa.MetaData) -> list[Any]:
    name, wanted = metadata.schema, metadata
    options: dict[str, Any] = {"version_table": "revision"}
    if engine.dialect.name == "sqlite":
        wanted = sa.MetaData()
        for table in metadata.tables.values():
            table.to_metadata(wanted, schema=None, referred_schema_fn=lambda *_: sa.BLANK_SCHEMA)  # type: ignore[arg-type,return-value]
    else:
        options |= {"include_schemas": True, "version_table_schema": name}
        options["include_name"] = lambda what, kind, _: kind != "schema" or what == name
    with reading(engine) as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), wanted))


def test_the_migrated_schema_is_the_one_the_tables_describe(databases: Databases) -> None:
    assert proof_tables.JOURNAL is lease_tables.JOURNAL is tables.JOURNAL
    assert differences(databases.journal, tables.JOURNAL) == []
    assert differences(databases.service, tables.SERVICE) == []


def test_a_missing_column_would_be_noticed(databases: Databases) -> None:
    changed = sa.MetaData(schema="journal")
    tables.entry.to_metadata(changed).append_column(sa.Column("more", sa.Integer))
    assert any("more" in str(difference) for difference in differences(databases.journal, changed))


def test_migrating_again_and_at_once_changes_nothing(databases: Databases) -> None:
    with databases.service.begin() as connection:
        connection.execute(sa.insert(tables.site).values(id="s1", name="One", created=1))
    threads = [threading.Thread(target=databases.migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(databases.service) as connection:
        assert connection.execute(sa.select(tables.site.c.name)).scalars().all() == ["One"]


def test_a_foreign_key_is_kept(databases: Databases) -> None:
    with pytest.raises(sa.exc.IntegrityError), databases.service.begin() as connection:
        connection.execute(sa.insert(tables.agent).values(id="a", site="nowhere", shard=0, secret="x", created=1))


def test_two_writers_that_read_first_both_count(databases: Databases) -> None:
    upto = tables.cursor.c.position
    with databases.service.begin() as connection:
        connection.execute(sa.insert(tables.cursor).values(projection="p", position=0))

    def count() -> None:
        for _ in range(20):
            with databases.service.begin() as connection:
                now = connection.execute(sa.select(upto).with_for_update()).scalar_one()
                connection.execute(sa.update(tables.cursor).values(position=now + 1))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(databases.service) as connection:
        assert connection.execute(sa.select(upto)).scalar_one() == 60


def test_a_reader_does_not_wait_for_a_writer(databases: Databases) -> None:
    with databases.service.begin() as writer:
        writer.execute(sa.insert(tables.site).values(id="s1", name="One", created=1))
        with reading(databases.service) as reader:
            assert reader.execute(sa.select(tables.site)).all() == []


def test_the_service_database_does_not_wait_for_the_journal(databases: Databases) -> None:
    with databases.journal.begin() as first:
        first.execute(sa.insert(tables.entry).values(position=1, arrived=1))
        with databases.service.begin() as second:
            second.execute(sa.insert(tables.site).values(id="s1", name="One", created=1))


def test_upsert_replaces_by_key(databases: Databases) -> None:
    for position in (1, 2):
        with databases.service.begin() as connection:
            upsert(connection, tables.cursor, [{"projection": name, "position": position} for name in ("a", "b")])
    with reading(databases.service) as connection:
        assert sorted(connection.execute(sa.select(tables.cursor)).all()) == [("a", 2), ("b", 2)]


def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    small = open_sqlite(tmp_path, journal_pages=60)
    small.migrate()
    with pytest.raises(Full, match=r"the journal database has no room .* free space"):  # noqa: SIM117
        with stated("journal"), small.journal.begin() as connection:
            connection.execute(sa.insert(tables.entry).values(position=1, arrived=1, payload=bytes(500_000)))
    small.close()
    roomy = open_sqlite(tmp_path)
    with stated("journal"), roomy.journal.begin() as connection:
        connection.execute(sa.insert(tables.entry).values(position=1, arrived=1, payload=bytes(500_000)))
    roomy.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database " * 1000)
    damaged = open_sqlite(tmp_path)
    with pytest.raises(Unreachable, match=r"the journal database cannot be used now .*not a database"):
        damaged.migrate()
    damaged.close()


def test_a_server_that_only_reads_is_told(postgres_server: str) -> None:
    address = new_database(postgres_server)
    opened = open_postgres(address)
    opened.migrate()
    with opened.journal.begin() as connection:
        name = address.rpartition("/")[2]
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    opened.close()
    with pytest.raises(Unreachable, match="read-only transaction"):  # noqa: SIM117
        with stated("journal"), opened.journal.begin() as connection:
            connection.execute(sa.insert(tables.entry).values(position=1, arrived=1))
    opened.close()


def test_a_server_that_is_not_there_is_told() -> None:
    absent = open_postgres(f"postgresql://forewarn@127.0.0.1:{free_port()}/none")
    began = time.monotonic()
    with pytest.raises(Unreachable, match="the journal database cannot be used now"):
        absent.migrate()
    assert time.monotonic() - began < 30


def test_a_postgresql_that_vanished_without_a_word_is_given_up_soon(postgres_server: str) -> None:
    opened = open_postgres(postgres_server + ("&" if "?" in postgres_server else "?") + "keepalives_idle=7")
    with opened.journal.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(raw.pgconn.socket)) as wire:
            options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT]
            found = [wire.getsockopt(socket.IPPROTO_TCP, option) for option in options]
    opened.close()
    assert found == [7, 2, 3, 15_000]  # Of these the address named the first.
