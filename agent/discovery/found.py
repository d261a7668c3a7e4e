"""Somebody who answered while we looked, what that tells of it, and whether it is one that we know.

Errors: none.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.discovery import makers
from agent.onvif.announcement import Announcement
from agent.polling.neighbours import plain_mac

ONVIF = "ONVIF"
"""Among what was answered: WS-Discovery."""
_GENERIC = frozenset({"generic", "generic.host", "generic.network", "camera.generic", "switch.generic"})
_LONGEST = 100
_ANY_PORT = 9
"""Nothing is sent to it: it only names a way."""


@dataclass(frozen=True)
class Found:
    """Somebody who answered. `seen` is what was answered, `inventory` what it told over SNMP, if it did."""

    address: str
    seen: list[str]
    credential: str = ""
    inventory: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    """Why nothing is known by SNMP."""
    said: Announcement | None = None
    """What it says of itself by ONVIF's WS-Discovery."""

    @property
    def confidence(self) -> str:
        """How sure it is what it is.

        `matched` by a profile of its family, `generic` by one that fits many, `named` by its own word over ONVIF,
        `seen` answers but told nothing.
        """
        profile = self.inventory.get("profile")
        if profile is None:
            return "seen" if self.said is None else "named"
        return "generic" if profile in _GENERIC else "matched"

    @property
    def name(self) -> str:
        """What it calls itself; empty where it does not say."""
        return self.inventory.get("name", "") or (self.said.name if self.said is not None else "")

    @property
    def answers(self) -> str:
        """By what it answered, in a few words."""
        return ", ".join([*self.seen, *(["SNMP"] if self.credential else [])])

    def mac(self, beside: Mapping[str, str]) -> str:
        """Its MAC address: as it says, else as our own segment knows it (`beside`, by IP address)."""
        told = self.inventory.get("mac", "") or (self.said.mac if self.said is not None else "")
        return one_line(told) or beside.get(self.address, "")

    def what(self, beside: Mapping[str, str]) -> dict[str, str]:
        """All that is known of it, as texts of one line; none empty."""
        said, told = self.said or Announcement(), self.inventory
        mac = self.mac(beside)
        texts = {
            "address": self.address,
            "mac": mac,
            "maker": makers.maker(mac) or told.get("vendor", ""),
            "answers": self.answers,
            "name": self.name,
            "model": told.get("model", "") or said.hardware,
            "serial": told.get("serial", ""),
            "profile": told.get("profile", ""),
            "location": said.location,
            "onvif": ", ".join(said.services),
        }
        return {word: line for word, text in texts.items() if (line := one_line(text))}


def moved(found: Found, identities: Mapping[str, Mapping[str, str]], beside: Mapping[str, str]) -> str:
    """The device of the settings that answers here now, by its serial or MAC address; empty for none.

    Args:
        found: who answered.
        identities: by name, what is remembered of the devices of the settings, see `agent.devices.identity`.
        beside: MAC addresses that our own segment knows, by IP address.
    """
    own = {"serial": found.inventory.get("serial", "").casefold(), "mac": plain_mac(found.mac(beside))}
    for word, text in own.items():
        for name, known in identities.items():
            before = known.get(word, "")
            if text and text == (plain_mac(before) if word == "mac" else before.casefold()):
                return name
    return ""


def is_own(address: str) -> bool:
    """Whether an address is this machine's own; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((address, _ANY_PORT))
            return str(way.getsockname()[0]) == address
    except OSError:
        return False


def one_line(text: str) -> str:
    """What a device says of itself, as a part of one line: no sign of it may steer a terminal or end a comment."""
    plain = "".join(char if char.isprintable() else " " for char in text).strip()
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."
