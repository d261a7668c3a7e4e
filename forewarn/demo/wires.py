"""Who is plugged in where at the simulated site, as its switch has learnt it: its bridge table and its LLDP neighbours.

The agent finds from these where each device hangs, as on a real site; nothing of it stands in the settings. MAC addresses
are those of the recordings where devices show one, else of a range of their maker.

Sources: Q-BRIDGE-MIB (RFC 4363), LLDP-MIB (IEEE 802.1AB), HIK-DEVICE-MIB (its address as text with dashes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from forewarn.demo import ber

NAME = "1.3.6.1.2.1.1.5.0"
_CAMERA_MAC = "1.3.6.1.4.1.39165.1.4.0"
_LEARNT = "1.3.6.1.2.1.17.7.1.2.2.1"
_REMOTE = "1.0.8802.1.1.2.1.4.1.1"
_VLAN, _BY_LEARNING, _MAC_CHASSIS, _NAMED_PORT = 1, 3, 4, 5
_BRIDGE, _STATION = b"\x28\x00", b"\x01\x00"
"""LldpSystemCapabilitiesMap: bridge and router; station only."""


class Spoken(NamedTuple):
    """A neighbour that says who it is."""

    mac: str
    name: str
    forwards: bool = False


def camera(port: int) -> str:
    """The MAC address of the Hikvision camera on a port."""
    return f"94:e1:ac:00:00:{port:02x}"


def beyond(count: int) -> list[str]:
    """Addresses that the switch has learnt on its way out: more than one device's."""
    return [f"00:00:5e:00:53:{number:02x}" for number in range(count)]


def mac_of_camera(port: int) -> dict[str, bytes]:
    """What that camera says of itself."""
    return {_CAMERA_MAC: ber.value(ber.OCTETS, camera(port).replace(":", "-"))}


def known(learnt: Mapping[int, Iterable[str]], spoken: Mapping[int, Spoken]) -> dict[str, bytes]:
    """The objects of a switch whose bridge ports have learnt these addresses and heard these neighbours."""
    objects: dict[str, bytes] = {}
    for port, macs in learnt.items():
        for mac in macs:
            row = ".".join(str(octet) for octet in bytes.fromhex(mac.replace(":", "")))
            objects[f"{_LEARNT}.2.{_VLAN}.{row}"] = ber.integer(port)
            objects[f"{_LEARNT}.3.{_VLAN}.{row}"] = ber.integer(_BY_LEARNING)
    for port, said in spoken.items():
        row = f"0.{port}.1"
        objects |= {
            f"{_REMOTE}.4.{row}": ber.integer(_MAC_CHASSIS),
            f"{_REMOTE}.5.{row}": ber.value(ber.OCTETS, bytes.fromhex(said.mac.replace(":", ""))),
            f"{_REMOTE}.6.{row}": ber.integer(_NAMED_PORT),
            f"{_REMOTE}.7.{row}": ber.value(ber.OCTETS, "eth0"),
            f"{_REMOTE}.9.{row}": ber.value(ber.OCTETS, said.name),
            f"{_REMOTE}.12.{row}": ber.value(ber.OCTETS, _BRIDGE if said.forwards else _STATION),
        }
    return objects
