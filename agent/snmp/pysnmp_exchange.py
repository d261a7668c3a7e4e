"""The Exchange made of pysnmp, pure Python, for machines that gufo-snmp has no build for.

Its imports cost some 15 MB and a varbind some 130 µs, so that nothing imports this module where gufo-snmp is there.

Errors: Unreachable, Refused, Denied, Locked, Misread of `agent.snmp.session`.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    next_cmd,
)
from pysnmp.proto import errind, rfc1902, rfc1905

from agent.settings.credential import Access
from agent.snmp.session import Denied, Locked, Misread, Unreachable, Value

GRACE = 1.0
"""Seconds beyond twice its own timer after which pysnmp is not waited for: some answers it drops, its timer with them."""
_AUTHORIZATION_ERROR = 16
"""The error-status (RFC 3416) of a user who may see nothing this way."""
_REFUSALS = (
    errind.AuthenticationError,
    errind.AuthenticationFailure,
    errind.UnknownSecurityName,
    errind.UnknownUserName,
    errind.UnsupportedSecurityLevel,
    errind.WrongDigest,
)
_MISFITS = (errind.DeserializationError, errind.InvalidMsg, errind.ParseError)


class PysnmpExchange:
    """An Exchange over pysnmp's own dispatcher, for the versions that know communities."""

    def __init__(self, address: str, port: int, access: Access, timeout: float) -> None:
        self.peer = f"{address} port {port}"
        self.all_or_none = access.version == "1"
        self._place = (address, port)
        self._timeout = timeout
        self._community = CommunityData(access.community, mpModel=0 if self.all_or_none else 1)
        self._commands: dict[str, Any] = {"get": get_cmd, "next": next_cmd, "bulk": bulk_cmd}
        self._transport: Any = None
        self._dispatcher: Any = None if access.version == "3" else SnmpDispatcher()

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        return dict(await self.ask("get", oids))

    def walk(self, column: str, repetitions: int) -> PysnmpWalk:
        """See `Exchange.walk`."""
        return PysnmpWalk(self, column, 0 if self.all_or_none else repetitions)

    def close(self) -> None:
        """See `Exchange.close`."""
        if self._dispatcher is not None:
            with contextlib.suppress(TypeError):  # It ends what is under way with one argument too few.
                self._dispatcher.close()

    async def ask(self, command: str, oids: Sequence[str], *given: int) -> list[tuple[str, Value]]:
        """Sends one request; what the device has not is left out of the answer.

        Raises:
            Unreachable, Denied, Locked, Misread.
        """
        wanted = [ObjectType(ObjectIdentity(oid)) for oid in oids]
        try:
            async with asyncio.timeout(self._timeout * 2 + GRACE):
                answer = await self.send(self._commands[command], wanted, given)
        except TimeoutError as wrong:
            raise Unreachable(f"{self.peer} did not answer within {self._timeout:g} s") from wrong
        except (PySnmpError, PyAsn1Error, OSError) as wrong:
            raise Misread(f"{self.peer} answered with what is no SNMP message: {wrong}") from wrong
        problem, status, _, binds = answer
        if problem is not None:
            raise self._refused(problem)
        if int(status or 0) == _AUTHORIZATION_ERROR:
            raise self._refused(errind.authenticationError)
        plain = [(str(oid), _plain(value)) for oid, value in binds] if not int(status or 0) else []
        return [(oid, value) for oid, value in plain if value is not None]

    async def send(self, command: Any, wanted: list[ObjectType], given: Sequence[int]) -> Any:
        """One request of pysnmp's, as this version sends it."""
        if self._transport is None:
            self._transport = await self.opened(UdpTransportTarget, Udp6TransportTarget)
        return await command(self._dispatcher, self._community, self._transport, *given, *wanted, lookupMib=False)

    async def opened(self, plain: Any, v6: Any) -> Any:
        """The transport, of the class that fits the address."""
        kind = plain if ipaddress.ip_address(self._place[0]).version == 4 else v6  # noqa: PLR2004 - IPv4
        return await kind.create(self._place, timeout=self._timeout, retries=0)

    def _refused(self, problem: Any) -> Exception:
        if isinstance(problem, _REFUSALS):
            return Denied(f"{self.peer}: authentication failed: wrong user or key")
        if isinstance(problem, errind.DecryptionError):
            return Locked(f"{self.peer} answers, but not to us: is the privacy key right?")
        if isinstance(problem, _MISFITS):
            return Misread(f"{self.peer} answered with what is no SNMP message: {problem}")
        return Unreachable(f"{self.peer} did not answer within {self._timeout:g} s")


class PysnmpWalk:
    """A Walk over pysnmp; by GETNEXT when `repetitions` is 0."""

    def __init__(self, exchange: PysnmpExchange, column: str, repetitions: int) -> None:
        self.ended = False
        self._exchange = exchange
        self._column = column
        self._next = column
        self._repetitions = repetitions

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        if self._repetitions:
            page = await self._exchange.ask("bulk", [self._next], 0, self._repetitions)
        else:
            page = await self._exchange.ask("next", [self._next])
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
