"""Acknowledgements that were heard and not yet taken, however many whoever reaches the broker sends.

What the collector made is proven before it is kept, so that nothing forged takes its place; of one run of the collector
and one epoch only the furthest word counts. Of the unproven, only the last that would hold us back is kept. The
rest is counted, and named in the log once a minute at most.
"""

from __future__ import annotations

import threading

from agent.reading import Clock
from forewarn import signals
from forewarn.signals import Ack
from forewarn.telemetry import Log
from forewarn.wire import Malformed, WireError

MOST = 8
"""Most words kept: of so many runs of the collector, or epochs of ours."""
QUIET = 60.0
"""Seconds between two lines in the log about the same wrong."""

log = Log(__name__)


class Answers:
    """Filled on the bus's thread, emptied on another. `forged` and `unreadable` count what was ignored."""

    def __init__(self, agent: str, key: str, clock: Clock) -> None:
        self._agent = agent
        self._key = key
        self._clock = clock
        self._proven: dict[tuple[str, str], Ack] = {}
        self._unproven: Ack | None = None
        self._lock = threading.Lock()
        self._quiet_until: dict[str, float] = {}
        self.forged = self.unreadable = 0

    def __bool__(self) -> bool:
        return bool(self._proven) or self._unproven is not None

    def hear(self, payload: bytes) -> bool:
        """Keeps an acknowledgement; False when there is nothing in it to act on."""
        try:
            return self._keep(signals.open_ack(payload, self._key))
        except Malformed as wrong:
            self.unreadable += 1
            self._say("acknowledgement unreadable", wrong, self.unreadable)
        except signals.Forged as wrong:
            ack = signals.peek_ack(payload)
            if ack.held and ack.agent == self._agent:
                with self._lock:
                    self._unproven = ack
                return True
            self.forged += 1
            self._say("forged acknowledgement ignored", wrong, self.forged)
        return False

    def take(self) -> tuple[list[Ack], Ack | None]:
        """What was proven, in order, and the last unproven one that holds us back; none of them is kept longer."""
        with self._lock:
            proven, self._proven = list(self._proven.values()), {}
            unproven, self._unproven = self._unproven, None
        return proven, unproven

    def _keep(self, ack: Ack) -> bool:
        if ack.agent != self._agent:
            return False
        of = ack.boot, ack.epoch
        with self._lock:
            known = self._proven.get(of)
            if known is not None and known.upto > ack.upto:  # Heard before, and sent again by somebody else.
                return False
            self._proven.pop(of, None)
            self._proven[of], self._unproven = ack, None
            while len(self._proven) > MOST:
                del self._proven[next(iter(self._proven))]
        return True

    def _say(self, event: str, wrong: WireError, count: int) -> None:
        now = self._clock.monotonic()
        if now >= self._quiet_until.get(event, now):
            self._quiet_until[event] = now + QUIET
            log.warning(event, why=str(wrong)[:200], count=count)
