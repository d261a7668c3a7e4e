"""One device over ONVIF: its clock at every poll, which anybody may ask; what it is, every hour.

The clock is read first and the password said by it, because a device takes a message with another time for a replay.
A refused password is not said again for half an hour: see `agent.login`.

Errors: those of `agent.web`.
"""

from __future__ import annotations

import contextlib
import math
from xml.etree.ElementTree import Element

from agent.devices.beside import Beside, Company, Gained, Rows
from agent.devices.remembered import Remembered
from agent.onvif import soap
from agent.reading import Clock
from agent.settings.login import Lockout, Password
from agent.settings.target import Target
from agent.web.client import Denied, Garbled, Unanswered, Web, judged, unjudged
from forewarn.vocabulary import Source

_ASK_AGAIN = 3600.0
_ROUNDING = 0.5
"""Seconds: a clock that shows whole ones is half a one further on, on the average."""


class Onvif(Beside):
    """One device."""

    source = Source.ONVIF
    profile = "onvif"

    def __init__(
        self, target: Target, company: Company, *, clock: Clock, leads: bool, remembered: Remembered | None = None
    ) -> None:
        super().__init__(target, company, clock=clock, leads=leads, remembered=remembered)
        assert target.onvif is not None
        self._login = target.onvif
        self._lockout = Lockout(clock)
        self._texts: dict[str, str] = {}
        self._met_at = -math.inf

    async def gain(self, at: float) -> Gained:
        """See Beside."""
        missing: list[str] = []
        async with self._opened() as web:
            begun = self.clock.monotonic()
            offset = await self._offset(web)
            rtt = self.clock.monotonic() - begun
            if at - self._met_at >= _ASK_AGAIN:
                try:
                    await self._meet(web, offset or 0.0)
                    self._met_at = at
                except (Unanswered, Denied, Garbled) as wrong:
                    missing.append(f"incomplete: {wrong}")
        rows: Rows = {"device": {"": {"clock_offset_seconds": offset}}}
        return Gained(rows, dict(self._texts), missing=missing, rtt=rtt)

    async def knock(self) -> None:
        """See Beside."""
        async with self._opened() as web:
            await self._offset(web)

    def _opened(self) -> Web:
        tls = None
        if self._login.tls:
            tls = judged(self._login.ca) if self._login.ca is not None else unjudged()
        return Web(self.target.address, self._login.at_port, tls=tls, timeout=float(self.target.timeout))

    async def _offset(self, web: Web) -> float | None:
        """Seconds the device's clock is ahead of ours; None where it tells none.

        Raises:
            WebError: no answer to go by.
        """
        begun = self.clock.now() / 1000
        found = await self._asked(web, soap.DEVICE, "GetSystemDateAndTime", None, 0.0)
        shown = soap.clock(found)
        return shown + _ROUNDING - (begun + self.clock.now() / 1000) / 2 if shown is not None else None

    async def _meet(self, web: Web, offset: float) -> None:
        """Asks what it is.

        Raises:
            WebError: it does not answer any more, or refuses us.
        """
        password = self._login.revealed()
        left = self._lockout.left(password)
        if left:
            raise Denied(f"{self._lockout.why(password)}; asked again in {math.ceil(left / 60)} min")
        web.password = password  # Some want it by HTTP as well.
        try:
            await self._know(web, password, offset)
        except (Denied, Garbled) as wrong:
            # Devices refuse in many words: one we do not know counts as a refusal, lest the account be locked.
            self._lockout.refused(password, str(wrong))
            raise
        self._lockout.accepted()

    async def _know(self, web: Web, password: Password, offset: float) -> None:
        self._texts = soap.told(await self._asked(web, soap.DEVICE, "GetDeviceInformation", password, offset))
        # The rest is a text each: a device that has no such service is still who it is.
        with contextlib.suppress(Garbled):
            found = await self._asked(web, soap.DEVICE, "GetNetworkInterfaces", password, offset)
            self._texts |= {"mac": soap.mac(found)} if soap.mac(found) else {}
        with contextlib.suppress(Garbled):
            found = await self._asked(web, soap.DEVICE, "GetCapabilities", password, offset)
            found = await self._asked(web, soap.media_path(found), "GetProfiles", password, offset)
            self._texts |= {"stream": soap.streams(found)} if soap.streams(found) else {}

    async def _asked(self, web: Web, path: str, question: str, password: Password | None, offset: float) -> Element:
        message = soap.envelope(question, password, self.clock.now() / 1000 + offset)
        answer = await web.post(path, message, soap.KIND)
        try:
            return soap.opened(answer, question)
        except Denied as wrong:
            who = f"for user `{password.user}`" if password is not None else f"to {question}, which needs no user"
            raise Denied(f"{wrong} {who}") from None
