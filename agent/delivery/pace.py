"""When to send, wait or send again: the uplink's times, and nothing but times.

Every wait that many agents could begin in the same moment is spread by chance, so that they do not end it in the same
moment: the wait for progress, the one while the collector holds us, and the one after the collector or the connection
came back.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from agent.reading import Clock
from forewarn.telemetry import Log

ROLL_WAIT, CALM = 60.0, 3600.0
"""Seconds between two epochs begun because another's numbers are ours: at first, and where the doubling ends."""

log = Log(__name__)


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
    spread: float = 2.0
    """The longest wait before blocks that were under way go again, after a connection or the collector began anew."""


class Pace:
    """The uplink's waits. All times are on the monotonic clock; `held` is why the collector takes nothing, if so."""

    def __init__(self, tempo: Tempo, clock: Clock) -> None:
        self._tempo = tempo
        self._clock = clock
        self._patience = tempo.patience
        self._rewind_at = 0.0
        self._asked = (-1, 0.0)
        self._held_wait = tempo.held
        self._held_until = 0.0
        self._spread_until = 0.0
        self._next_live = 0.0
        self._roll_wait, self._roll_at = ROLL_WAIT, -CALM
        self.held = ""

    def waits(self) -> float:
        """Seconds until anything may be sent: held back, or spread."""
        return max(0.0, self._held_until - self._now(), self._spread_until - self._now())

    def waits_for_company(self) -> float:
        """Seconds that a block of few records still waits for more."""
        return max(0.0, self._next_live - self._now())

    def sent(self, *, alone: bool) -> None:
        """A block went; `alone` when nothing else is under way."""
        now = self._now()
        if alone:
            self._rewind_at = now + self._patience * random.uniform(1.0, 1.25)  # noqa: S311 - jitter
        self._next_live = now + self._tempo.gather

    def progressed(self) -> None:
        """Something was committed: patience is as it was."""
        self._patience = self._tempo.patience
        self._rewind_at = self._now() + self._patience * random.uniform(1.0, 1.25)  # noqa: S311 - jitter

    def is_lost(self) -> bool:
        """Whether what is under way has had no answer for too long; the next wait is twice as long then."""
        if self._now() < self._rewind_at:
            return False
        self._patience = min(self._patience * 2, self._tempo.patience_most)
        return True

    def until_lost(self) -> float:
        """Seconds until what is under way counts as lost."""
        return self._rewind_at - self._now()

    def at_once(self) -> None:
        """What goes again does not wait for company."""
        self._next_live = 0.0

    def spread(self) -> None:
        """Waits by chance: as many as we are have lost the same connection, or the same collector."""
        self._spread_until = self._now() + self._tempo.spread * random.random()  # noqa: S311 - jitter

    def heeds(self, upto: int) -> bool:
        """Whether to send again behind `upto` as asked: once for all the blocks that followed the gap."""
        now = self._now()
        if self._asked[0] == upto and now - self._asked[1] < self._tempo.glance:
            return False
        self._asked = (upto, now)
        return True

    def hold(self, reason: str) -> bool:
        """The collector takes nothing; False when that is known and waited for already."""
        now = self._now()
        if self.held != reason:
            log.warning(
                "the collector does not take our records", why=reason, advice="nothing is lost; see its register"
            )
        if self.held and now < self._held_until:
            return False  # One back-off for all blocks of a window.
        self.held = reason
        self._held_until = now + self._held_wait * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
        self._held_wait = min(self._held_wait * 2, self._tempo.held_most)
        return True

    def may_roll(self) -> bool:
        """Whether to begin another epoch now: each copies the whole spool, so that the next is twice as long in coming."""
        now = self._now()
        if now < self._roll_at:
            return False
        calm = now > self._roll_at + CALM
        self._roll_wait = ROLL_WAIT if calm else min(self._roll_wait * 2, CALM)
        self._roll_at = now + self._roll_wait
        return True

    def unhold(self) -> None:
        """The collector takes what we send."""
        if self.held:
            log.info("the collector takes our records again", after=self.held)
        self.held, self._held_until, self._held_wait = "", 0.0, self._tempo.held

    def _now(self) -> float:
        return self._clock.monotonic()
