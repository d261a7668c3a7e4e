"""Who may take in on a database: one collector alone (`role: all`), or several with leases (`role: ingest`).

The claim dies with the process, however that ends. In PostgreSQL it is an advisory lock of a connection of its own:
exclusive for who is alone, shared for others; on files it is SQLite's lock on `collector.lock` beside them.

Errors:
    Occupied   another collector works on this database; the sentence says what to do
    (and database.StorageError)
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from collector.settings import Role, Settings
from collector.storage.database import Databases, StorageError, reading, stated
from collector.tickets import cursors
from collector.tickets.book import PROJECTION

_LOCK = 0x66770003
_KEEPALIVE = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 2", "tcp_keepalives_count = 3")
"""A machine that vanished holds its lock for some ten seconds, and not for two hours."""
SEVERAL = "several run with `role: ingest` (PostgreSQL and InfluxDB), and `role: web` beside them"


class Occupied(Exception):
    """Another collector is here already."""


class Entrance(Protocol):
    """A claim to a database."""

    def keep(self) -> None:
        """Makes sure that the claim still holds; called every few seconds.

        Raises:
            Occupied: somebody else has it: this process must end.
            StorageError: it cannot be said now.
        """

    def close(self) -> None:
        """Gives the claim up."""


def enter(settings: Settings, databases: Databases) -> Entrance:
    """Claims the databases for a process that takes in.

    Raises:
        Occupied: see above.
        StorageError: the database cannot be asked now.
        OSError: the data folder cannot be written.
    """
    if databases.journal.dialect.name == "sqlite":
        return FileEntrance(settings.folder)
    entrance = PostgresEntrance(databases.journal, alone=settings.role is Role.ALL)
    entrance.keep()
    return entrance


def refuse_to_be_alone(databases: Databases) -> None:
    """Refuses `role: all` on a database that several have worked on: it would do their work again.

    Raises:
        Occupied: with what to do.
        StorageError: the database cannot be asked now.
    """
    with stated("service"), reading(databases.service) as connection:
        if cursors.under(connection, PROJECTION):
            raise Occupied(
                "this database was worked on by shards, which `role: all` cannot go on with: "
                "run `role: ingest`, one or several, and `role: web` beside it"
            )


class FileEntrance:
    """The claim to a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises Occupied."""
        self._raw = sqlite3.connect(folder / "collector.lock", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._raw.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as wrong:
            self._raw.close()
            if "locked" not in str(wrong):
                raise OSError(f"{folder / 'collector.lock'} cannot be used: {wrong}") from wrong
            raise Occupied(
                f"another collector works in {folder}: end it first, or give this one its own; {SEVERAL}"
            ) from wrong

    def keep(self) -> None:
        """See Entrance."""

    def close(self) -> None:
        """See Entrance."""
        self._raw.close()


class PostgresEntrance:
    """The claim to a PostgreSQL database; one thread at a time uses it."""

    def __init__(self, engine: Engine, *, alone: bool) -> None:
        self._engine = engine
        self._alone = alone
        self._connection: Connection | None = None

    def keep(self) -> None:
        """See Entrance."""
        if self._connection is not None:
            try:
                self._connection.execute(sa.select(1))
            except DBAPIError:
                self._drop()
            else:
                return
        with stated("journal"):
            self._claim()

    def _claim(self) -> None:
        with contextlib.ExitStack() as until:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            until.callback(connection.invalidate)
            for setting in _KEEPALIVE:
                connection.execute(sa.text(f"SET {setting}"))
            how = "pg_try_advisory_lock" if self._alone else "pg_try_advisory_lock_shared"
            if not connection.execute(sa.text(f"SELECT {how}(:lock)"), {"lock": _LOCK}).scalar_one():
                raise Occupied(self._sentence())
            until.pop_all()
        self._connection = connection

    def _sentence(self) -> str:
        if self._alone:
            return f"another collector takes in on this database: end it first; {SEVERAL}"
        return f"a collector with `role: all` works on this database: end it first; {SEVERAL}"

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(DBAPIError, StorageError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def close(self) -> None:
        """See Entrance."""
        self._drop()
