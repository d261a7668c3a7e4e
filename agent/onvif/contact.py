"""One device over ONVIF: its clock at every poll, which anybody may ask; what it is, every hour.

The clock is read first and the password said by it, because a device takes a message with another time for a replay.
Some want a user even for their clock: that one is asked for it by our own time. What a user has no right to, or a device
has not, costs itself alone. A refused password is not said again for half an hour: see `agent.devices.lockout`.

Errors: those of `agent.web`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar
from xml.etree.ElementTree import Element

from agent.devices.beside import Beside, Company, Gained, Rows
from agent.devices.remembered import Remembered
from agent.onvif import soap
from agent.reading import Clock
from agent.settings.login import Password
from agent.settings.target import Target
from agent.web.client import Denied, Garbled, Unanswered, Web, judged, unjudged
from forewarn.vocabulary import Source

T = TypeVar("T")
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
        self._texts: dict[str, str] = {}
        self._met_at = -math.inf
        self._clock_for_users = False

    async def gain(self, at: float) -> Gained:
        """See Beside."""
        missing: list[str] = []
        async with self._opened() as web:
            begun = self.clock.monotonic()
            offset = await self._shown(web, missing)
            rtt = self.clock.monotonic() - begun
            if at - self._met_at >= _ASK_AGAIN and not missing:
                try:
                    await self._as_user(web, lambda password: self._know(web, password, offset or 0.0, missing))
                    self._met_at = at
                except (Unanswered, Denied, Garbled) as wrong:
                    missing.append(f"incomplete: {wrong}")
        rows: Rows = {"device": {"": {"clock_offset_seconds": offset}}}
        return Gained(rows, dict(self._texts), missing=missing, rtt=rtt)

    async def knock(self) -> None:
        """See Beside."""
        async with self._opened() as web:
            await self._shown(web, [])

    def _opened(self) -> Web:
        tls = None
        if self._login.tls:
            tls = judged(self._login.ca) if self._login.ca is not None else unjudged()
        timeout = float(self.target.timeout)
        address, port = self.target.address, self._login.at_port
        return Web(address, port, tls=tls, timeout=timeout, turns=self.turns, heard=self.hear)

    async def _shown(self, web: Web, missing: list[str]) -> float | None:
        """Seconds the device's clock is ahead of ours; None where it tells none, or not to us, which `missing` says.

        Raises:
            WebError: no answer to go by.
        """
        if not self._clock_for_users:
            try:
                return await self._offset(web, None)
            except Denied:
                self._clock_for_users = True
        try:
            return await self._as_user(web, lambda password: self._offset(web, password))
        except (Denied, Garbled) as wrong:
            self._clock_for_users = False  # It is asked openly again: that is no refusal to the device.
            missing.append(f"incomplete: {wrong}")
            return None

    async def _offset(self, web: Web, password: Password | None) -> float | None:
        begun = self.clock.now() / 1000
        found = await self._asked(web, soap.DEVICE, "GetSystemDateAndTime", password, 0.0)
        shown = soap.clock(found)
        return shown + _ROUNDING - (begun + self.clock.now() / 1000) / 2 if shown is not None else None

    async def _as_user(self, web: Web, ask: Callable[[Password], Awaitable[T]]) -> T:
        """What is answered to a user.

        Raises:
            WebError: it does not answer any more, or refuses us.
            OSError: the password cannot be read.
        """
        password = self._login.revealed()
        async with self.lockout.turn:
            left = self.lockout.left(password, self.source)
            if left:
                raise Denied(f"{self.lockout.why(password)}; asked again in {math.ceil(left / 60)} min")
            web.password = password  # Some want it by HTTP as well.
            try:
                found = await ask(password)
            except (Denied, Garbled) as wrong:
                # Devices refuse in many words: one we do not know counts as a refusal, lest the account be locked.
                self.lockout.refused(password, self.source, str(wrong))
                raise
            self.lockout.accepted(password, self.source)
            return found

    async def _know(self, web: Web, password: Password, offset: float, missing: list[str]) -> None:
        """Asks what it is; what it does not tell beside that is a text less, and `missing` says why."""
        self._texts = soap.told(await self._asked(web, soap.DEVICE, "GetDeviceInformation", password, offset))

        async def perhaps(path: str, question: str) -> Element | None:
            try:
                return await self._asked(web, path, question, password, offset)
            except Garbled:  # It has no such service.
                return None
            except Denied as wrong:  # It took the password a moment ago: the user lacks a right.
                missing.append(f"incomplete: {question}: {wrong}")
                return None

        found = await perhaps(soap.DEVICE, "GetNetworkInterfaces")
        self._texts |= {"mac": soap.mac(found)} if found is not None and soap.mac(found) else {}
        found = await perhaps(soap.DEVICE, "GetCapabilities")
        found = await perhaps(soap.media_path(found) if found is not None else soap.MEDIA, "GetProfiles")
        self._texts |= {"stream": soap.streams(found)} if found is not None and soap.streams(found) else {}

    async def _asked(self, web: Web, path: str, question: str, password: Password | None, offset: float) -> Element:
        message = soap.envelope(question, password, self.clock.now() / 1000 + offset)
        answer = await web.post(path, message, soap.KIND)
        try:
            return soap.opened(answer, question)
        except Denied as wrong:
            who = f"for user `{password.user}`" if password is not None else f"to {question}, which needs no user"
            raise Denied(f"{wrong} {who}") from None
