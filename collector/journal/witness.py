"""Of which journal a cursor speaks: a journal that was replaced, or restored and written on, is never skipped over.

A cursor is a position. In another journal the same position is another entry, and everything up to it would be passed
over without a word. So each projection remembers, in the service database, the identity of its journal and when one of
the entries it took had arrived; both are compared whenever it begins.

Errors:
    Replaced   the journal is another one, or is not the one it was: nothing is applied; the text says what to do
    (and database.StorageError)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Engine
from ulid import ULID

from collector.journal.disk import COMMIT_LOCK
from collector.storage import tables
from collector.storage.database import Databases, StorageError, reading, stated, upsert
from collector.storage.proof_tables import identity

SECONDS = 60.0
"""Between notes of how far a projection came."""
MARGIN = 1_000_000
"""Positions left free between what was taken of the old journal and an adopted one: a cursor may be past its note."""


class Replaced(Exception):
    """A projection's cursor is not of this journal."""


class Witness:
    """Compares and remembers. Safe to use from several threads.

    Args:
        journal: the database of the journal.
        service: where what was seen is remembered.
        monotonic: seconds.
    """

    def __init__(self, journal: Engine, service: Engine, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._service = service
        self._monotonic = monotonic
        self._noted: dict[str, float] = {}
        self._identity = ""

    def check(self, projection: str) -> None:
        """Compares the journal with what a projection has seen of it.

        Raises:
            Replaced: see above.
            StorageError: it cannot be compared now.
        """
        self._identity = _identity(self._journal)
        table = tables.witness
        with stated("service"), reading(self._service) as connection:
            row = connection.execute(sa.select(table).where(table.c.projection == projection)).first()
        if row is None:
            self._write(projection, 0, 0)
            return
        if row.journal != self._identity:
            raise Replaced(f"`{projection}` was made from another journal. {REMEDY}")
        found = self._arrived(row.position)
        if found not in (None, row.arrived):
            what = f"entry {row.position} of the journal is not the one that `{projection}` took"
            raise Replaced(f"{what}: it was restored from a copy and written on. {REMEDY}")

    def seen(self, projection: str, position: int, arrived: int) -> None:
        """Remembers, about once a minute, an entry that a projection took. What cannot be noted now is noted later."""
        now = self._monotonic()
        if now - self._noted.get(projection, float("-inf")) < SECONDS:
            return
        try:
            self._write(projection, position, arrived)
        except StorageError:
            return
        self._noted[projection] = now

    def _write(self, projection: str, position: int, arrived: int) -> None:
        of = {"projection": projection, "journal": self._identity, "position": position, "arrived": arrived}
        with stated("service"), self._service.begin() as connection:
            upsert(connection, tables.witness, [of])

    def _arrived(self, position: int) -> int | None:
        """When the entry at a position arrived, None when it was pruned, or is yet to come."""
        entry = tables.entry
        with stated("journal"), reading(self._journal) as connection:
            return connection.execute(sa.select(entry.c.arrived).where(entry.c.position == position)).scalar()


REMEDY = (
    "Stop the collector, then either restore journal, service database and series from one time, "
    "or take this journal up behind what is there: forewarn collector adopt-journal"
)


def _identity(journal: Engine) -> str:
    wanted = sa.select(sa.func.min(identity.c.id))
    with stated("journal"), reading(journal) as connection:
        found = connection.execute(wanted).scalar()
    if found is not None:
        return str(found)
    new = str(ULID())
    with stated("journal"), journal.begin() as connection:
        if connection.dialect.name == "postgresql":  # Of two that begin at once, one gives the name and both use it.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": COMMIT_LOCK})
        found = connection.execute(wanted).scalar()
        if found is None:
            connection.execute(sa.insert(identity).values(id=new))
    return str(found or new)


def doubts(databases: Databases) -> list[str]:
    """Why this cannot be the journal that the projections took, a sentence for each; none when it can.

    Raises:
        StorageError: they cannot be compared now.
    """
    table, found = tables.witness, []
    with stated("service"), reading(databases.service) as connection:
        rows = connection.execute(sa.select(table.c.projection, table.c.position).order_by(table.c.projection)).all()
    with stated("journal"), reading(databases.journal) as connection:
        head = connection.execute(sa.select(sa.func.max(tables.entry.c.position))).scalar() or 0
    witness = Witness(databases.journal, databases.service)
    for projection, position in rows:
        try:
            witness.check(projection)
        except Replaced as wrong:
            found.append(str(wrong))
        else:
            if position > head:
                found.append(f"`{projection}` took entry {position} of the journal, which ends at {head}. {REMEDY}")
    return found


def adopt(databases: Databases) -> tuple[int, int]:
    """Moves all entries of the journal behind what the projections took of another, so that all of them are applied.

    What they had taken before comes to them a second time: values are stored again under the same times, and the rules
    pass over what is older than what they have seen. The collector must not run.

    Returns:
        (how many entries, the position of the first).

    Raises:
        StorageError: nothing was changed.
    """
    entry, witness, cursor = tables.entry, tables.witness, tables.cursor
    with stated("service"), reading(databases.service) as connection:
        taken = connection.execute(sa.select(sa.func.max(witness.c.position))).scalar() or 0
        at = connection.execute(sa.select(sa.func.max(cursor.c.position))).scalar() or 0
    with stated("journal"), databases.journal.begin() as connection:
        first, last = connection.execute(sa.select(sa.func.min(entry.c.position), sa.func.max(entry.c.position))).one()
        first, last = first or 0, last or 0
        move = max(taken, at) + MARGIN + last - first + 1
        count = connection.execute(sa.update(entry).values(position=entry.c.position + move)).rowcount
    with stated("service"), databases.service.begin() as connection:
        connection.execute(sa.delete(witness))
    return count, first + move
