"""The agent's queue on disk: a record that `put` returned for survives whatever is killed, until it is released.

One thread owns the file. Puts that come together share one commit, so that a put waits `linger` seconds and one fsync
however many there are. What cannot be kept is declared in a lost record, never missing: the oldest range when the
spool is full, what lay in a damaged file, what a withdrawn consent covered. A full disk makes puts wait; releasing
and sending go on meanwhile.

Errors:
    SpoolError
    ├─ Closed     the spool was closed, or its folder cannot be used at all: `why` says what to do
    └─ Barred     the consent a record was collected under was withdrawn before the record could be written
    wire.TooLarge a record that could never travel
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.delivery.asked import Answer, Job, Put, Released, Standing, answer
from agent.delivery.epochs import Epochs
from agent.delivery.layout import FileUnusable
from agent.delivery.soundness import is_broken, is_full
from agent.delivery.spoolfile import Piece
from agent.reading import Clock
from forewarn.settings import Size
from forewarn.telemetry import Log
from forewarn.wire import Record, Shape, TooLarge

RETRY = 1.0
"""Seconds between attempts to write while the disk has no room."""
TOGETHER = 1000
"""Most puts of one commit."""
SPARE = 0.02
"""Share of the limit that an overflow frees at once, so that it is not for every record."""

log = Log(__name__)


class SpoolError(Exception):
    """Anything the spool could not do."""


class Closed(SpoolError):
    """The spool does not take or give anything any more."""


class Barred(SpoolError):
    """The record's consent was dropped: it is not written any more."""


