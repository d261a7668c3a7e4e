"""The databases: there, sound, of this program's schema; and whether somebody works on them now.

They are opened for reading alone: a missing SQLite file is not made, an older schema is not brought up to date. Reading
a SQLite file keeps nobody from writing it.

Errors: none; what is wrong is told, and `Opened` has None in its place.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, NullPool, create_engine, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from collector.settings import Settings
from collector.storage import tables
from collector.storage.database import Schema, schema
from forewarn.doctor.diagnosis import Diagnosis, amount, fail, ok, warn
from forewarn.doctor.machine import there

CHECKED_SECONDS = 5.0
"""How long a SQLite file is read for damage, from its beginning."""
_STEPS = 20_000
_AT_WORK = 30_000
"""Milliseconds: a collector notes a tick every ten seconds."""
_OLDEST_POSTGRES = 120_000
"""PostgreSQL 12, as `server_version_num` counts."""
_CONNECT_SECONDS = 5


@dataclass
class Opened:
    """What can be read; None where there is no database yet, or none that answers."""

    journal: Engine | None = None
    service: Engine | None = None

    def close(self) -> None:
        """Lets go of both."""
        for engine in (self.journal, self.service):
            if engine is not None:
                engine.dispose()


def look(settings: Settings) -> Generator[Diagnosis, None, Opened]:
    """Looks at both; returns what can be read on."""
    address = settings.database.address()
    return (yield from (_sqlite(settings.folder) if address is None else _postgres(address)))


def works(opened: Opened, now: int) -> bool:
    """Whether a collector, on this machine or another, has noted a tick in the last half minute.

    Args:
        opened: see `look`.
        now: Unix milliseconds.
    """
    if opened.journal is None:
        return False
    newest = select(func.max(tables.entry.c.arrived)).where(
        tables.entry.c.position == select(func.max(tables.entry.c.position)).scalar_subquery()
    )
    try:
        with opened.journal.connect() as connection:
            last = connection.execute(newest).scalar()
    except SQLAlchemyError:
        return False
    return last is not None and abs(now - last) < _AT_WORK


def _sqlite(folder: Path) -> Generator[Diagnosis, None, Opened]:
    opened = Opened()
    for name in ("journal", "service"):
        file = folder / f"{name}.db"
        if not there(file):
            yield ok(f"database {name}", f"{file} is not there yet; the first start makes it")
            continue
        engine = _readable(file)
        try:
            with engine.connect() as connection:
                level = schema(name, connection)
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                whole, damage = _damage(raw)
        except (SQLAlchemyError, sqlite3.Error) as wrong:
            engine.dispose()
            yield _unread(name, file, str(getattr(wrong, "orig", None) or wrong).splitlines()[0])
            continue
        if damage:
            engine.dispose()
            yield _unread(name, file, damage)
            continue
        extent = "no damage" if whole else f"no damage in the first {CHECKED_SECONDS:.0f} s of reading"
        yield from _judged(name, level, f"{file}, {amount(file.stat().st_size)}, {extent}")
        _keep(opened, name, engine, level)
    return opened


def _keep(opened: Opened, name: str, engine: Engine, level: Schema) -> None:
    if level is Schema.NONE:
        engine.dispose()
    else:
        setattr(opened, name, engine)


def _readable(file: Path) -> Engine:
    uri = f"file:{quote(str(file.absolute()))}?mode=ro"

    def connected() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)

    return create_engine(
        "sqlite://",
        creator=connected,
        poolclass=NullPool,
        execution_options={"schema_translate_map": {"journal": None, "service": None}},
    )


def _damage(raw: sqlite3.Connection) -> tuple[bool, str]:
    """Whether the whole file was read in the time there is, and the first damage found."""
    end = time.monotonic() + CHECKED_SECONDS
    raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        found = raw.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as wrong:
        if "interrupted" not in str(wrong):
            raise
        return False, ""
    finally:
        raw.set_progress_handler(None, 0)
    return True, "" if found == "ok" else str(found).replace("\n", " ")


def _unread(name: str, file: Path, why: str) -> Diagnosis:
    subject = f"database {name}"
    if "unable to open" in why or "readonly" in why:
        return fail(subject, f"{file} cannot be read ({why})", "run this as the collector's account")
    lost = "agents send again what they still have" if name == "journal" else "its tickets and its register are in it"
    remedy = f"stop the collector, keep a copy of {file}, and put your last backup in its place: {lost}"
    return fail(subject, f"{file} is damaged ({why})", remedy)


def _judged(name: str, level: Schema, what: str) -> Iterator[Diagnosis]:
    subject = f"database {name}"
    if level is Schema.NEWER:
        remedy = "bring this program up to date: an older one must not write it"
        yield fail(subject, f"{what}; its schema is of a newer forewarn", remedy)
    elif level is Schema.OLDER:
        yield warn(subject, f"{what}; its schema is of an older forewarn", "keep a copy; the next start changes it")
    elif level is Schema.NONE:
        yield ok(subject, f"{what}; empty, the first start makes its tables")
    else:
        yield ok(subject, what)


def _postgres(address: str) -> Generator[Diagnosis, None, Opened]:
    url = make_url(address)
    where = f"{url.host or 'local socket'}:{url.port or 5432}/{url.database}"
    opened = Opened()
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            version = str(connection.execute(text("SHOW server_version")).scalar_one())
            number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
            makes = connection.execute(
                text("SELECT has_database_privilege(current_user, current_database(), 'CREATE')")
            ).scalar_one()
            levels = {name: schema(name, connection) for name in ("journal", "service")}
    except SQLAlchemyError as wrong:
        yield _unreached(where, str(getattr(wrong, "orig", None) or wrong).strip().splitlines()[0])
        return opened
    if number < _OLDEST_POSTGRES:
        yield fail("database", f"PostgreSQL {version} at {where} is too old", "bring it to version 12 or later")
    else:
        yield ok("database", f"PostgreSQL {version} at {where}")
    if Schema.NONE in levels.values() and not makes:
        remedy = f'as its owner: GRANT CREATE ON DATABASE "{url.database}" TO "{url.username}"'
        yield fail("database", f"`{url.username}` may not make the schemas there", remedy)
    for name, level in levels.items():
        yield from _judged(name, level, f"schema {name}")
        if level is not Schema.NONE:
            setattr(opened, name, engine)
    return opened


def _unreached(where: str, why: str) -> Diagnosis:
    what = f"PostgreSQL at {where}: {why}"
    if "password" in why or "role" in why:
        remedy = "correct user and password in `database.url` (or its file)"
    elif "does not exist" in why:
        remedy = "make it there with `createdb`, or correct the name in `database.url`"
    else:
        remedy = "start PostgreSQL there, or correct host and port in `database.url`"
    return fail("database", what, remedy)
