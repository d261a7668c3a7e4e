"""What travels between the agent and the process that hears traps: one JSON object a line, both ways.

Errors:
    msgspec.DecodeError   a line that is none of these
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from agent.settings.credential import Access
from agent.traps.state import Tally

LINE = 256 * 1024
"""Octets of the longest line; a notice of 8 KiB makes far less."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The first line to the process: where to listen, to whom, and how much to take.

    `sources` has for each address the indexes of the `accesses` it may send with, its own first; `engine` is our SNMP
    engine in hexadecimal and `boots` how often it began. Times are seconds.
    """

    address: str
    port: int
    sources: dict[str, list[int]]
    accesses: list[Access]
    engine: str
    boots: int
    rate: float
    burst: int
    window: float = 5.0
    tell: float = 60.0
    waiting: int = 500


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """To the process: what became of a notice. An inform is answered only when `stored`."""

    id: int
    stored: bool


class Started(msgspec.Struct, frozen=True, tag="started"):
    """It listens."""

    port: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot listen, and ends."""

    why: str


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """One trap or inform, in the form of v2 (RFC 3584 section 3.1).

    `t` is Unix milliseconds, `binds` its objects as text, of which `more` were left out. `repeated`: how often the
    very same came again since it was told.
    """

    id: int
    t: int
    address: str
    version: str
    inform: bool
    trap: str
    binds: list[tuple[str, str]]
    more: int = 0
    repeated: int = 0


class Over(msgspec.Struct, frozen=True, tag="over"):
    """So many of a device were dropped unread since last told, for it sends more than is taken."""

    address: str
    count: int


Told = Started | Failed | Notice | Over | Tally

read_told = msgspec.json.Decoder(Told).decode
read_order = msgspec.json.Decoder(Order).decode
read_kept = msgspec.json.Decoder(Kept).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


def line(what: Any) -> bytes:
    """One of these as a line."""
    return _encode(what) + b"\n"


def plain(address: str) -> str:
    """An IP address as text that is the same for everyone who writes it: no zone, IPv4 in IPv6 as IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)
