"""What was committed and could not be applied: kept with its reason until a person decides what becomes of it.

A projection that can never take an entry (a rule makes a mistake at it, the series store refuses values of it) notes it
here, once, and goes on with the next. What arrived and was no block at all is set aside by the intake; both are shown
side by side. A person drops a letter, or has it tried again, most likely after an update:

    waiting → asked → retried     the running collector commits the block again, for that projection alone
                    → dropped     its payload is deleted, the line stays

The newest LETTERS are kept, for 90 days at most.

Errors:
    NoSuchLetter   there is none of this name, or it cannot be done with it; the text says what can
    (and database.StorageError)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite

from collector.journal.disk import Change, DatabaseJournal, Outrun, Taken
from collector.journal.entry import Entry
from collector.storage import tables
from collector.storage.database import reading, stated
from collector.storage.proof_tables import dead_letter
from forewarn.telemetry import Log
from forewarn.wire import Malformed, storable, unpack

log = Log(__name__)

LETTERS = 1000
KEPT_MS = 90 * 86_400_000
_DETAIL = 1000
_AT_ONCE = 20
_NAMED = re.compile(r"([ds])(\d{1,15})").fullmatch


class NoSuchLetter(Exception):
    """A name that stands for no letter, or one with which this cannot be done."""


class State(StrEnum):
    """What became of a letter."""

    WAITING = "waiting"
    ASKED = "asked"
    RETRIED = "retried"
    DROPPED = "dropped"
    SET_ASIDE = "set_aside"
    """Never committed: a payload that the intake could not take."""


class Letter(NamedTuple):
    """A dead letter (`d7`) or a payload set aside (`s7`), whose position and numbers are 0 where they have none."""

    name: str
    state: str
    where: str
    """The projection that could not take it, or `intake`."""
    reason: str
    detail: str
    noted: int
    position: int
    site: str
    agent: str
    epoch: str
    first: int
    last: int
    size: int
    """Bytes of the payload that are kept, 0 when none are."""
    again: int | None

    @property
    def remedy(self) -> str:
        """What can be done with it, one word: retry, drop, nothing."""
        if self.state == State.WAITING and self.size:
            return "retry"
        return "drop" if self.size else "nothing"


class DeadLetters:
    """The letters of one collector. Safe to use from several threads and processes.

    Args:
        journal: the database the blocks lie in.
        now: Unix milliseconds.
    """

    def __init__(self, journal: Engine, *, now: Callable[[], int]) -> None:
        self._engine = journal
        self._now = now

    def note(self, projection: str, entry: Entry, reason: str, detail: str) -> None:
        """Notes that a projection cannot take an entry; a second time changes nothing.

        Raises:
            StorageError: it could not be noted; the projection must not go on past the entry.
        """
        with stated("journal"), self._engine.begin() as connection:
            _insert(connection, projection, entry.position, self._now(), reason, storable(detail[:_DETAIL]))
            newest = sa.select(sa.func.max(dead_letter.c.id)).scalar_subquery()
            connection.execute(sa.delete(dead_letter).where(dead_letter.c.id <= newest - LETTERS))

    def listed(self, *, state: str = "", after: int = 0, most: int = 100) -> list[Letter]:
        """Dead letters, the newest first.

        Args:
            state: only those, all when empty.
            after: the number of the last one of the page before, 0 for the newest.
            most: how many at most.

        Raises:
            StorageError: they cannot be read.
        """
        wanted = _letters().order_by(dead_letter.c.id.desc()).limit(most)
        wanted = wanted.where(dead_letter.c.state == state) if state else wanted
        return self._read(wanted.where(dead_letter.c.id < after) if after else wanted)

    def aside(self, *, after: int = 0, most: int = 100) -> list[Letter]:
        """Payloads set aside, the newest first; the arguments as in `listed`.

        Raises:
            StorageError: they cannot be read.
        """
        wanted = _asides().order_by(tables.set_aside.c.id.desc()).limit(most)
        return self._read(wanted.where(tables.set_aside.c.id < after) if after else wanted)

    def show(self, name: str) -> tuple[Letter, bytes | None]:
        """One letter and its payload as it was received.

        Raises:
            NoSuchLetter: see above.
            StorageError: it cannot be read.
        """
        kind, number = _number(name)
        table = dead_letter if kind == "d" else tables.set_aside
        found = self._read((_letters() if kind == "d" else _asides()).where(table.c.id == number))
        if not found:
            raise NoSuchLetter(f"there is no letter `{name}`: `forewarn collector deadletter list` names them")
        with stated("journal"), reading(self._engine) as connection:
            payload = connection.execute(sa.select(table.c.payload).where(table.c.id == number)).scalar()
        return found[0], None if payload is None else bytes(payload)

    def ask(self, name: str) -> None:
        """Has the running collector apply a letter again, once, within seconds.

        Raises:
            NoSuchLetter: it does not wait, or has no payload any more, or was never committed.
            StorageError: nothing was asked.
        """
        letter, _ = self.show(name)
        if letter.state == State.SET_ASIDE:
            raise NoSuchLetter(f"`{name}` was never committed: its agent was told so, and only `drop` can be done")
        self._turn(letter, [State.WAITING], {"state": str(State.ASKED)}, "is tried again")

    def drop(self, name: str) -> None:
        """Deletes the payload of a letter; its line stays, that of a payload set aside goes.

        Raises:
            NoSuchLetter: there is nothing to drop.
            StorageError: nothing was dropped.
        """
        letter, _ = self.show(name)
        if letter.state != State.SET_ASIDE:
            self._turn(
                letter, [State.WAITING, State.ASKED], {"state": str(State.DROPPED), "payload": None}, "is dropped"
            )
            return
        aside = tables.set_aside
        with stated("journal"), self._engine.begin() as connection:
            connection.execute(sa.delete(aside).where(aside.c.id == _number(name)[1]))

    def _turn(self, letter: Letter, since: Sequence[State], values: dict[str, Any], done: str) -> None:
        mine = sa.update(dead_letter).where(dead_letter.c.id == _number(letter.name)[1], dead_letter.c.state.in_(since))
        with stated("journal"), self._engine.begin() as connection:
            if not connection.execute(mine.where(dead_letter.c.payload.is_not(None)).values(values)).rowcount:
                words = " or ".join(f"`{state}`" for state in since)
                raise NoSuchLetter(f"`{letter.name}` is {letter.state}: only one that is {words} {done}")

    def prune(self) -> int:
        """Forgets letters older than 90 days; says how many.

        Raises:
            StorageError: nothing was deleted.
        """
        old = sa.delete(dead_letter).where(dead_letter.c.noted < self._now() - KEPT_MS)
        with stated("journal"), self._engine.begin() as connection:
            return connection.execute(old).rowcount

    def _read(self, wanted: sa.Select[Any]) -> list[Letter]:
        with stated("journal"), reading(self._engine) as connection:
            return [Letter(*row[1:])._replace(name=f"{row.kind}{row.name}") for row in connection.execute(wanted)]


def _insert(connection: Connection, projection: str, position: int, now: int, reason: str, detail: str) -> None:
    entry, dialect = tables.entry, sqlite if connection.dialect.name == "sqlite" else postgresql
    names = ("position", "arrived", "shard", "site", "agent", "epoch", "first", "last", "payload")
    of = (sa.literal(projection), sa.literal(now, sa.BigInteger), sa.literal(reason), sa.literal(detail))
    rows = sa.select(*of, *(entry.c[name] for name in names)).where(entry.c.position == position)
    new = dialect.insert(dead_letter).from_select(["projection", "noted", "reason", "detail", *names], rows)
    connection.execute(new.on_conflict_do_nothing(index_elements=["projection", "position"]))


def _size(payload: sa.ColumnElement[bytes]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.length(payload), 0)


def _letters() -> sa.Select[Any]:
    of = dead_letter.c
    told = (of.state, of.projection, of.reason, of.detail, of.noted, of.position, of.site, of.agent, of.epoch)
    return sa.select(
        sa.literal("d").label("kind"), of.id.label("name"), *told, of.first, of.last, _size(of.payload), of.again
    )


def _asides() -> sa.Select[Any]:
    of, empty, none = tables.set_aside.c, sa.literal(""), sa.literal(0)
    told = (sa.literal(str(State.SET_ASIDE)), sa.literal("intake"), of.reason, of.detail, of.arrived)
    numbers = (none, empty, of.agent, empty, none, none, _size(of.payload), sa.null())
    return sa.select(sa.literal("s").label("kind"), of.id.label("name"), *told, *numbers)


def _number(name: str) -> tuple[str, int]:
    found = _NAMED(name)
    if not found:
        raise NoSuchLetter(f"`{name}` is no letter: they are called like d7 (could not be applied) or s7 (set aside)")
    return found[1], int(found[2])


def give_again(journal: DatabaseJournal, now: int, shards: Collection[int] | None = None) -> int:
    """Commits the blocks of letters that a person asked for again, each for the projection that could not take it.

    The letter is marked in the transaction that commits its block, so that it happens once, whoever is killed and when.

    Args:
        journal: of this process.
        now: the arrival of what is given again, Unix milliseconds.
        shards: those of this process, None for all.

    Returns:
        How many were given.

    Raises:
        StorageError: the next call goes on.
    """
    of, given = dead_letter.c, 0
    wanted = sa.select(dead_letter).where(of.state == State.ASKED).order_by(of.id).limit(_AT_ONCE)
    wanted = wanted if shards is None else wanted.where(of.shard.in_(shards))
    with stated("journal"), reading(journal.engine) as connection:
        rows = connection.execute(wanted).all()
    for row in rows:
        try:
            received = unpack(bytes(row.payload))
            block = (now, row.shard, row.site, row.agent, row.epoch, row.first, row.last, bytes(row.payload), received)
            journal.commit(Change(taken=[Taken(*block, only=row.projection, letter=row.id)]))
        except Outrun:
            continue  # Another process gave it, or somebody dropped it.
        except Malformed as wrong:
            log.warning("a dead letter cannot be read any more", letter=f"d{row.id}", why=str(wrong))
            continue
        given += 1
        log.info("a dead letter is given again", letter=f"d{row.id}", projection=row.projection)
    return given
