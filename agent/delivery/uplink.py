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
import random
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from agent.delivery.answers import Answers
from agent.delivery.presence import Presences
from agent.delivery.spool import Closed, Released, Spool, SpoolError
from agent.delivery.spoolfile import ANY_CONSENT, Piece
from agent.guard import DROPPED, Guard
from agent.reading import Clock
from forewarn import signals, wire
from forewarn.bus import Bus, Done, Offline, State
from forewarn.telemetry import Log
from forewarn.wire import Header, Reason, TooLarge

MOST_RECORDS = 200
ROOM = wire.MAX_INFLATED - 256 * 1024
UNSENT = 32
"""Most messages the broker has not taken: beyond it, a rewind waits."""

log = Log(__name__)


class Identity(NamedTuple):
    """Who we are: site, agent, shard of its topic, key of its acknowledgements, and this run."""

    site: str
    agent: str
    shard: int
    key: str
    boot: str


class Tempo(NamedTuple):
    """All times of the uplink, in seconds."""

    patience: float = 30.0
    """Without progress for so long: rewind. Doubles up to `patience_most`."""
    patience_most: float = 600.0
    held: float = 5.0
    """Between attempts while the collector holds our blocks. Doubles up to `held_most`."""
    held_most: float = 300.0
    gather: float = 0.5
    """Between live blocks, so that polls which end together leave together."""
    glance: float = 1.0
    """Between looks at the guard."""
    window: int = 16


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
        self._flight: deque[int] = deque()
        self._unsent: deque[Future[None]] = deque()
        self._window = 1.0
        self._most = MOST_RECORDS
        self._patience = tempo.patience
        self._rewind_at = 0.0
        self._asked = (-1, 0.0)
        self._held = ""
        self._held_wait = tempo.held
        self._held_until = 0.0
        self._next_live = 0.0
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
            self._held,
            str(refusal or ""),
            int(self._window),
            len(self._flight),
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
        self._presences.show(self._bus, self._spool.standing.epoch, str(refusal or ""))
        if refusal is not None:
            self._flight.clear()
            self._cursor = self._spool.standing.acked
            return self._tempo.glance
        return await self._send()

    def _take_states(self) -> None:
        while self._states:
            state = self._states.popleft()
            self._connected, self._why = state.connected, state.why
            self._presences.forget()
            if state.connected:
                self._rewind("a new connection")

    def _follow_epoch(self) -> None:
        standing = self._spool.standing
        if standing.epoch != self._epoch:
            self._epoch = standing.epoch
            self._flight.clear()
            self._cursor = standing.acked

    async def _send(self) -> float:
        """Fills the window; returns how long to wait when nothing happens."""
        now = self._clock.monotonic()
        if now < self._held_until:
            return self._held_until - now
        if self._flight and now >= self._rewind_at:
            self._patience = min(self._patience * 2, self._tempo.patience_most)
            self._rewind("no progress")
        while len(self._flight) < int(self._window) and self._unsent_count() < UNSENT:
            standing = self._spool.standing
            few = standing.head - self._cursor < self._most
            if few and now < self._next_live:
                return min(self._next_live - now, self._tempo.glance)
            if standing.head <= self._cursor or not await self._send_one():
                break
        until = self._rewind_at - self._clock.monotonic() if self._flight else self._tempo.glance
        return max(0.0, min(until, self._tempo.glance))

    async def _send_one(self) -> bool:
        """Publishes the next block; False when there is none, or it could not go."""
        found = await self._next_block()
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
        now = self._clock.monotonic()
        if not self._flight:
            self._rewind_at = now + self._patience * random.uniform(1.0, 1.25)  # noqa: S311 - jitter
        self._flight.append(piece.last)
        self._cursor = piece.last
        self._next_live = now + self._tempo.gather
        self._blocks += 1
        return True

    async def _next_block(self) -> tuple[Piece, bytes] | None:
        most = self._most
        while True:
            piece = await self._spool.cut(self._cursor, most=most, room=ROOM)
            consent = self._guard.consent
            if piece is None or consent is None:
                return None
            if piece.consent in self._guard.withdrawn:
                await self._spool.drop(piece.consent, DROPPED)
                continue
            under = consent.id if piece.consent in ("", ANY_CONSENT) else piece.consent
            try:
                payload = wire.pack(self._header(piece, under), piece.shapes, piece.bodies)
            except TooLarge as wrong:
                if len(piece.bodies) == 1:
                    log.error("record given up", seq=piece.last, why=str(wrong))  # noqa: TRY400 - the reason is enough
                    await self._spool.give_up(piece.last, f"could never travel: {wrong}")
                else:
                    self._most = most = max(1, len(piece.bodies) // 2)
                continue
            self._most = min(MOST_RECORDS, self._most + 1)
            return piece._replace(consent=under), payload

    def _header(self, piece: Piece, consent: str) -> Header:
        who = self._who
        return Header(
            site=who.site,
            agent=who.agent,
            epoch=piece.epoch,
            boot=who.boot,
            oldest=piece.oldest,
            head=piece.head,
            consent=consent,
            sent=self._clock.now(),
        )

    async def _take_ack(self, ack: signals.Ack) -> None:
        if ack.boot != self._collector:
            if self._collector:
                self._rewind("the collector started anew")
            self._collector = ack.boot
        self._answered = self._clock.now()
        if ack.at and self._flight and self._flight[0] <= ack.upto:  # Of what is under way: it was made just now.
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
        self._unhold()
        if ack.rewind and ack.epoch == self._epoch:
            self._rewind_as_asked(ack.upto)

    def _progress(self, before: int, upto: int) -> None:
        if upto <= before:
            return
        if self._log_book is not None:
            self._log_book.confirmed(self._epoch, upto)
        while self._flight and self._flight[0] <= upto:
            self._flight.popleft()
            self._window = min(self._window + 1, self._tempo.window)
        self._cursor = max(self._cursor, upto)
        self._patience = self._tempo.patience
        self._rewind_at = self._clock.monotonic() + self._patience * random.uniform(1.0, 1.25)  # noqa: S311 - jitter

    async def _hold(self, reason: str, epoch: str) -> None:
        if reason == Reason.FORKED and epoch == self._epoch:
            await self._spool.roll(
                "the collector knows these numbers with another content: a cloned or restored machine"
            )
            self._follow_epoch()
            self._unhold()
            return
        self._back_off(reason)

    def _back_off(self, reason: str) -> None:
        now = self._clock.monotonic()
        if self._held != reason:
            log.warning(
                "the collector does not take our records", why=reason, advice="nothing is lost; see its register"
            )
        if self._held and now < self._held_until:
            return  # One back-off for all blocks of a window.
        self._held = reason
        self._held_until = now + self._held_wait * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
        self._held_wait = min(self._held_wait * 2, self._tempo.held_most)
        self._flight.clear()
        self._cursor = self._spool.standing.acked
        self._window = 1.0

    def _unhold(self) -> None:
        if self._held:
            log.info("the collector takes our records again", after=self._held)
        self._held, self._held_until, self._held_wait = "", 0.0, self._tempo.held

    def _rewind_as_asked(self, upto: int) -> None:
        """Once for all the blocks that followed the gap."""
        now = self._clock.monotonic()
        if self._asked[0] == upto and now - self._asked[1] < self._tempo.glance:
            return
        self._asked = (upto, now)
        self._rewind("the collector misses records")

    def _rewind(self, why: str) -> None:
        if self._flight:
            self._rewinds += 1
            self._window = max(1.0, self._window / 2)
            log.info("sending again", after=self._spool.standing.acked, why=why)
        self._flight.clear()
        self._cursor = self._spool.standing.acked
        self._next_live = 0.0

    def _unsent_count(self) -> int:
        while self._unsent and self._unsent[0].done():
            self._unsent.popleft()
        return len(self._unsent)
