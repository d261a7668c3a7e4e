"""SNMP v3 of the pysnmp adapter: a user with keys, and an engine of our own that knows the device's.

Errors: those of `agent.snmp.pysnmp_exchange`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pysnmp.hlapi.v3arch import asyncio as v3
from pysnmp.proto import errind

from agent.settings.credential import Access
from agent.snmp.pysnmp_exchange import PysnmpExchange
from agent.snmp.session import Locked

AUTHENTICATION = {
    "md5": v3.USM_AUTH_HMAC96_MD5,
    "sha": v3.USM_AUTH_HMAC96_SHA,
    "sha224": v3.USM_AUTH_HMAC128_SHA224,
    "sha256": v3.USM_AUTH_HMAC192_SHA256,
    "sha384": v3.USM_AUTH_HMAC256_SHA384,
    "sha512": v3.USM_AUTH_HMAC384_SHA512,
}
PRIVACY = {
    "des": v3.USM_PRIV_CBC56_DES,
    "aes128": v3.USM_PRIV_CFB128_AES,
    "aes192": v3.USM_PRIV_CFB192_AES_BLUMENTHAL,
    "aes256": v3.USM_PRIV_CFB256_AES_BLUMENTHAL,
    "aes192c": v3.USM_PRIV_CFB192_AES,
    "aes256c": v3.USM_PRIV_CFB256_AES,
}
_STALE = (errind.NotInTimeWindow, errind.UnknownEngineID, errind.RequestTimedOut)


class PysnmpUserExchange(PysnmpExchange):
    """The same for a user.

    Our engine is made anew after each silence: pysnmp keeps the time of an engine that restarted, and would be refused
    for ever.
    """

    def __init__(self, address: str, port: int, access: Access, timeout: float) -> None:
        super().__init__(address, port, access, timeout)
        self._commands = {"get": v3.get_cmd, "next": v3.next_cmd, "bulk": v3.bulk_cmd}
        self._user = v3.UsmUserData(
            access.user,
            access.authentication_key or None,
            access.privacy_key or None,
            authProtocol=AUTHENTICATION[access.authentication] if access.authentication else v3.USM_AUTH_NONE,
            privProtocol=PRIVACY[access.privacy] if access.privacy else v3.USM_PRIV_NONE,
        )
        self._engine: Any = self._begun()
        self._told = False

    async def send(self, command: Any, wanted: list[Any], given: Sequence[int]) -> Any:
        """See `PysnmpExchange.send`."""
        if self._engine is None:
            self._engine = self._begun()
        if self._transport is None:
            self._transport = await self.opened(v3.UdpTransportTarget, v3.Udp6TransportTarget)
        context, self._told = v3.ContextData(), False
        answer = await command(self._engine, self._user, self._transport, context, *given, *wanted, lookupMib=False)
        if isinstance(answer[0], _STALE):
            self.close()
            if self._told:
                hint = "is the privacy key right?"
                raise Locked(f"{self.peer} answers, but not to user `{self._user.userName}`: {hint}")
        return answer

    def _begun(self) -> Any:
        """An engine of our own, made before anything is timed: it reads a hundred files."""
        engine = v3.SnmpEngine()
        engine.observer.register_observer(self._heard, "rfc3414.processIncomingMsg")
        return engine

    def _heard(self, *_: Any) -> None:
        """The engine said something during this request: who it is, at least."""
        self._told = True

    def close(self) -> None:
        """See `Exchange.close`."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = self._transport = None
