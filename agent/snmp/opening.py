"""Which adapter opens a session: gufo-snmp, the one there is; another one would be chosen here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.snmp.requester import Limits, Requester
from agent.target import Target

IN_FLIGHT = 256


def opener(in_flight: int = IN_FLIGHT) -> Callable[[Target], Requester]:
    """A function that opens sessions, with at most `in_flight` requests under way over all of them.

    What it returns raises:
        SnmpError: no socket could be made.
        OSError: the file with the community cannot be read.
    """
    from agent.snmp.gufo import open_v2c

    limits = Limits(in_flight=asyncio.Semaphore(in_flight))

    def open_session(target: Target) -> Requester:
        exchange = open_v2c(target.address, target.port, target.secret(), target.timeout)
        return Requester(exchange, retries=target.retries, limits=limits)

    return open_session
