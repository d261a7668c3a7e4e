"""Which adapter opens a session: gufo-snmp, and pysnmp where gufo-snmp has no build (Windows, 32-bit ARM)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.settings.credential import Access
from agent.settings.target import Target
from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Exchange

IN_FLIGHT = 64
_DOUBTFUL = 32


def _adapter() -> Callable[[str, int, Access, float], Exchange]:
    try:
        from agent.snmp import gufo
    except ImportError:
        from agent.snmp import pysnmp

        return pysnmp.connect
    return gufo.connect


def opener(
    in_flight: int = IN_FLIGHT, wrap: Callable[[Exchange], Exchange] = lambda exchange: exchange
) -> Callable[[Target], Requester]:
    """A function that opens sessions, with at most `in_flight` requests under way over all of them.

    Beside those, some more to devices that did not answer last time, so that they keep nobody waiting. `wrap` may put
    something between the client and the session.

    What it returns raises:
        SnmpError: no socket could be made.
        OSError: a file with a secret cannot be read.
    """
    connect = _adapter()
    limits = Limits(in_flight=asyncio.Semaphore(in_flight), doubtful=asyncio.Semaphore(min(in_flight, _DOUBTFUL)))

    def open_session(target: Target) -> Requester:
        exchange = connect(target.address, target.port, target.access(), target.timeout)
        return Requester(wrap(exchange), retries=target.retries, limits=limits)

    return open_session
