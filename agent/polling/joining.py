"""Which device hangs on which port, and which switch on which other, of what all switches of a site know.

A neighbour is a device of ours by its MAC address; or by the name it gives itself over LLDP, where that is the system name
(sysName) of one device alone: LLDP's lldpRemSysName is that object, and its chassis may show another MAC address than the
device does elsewhere.

Sources: LLDP-MIB (IEEE 802.1AB), SNMPv2-MIB (RFC 3418).

Errors: none. No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from agent.polling.neighbours import FEW, Neighbour, plain_mac

Switches = Mapping[str, Sequence[Neighbour]]
"""By name of each switch, what it knows."""
Named = Mapping[str, str]
_NONE: Named = MappingProxyType({})


class Link(NamedTuple):
    """The port a device hangs on; `by` is "lldp" when it said so itself, "fdb" when the switch has learnt its address."""

    switch: str
    port: str
    poe_port: str
    by: str = "fdb"


class _Seen(NamedTuple):
    """A neighbour, and the device of ours that it is; empty for a stranger."""

    neighbour: Neighbour
    device: str


def _seen(switches: Switches, macs: Named, names: Named) -> dict[str, list[_Seen]]:
    by_mac = _alone({name: plain_mac(given) for name, given in macs.items()})
    by_name = _alone({name: given.strip().casefold() for name, given in names.items()})

    def device(each: Neighbour) -> str:
        said = by_name.get(each.name.strip().casefold(), "") if each.spoken and each.name else ""
        return by_mac.get(plain_mac(each.mac)) or said

    return {switch: [_Seen(each, device(each)) for each in knows] for switch, knows in switches.items()}


def _alone(given: Named) -> dict[str, str]:
    """The owner of each text that one device alone has: the MAC address of two is mostly that of a router before them."""
    shared = Counter(given.values())
    return {text: name for name, text in given.items() if text and shared[text] == 1}


def links(switches: Switches, macs: Named, names: Named = _NONE) -> dict[str, Link]:
    """Which device hangs on which port.

    A port behind which there is another switch is no device's port: it says so itself, it has more than `FEW`
    addresses, a known switch is among them, or a switch that knows both this switch and the device knows them on two
    ports, so that the device cannot be behind this one. Of the other ports that know a device, the one with the fewest
    addresses has it; when two are equal, nobody can tell, and the device has none.

    Args:
        switches: what each knows.
        macs: by name of each device, switches too, its MAC address in any spelling.
        names: by name of each device, what it calls itself (sysName).

    Returns:
        By name of the device. No device hangs on itself.
    """
    seen = _seen(switches, macs, names)
    places = {
        switch: {each.device: each.neighbour.port for each in there if each.device} for switch, there in seen.items()
    }
    found: dict[str, list[tuple[int, Link]]] = {}
    for switch, knows in seen.items():
        for port, there in _by_port(knows).items():
            behind = {each.device or plain_mac(each.neighbour.mac) for each in there} - {""}
            devices = {each.device for each in there} - {""}
            busy = any(each.neighbour.forwards or each.neighbour.many for each in there) or len(behind) > FEW
            if busy or devices & switches.keys():
                continue
            poe = next((each.neighbour.poe_port for each in there if each.neighbour.poe_port), "")
            spoken = {each.device for each in there if each.neighbour.spoken}
            for name in devices:
                if not any(_apart(known, switch, name) for known in places.values()):
                    by = "lldp" if name in spoken else "fdb"
                    found.setdefault(name, []).append((len(behind), Link(switch, port, poe, by)))
    return {name: link for name, each in sorted(found.items()) if (link := _only(each)) is not None}


def uplinks(switches: Switches, macs: Named, names: Named = _NONE) -> dict[str, Link]:
    """Which switch hangs on which port of another, seen from this machine: what must work for it to be reached.

    A switch hangs on the one that it knows on its way to us, and that knows it on another port than its own way to us;
    one that lies between the two has them on two ports. Where two say by LLDP that they are neighbours, one's word is
    enough. A switch that has not learnt where we are, or whose neighbours do not know it, has none.

    Args:
        switches: what each knows.
        macs: as for `links`.
        names: as for `links`.

    Returns:
        By name of the switch.
    """
    known: dict[str, dict[str, Neighbour]] = {}
    for switch, there in _seen(switches, macs, names).items():
        # What is said by LLDP comes first in a switch's list, and counts for more.
        known[switch] = {each.device: each.neighbour for each in reversed(there) if each.device in switches}
    places = {switch: {name: each.port for name, each in there.items()} for switch, there in known.items()}
    ways = {switch: each.port for switch, knows in switches.items() for each in knows if each.here}
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


def _by_port(knows: Iterable[_Seen]) -> dict[str, list[_Seen]]:
    ports: dict[str, list[_Seen]] = {}
    for each in knows:
        ports.setdefault(each.neighbour.port, []).append(each)
    return ports


def _only(found: list[tuple[int, Link]]) -> Link | None:
    fewest = min(count for count, _ in found)
    best = {link for count, link in found if count == fewest}
    return best.pop() if len(best) == 1 else None
