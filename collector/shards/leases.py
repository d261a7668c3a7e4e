"""Who takes in what, among several ingest processes: each of the fixed shards is leased to one of them at a time.

A lease is a row of `journal.lease`: owner, fence, and until when by the DATABASE's clock. A thread of its own renews
every third of a lease, and looks every fifteenth for shards that nobody has. Two things keep a process that lost its
lease, and does not know it, from doing harm:

- it stops by itself when its own monotonic clock says that the lease may be over (`held`);
- every transaction for a shard proves within itself that owner and fence still stand (`prove`): the lock it takes on
  the lease's row keeps a claim waiting until it is through, and lets a renewal pass.

`auto` takes its part of what no living member names in a list: divided by those with `auto`, rounded up. Who has more
gives back, after all who work on the shard have let go of it (`serve`), so that the next owner begins where it ended.

Errors:
    Fenced   another process has the shard now: nothing was committed, drop it
    (and database.StorageError)
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from ulid import ULID

from collector.shard_names import parsed, shown
from collector.storage.database import StorageError, stated, upsert
from collector.storage.lease_tables import lease, member
from forewarn.telemetry import Log
from forewarn.wire import SHARDS

log = Log(__name__)

SECONDS = 15.0
"""How long a lease holds without being renewed."""
_MARGIN = 0.1
"""The part of a lease by which its owner stops before the database's clock says that it is over."""
IDLE_MS = 10_000
"""Milliseconds after which PostgreSQL ends a transaction that its process does not go on with."""
_FORGOTTEN_MS = 3_600_000
_NOW: sa.ColumnElement[int] = sa.literal_column("(extract(epoch from clock_timestamp()) * 1000)::bigint", sa.BigInteger)

_ours: set[str] = set()
"""Names that this very process gave itself: another with its number is of a process before it, as in a container."""

Fences = Mapping[int, int]
"""The fence that each shard is held with."""


class Fenced(Exception):
    """These shards are another's now. Nothing of the transaction was committed."""

    def __init__(self, shards: Collection[int]) -> None:
        named = ", ".join(f"{shard:02x}" for shard in sorted(shards))
        super().__init__(f"shard {named} is leased to another process now")
        self.shards = frozenset(shards)


class Held(NamedTuple):
    """A shard this process holds; `good_until` is on its own monotonic clock."""

    fence: int
    good_until: float


class Tenure(Protocol):
    """What the parts of an ingest process need of its leases."""

    def held(self) -> dict[int, int]:
        """The shards to work on now, each with its fence."""

    def owned(self) -> dict[int, int]:
        """The same, and those that are to be given back."""

    def serve(self, part: str, shards: Collection[int]) -> None:
        """A part of the process says which shards it works on: none of them is given back before it lets go."""

    def lost(self, shards: Collection[int]) -> None:
        """Another process has these shards: nobody here works on them any more."""

    def prove(self, connection: Connection, fences: Fences) -> None:
        """Makes sure, within a transaction, that these shards are held until it ends.

        Raises:
            Fenced: some are not.
        """


