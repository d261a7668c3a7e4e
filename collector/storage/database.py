"""The collector's two relational databases: two SQLite files, or two schemas of one PostgreSQL.

What a transaction committed survives a power cut (SQLite: WAL with synchronous=FULL). A transaction of `engine.begin()`
holds SQLite's write lock from its first statement, so that reading and then writing is safe against other writers;
what only reads goes through `reading`, which waits for nobody.

Errors:
    StorageError
    ├─ Full          no room on the disk; goes on by itself when there is room
    └─ Unreachable   no connection, locked for too long, read-only or damaged; tried again until it is mended
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_HERE = Path(__file__).parent.parent / "migrations"
_BUSY_SECONDS = 30
_ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A PostgreSQL whose machine vanished without a word is given up after some fifteen seconds, not after two hours."""
_MIGRATION_LOCK = 0x66770001
_one_at_a_time = threading.Lock()
"""Alembic keeps what it works on in module globals."""
_DISK_FULL = "53100"
"""PostgreSQL's class 53 `disk_full`."""
_ASKED = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""What a database says of a statement or its values (PEP 249); all else it says of itself."""


class StorageError(Exception):
    """A database that could not do what was asked, now."""


class Full(StorageError):
    """There is no room left where the database lies."""


class Unreachable(StorageError):
    """The database does not answer or take anything: gone, held by another writer, read-only, damaged."""


@dataclass(frozen=True)
class Databases:
    """The engines of both databases; every part of the collector uses the same object."""

    journal: Engine
    service: Engine

    def migrate(self) -> None:
        """Brings both databases to this program's schema; safe to call from several processes at once.

        Raises:
            StorageError: see above.
        """
        for name, engine in (("journal", self.journal), ("service", self.service)):
            with stated(name), _one_at_a_time, engine.begin() as connection:
                _migrate(name, connection)

    def close(self) -> None:
        """Closes every pooled connection."""
        self.journal.dispose()
        self.service.dispose()


def _migrate(name: str, connection: Connection) -> None:
    schema = None if connection.dialect.name == "sqlite" else name
    if schema:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    config = alembic.config.Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(_HERE / name).replace("%", "%%"))
    alembic.command.upgrade(config, "head")


class Schema(StrEnum):
    """How the schema of a database stands to this program's."""

    NONE = "none"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def schema(name: str, connection: Connection) -> Schema:
    """Compares without changing anything; `name` is journal or service.

    Raises:
        sqlalchemy.exc.DBAPIError: as the driver says it.
    """
    within = None if connection.dialect.name == "sqlite" else name
    options = {"version_table": "revision", "version_table_schema": within}
    found = MigrationContext.configure(connection, opts=options).get_current_revision()
    scripts = ScriptDirectory(str(_HERE / name))
    if found is None:
        return Schema.NONE
    if found == scripts.get_current_head():
        return Schema.CURRENT
    return Schema.OLDER if found in {script.revision for script in scripts.walk_revisions()} else Schema.NEWER


def open_sqlite(folder: Path, *, journal_pages: int = 0) -> Databases:
    """Opens `journal.db` and `service.db` in `folder`, which is made when it is missing.

    Args:
        folder: the collector's data folder.
        journal_pages: most pages the journal may have (0: as many as the disk holds); a test's small disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return Databases(_sqlite(folder / "journal.db", journal_pages), _sqlite(folder / "service.db", 0))


def _sqlite(path: Path, pages: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
        execution_options={"schema_translate_map": {"journal": None, "service": None}},
        pool_size=10,
        max_overflow=20,
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _: object) -> None:
        pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS * 1000}"]
        pragmas += [f"max_page_count={pages}"] if pages else []
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        deferred = connection.get_execution_options().get("forewarn_reading")
        connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")

    return engine


def open_postgres(url: str) -> Databases:
    """Opens the schemas `journal` and `service` of one PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database`; what libpq knows may follow as `?connect_timeout=3`.
    """
    address = make_url(url).set(drivername="postgresql+psycopg")
    alive = {name: value for name, value in _ALIVE.items() if name not in address.query}

    def engine() -> Engine:
        return create_engine(address, connect_args=alive, pool_pre_ping=True, pool_size=10, max_overflow=20)

    return Databases(engine(), engine())


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading only: one consistent view, and it neither waits for a writer nor keeps one waiting."""
    with engine.connect() as connection:
        yield connection.execution_options(forewarn_reading=True)


@contextmanager
def stated(what: str) -> Iterator[None]:
    """Turns what a driver raises for the state of its database into a StorageError that names `what`.

    Raises:
        StorageError: as above; an error for what was asked (`_ASKED`) passes through unchanged.
    """
    try:
        yield
    except PoolTimeout as wrong:
        raise _told(what, wrong) from wrong
    except DBAPIError as wrong:
        if isinstance(wrong, _ASKED) and not wrong.connection_invalidated:
            raise
        raise _told(what, wrong) from wrong


def _told(what: str, wrong: PoolTimeout | DBAPIError) -> StorageError:
    cause = getattr(wrong, "orig", None) or wrong
    sentence = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if "disk is full" in sentence or getattr(cause, "sqlstate", None) == _DISK_FULL:
        return Full(f"the {what} database has no room ({sentence}): free space on its disk; it goes on by itself")
    return Unreachable(f"the {what} database cannot be used now ({sentence}); it is tried again")


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Writes whole rows by primary key: new ones are inserted, known ones replaced."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))
