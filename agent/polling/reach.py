"""By what a device answers that keeps silent over SNMP: what tells "no SNMP" from "offline".

Errors: none.
"""

from __future__ import annotations

import asyncio

from agent.probes.icmp import Icmp
from agent.probes.tcp import Tcp
from agent.settings.target import Target

PORTS = (80, 443, 554, 8000, 22)
"""Where cameras, recorders and switches mostly listen."""
_MOST = 1.5
"""Seconds to wait for an answer; who asks has a timeout of its own."""


async def reached(target: Target) -> str:
    """By what a device answers, "ping" or "TCP 554"; "" for nothing at all. A refused connection is an answer too.

    Ports of its own probes are tried with the usual ones, all at the same time.
    """
    wait = min(float(target.timeout), _MOST)
    own = [setting.at_port for setting in target.probes if setting.kind in ("tcp", "http", "rtsp")]
    ports = list(dict.fromkeys([*own, *PORTS]))
    ping = Icmp(target.address, timeout=wait)
    doors = [Tcp(target.address, port, label="", timeout=wait) for port in ports]
    pinged, *opened = await asyncio.gather(ping.look(), *(door.look() for door in doors))
    if pinged.there:
        return "ping"
    return next((f"TCP {port}" for port, found in zip(ports, opened, strict=True) if found.there), "")


async def answers(address: str) -> bool:
    """Whether anything at an address answers a ping or on a usual TCP port."""
    return bool(await reached(Target(name=address, address=address)))
