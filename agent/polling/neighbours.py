"""Who is plugged in where, as one switch knows it; `agent.polling.joining` puts together what all of them know.

A switch knows its neighbours in two ways: they say themselves who they are (LLDP), or it has learnt on which port
their addresses are (its bridge table). Neither is a series: they go into the switch's inventory as one bounded text.

Sources: LLDP-MIB (IEEE 802.1AB), BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363), IF-MIB (RFC 2863),
POWER-ETHERNET-MIB (RFC 3621).

Errors: those of `agent.snmp.session`, but for a table without an end, of which nothing is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from agent.profiles.conversion import mac as mac_of
from agent.profiles.conversion import words, written
from agent.profiles.language import Way
from agent.snmp.session import Runaway, Session, Value

FEW = 8
"""More addresses behind one port are other switches' or a wireless cell's: they are counted, not listed."""
MOST_BYTES = 4096
_NAMES, _DESCRIPTIONS = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.2.2.1.2"
_BRIDGE_PORTS = "1.3.6.1.2.1.17.1.4.1.2"
_LEARNT = (
    ("1.3.6.1.2.1.17.7.1.2.2.1.2", "1.3.6.1.2.1.17.7.1.2.2.1.3"),
    ("1.3.6.1.2.1.17.4.3.1.2", "1.3.6.1.2.1.17.4.3.1.3"),
)
"""Port and status of each address: with VLANs, and without."""
_BY_LEARNING = "3"
_REMOTE = "1.0.8802.1.1.2.1.4.1.1"
_LOCAL = "1.0.8802.1.1.2.1.3.7.1"
_CHASSIS_KIND, _CHASSIS, _PORT_KIND, _PORT, _NAME, _ENABLED = 4, 5, 6, 7, 9, 12
_MAC_CHASSIS, _MAC_PORT = "4", "3"
_FORWARDS = 0b00101000
"""LldpSystemCapabilitiesMap: bridge (2) and router (4) of BITS."""
_POE = "1.3.6.1.2.1.105.1.1.1.6"
_MAC_ARCS = 6

Rows = Mapping[str, Value]


class Neighbour(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands behind a port: one neighbour with its address, or only how many.

    `port` is the instance of `interface`, `poe_port` that of `poe`; `forwards` is a switch or router, `many` counts
    the addresses of a port that has more than `FEW`; `spoken` has said so itself, by LLDP; `here` is this machine, which
    polls the switch, and is told of a busy port too: that way it is to us.
    """

    port: str
    mac: str = ""
    name: str = ""
    poe_port: str = ""
    forwards: bool = False
    many: int = 0
    spoken: bool = False
    here: bool = False


@dataclass(slots=True)
class _Ports:
    """The ports of a switch by their numbers."""

    names: dict[str, str]
    """ifIndex → name."""
    bridge: dict[str, str] = field(default_factory=dict)
    """Bridge port → ifIndex."""
    fed: dict[str, str] = field(default_factory=dict)
    """ifIndex → instance of `poe`."""

    def named(self, number: str) -> str:
        """The name of a bridge port."""
        index = self.bridge.get(number, number)
        return self.names.get(index, index)

    def index(self, name: str) -> str:
        """The ifIndex of a named port, empty for none."""
        return next((index for index, each in self.names.items() if each == name), "")


async def read(
    ways: Sequence[Way], session: Session, *, poe: Collection[str] = (), here: Collection[str] = ()
) -> list[Neighbour]:
    """What a switch knows of its neighbours: this machine first, then those that say who they are.

    Args:
        ways: how it may know them.
        session: with the switch.
        poe: its instances of `poe`, called by the name of their interface where its profile knows that.
        here: the MAC addresses of this machine, as `plain_mac` gives them.

    Raises:
        SnmpError: the device did not answer.
    """
    if not ways:
        return []
    spoken = await _rows(session, f"{_REMOTE}.{_CHASSIS}") if "lldp" in ways else {}
    learnt = await _learnt(session) if "bridge" in ways else {}
    if not spoken and not learnt:
        return []
    ports = await _ports(session, poe)
    found = await _spoken(session, spoken, ports) if spoken else []
    us = [
        Neighbour(ports.named(number), mac=mac, here=True)
        for number, macs in learnt.items()
        for mac in sorted(macs)
        if plain_mac(mac) in here
    ]
    return [*us, *found, *_placed(learnt, ports, {each.mac for each in (*us, *found) if each.mac})]


def text(found: Iterable[Neighbour]) -> str:
    """Neighbours as JSON of at most `MOST_BYTES`; what stands behind busy ports goes first when there are too many."""
    listed: list[bytes] = []
    room = MOST_BYTES - 2
    for each in found:
        told = msgspec.json.encode(each)
        room -= len(told) + 1
        if room < 0:
            break
        listed.append(told)
    return f"[{b','.join(listed).decode()}]" if listed else ""


