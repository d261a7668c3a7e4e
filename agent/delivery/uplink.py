"""Sends the spool to the collector, and lets go of a record only when the collector says it is committed.

Go-back-N over a bus that may lose, repeat and delay: blocks go out in order, at most a window of them without an
acknowledgement. The window grows with every block acknowledged, from 1 to 16, and is halved by every rewind. A rewind
sends again from the first record not acknowledged: at once when the connection or the collector's run is a new one or
the collector asks for it, otherwise after a time without progress that doubles with jitter. The broker's PUBACK means
nothing here. When the collector holds our blocks we wait longer each time and show its reason. When the guard forbids,
nothing is published but a last "offline" and why. What a withdrawn consent covered never leaves.

Errors: none leave here but those of a closed spool; whatever goes wrong is shown in `status` and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from agent.delivery.answers import Answers
from agent.delivery.asked import Released
from agent.delivery.cutting import Cutter, Identity
from agent.delivery.pace import Pace, Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Closed, Spool, SpoolError
from agent.delivery.spoolfile import Piece
from agent.delivery.window import Window
from agent.guard import Guard
from agent.reading import Clock
from forewarn import signals
from forewarn.bus import Bus, Done, Offline, State
from forewarn.telemetry import Log
from forewarn.wire import Reason

log = Log(__name__)


class Status(NamedTuple):
    """How delivery goes, for people."""

    connected: bool
    why: str
    held: str
    forbidden: str
    window: int
    in_flight: int
    blocks: int
    rewinds: int
    forged: int
    answered: int
    """When the collector was last heard, Unix milliseconds; 0: not in this run."""
    clock_ahead: float | None
    """Seconds by which our clock was ahead of the collector's then; None: it did not say."""


class Noted(Protocol):
    """Who is told what leaves and what is confirmed, as it happens; it must not wait."""

    def left(self, piece: Piece, payload: bytes) -> None:
        """A block was handed to the broker."""

    def confirmed(self, epoch: str, upto: int) -> None:
        """The collector has everything up to a number."""


