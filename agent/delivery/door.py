"""The one door into the spool: what a source puts is judged by the guard, then kept."""

from __future__ import annotations

from agent.delivery.spool import Barred, Spool
from agent.guard import Guard
from agent.reading import Clock, Happening, Reading
from forewarn.telemetry import Log
from forewarn.vocabulary import Source
from forewarn.wire import Record, TooLarge

log = Log(__name__)


class Door:
    """The Sink of every source. `refused` and `too_large` count what did not pass.

    `withheld` counts those of the refused that were read from a device or the host, not from the agent itself.
    """

    def __init__(self, guard: Guard, spool: Spool, clock: Clock) -> None:
        self._guard = guard
        self._spool = spool
        self._clock = clock
        self.refused = 0
        self.withheld = 0
        self.too_large = 0

    async def put(self, item: Reading | Happening) -> None:
        """Keeps an item that the consent in force covers, at its time and now; counts it otherwise.

        A record that could never travel is replaced by an event that says so.

        Raises:
            agent.spool.Closed: the spool is gone.
        """
        refusal = self._guard.refuses(_source(item), item.address, item.t)
        consent = self._guard.consent
        if refusal is not None or consent is None:
            self._refuse(item)
            return
        try:
            await self._keep(item, consent.id)
        except Barred:  # Withdrawn while the record waited for room.
            self._refuse(item)

    def _refuse(self, item: Reading | Happening) -> None:
        self.refused += 1
        self.withheld += _source(item) is not Source.AGENT

    async def _keep(self, item: Reading | Happening, consent: str) -> None:
        try:
            await self._spool.put(as_record(item), item.shape, consent)
        except TooLarge as wrong:
            self.too_large += 1
            log.error("record dropped", why=str(wrong), device=item.device)  # noqa: TRY400 - the sentence says all
            text = {"event": "record dropped", "why": str(wrong)}
            event = Record(seq=0, t=item.t, device=item.device, kind="event", text=text)
            await self._spool.put(event, None, consent)


def _source(item: Reading | Happening) -> Source:
    if item.shape is not None:
        return item.shape.source
    return Source.AGENT if item.address is None else Source.SNMP


def as_record(item: Reading | Happening) -> Record:
    """The record an item becomes; number, shape and hash are the spool's to fill in."""
    if isinstance(item, Reading):
        return Record(seq=0, t=item.t, device=item.device, ok=item.ok, why=item.why, values=item.values)
    return Record(seq=0, t=item.t, device=item.device, kind=item.kind, text=item.text)