def said(given: str) -> list[Neighbour]:
    """The neighbours in a text of the inventory; none in what is no such text."""
    try:
        return msgspec.json.decode(given, type=list[Neighbour])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def plain_mac(given: str) -> str:
    """A MAC address as twelve small hexadecimal digits; empty for what is none."""
    digits = re.sub(r"[^0-9a-fA-F]", "", given).lower()
    return digits if len(digits) == 2 * _MAC_ARCS and re.fullmatch(r"[0-9a-fA-F:.\- ]+", given) else ""


async def _rows(session: Session, column: str) -> dict[str, Value]:
    try:
        return await session.rows(column)
    except Runaway:
        return {}


async def _learnt(session: Session) -> dict[str, set[str]]:
    """Bridge port → the addresses that were learnt there."""
    for column, status in _LEARNT:
        places = await _rows(session, column)
        if not places:
            continue
        how = await _rows(session, status)
        found: dict[str, set[str]] = {}
        for index, port in places.items():
            if port and written(how.get(index, _BY_LEARNING)) == _BY_LEARNING:
                octets = [int(arc) for arc in index.split(".")[-_MAC_ARCS:]]
                if len(octets) == _MAC_ARCS and max(octets) < 256:  # noqa: PLR2004 - octets
                    found.setdefault(str(port), set()).add(bytes(octets).hex(":"))
        return found
    return {}


async def _ports(session: Session, poe: Collection[str]) -> _Ports:
    names = await _rows(session, _NAMES) or await _rows(session, _DESCRIPTIONS)
    bridge = await _rows(session, _BRIDGE_PORTS)
    fed = await _rows(session, _POE)
    found = _Ports(
        {index: words(value) for index, value in names.items()},
        {port: str(index) for port, index in bridge.items()},
    )
    found.fed = {index: name for index, name in found.names.items() if name in poe}
    if found.fed:
        return found
    # The standard leaves open what a PoE port's number counts: ports by ifIndex, or those of the bridge.
    numbers = {row: row.rpartition(".")[2] for row in fed}
    if len(set(numbers.values())) < len(numbers):
        # In each box of a stack they begin anew: which box is which, the standard does not say.
        return found
    if fed and found.names.keys() >= set(numbers.values()):
        found.fed = {number: row for row, number in numbers.items()}
    elif fed and found.bridge.keys() >= set(numbers.values()):
        found.fed = {found.bridge[number]: row for row, number in numbers.items()}
    return found


def _placed(learnt: Mapping[str, set[str]], ports: _Ports, spoken: set[str]) -> list[Neighbour]:
    """The learnt addresses, the quiet ports first; without those that have said who they are."""
    found: list[Neighbour] = []
    for number, macs in sorted(learnt.items(), key=lambda one: (len(one[1]), one[0])):
        port, fed = ports.named(number), ports.fed.get(ports.bridge.get(number, number), "")
        if len(macs) > FEW:
            found.append(Neighbour(port, poe_port=fed, many=len(macs)))
        else:
            found += [Neighbour(port, mac=each, poe_port=fed) for each in sorted(macs) if each not in spoken]
    return found


async def _spoken(session: Session, chassis: Rows, ports: _Ports) -> list[Neighbour]:
    wanted = (_CHASSIS_KIND, _PORT_KIND, _PORT, _NAME, _ENABLED)
    got = await session.get_many([f"{_REMOTE}.{arc}.{row}" for row in chassis for arc in wanted])
    ids, told = await _rows(session, f"{_LOCAL}.3"), await _rows(session, f"{_LOCAL}.4")
    found = []
    for row, shown in chassis.items():
        own = {arc: got.get(f"{_REMOTE}.{arc}.{row}", b"") for arc in wanted}
        arcs = row.split(".")
        number = arcs[1] if len(arcs) == 3 else ""  # noqa: PLR2004 - time, port, number of the neighbour
        port = _local(number, ids, told, ports)
        enabled = own[_ENABLED]
        found.append(
            Neighbour(
                port,
                mac=_address(shown, own),
                name=words(own[_NAME])[:64],
                poe_port=ports.fed.get(ports.index(port), ""),
                forwards=isinstance(enabled, bytes) and bool(enabled[:1]) and bool(enabled[0] & _FORWARDS),
                spoken=True,
            )
        )
    return sorted(found, key=lambda each: (each.port, each.mac))


def _address(chassis: Value, own: Mapping[int, Value]) -> str:
    """The neighbour's MAC address, by its chassis or its port."""
    if written(own[_CHASSIS_KIND]) == _MAC_CHASSIS:
        return mac_of(chassis)
    return mac_of(own[_PORT]) if written(own[_PORT_KIND]) == _MAC_PORT else ""


def _local(number: str, ids: Rows, told: Rows, ports: _Ports) -> str:
    """Our port, as `interface` calls it: by its id or description when it is one of those names, else by number."""
    known = set(ports.names.values())
    for rows in (ids, told):
        name = words(rows.get(number, b""))
        if name in known:
            return name
    return ports.named(number)
