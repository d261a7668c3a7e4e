"""Lets the spool know that time passes: its hour's manifest, and what has become too old.

Errors: none but those of a closed spool; a disk without room is tried again, with the time that passed meanwhile.
"""

from __future__ import annotations

import asyncio

from agent.delivery.spool import Closed, Spool, SpoolError
from agent.guard import Guard
from agent.reading import Clock
from forewarn.telemetry import Log
from forewarn.vocabulary import Source

HOUR = 3600.0
"""Seconds between two manifests."""
LOOKS = 60
"""Looks an hour: a restart forgets no more of it than the time since the last."""

log = Log(__name__)


class Hourly:
    """`run` it as one task."""

    def __init__(self, spool: Spool, guard: Guard, clock: Clock, *, hour: float = HOUR) -> None:
        self._spool = spool
        self._guard = guard
        self._clock = clock
        self._hour = hour

    async def run(self) -> None:
        """Tends the spool until it is cancelled.

        Raises:
            agent.delivery.spool.Closed: the spool is gone.
        """
        looked = self._clock.monotonic()
        troubled = ""
        while True:
            await asyncio.sleep(self._hour / LOOKS)
            now = self._clock.monotonic()
            try:
                await self._spool.tend(now - looked, hour=self._hour, consent=self._consent())
            except Closed:
                raise
            except SpoolError as wrong:
                if str(wrong) != troubled:
                    log.warning("the hour is not noted yet", why=str(wrong), advice="make room on the spool's disk")
                troubled = str(wrong)
                continue
            looked, troubled = now, ""

    def _consent(self) -> str:
        """Under which the agent may speak of itself now; empty when it may not."""
        consent = self._guard.consent
        refusal = self._guard.refuses(Source.AGENT, None, self._clock.now())
        return consent.id if consent is not None and refusal is None else ""
