"""The Exchange made of pysnmp, pure Python, for machines that gufo-snmp has no build for.

Its imports cost some 15 MB and a varbind some 130 µs, so that nothing imports this module where gufo-snmp is there.

Errors: Unreachable, Refused, Misread of `agent.snmp.session`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from pyasn1.error import PyAsn1Error
from pyasn1.type import univ
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v1arch.asyncio import (
    CommunityData,
    ObjectIdentity,
    ObjectType,
    SnmpDispatcher,
    Udp6TransportTarget,
    UdpTransportTarget,
    bulk_cmd,
    get_cmd,
)
from pysnmp.proto import rfc1902, rfc1905

from agent.snmp.session import Misread, Unreachable, Value


def open_v2c(address: str, port: int, community: str, timeout: float) -> PysnmpExchange:
    """A client of one device; `timeout` in seconds for one answer. Needs a running event loop."""
    return PysnmpExchange(address, port, community, timeout)


class PysnmpExchange:
    """An Exchange over pysnmp's own dispatcher."""

    def __init__(self, address: str, port: int, community: str, timeout: float) -> None:
        self.peer = f"{address} port {port}"
        self._place = (address, port)
        self._timeout = timeout
        self._community = CommunityData(community, mpModel=1)  # noqa: S508 - what most cameras speak
        self._dispatcher = SnmpDispatcher()
        self._transport: Any = None

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        return dict(await self.ask(get_cmd, oids))

    def walk(self, column: str, repetitions: int) -> PysnmpWalk:
        """See `Exchange.walk`."""
        return PysnmpWalk(self, column, repetitions)

    def close(self) -> None:
        """See `Exchange.close`."""
        self._dispatcher.close()

    async def ask(self, command: Any, oids: Sequence[str], *given: int) -> list[tuple[str, Value]]:
        """Sends one request; what the device has not is left out of the answer.

        Raises:
            Unreachable, Misread.
        """
        wanted = [ObjectType(ObjectIdentity(oid)) for oid in oids]
        try:
            if self._transport is None:
                self._transport = await self._opened()
            answer = await command(self._dispatcher, self._community, self._transport, *given, *wanted, lookupMib=False)
        except (PySnmpError, PyAsn1Error, OSError) as wrong:
            raise Misread(f"{self.peer} answered with what is no SNMP message: {wrong}") from wrong
        problem, status, _, binds = answer
        if problem is not None:
            raise Unreachable(f"{self.peer} did not answer within {self._timeout:g} s")
        plain = [(str(oid), _plain(value)) for oid, value in binds] if not int(status or 0) else []
        return [(oid, value) for oid, value in plain if value is not None]

    async def _opened(self) -> Any:
        kind = UdpTransportTarget if ipaddress.ip_address(self._place[0]).version == 4 else Udp6TransportTarget  # noqa: PLR2004
        return await kind.create(self._place, timeout=self._timeout, retries=0)


class PysnmpWalk:
    """A Walk over pysnmp."""

    def __init__(self, exchange: PysnmpExchange, column: str, repetitions: int) -> None:
        self.ended = False
        self._exchange = exchange
        self._column = column
        self._next = column
        self._repetitions = repetitions

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        page = await self._exchange.ask(bulk_cmd, [self._next], 0, self._repetitions)
        found = [(oid, value) for oid, value in page if oid.startswith(f"{self._column}.")]
        self.ended = len(found) < len(page) or not found
        if found:
            self._next = found[-1][0]
        return found


def _plain(value: Any) -> Value | None:
    """A value of pysnmp as `agent.snmp.session` has it; None for what is not there."""
    if isinstance(value, rfc1905.NoSuchObject | rfc1905.NoSuchInstance | rfc1905.EndOfMibView | univ.Null):
        return None
    if isinstance(value, rfc1902.IpAddress):
        return str(value.prettyPrint())
    if isinstance(value, univ.OctetString):
        return bytes(value)
    if isinstance(value, univ.ObjectIdentifier):
        return str(value)
    return int(value)