class Leases:
    """The leases of this process; implements Tenure. Safe to use from several threads.

    Args:
        journal: a PostgreSQL database, migrated.
        name: of this run of this process, never used before.
        wanted: the shards to take, None for a fair part of all.
        seconds: how long a lease holds; all processes of a database use the same.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        journal: Engine,
        name: str,
        *,
        wanted: frozenset[int] | None = None,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        _ours.add(name)
        self.fenced = 0
        """Shards found in another's hand when something was to be committed for them, since the start."""
        self._engine = journal
        self._mine = lease.c.owner == name
        self._wanted = wanted
        self._told = "auto" if wanted is None else shown(wanted)
        self._ms = int(seconds * 1000)
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self._leaving: set[int] = set()
        self._most = 0
        self._named: frozenset[int] = frozenset()
        """What others take by a list, and `auto` leaves to them."""
        self._began = 0
        self._served: dict[str, frozenset[int]] = {}
        self._trouble = ""
        self._next_beat = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Begins to claim and renew, in a thread of its own."""
        self._thread.start()

    def leave(self) -> None:
        """Gives back every shard that no part works on any more, and ends the thread; the others run out."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._leaving.update(self._held)
        try:
            self._give_back()
            with stated("journal"), self._engine.begin() as connection:
                connection.execute(sa.delete(member).where(member.c.name == self.name))
        except StorageError as wrong:
            log.warning("leases are left to run out", why=str(wrong))

    # What the parts ask

    def held(self) -> dict[int, int]:
        """See Tenure."""
        owned = self.owned()
        with self._lock:
            return {shard: fence for shard, fence in owned.items() if shard not in self._leaving}

    def owned(self) -> dict[int, int]:
        """See Tenure."""
        now = self._monotonic()
        with self._lock:
            return {shard: held.fence for shard, held in self._held.items() if now < held.good_until}

    def serve(self, part: str, shards: Collection[int]) -> None:
        """See Tenure."""
        with self._lock:
            self._served[part] = frozenset(shards)

    def lost(self, shards: Collection[int]) -> None:
        """See Tenure."""
        with self._lock:
            for shard in shards:
                self._held.pop(shard, None)
            self._leaving.difference_update(shards)
            self.fenced += len(shards)
        log.error("a commit was refused: its shards are another process's now", shards=shown(shards))

    def prove(self, connection: Connection, fences: Fences) -> None:
        """See Tenure."""
        # KEY SHARE: a claim (FOR UPDATE) waits for this transaction or passes the row over, a renewal does not.
        mine = sa.select(lease.c.shard, lease.c.fence).where(lease.c.shard.in_(sorted(fences)), self._mine)
        rows = connection.execute(mine.order_by(lease.c.shard).with_for_update(read=True, key_share=True))
        stand: dict[int, int] = dict(rows.tuples().all())
        gone = [shard for shard, fence in fences.items() if stand.get(shard) != fence]
        if gone:
            raise Fenced(gone)

    def trouble(self) -> str:
        """Why leases cannot be renewed now, in a sentence; empty when all is well."""
        if self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set():
            return "the thread that renews leases has ended by a mistake of ours: restart this process"
        return self._trouble

    # What the thread does

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds / 15):
            try:
                self.turn()
                self._trouble = ""
            except StorageError as wrong:
                if not self._trouble:
                    log.error("leases cannot be renewed", why=str(wrong))  # noqa: TRY400 - the reason says all
                self._trouble = str(wrong)

    def turn(self) -> None:
        """One look: renews when it is time, gives back what is too much, claims what is missing.

        Raises:
            StorageError: the database cannot be asked; what is held runs out by itself.
        """
        if self._monotonic() >= self._next_beat:
            self._beat()
            self._next_beat = self._monotonic() + self._seconds / 3
        self._give_back()
        self._claim()

    def _beat(self) -> None:
        """Says that this process lives, renews what it holds, and sees how many share the work."""
        asked = self._monotonic()
        rows = sa.select(lease.c.shard).where(self._mine).order_by(lease.c.shard).with_for_update(key_share=True)
        renewed = sa.update(lease).where(self._mine).values(until=_NOW + self._ms)
        with self._transaction() as connection:
            if not self._began:
                _bury(connection, self.name)
            upsert(connection, member, [self._alive(connection)])
            connection.execute(sa.delete(member).where(member.c.until < _NOW - _FORGOTTEN_MS))
            living = connection.execute(_LIVING).scalars().all()
            connection.execute(rows)
            found: dict[int, int] = dict(
                connection.execute(renewed.returning(lease.c.shard, lease.c.fence)).tuples().all()
            )
        self._stand(found, asked, living)

    def _alive(self, connection: Connection) -> dict[str, object]:
        now = connection.execute(sa.select(_NOW)).scalar_one()
        self._began = self._began or now
        of = {"name": self.name, "host": socket.gethostname(), "pid": os.getpid(), "shards": self._told}
        return {**of, "began": self._began, "until": now + self._ms}

    def _stand(self, found: dict[int, int], asked: float, living: Sequence[str]) -> None:
        """Takes over what the database says is held, and chooses what is too much; `living` is what each was told."""
        good_until = asked + self._seconds * (1 - _MARGIN)
        lists = [shards for told in living if (shards := parsed(told)) is not None]
        named = frozenset[int]() if self._wanted is not None else frozenset[int]().union(*lists)
        autos = max(1, len(living) - len(lists))
        most = len(self._wanted) if self._wanted is not None else -(-(SHARDS - len(named)) // autos)
        with self._lock:
            gone = self._held.keys() - found.keys()
            self._held = {shard: Held(fence, good_until) for shard, fence in found.items()}
            self._most, self._named = most, named
            self._leaving = {*sorted(found.keys() - named)[most:], *(found.keys() & named)}
        if gone:
            log.error("shards ran out and are another process's now", shards=shown(gone))

    def _give_back(self) -> None:
        with self._lock:
            busy = frozenset[int]().union(*self._served.values())
            ready = {shard: self._held[shard].fence for shard in self._leaving if shard not in busy}
        if not ready:
            return
        with self._transaction() as connection:
            for shard, fence in sorted(ready.items()):
                mine = sa.update(lease).where(self._mine, lease.c.shard == shard, lease.c.fence == fence)
                connection.execute(mine.values(owner="", until=0))
        with self._lock:
            for shard in ready:
                self._held.pop(shard, None)
                self._leaving.discard(shard)
        log.info("shards were given back", shards=shown(ready))

    def _claim(self) -> None:
        room = self._most - len(self._held)
        if room <= 0:
            return
        asked = self._monotonic()
        free = sa.select(lease.c.shard).where(lease.c.until <= _NOW, ~self._mine, lease.c.shard.not_in(self._named))
        if self._wanted is not None:
            free = free.where(lease.c.shard.in_(sorted(self._wanted)))
        free = free.order_by(lease.c.shard).limit(room).with_for_update(skip_locked=True)
        with self._transaction() as connection:
            shards = connection.execute(free).scalars().all()
            if not shards:
                return
            taken = sa.update(lease).where(lease.c.shard.in_(shards))
            taken = taken.values(owner=self.name, fence=lease.c.fence + 1, until=_NOW + self._ms)
            found: dict[int, int] = dict(
                connection.execute(taken.returning(lease.c.shard, lease.c.fence)).tuples().all()
            )
        good_until = asked + self._seconds * (1 - _MARGIN)
        with self._lock:
            self._held |= {shard: Held(fence, good_until) for shard, fence in found.items()}
        log.info("shards were taken", shards=shown(found))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with stated("journal"), self._engine.begin() as connection:
            limit_idle(connection)
            yield connection


_LIVING = sa.select(member.c.shards).where(member.c.until > _NOW)
_LIMIT_IDLE = sa.text(f"SELECT set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', true)")


def _bury(connection: Connection, name: str) -> None:
    """Frees what is leased to processes of this machine that are no more, so that a restart need not wait for it."""
    here = sa.select(member.c.name, member.c.pid).where(member.c.host == socket.gethostname(), member.c.name != name)
    dead = [
        one
        for one, pid in connection.execute(here).tuples()
        if one not in _ours and (pid == os.getpid() or _is_gone(pid))
    ]
    if dead:
        rows = sa.select(lease.c.shard).where(lease.c.owner.in_(dead)).order_by(lease.c.shard)
        shards = connection.execute(rows.with_for_update(skip_locked=True)).scalars().all()
        connection.execute(sa.update(lease).where(lease.c.shard.in_(shards)).values(owner="", until=0))
        connection.execute(sa.delete(member).where(member.c.name.in_(dead)))


def _is_gone(pid: int) -> bool:
    return Path("/proc/self").exists() and not Path(f"/proc/{pid}").exists()


def limit_idle(connection: Connection) -> None:
    """Has PostgreSQL end this transaction when its process does not go on with it: it was stopped, or its machine.

    Without it the locks of such a transaction would keep all others waiting.
    """
    connection.execute(_LIMIT_IDLE)


def member_name() -> str:
    """A name for this run of this process: whoever looks at the table finds its machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}:{str(ULID())[-6:].lower()}"