class Spool:
    """See the module. All coroutines may be called from one event loop; `standing` from anywhere."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        limit: int = Size.parse("2GiB"),
        age: float = 30 * 86400.0,
        linger: float = 0.02,
        ledger: Path | None = None,
        max_pages: int | None = None,
    ) -> None:
        """Nothing is opened before `open`.

        Args:
            folder: where the files lie; made when missing.
            clock: for the times of what the spool itself declares.
            limit: bytes of records held before the oldest are dropped.
            age: seconds of running (see `tend`) after which a record is dropped.
            linger: seconds a put waits for others to share its commit.
            ledger: a file that gets one line `epoch seq hash` for every record taken.
            max_pages: of the SQLite file; for tests of a full disk.
        """
        self._clock = clock
        self._epochs = Epochs(folder, clock=clock, ledger=ledger, max_pages=max_pages)
        self._limit = limit
        self._age = age
        self._too_old = f"age: nobody took it for {age / 86400:g} days"
        self._linger = linger
        self._queue: queue.SimpleQueue[Put | Job | None] = queue.SimpleQueue()
        self._stalled: deque[Put] = deque()
        self._barred: set[str] = set()
        self._stuck = ""
        self._retry_at = 0.0
        self._standing = Standing("", 1, 0, 0, 0, 0, "", None)
        self._closed = ""
        self._doing: Job | None = None
        self._ending = threading.Event()
        self._watchers: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    @property
    def standing(self) -> Standing:
        """How the spool stands."""
        return self._standing

    def watch(self, watcher: Callable[[], None]) -> None:
        """Calls `watcher` on the spool's thread after every commit: hand over and return."""
        self._watchers.append(watcher)

    async def open(self) -> Standing:
        """Opens the newest epoch, or begins one; a damaged file is set aside and declared.

        Raises:
            Closed: the folder cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        await self._do(lambda: None)
        return self._standing

    async def put(self, record: Record, shape: Shape | None, consent: str) -> int:
        """Takes a record, `seq`, `shape` and `hash` still empty; returns its seq once it is on disk.

        Raises:
            wire.TooLarge: it could never travel.
            Barred, Closed: see the module.
        """
        put = Put(record, shape, consent, self._loop.create_future())
        self._offer(put)
        seq: int = await put.future
        return seq

    async def cut(self, after: int, *, most: int, room: int) -> Piece | None:
        """What the next block behind seq `after` may hold; None when there is nothing. Damage is declared lost."""
        piece: Piece | None = await self._do(lambda: self._epochs.cut(after, most, room))
        return piece

    async def release(self, epoch: str, upto: int, chain: str = "") -> Released:
        """Deletes what the collector has; rolls the epoch when what it has is not ours.

        Args:
            epoch: of the acknowledgement; an older one changes nothing.
            upto: the last seq committed.
            chain: the chained hash it is committed with, hexadecimal; empty when the collector cannot say.
        """
        released: Released = await self._do(lambda: self._release(epoch, upto, chain))
        return released

    async def roll(self, why: str) -> None:
        """Begins a new epoch with everything unacknowledged, numbered anew, and an event that says why."""
        await self._do(lambda: self._epochs.roll(why))

    async def drop(self, consent: str, why: str) -> int:
        """Drops what was collected under a consent and declares it lost; returns how many records.

        From then on nothing is written under it, not even what has waited for room since before.
        """
        dropped: int = await self._do(lambda: self._drop(consent, why))
        return dropped

    async def give_up(self, seq: int, why: str) -> None:
        """Declares one record lost, in place, because it can never leave."""
        await self._do(lambda: self._epochs.give_up(seq, why))

    async def tend(self, seconds: float, *, hour: float, consent: str) -> None:
        """Lets time pass: drops what is too old, and makes a manifest where the last one is an hour old.

        Args:
            seconds: that the agent ran since the call before, by the steady clock.
            hour: seconds between two manifests.
            consent: under which the manifest is collected; empty when nothing may be collected now.
        """
        await self._do(lambda: self._tend(seconds, hour, consent))

    async def close(self) -> None:
        """Commits what was put and lets go of the file; what still waits for room fails with Closed."""
        if self._thread.is_alive():
            self._queue.put(None)
            if not self._standing.epoch:
                self._ending.set()
            await asyncio.to_thread(self._thread.join)

    async def _do(self, work: Callable[[], Any]) -> Any:
        job = Job(work, self._loop.create_future())
        self._offer(job)
        return await job.future

    def _offer(self, item: Put | Job) -> None:
        if self._closed:
            raise Closed(self._closed)
        self._queue.put(item)

    # Everything below runs on the spool's thread.

    def _run(self) -> None:
        try:
            self._open()
            while not self._ending.is_set() and self._turn():
                pass
            self._closed = "the spool is closed"
        except (OSError, sqlite3.Error, FileUnusable) as wrong:
            self._closed = f"the spool cannot be used: {wrong}; see that its folder exists, is ours and is used once"
            log.error("spool unusable", why=str(wrong), folder=self._epochs.folder)  # noqa: TRY400 - the reason is enough
        finally:
            self._closed = self._closed or "the spool's thread died"
            self._refuse_the_rest()
            self._epochs.close()

    def _open(self) -> None:
        while True:
            try:
                self._epochs.open()
                break
            except (sqlite3.OperationalError, OSError) as wrong:
                if not is_full(wrong) or self._ending.wait(RETRY):
                    raise
                if not self._stuck:
                    self._stuck = str(wrong)
                    log.error("spool cannot be opened yet", why=str(wrong), advice="make room on its disk")  # noqa: TRY400 - the sentence says all
        self._stuck = ""
        self._note()

    def _turn(self) -> bool:
        """Works on what came together; False after the end was asked for."""
        items, going = self._gather()
        puts: list[Put] = []
        for item in items:
            if isinstance(item, Put):
                puts.append(item)
            else:
                self._write(puts)
                puts = []
                self._work(item)
        self._write(puts)
        if self._stalled and time.monotonic() >= self._retry_at:
            self._write([])
        return going

    def _gather(self) -> tuple[list[Put | Job], bool]:
        """Waits for something to do; lingers for more while there are only puts."""
        items: list[Put | Job] = []
        until: float | None = self._retry_at if self._stalled else None
        while len(items) < TOGETHER:
            try:
                wait = None if until is None else until - time.monotonic()
                item = self._queue.get(timeout=wait) if wait is None or wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return items, False
            items.append(item)
            if isinstance(item, Job):
                break
            if len(items) == 1:
                until = time.monotonic() + self._linger
        return items, True

    def _work(self, job: Job) -> None:
        self._doing = job
        try:
            result = job.work()
        except (sqlite3.Error, FileUnusable, OSError) as wrong:
            self._mend(wrong)
            try:
                result = job.work()
            except (sqlite3.Error, FileUnusable, OSError) as again:
                self._answer([(job.future, SpoolError(f"the spool does not answer: {again}"))])
                return
        self._note()
        self._doing = None
        self._answer([(job.future, result)])

    def _write(self, puts: list[Put]) -> None:
        """Commits puts, after those that wait for room already; when there is none, all of them wait."""
        self._stalled.extend(puts)
        self._refuse_barred()
        while self._stalled:
            if self._stuck and time.monotonic() < self._retry_at:
                return
            try:
                self._commit([self._stalled[at] for at in range(min(len(self._stalled), TOGETHER))])
            except (sqlite3.Error, OSError) as wrong:
                if not self._mend(wrong):
                    self._stick(str(wrong))
                    return

    def _commit(self, puts: list[Put]) -> None:
        taken: list[tuple[Put, Record]] = []
        refused: list[tuple[Put, TooLarge]] = []
        with self._epochs.file.changing():
            for put in puts:
                try:
                    taken.append((put, self._epochs.file.append(put.record, put.shape, put.consent)))
                except TooLarge as wrong:
                    refused.append((put, wrong))
            self._shed()
        for _ in puts:
            self._stalled.popleft()
        self._epochs.enter([record for _, record in taken])
        if self._stuck:
            log.info("spool has room again", waited=len(puts))
            self._stuck = ""
        self._note()
        self._answer([(put.future, record.seq) for put, record in taken] + [(put.future, no) for put, no in refused])

    def _shed(self) -> None:
        file = self._epochs.file
        if file.size > self._limit:
            dropped = file.shed(file.size - self._limit + int(self._limit * SPARE), "overflow: the spool was full")
            log.warning("oldest records dropped", why="the spool is full", records=dropped, limit=self._limit)

    def _tend(self, seconds: float, hour: float, consent: str) -> None:
        file, made = self._epochs.file, None
        with file.changing():
            dropped = file.live(seconds, hour=hour, age=self._age, why=self._too_old)
            if consent and consent not in self._barred and file.hours.due(hour):
                made = file.attest(self._clock.now(), consent)
        if made is not None:
            self._epochs.enter([made])
        self._epochs.remember()
        if dropped:
            log.warning("oldest records dropped", why=self._too_old, records=dropped)

    def _release(self, epoch: str, upto: int, chain: str) -> Released:
        file = self._epochs.file
        if epoch != file.epoch:
            return Released.OTHER_EPOCH
        if upto > file.head:
            self._epochs.roll(f"the collector has {upto} of this epoch, this spool only {file.head}")
            return Released.BEYOND_HEAD
        if chain and file.chain_of(upto) not in ("", chain):
            self._epochs.roll(f"the collector has another record {upto} of this epoch: another machine has this spool")
            return Released.ANOTHERS
        if upto > file.acked:
            with file.changing():
                file.release(upto)
            file.give_back()
            self._epochs.remember()
        return Released.DONE

    def _refuse_barred(self) -> None:
        barred = [put for put in self._stalled if put.consent in self._barred] if self._barred else []
        if barred:
            self._stalled = deque(put for put in self._stalled if put.consent not in self._barred)
            self._answer([(put.future, Barred(f"consent {put.consent} was withdrawn")) for put in barred])

    def _drop(self, consent: str, why: str) -> int:
        self._barred.add(consent)
        self._refuse_barred()
        with self._epochs.file.changing():
            return self._epochs.file.drop(consent, why)

    def _mend(self, wrong: Exception) -> bool:
        """Sets a damaged file aside and begins a new epoch; False when that is not what is wrong, or no room for it."""
        if not is_broken(wrong):
            return False
        try:
            self._epochs.set_aside(str(wrong))
        except sqlite3.OperationalError as no_room:
            if not is_full(no_room):
                raise
            return False
        self._note()
        return True

    def _stick(self, why: str) -> None:
        self._retry_at = time.monotonic() + RETRY
        if not self._stuck:
            log.error("spool cannot write", why=why, advice="make room on its disk; polling waits, nothing is lost")
        self._stuck = why
        self._note()

    def _note(self) -> None:
        file = self._epochs.file
        held = file.oldest, file.head, file.acked, file.count, file.size
        self._standing = Standing(file.epoch, *held, self._stuck, file.hours.manifest)
        for watcher in self._watchers:
            watcher()

    def _refuse_the_rest(self) -> None:
        left: list[Put | Job] = [*self._stalled, *([self._doing] if self._doing else [])]
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if item is not None:
                    left.append(item)
        self._answer([(item.future, Closed(self._closed)) for item in left])

    def _answer(self, answers: Sequence[Answer]) -> None:
        answer(self._loop, answers)
