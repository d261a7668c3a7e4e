"""The next block: as many records of one consent as fit, packed. What can never leave is declared on the way."""

from __future__ import annotations

from typing import NamedTuple

from agent.delivery.spool import Spool
from agent.delivery.spoolfile import ANY_CONSENT, Piece
from agent.guard import DROPPED, Guard
from agent.reading import Clock
from forewarn import wire
from forewarn.telemetry import Log
from forewarn.wire import Header, TooLarge

MOST_RECORDS = 200
ROOM = wire.MAX_INFLATED - 256 * 1024

log = Log(__name__)


class Identity(NamedTuple):
    """Who we are: site, agent, shard of its topic, key of its acknowledgements, and this run."""

    site: str
    agent: str
    shard: int
    key: str
    boot: str


class Cutter:
    """`most` is how many records the next block may have: it shrinks when they do not fit, and grows again."""

    def __init__(self, spool: Spool, guard: Guard, who: Identity, clock: Clock) -> None:
        self._spool = spool
        self._guard = guard
        self._who = who
        self._clock = clock
        self.most = MOST_RECORDS

    async def block(self, after: int) -> tuple[Piece, bytes] | None:
        """What follows seq `after`, and its payload; None when there is nothing, or nothing may leave.

        Raises:
            agent.delivery.spool.SpoolError: the spool does not answer.
        """
        most = self.most
        while True:
            piece = await self._spool.cut(after, most=most, room=ROOM)
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
                    self.most = most = max(1, len(piece.bodies) // 2)
                continue
            self.most = min(MOST_RECORDS, self.most + 1)
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
