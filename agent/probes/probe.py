"""What every probe is, and what it finds."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

FIELDS = (
    "up",
    "latency_seconds",
    "status",
    "status_code",
    "certificate_left_seconds",
    "certificate_accepted",
    "stream",
    "clock_offset_seconds",
)


class Found(NamedTuple):
    """What a probe found. `values` are fields of the table `probe`; what is not there is not known.

    `up` is 1 when the device answered what was asked, 0 when it did not, and not there when we could not ask. `why`
    tells what is not well, `texts` are for the inventory. `there` is whether anything came back at all, be it a refusal.
    """

    values: dict[str, float]
    why: str = ""
    texts: Mapping[str, str] = MappingProxyType({})
    there: bool = False


class Probe(Protocol):
    """One probe of one device."""

    label: str
    fields: tuple[str, ...]
    """Those it may find, of `FIELDS`."""

    async def look(self) -> Found:
        """Asks once, within its time. Never fails."""


def answered(latency: float, **values: float) -> Found:
    """The device answered, after so many seconds."""
    return Found({"up": 1.0, "latency_seconds": latency, **values}, there=True)


def silent(why: str, *, there: bool = False) -> Found:
    """The device did not answer what was asked."""
    return Found({"up": 0.0}, why, there=there)


def untold(why: str) -> Found:
    """We could not ask."""
    return Found({}, why)


def unconnected(wrong: OSError, port: int, timeout: float) -> Found:
    """Why a TCP connection did not come about."""
    if isinstance(wrong, TimeoutError) and wrong.errno is None:
        return silent(f"no answer from TCP port {port} within {timeout:g} s")
    if wrong.errno == errno.ECONNREFUSED:
        return silent(f"TCP port {port} is closed", there=True)
    return silent(f"no connection to TCP port {port}: {wrong.strerror or wrong}")
