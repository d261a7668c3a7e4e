"""Looks through the networks now and then while the agent runs, and tells of devices that nobody watches.

Who answers and is neither in the settings nor this machine gets an inventory record, sent again on change and daily, and
one event; that it was told is remembered across restarts, for so many devices and no more. It is never polled: whom to
poll is for people to write. A device that came into the settings, or was not seen for a month, is told as such once.
The log book is told what is to be sent before the first datagram leaves.

Errors: those of the sink behind; why nobody is looked for stands in the log, once per change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from agent.devices.remembered import Memory, Unwatched
from agent.discovery import noting, search
from agent.discovery.found import Found, is_own, moved
from agent.discovery.search import Halted, Plan, Search
from agent.guard import Guard
from agent.host import system
from agent.logbook.book import LogBook
from agent.polling import nearby
from agent.polling.neighbours import plain_mac
from agent.polling.poller import Permit
from agent.reading import Clock, Happening, Sink
from agent.settings import Settings
from forewarn.consent import Consent
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape

LARGE = 1022
"""Hosts of a /22: beyond them a person has to say that so many are meant."""
MOST = 500
"""Devices remembered; beyond them they are counted, for a network of so many is none of cameras."""
SETTLE = 60.0
"""Seconds from the start to the first look, and from a refusal to the next try."""
_DAY, _FORGET = 86_400_000, 30 * 86_400_000
NOBODY_WATCHES, MORE = "device nobody watches", "more devices nobody watches"
SHAPE = Shape(kind=DeviceKind.OTHER, profile="unwatched", source=Source.DISCOVERY, tables=[])
_BY = "the agent"
_log = Log(__name__)


class Rounds:
    """Looks until it is cancelled.

    Args:
        settings: the agent's.
        guard: whose consent bounds where, and how, we look.
        permit: asked once a round, and noted.
        sink: where records go.
        log_book: told before anything is sent.
        memory: who was told before.
        begin: a search through the addresses of a plan.
        clock: dates what is told.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        guard: Guard,
        permit: Permit,
        sink: Sink,
        log_book: LogBook,
        memory: Memory,
        begin: Callable[[Plan], Search],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._looking = settings.discovery
        self._guard = guard
        self._permit = permit
        self._sink = sink
        self._log_book = log_book
        self._memory = memory
        self._begin = begin
        self._clock = clock
        self._said = ""
        self._overfull = False

    async def run(self) -> None:
        """Looks every so often; the first time soon after the start, unless that was just done."""
        every = float(self._looking.every)
        soon = min(every, SETTLE)
        ago = (self._clock.now() - self._memory.looked) / 1000
        await asyncio.sleep(soon)
        await self._settled()
        await asyncio.sleep(max(every - ago - soon, 0) if 0 <= ago < every else 0)
        while True:
            looked = await self.look()
            await asyncio.sleep(every if looked else soon)

    async def look(self) -> bool:
        """Looks once; False where it may not, and is to be tried again soon."""
        refusal, consent = self._permit(Source.DISCOVERY, None), self._guard.consent
        if refusal is not None or consent is None:
            self._complain(str(refusal))
            return False
        networks = self._looking.networks or consent.networks
        try:
            planned = await asyncio.to_thread(self._planned, networks, consent)
        except (ValueError, OSError) as wrong:
            self._complain(str(wrong))
            return True
        if not planned.asks:
            self._complain("there is nobody to ask, or no way of asking that the consent grants")
            return True
        self._said = ""
        await self._tell(await self._found(planned, networks))
        self._memory.looked = self._clock.now()
        await asyncio.to_thread(self._memory.save)
        return True

    def _planned(self, networks: Sequence[str], consent: Consent) -> Plan:
        """Judged by the consent itself, on a thread: an event loop would stand still for tens of thousands.

        Raises:
            ValueError: too many addresses.
        """
        now = self._clock.now()
        planned = search.plan(
            networks,
            consented=consent.networks,
            permit=lambda source, address: consent.refuses(source, now, address),
            known={device.address for device in self._settings.devices},
            credentials=self._settings.credentials,
            rate=self._looking.rate,
            links=system.networks() if self._looking.multicast else {},
        )
        if len(planned.addresses) > LARGE and not self._looking.networks:
            raise ValueError(
                f"the consent has {len(planned.addresses)} addresses: name `discovery: {{networks: [...]}}` where to look"
            )
        return planned

    async def _found(self, planned: Plan, networks: Sequence[str]) -> list[Found]:
        self._log_book.looked(noting.began(planned, networks, _BY))
        looking = self._begin(planned)
        found, why = [], "the agent ended"
        try:
            found, why = await looking.run(), ""
        except Halted as halted:
            found, why = halted.found, str(halted)
        finally:
            told = noting.ended(planned, networks, _BY, asked=looking.asked, found=found, why=why)
            self._log_book.looked(told)
        _log.info("looked for devices", addresses=looking.asked, found=len(found), why=why)
        return found

    def _complain(self, why: str) -> None:
        if why != self._said:
            self._said = why
            _log.warning("nobody is looked for", why=why)

    async def _tell(self, found: Sequence[Found]) -> None:
        beside = await asyncio.to_thread(nearby.macs)
        identities = {name: each.identity for name, each in self._memory.devices.items()}
        seen: set[str] = set()
        over = 0
        for each in found:
            if is_own(each.address) or moved(each, identities, beside):
                continue
            if self._guard.refuses(Source.DISCOVERY, each.address) is not None:
                continue  # The consent ended meanwhile: it may not leave, and so counts as not told.
            text = each.what(beside)
            key = _key(text)
            key = each.address if key in seen else key  # A router that answers for many has one MAC address.
            seen.add(key)
            if key not in self._memory.unwatched and len(self._memory.unwatched) >= MOST:
                over += 1
            else:
                await self._one(key, text)
        if over and not self._overfull:
            await self._event({"event": MORE, "count": str(over)}, None)
        self._overfull = bool(over)
        await self._settled()

    async def _one(self, key: str, text: dict[str, str]) -> None:
        """Tells of one: an event for a new one, its inventory when that is new, another, or a day old."""
        now, address = self._clock.now(), text["address"]
        known = self._memory.unwatched
        is_new = key not in known and address not in known
        if key != address and address in known:  # More is known of it than before: it has a better name now.
            await self._gone(address, "gone")
        one = known.setdefault(key, Unwatched())
        one.last = now
        if one.text != text or now - one.told >= _DAY:
            one.text, one.told = text, now
            inventory = text | {"watched": "no"}
            await self._sink.put(Happening(now, key, "inventory", SHAPE, inventory, address))
        if is_new:
            await self._event({"event": NOBODY_WATCHES} | text, address)
            _log.info(NOBODY_WATCHES, address=address, maker=text.get("maker", ""), answers=text.get("answers", ""))

    async def _event(self, text: dict[str, str], address: str | None) -> None:
        await self._sink.put(Happening(self._clock.now(), str(self._settings.agent), "event", SHAPE, text, address))

    async def _settled(self) -> None:
        """Tells of those that are in the settings now, or were not seen for long."""
        addresses = {str(ip_address(device.address)) for device in self._settings.devices}
        identities = {plain_mac(each.identity.get("mac", "")) for each in self._memory.devices.values()} - {""}
        for key, one in list(self._memory.unwatched.items()):
            if one.text.get("address", "") in addresses or plain_mac(one.text.get("mac", "")) in identities:
                await self._gone(key, "yes")
            elif self._clock.now() - one.last > _FORGET:
                await self._gone(key, "gone")

    async def _gone(self, key: str, watched: str) -> None:
        """Forgets one, once that can be told."""
        address = self._memory.unwatched[key].text.get("address", "")
        if self._guard.refuses(Source.DISCOVERY, address) is None:
            del self._memory.unwatched[key]
            text = {"address": address, "watched": watched}
            await self._sink.put(Happening(self._clock.now(), key, "inventory", SHAPE, text, address))


def _key(text: Mapping[str, str]) -> str:
    """What it is known by: what stays when its address changes, where that is known."""
    return text.get("mac", "").lower() or text.get("serial") or text["address"]
