"""One device over Hikvision's ISAPI: HTTP with digest authentication, GET and nothing else.

The device's own account of itself comes first; who is refused there is not tried further, for half an hour. What a
device does not have is asked again every hour.

Errors: those of `agent.web`.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.etree.ElementTree import Element

from agent.devices.beside import Beside, Company, Gained, Rows
from agent.devices.remembered import Remembered
from agent.isapi import mapping, reading
from agent.isapi.mapping import Group, Texts
from agent.isapi.reading import Row
from agent.reading import Clock
from agent.settings.login import Password
from agent.settings.target import Target
from agent.web.client import Answer, Denied, Garbled, Unanswered, Web, judged, unjudged
from agent.web.xmltext import Unreadable, read
from forewarn.vocabulary import DeviceKind, Source

_OK, _FORBIDDEN, _BUSY = 200, 403, (429, 503)
_ROOT = "deviceinfo"
_ASK_AGAIN = 3600.0
_EARLY = 1.0


@dataclass
class _Seldom:
    """What a group showed last, and when."""

    at: float = -math.inf
    rows: dict[str, Row] = field(default_factory=dict)


@dataclass
class _Known:
    """What is known of a device between two polls."""

    texts: dict[str, str] = field(default_factory=dict)
    kind: DeviceKind | None = None
    lacks: dict[str, float] = field(default_factory=dict)
    """Paths the device does not have, and until when they are not asked for."""
    seldom: dict[int, _Seldom] = field(default_factory=dict)
    """By the place of a group in the mapping."""


class Isapi(Beside):
    """One device."""

    source = Source.ISAPI
    profile = "hikvision.isapi"

    def __init__(
        self, target: Target, company: Company, *, clock: Clock, leads: bool, remembered: Remembered | None = None
    ) -> None:
        super().__init__(target, company, clock=clock, leads=leads, remembered=remembered)
        assert target.isapi is not None
        self._login = target.isapi
        self._mapping = mapping.shipped()
        self._showing = _Known()

    async def gain(self, at: float) -> Gained:
        """See Beside."""
        async with AsyncExitStack() as opened:
            async with self.lockout.turn:
                web = await opened.enter_async_context(await self._opened())
                turn = _Turn(self, self._showing, web, at)
                await turn.meet(self._mapping.inventory)
            for place, group in enumerate(self._mapping.groups):
                await turn.group(place, group)
        rtt = turn.fastest if math.isfinite(turn.fastest) else None
        return Gained(turn.rows, dict(self._showing.texts), self._showing.kind, turn.missing, rtt=rtt)

    async def knock(self) -> None:
        """See Beside."""
        async with self.lockout.turn, await self._opened() as web:
            await self.asked(web, self._mapping.inventory.path)

    async def _opened(self) -> Web:
        """A connection to it.

        Raises:
            Denied: its password was refused lately, and has not changed; the device is there.
            Unanswered, Garbled: the same, and it is not, or what is there is no web interface.
            OSError: the password or the certificates cannot be read.
        """
        password = self._login.revealed()
        left = self.lockout.left(password, self.source)
        if left:
            # Whether it is up is asked all the same, without a user: that is no refusal to the device.
            async with self._web(None) as web:
                await web.get(self._mapping.inventory.path)
            raise Denied(f"{self.lockout.why(password)}; asked again in {math.ceil(left / 60)} min")
        self._said: Password = password
        return self._web(password)

    def _web(self, password: Password | None) -> Web:
        tls = None
        if self._login.tls:
            tls = judged(self._login.ca) if self._login.ca is not None else unjudged()
        port, timeout = self._login.at_port, float(self.target.timeout)
        address, turns = self.target.address, self.turns
        return Web(address, port, tls=tls, password=password, timeout=timeout, turns=turns, heard=self.hear)

    async def asked(self, web: Web, path: str) -> Answer:
        """One GET; a refused password is remembered.

        Raises:
            WebError: no answer.
        """
        try:
            answer = await web.get(path)
        except Denied as wrong:
            self.lockout.refused(self._said, self.source, str(wrong))
            raise
        if web.said:
            self.lockout.accepted(self._said, self.source)
        return answer


class _Turn:
    """One poll under way."""

    def __init__(self, device: Isapi, known: _Known, web: Web, at: float) -> None:
        self.rows: Rows = {}
        self.missing: list[str] = []
        self.fastest = math.inf
        self._device = device
        self._known = known
        self._web = web
        self._broken = False
        self._at = at
        self._answers: dict[str, Element | None] = {}

    async def meet(self, inventory: Texts) -> None:
        """Asks the device who it is.

        Raises:
            WebError: no answer, or none to go by.
        """
        device = self._device
        begun = device.clock.monotonic()
        answer = await device.asked(self._web, inventory.path)
        self.fastest = device.clock.monotonic() - begun
        if answer.status != _OK:
            raise Garbled(f"no ISAPI: HTTP status {answer.status} for {inventory.path}")
        try:
            root = read(answer.body)
        except Unreadable as wrong:
            raise Garbled(f"no ISAPI: {wrong}") from None
        if root.tag != _ROOT:
            raise Garbled(f"no ISAPI: it answers with `{root.tag}` where a device tells who it is")
        self._known.texts, self._known.kind = reading.told(inventory, root)

    async def group(self, place: int, group: Group) -> None:
        """One group of the mapping, into `rows`.

        Raises:
            Denied: the device refuses us now.
        """
        device = self._device
        kind = device.company.kind(device, self._known.kind)
        if (group.kinds and kind not in group.kinds) or (group.unless is not None and self.rows.get(group.unless)):
            return
        seldom = self._known.seldom.setdefault(place, _Seldom())
        if group.every is None or self._at - seldom.at >= float(group.every) - _EARLY:
            found = await self._found(group)
            if found:
                seldom.at, seldom.rows = self._at, found
            elif group.every is None or self._at - seldom.at > 2 * float(group.every):
                seldom.rows = {}
        self._put(group, seldom.rows)

    def _put(self, group: Group, found: dict[str, Row]) -> None:
        known = self.rows.setdefault(str(group.table), {})
        if group.adds and "{instance}" not in group.path and not known.keys() <= found.keys():
            return  # It numbers otherwise: nobody can tell which row is which.
        for name, row in found.items():
            if not group.adds or name in known:
                known[name] = known.get(name, {}) | row

    async def _found(self, group: Group) -> dict[str, Row]:
        if "{instance}" not in group.path:
            return await self._rows(group, str(group.path))
        found: dict[str, Row] = {}
        for name in list(self.rows.get(group.table, {})):
            path = group.path.replace("{instance}", quote(name, safe=""))
            rows = await self._rows(group, path)
            self._answers.pop(path, None)  # One for each row would fill the memory.
            if rows:
                found[name] = next(iter(rows.values()))
        return found

    async def _rows(self, group: Group, path: str) -> dict[str, Row]:
        if path not in self._answers:
            self._answers[path] = await self._read(path)
        root = self._answers[path]
        return reading.rows(group, root, self._device.clock.now() / 1000) if root is not None else {}

    async def _read(self, path: str) -> Element | None:
        """The answer to one GET; None where the device has none, which is remembered.

        Raises:
            Denied: the device refuses us now.
        """
        lacks = self._known.lacks
        for gone in [each for each, until in lacks.items() if self._at >= until]:
            del lacks[gone]
        if self._broken or path in lacks:
            return None
        try:
            answer = await self._device.asked(self._web, path)
            if answer.status == _OK:
                return read(answer.body)
        except Unanswered as wrong:
            self.missing.append(f"incomplete: {path}: {wrong}")
            self._broken = True  # It fell silent: each further question would cost a timeout.
            return None
        except (Unreadable, Garbled) as wrong:
            self.missing.append(f"incomplete: {path}: {wrong}")
            return None
        if answer.status == _FORBIDDEN:
            self.missing.append(f"incomplete: the user has no right to {path}")
        if answer.status not in _BUSY:
            lacks[path] = self._at + _ASK_AGAIN
        return None
