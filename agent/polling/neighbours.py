"""Who is plugged in where: what a switch knows of its neighbours, and, over all switches, which device hangs on which port.

A switch knows its neighbours in two ways: they say themselves who they are (LLDP), or it has learnt on which port
their addresses are (its bridge table). Neither is a series: they go into the switch's inventory as one bounded text.

Sources: LLDP-MIB (IEEE 802.1AB), BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363), IF-MIB (RFC 2863),
POWER-ETHERNET-MIB (RFC 3621).

Errors: those of `agent.snmp.session`, but for a table without an end, of which nothing is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


class Link(NamedTuple):
    """The port a device hangs on; `by` is "lldp" when it said so itself, "fdb" when the switch has learnt its address."""

    switch: str
    port: str
    poe_port: str
    by: str = "fdb"


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


def links(switches: Mapping[str, Sequence[Neighbour]], macs: Mapping[str, str]) -> dict[str, Link]:
    """Which device hangs on which port, of all that the switches of a site know.

    A port behind which there is another switch is no device's port: it says so itself, it has more than `FEW`
    addresses, the address of a known switch is among them, or a switch that knows both this switch and the device
    knows them on two ports, so that the device cannot be behind this one. Of the other ports that know a device's
    address, the one with the fewest addresses has it; when two are equal, nobody can tell, and the device has none.

    Args:
        switches: by name, what each knows.
        macs: by name of each device, switches too, its MAC address in any spelling.

    Returns:
        By name of the device. No device hangs on itself.
    """
    plain_macs = {name: plain for name, given in macs.items() if (plain := plain_mac(given))}
    shared = Counter(plain_macs.values())
    # One address of two devices is mostly that of a router before them: it tells where neither hangs.
    owners = {plain: name for name, plain in plain_macs.items() if shared[plain] == 1}
    places = {
        switch: {owners[plain]: each.port for each in knows if (plain := plain_mac(each.mac)) in owners}
        for switch, knows in switches.items()
    }
    found: dict[str, list[tuple[int, Link]]] = {}
    for switch, knows in switches.items():
        for port, there in _by_port(knows).items():
            behind = {plain for each in there if (plain := plain_mac(each.mac))}
            names = {owners[plain] for plain in behind & owners.keys()}
            if any(each.forwards or each.many for each in there) or len(behind) > FEW or names & switches.keys():
                continue
            poe = next((each.poe_port for each in there if each.poe_port), "")
            spoken = {owners.get(plain_mac(each.mac)) for each in there if each.spoken}
            for name in names:
                if not any(_apart(known, switch, name) for known in places.values()):
                    by = "lldp" if name in spoken else "fdb"
                    found.setdefault(name, []).append((len(behind), Link(switch, port, poe, by)))
    return {name: link for name, each in sorted(found.items()) if (link := _only(each)) is not None}


def uplinks(switches: Mapping[str, Sequence[Neighbour]], macs: Mapping[str, str]) -> dict[str, Link]:
    """Which switch hangs on which port of another, seen from this machine: what must work for it to be reached.

    A switch hangs on the one that it knows on its way to us, and that knows it on another port than its own way to us;
    one that lies between the two has them on two ports. Where two say by LLDP that they are neighbours, one's word is
    enough. A switch that has not learnt where we are, or whose neighbours do not know it, has none.

    Args:
        switches: by name, what each knows.
        macs: by name of each device, its MAC address in any spelling.

    Returns:
        By name of the switch.
    """
    owners = {plain: name for name, given in macs.items() if name in switches and (plain := plain_mac(given))}
    known = {
        switch: {owners[plain]: each for each in knows if (plain := plain_mac(each.mac)) in owners}
        for switch, knows in switches.items()
    }
    ways = {switch: each.port for switch, knows in switches.items() for each in knows if each.here}
    places = {switch: {name: each.port for name, each in there.items()} for switch, there in known.items()}
    found: dict[str, Link] = {}
    for switch in switches:
        above = {
            other: there[switch]
            for other, there in known.items()
            if other != switch and switch in there and ways.get(other, there[switch].port) != there[switch].port
        }
        spoken = {other: seen for other, seen in above.items() if seen.spoken}
        learnt = {
            other: seen
            for other, seen in above.items()
            if places[switch].get(other) == ways.get(switch, "")
            and not any(_apart(places[third], other, switch) for third in above.keys() - {other})
        }
        best = spoken or learnt
        if len(best) == 1:
            [(other, seen)] = best.items()
            found[switch] = Link(other, seen.port, seen.poe_port, "lldp" if seen.spoken else "fdb")
    return dict(sorted(found.items()))


def _apart(known: Mapping[str, str], switch: str, device: str) -> bool:
    """Whether somebody knows a switch and a device on two ports."""
    return switch in known and device in known and known[switch] != known[device]


def plain_mac(given: str) -> str:
    """A MAC address as twelve small hexadecimal digits; empty for what is none."""
    digits = re.sub(r"[^0-9a-fA-F]", "", given).lower()
    return digits if len(digits) == 2 * _MAC_ARCS and re.fullmatch(r"[0-9a-fA-F:.\- ]+", given) else ""


def _by_port(knows: Iterable[Neighbour]) -> dict[str, list[Neighbour]]:
    ports: dict[str, list[Neighbour]] = {}
    for each in knows:
        ports.setdefault(each.port, []).append(each)
    return ports


def _only(found: list[tuple[int, Link]]) -> Link | None:
    fewest = min(count for count, _ in found)
    best = {link for count, link in found if count == fewest}
    return best.pop() if len(best) == 1 else None


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
