"""Which adapter opens a session: gufo-snmp, and pysnmp where gufo-snmp has no build (Windows, 32-bit ARM)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Exchange
from agent.target import Target

IN_FLIGHT = 256


def _adapter() -> Callable[[str, int, str, float], Exchange]:
    try:
        from agent.snmp import gufo
    except ImportError:
        from agent.snmp import pysnmp

        return pysnmp.open_v2c
    return gufo.open_v2c


def opener(in_flight: int = IN_FLIGHT) -> Callable[[Target], Requester]:
    """A function that opens sessions, with at most `in_flight` requests under way over all of them.

    What it returns raises:
        SnmpError: no socket could be made.
        OSError: the file with the community cannot be read.
    """
    open_v2c = _adapter()
    limits = Limits(in_flight=asyncio.Semaphore(in_flight))

    def open_session(target: Target) -> Requester:
        exchange = open_v2c(target.address, target.port, target.secret(), target.timeout)
        return Requester(exchange, retries=target.retries, limits=limits)

    return open_session
