"""Looks for devices in the networks of the consent, and says what each is; it polls nobody and changes nothing.

An address is asked only when the consent covers it for `discovery`, and only in the ways that it grants: by ping and TCP
connections (`probe`), by ONVIF's WS-Discovery (`onvif`), over SNMP (`snmp`). SNMP is asked only of what answered a probe
or WS-Discovery, or of every address where probes are not granted, with the credentials that the settings name and no
others: no community is ever guessed. Each credential is tried once at an address, with one request; what answers it is
not tried with the next. Addresses are asked in random order at a bounded rate. Whole links are asked by multicast only
where every address of the link is within the consent. The consent is asked for each address and each way, and once it
ends, or somebody creates `STOP`, all that is under way is dropped within a second.

Errors:
    ValueError   a network that is none, or larger than we look through
    Halted       the consent ended, or was stopped, while we looked
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agent.discovery.found import ONVIF, Found
from agent.onvif import announcement
from agent.onvif.announcement import Announcement
from agent.polling import meeting
from agent.polling.contact import OpenSession
from agent.polling.poller import Permit
from agent.probes.icmp import Icmp
from agent.probes.tcp import Tcp
from agent.profiles import matching
from agent.profiles.language import Profile
from agent.settings.credential import Credential
from agent.settings.target import Target
from agent.snmp.session import Session, SnmpError
from forewarn.consent import Refusal
from forewarn.settings import Duration
from forewarn.telemetry import Log
from forewarn.vocabulary import Source

PORTS = (554, 80, 443, 8000, 37777)
"""RTSP, the web, Hikvision's and Dahua's own; only connected to."""
MOST = 65536
"""Addresses of a network, and of all that are looked through at a time; more are refused."""
RATE = 20.0
WAIT = 1.0
"""Seconds for an answer."""
_AT_ONCE = 128
_GLANCE = 0.2
_log = Log(__name__)


class Halted(Exception):
    """The consent ended while we looked; `found` is what was found before."""

    def __init__(self, refusal: Refusal, found: list[Found]) -> None:
        super().__init__(f"stopped: {refusal}")
        self.found = found


@dataclass(frozen=True)
class Plan:
    """Whom to ask and how. `outside` and `known` count addresses left out: by the consent, and as in the settings."""

    addresses: list[str]
    outside: int
    known: int
    probes: bool
    credentials: Mapping[str, Credential]
    rate: float
    onvif: bool = False
    links: Sequence[str] = ()
    """Our own address on each link that is asked by multicast."""

    @property
    def seconds(self) -> float:
        """How long it takes, about."""
        return len(self.addresses) / self.rate + 2 * WAIT

    @property
    def asks(self) -> bool:
        """Whether the consent grants any question at all."""
        return bool(self.addresses) and (self.probes or self.onvif or bool(self.credentials))


def plan(
    networks: Iterable[str],
    *,
    consented: Iterable[str],
    permit: Permit,
    known: Collection[str],
    credentials: Mapping[str, Credential],
    rate: float = RATE,
    links: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Whom to ask: the hosts of `networks` (CIDR) within the consent, without the addresses in `known`; sends nothing.

    The first and the last address of a network are nobody's, also those of the `consented` networks in a wider one.

    Args:
        networks: where to look.
        consented: the networks of the consent.
        permit: judges each address; it is asked of a great many.
        known: addresses that stand in the settings.
        credentials: of the settings, by name.
        rate: addresses a second.
        links: our own addresses, each with its network, that may be asked by multicast where that is granted.

    Raises:
        ValueError: one is no network, or they have more than `MOST` addresses.
    """
    hosts: dict[str, None] = {}
    for text in networks:
        network = ipaddress.ip_network(text)
        if network.num_addresses > MOST:
            raise ValueError(
                f"{text} has more than {MOST} addresses: look through a part of it at a time, at most a /16"
            )
        hosts |= {str(host): None for host in network.hosts()}
        if len(hosts) > MOST:
            raise ValueError(f"the networks have more than {MOST} addresses together: look through a part at a time")
    edges = {str(edge) for text in consented for edge in _edges(ipaddress.ip_network(text))}
    allowed = [host for host in hosts if host not in edges and permit(Source.DISCOVERY, host) is None]
    plain = {str(ipaddress.ip_address(address)) for address in known}  # IPv6 is written in many ways.
    wanted = [host for host in allowed if host not in plain]
    probes = any(permit(Source.PROBE, host) is None for host in wanted[:1])
    snmp = any(permit(Source.SNMP, host) is None for host in wanted[:1])
    onvif = any(permit(Source.ONVIF, host) is None for host in wanted[:1])
    return Plan(
        wanted,
        len(hosts) - len(allowed),
        len(allowed) - len(wanted),
        probes,
        dict(credentials) if snmp else {},
        rate,
        onvif,
        [own for own, network in links.items() if onvif and _whole(network, consented)],
    )


def _whole(link: str, consented: Iterable[str]) -> bool:
    """Whether every address of a link lies in one network of the consent."""
    found, networks = ipaddress.ip_network(link), (ipaddress.ip_network(text) for text in consented)
    return any(
        isinstance(found, ipaddress.IPv4Network) and isinstance(each, ipaddress.IPv4Network) and found.subnet_of(each)
        for each in networks
    )