class Uplink:
    """See the module; `run` it as one task, everything else happens inside."""

    def __init__(
        self,
        bus: Bus,
        spool: Spool,
        guard: Guard,
        *,
        who: Identity,
        presences: Presences,
        clock: Clock,
        tempo: Tempo,
        log_book: Noted | None = None,
    ) -> None:
        """Sends nothing before `run`; what leaves is noted in `log_book`, where there is one."""
        self._bus = bus
        self._spool = spool
        self._guard = guard
        self._who = who
        self._presences = presences
        self._clock = clock
        self._tempo = tempo
        self._log_book = log_book
        self._topic = signals.block_topic(who.shard, who.agent)
        self._wake = asyncio.Event()
        self._answers = Answers(who.agent, who.key, clock)
        self._states: deque[State] = deque()
        self._connected = False
        self._why = "not started"
        self._cursor = 0
        self._epoch = ""
        self._window = Window(tempo.window)
        self._pace = Pace(tempo, clock)
        self._cutter = Cutter(spool, guard, who, clock)
        self._unsent: deque[Future[None]] = deque()
        self._collector = ""
        self._answered = 0
        self._clock_ahead: float | None = None
        self._blocks = self._rewinds = 0

    @property
    def status(self) -> Status:
        """How it goes."""
        refusal = self._guard.may_leave()
        return Status(
            self._connected,
            self._why,
            self._pace.held,
            str(refusal or ""),
            self._window.size,
            len(self._window),
            self._blocks,
            self._rewinds,
            self._answers.forged,
            self._answered,
            self._clock_ahead,
        )

    async def run(self) -> None:
        """Delivers until it is cancelled.

        Raises:
            agent.spool.Closed: the spool is gone.
        """
        loop = asyncio.get_running_loop()

        def wake(*_: object) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody is left to wake.
                loop.call_soon_threadsafe(self._wake.set)

        def heard(_topic: str, payload: bytes, done: Done) -> None:
            if self._answers.hear(payload):
                wake()
            done()

        def turned(state: State) -> None:
            self._states.append(state)
            wake()

        self._spool.watch(wake)
        self._bus.will(lambda: self._presences.will(self._spool.standing.epoch))
        self._bus.watch(turned)
        self._bus.subscribe([signals.ack_topic(self._who.agent)], heard)
        self._bus.connect()
        while True:
            self._wake.clear()
            wait = await self._step()
            with contextlib.suppress(TimeoutError):
                # Before Python 3.12 `wait_for` forgets that it was cancelled when it is woken in the same moment.
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _step(self) -> float:
        """Does what can be done now; returns how many seconds until there may be more to do unasked."""
        self._take_states()
        try:
            return await self._deliver()
        except Closed:
            raise
        except SpoolError as wrong:
            log.warning("delivery waits for the spool", why=str(wrong))
            return self._tempo.glance

    async def _deliver(self) -> float:
        proven, unproven = self._answers.take()
        for ack in proven:
            await self._take_ack(ack)
        if unproven is not None:  # It may only hold us back, never delete.
            self._back_off(f"{unproven.held} (unproven)")
        self._follow_epoch()
        refusal = self._guard.may_leave()
        if not self._connected:
            return self._tempo.glance
        standing = self._spool.standing
        self._presences.show(self._bus, standing.epoch, str(refusal or ""), standing.manifest)
        if refusal is not None:
            self._window.clear()
            self._cursor = standing.acked
            return self._tempo.glance
        return await self._send()

    def _take_states(self) -> None:
        while self._states:
            state = self._states.popleft()
            self._connected, self._why = state.connected, state.why
            self._presences.forget()
            if state.connected:
                self._begin_again("a new connection")

    def _follow_epoch(self) -> None:
        standing = self._spool.standing
        if standing.epoch != self._epoch:
            self._epoch = standing.epoch
            self._window.clear()
            self._cursor = standing.acked

    async def _send(self) -> float:
        """Fills the window; returns how long to wait when nothing happens."""
        waits = self._pace.waits()
        if waits > 0:
            return waits
        if self._window and self._pace.is_lost():
            self._rewind("no progress")
        while self._window.has_room() and self._unsent_count() < self._tempo.window:
            standing = self._spool.standing
            few = standing.head - self._cursor < self._cutter.most
            if few and (waits := self._pace.waits_for_company()) > 0:
                return min(waits, self._tempo.glance)
            if standing.head <= self._cursor or not await self._send_one():
                break
        until = self._pace.until_lost() if self._window else self._tempo.glance
        return max(0.0, min(until, self._tempo.glance))

    async def _send_one(self) -> bool:
        """Publishes the next block; False when there is none, or it could not go."""
        found = await self._cutter.block(self._cursor)
        if found is None or self._guard.may_leave() is not None:
            return False
        piece, payload = found
        if piece.epoch != self._epoch or self._answers:  # What was acknowledged meanwhile comes first.
            self._wake.set()
            return False
        try:
            self._unsent.append(self._bus.publish(self._topic, payload))
        except Offline:
            return False
        if self._log_book is not None:
            self._log_book.left(piece, payload)
        self._pace.sent(alone=not self._window)
        self._window.sent(piece.last)
        self._cursor = piece.last
        self._blocks += 1
        return True

    async def _take_ack(self, ack: signals.Ack) -> None:
        if ack.boot != self._collector:
            if self._collector:
                self._begin_again("the collector started anew")
            self._collector = ack.boot
        self._answered = self._clock.now()
        first = self._window.first
        if ack.at and first is not None and first <= ack.upto:  # Of what is under way: it was made just now.
            self._clock_ahead = (self._answered - ack.at) / 1000
        before = self._spool.standing
        released = await self._spool.release(ack.epoch, ack.upto, ack.hash)
        if released in (Released.BEYOND_HEAD, Released.ANOTHERS):
            self._follow_epoch()
            return
        if released is Released.DONE:
            self._progress(before.acked, ack.upto)
        if ack.held:
            await self._hold(ack.held, ack.epoch)
            return
        self._pace.unhold()
        if ack.rewind and ack.epoch == self._epoch and self._pace.heeds(ack.upto):
            self._rewind("the collector misses records")

    def _progress(self, before: int, upto: int) -> None:
        if upto <= before:
            return
        if self._log_book is not None:
            self._log_book.confirmed(self._epoch, upto)
        self._window.confirm(upto)
        self._cursor = max(self._cursor, upto)
        self._pace.progressed()

    async def _hold(self, reason: str, epoch: str) -> None:
        if reason != Reason.FORKED:
            self._back_off(reason)
        elif epoch == self._epoch and self._pace.may_roll():
            await self._spool.roll(
                "the collector knows these numbers with another content: a cloned or restored machine"
            )
            self._follow_epoch()
            self._pace.unhold()
        elif epoch == self._epoch:  # What is said of an epoch that is over holds nobody back.
            self._back_off(reason)

    def _back_off(self, reason: str) -> None:
        if self._pace.hold(reason):
            self._window.restart()
            self._cursor = self._spool.standing.acked

    def _begin_again(self, why: str) -> None:
        """What was under way may be lost, and not ours alone: it goes again a little later, and slowly at first."""
        if self._window:
            self._pace.spread()
        self._rewind(why)
        self._window.restart()

    def _rewind(self, why: str) -> None:
        if self._window:
            self._rewinds += 1
            log.info("sending again", after=self._spool.standing.acked, why=why)
            self._window.halve()
        self._cursor = self._spool.standing.acked
        self._pace.at_once()

    def _unsent_count(self) -> int:
        while self._unsent and self._unsent[0].done():
            self._unsent.popleft()
        return len(self._unsent)
