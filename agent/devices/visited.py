"""What the poller visits: one source of one device, in its own slots.

A device may be read by several sources at once: SNMP, ISAPI, ONVIF, probes. The first of them in this order leads: it
alone says whether the device is up, and tells its inventory. The others send records of their own, of the fields that
those before them do not give, so that no two of them write one series.
"""

from __future__ import annotations

from typing import Protocol

from agent.devices.health import Health
from agent.reading import Happening, Reading
from agent.settings.target import Target
from forewarn.vocabulary import Source
from forewarn.wire import Shape

ORDER = (Source.SNMP, Source.ISAPI, Source.ONVIF, Source.PROBE)
"""Who leads, of those that a device is read by."""


class Visited(Protocol):
    """One source of one device."""

    target: Target
    source: Source
    health: Health
    leads: bool

    @property
    def why(self) -> str:
        """Why the last poll failed; empty when it did not."""

    @property
    def interval(self) -> float:
        """Seconds between two polls."""

    @property
    def shape(self) -> Shape:
        """Of what it read last."""

    async def poll(self) -> list[Reading | Happening]:
        """One poll: a reading, and what happened. Takes at most 0.9 intervals."""

    async def back(self) -> bool:
        """Asks a device that is down for as little as can be; whether it answered."""

    def close(self) -> None:
        """Gives back what it holds open."""


def sources(target: Target) -> list[Source]:
    """By what a device is read, in the order in which they lead; never empty."""
    by = {
        Source.SNMP: target.use_snmp,
        Source.ISAPI: target.isapi is not None,
        Source.ONVIF: target.onvif is not None,
        Source.PROBE: bool(target.probes),
    }
    return [source for source in ORDER if by[source]]