def _edges(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[object, ...]:
    """The addresses of a network that are no host's; a network of one or two has none (RFC 3021)."""
    return (network.network_address, network.broadcast_address) if network.num_addresses > 2 else ()  # noqa: PLR2004 - of a pair both are hosts (RFC 3021)


class Search:
    """One look through the addresses of a plan.

    Args:
        planned: see `plan`.
        permit: asked before each question.
        profiles: by id.
        open_session: see `agent.snmp.opening`.
        snmp_port: UDP port of SNMP.
        went: called after each address with how many are done.
    """

    def __init__(
        self,
        planned: Plan,
        *,
        permit: Permit,
        profiles: Mapping[str, Profile],
        open_session: OpenSession,
        snmp_port: int = 161,
        went: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._plan = planned
        self._permit = permit
        self._profiles = profiles
        self._open = open_session
        self._port = snmp_port
        self._went = went
        self._done = 0
        self._found: list[Found] = []
        self._announced: dict[str, Announcement] = {}

    @property
    def asked(self) -> int:
        """How many addresses were looked at so far."""
        return self._done

    async def run(self) -> list[Found]:
        """Asks all addresses; who answered, by address.

        Raises:
            Halted: the consent ended meanwhile.
        """
        looking = asyncio.create_task(self._all(), name="look for devices")
        try:
            while not looking.done():
                refusal = self._permit(Source.DISCOVERY, self._plan.addresses[0])
                if refusal is not None:
                    raise Halted(refusal, self._sorted())
                await asyncio.wait([looking], timeout=_GLANCE)
            await looking
        finally:
            looking.cancel()
            await asyncio.wait([looking])
        return self._sorted()

    def _sorted(self) -> list[Found]:
        return sorted(self._found, key=lambda each: int(ipaddress.ip_address(each.address)))

    async def _all(self) -> None:
        addresses = random.sample(self._plan.addresses, len(self._plan.addresses))
        for own in self._plan.links:
            # Who answers is looked at in its turn; a link that cannot be asked as a whole is asked one by one.
            with contextlib.suppress(OSError):
                self._announced |= await announcement.ask_link(own, wait=WAIT)
        room = asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number, address in enumerate(addresses):
                await asyncio.sleep(max(begun + number / self._plan.rate - loop.time(), 0))
                await room.acquire()
                tasks.create_task(self._one(address)).add_done_callback(lambda _: room.release())

    async def _one(self, address: str) -> None:
        if self._permit(Source.DISCOVERY, address) is None:
            found = await self._looked_at(address)
            if found is not None:
                self._found.append(found)
        self._done += 1
        self._went(self._done)

    async def _looked_at(self, address: str) -> Found | None:
        try:
            return await self._looked(address)
        except (ValueError, TypeError, LookupError, ArithmeticError):
            # An answer we did not foresee costs this address, never the search.
            _log.exception("mistake of ours", address=address)
            return None

    async def _looked(self, address: str) -> Found | None:
        probes = self._permit(Source.PROBE, address) is None
        (there, seen), said = await asyncio.gather(
            _probed(address) if probes else _unprobed(), self._announcement_of(address)
        )
        if said is not None:
            there, seen = True, [*seen, ONVIF]
        if probes and not there:
            return None
        why = "no credential of the settings to ask SNMP with"
        for name, credential in self._plan.credentials.items():
            refusal = self._permit(Source.SNMP, address) or self._permit(Source.DISCOVERY, address)
            if refusal is not None:
                why = str(refusal)
                break
            answer = await self._asked(address, credential)
            if isinstance(answer, str):
                why = answer
                continue
            inventory, why = answer
            return Found(address, seen, name, inventory, why, said)
        return Found(address, seen, why=why, said=said) if seen else None

    async def _announcement_of(self, address: str) -> Announcement | None:
        """What it says of itself by WS-Discovery."""
        if not self._plan.onvif or self._permit(Source.ONVIF, address) is not None:
            return None
        try:
            said = await announcement.ask(address, wait=WAIT)
        except OSError:
            said = None
        return said or self._announced.get(address)

    async def _asked(self, address: str, credential: Credential) -> str | tuple[dict[str, str], str]:
        """What a device tells, and why not all of it; or why this credential does not serve.

        The first request alone decides that, and is sent once.
        """
        target = Target(
            name=address, address=address, port=self._port, snmp=credential, timeout=Duration(WAIT), retries=1
        )
        try:
            session: Session = self._open(target)
        except (SnmpError, OSError) as wrong:
            return str(wrong)
        try:
            session.patient = False
            await session.get_many([matching.OBJECT_ID])
            session.patient = True
            return await self._told(session)
        except (SnmpError, OSError) as wrong:
            return str(wrong)
        finally:
            session.close()

    async def _told(self, session: Session) -> tuple[dict[str, str], str]:
        try:
            fit, shown = await meeting.recognised(session, self._profiles, None)
            texts = await matching.shown_texts(fit.profile, session)
        except SnmpError as wrong:
            return {}, f"it answers SNMP, but {wrong}"
        return matching.inventory(fit, shown.known, texts), ""


async def _unprobed() -> tuple[bool, list[str]]:
    return False, []


async def _probed(address: str) -> tuple[bool, list[str]]:
    """Whether anything at an address answers, and what did; a port that refuses shows that somebody is there."""
    ping = Icmp(address, timeout=WAIT)
    doors = [Tcp(address, port, label="", timeout=WAIT) for port in PORTS]
    pinged, *opened = await asyncio.gather(ping.look(), *(door.look() for door in doors))
    seen = ["ping"] if pinged.there else []
    seen += [f"TCP {port}" for port, found in zip(PORTS, opened, strict=True) if found.values.get("up") == 1.0]
    return pinged.there or any(found.there for found in opened), seen
