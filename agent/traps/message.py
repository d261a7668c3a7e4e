"""Traps and informs of SNMP v1 and v2c, read and answered; v1 in the form of v2 (RFC 3584 section 3.1).

Errors:
    Unread   it is not taken: `why` is the reason
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import univ
from pysnmp.error import PySnmpError
from pysnmp.proto import api, rfc1902, rfc1905
from pysnmp.proto.api import v1, v2c, verdec
from pysnmp.proto.proxy import rfc2576

from agent.profiles.conversion import words
from agent.traps.gate import Why

MOST_OBJECTS = 256
KEPT_OBJECTS = 32
LONGEST_TEXT = 256
"""Objects a notice may have, those of them that are kept, and the characters kept of each."""
UPTIME = "1.3.6.1.2.1.1.3.0"
TRAP = "1.3.6.1.6.3.1.1.4.1.0"
COMMUNITY = "1.3.6.1.6.3.18.1.4.0"
"""snmpTrapCommunity, by which a v1 trap that was passed on tells its community: a secret, never kept."""
VERSION_3 = 3
MALFORMED = (
    PyAsn1Error,
    PySnmpError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What pysnmp and pyasn1 are seen to raise on octets that are no SNMP."""


class Unread(Exception):
    """A datagram that is not taken."""

    def __init__(self, why: Why) -> None:
        super().__init__(str(why))
        self.why = why


class Heard(NamedTuple):
    """A notification; see `pipe.Notice`. `respond` answers an inform, None for a trap."""

    version: str
    trap: str
    binds: list[tuple[str, str]]
    more: int
    respond: Callable[[], None] | None


def version_of(octets: bytes) -> int:
    """The number in front: 0 is v1, 1 is v2c, 3 is v3.

    Raises:
        Unread: there is none.
    """
    try:
        return int(verdec.decode_message_version(octets))
    except MALFORMED as wrong:
        raise Unread(Why.MALFORMED) from wrong


def read(octets: bytes, communities: Collection[bytes], send: Callable[[bytes], None]) -> Heard:
    """Reads a message that carries a community; `send` is for the answer to an inform.

    Raises:
        Unread: no notification, or with a community that is none of those.
    """
    version = version_of(octets)
    if version not in api.PROTOCOL_MODULES:
        raise Unread(Why.MALFORMED)
    module: Any = api.PROTOCOL_MODULES[version]
    try:
        message, _ = decoder.decode(octets, asn1Spec=module.Message())
        given = bytes(module.apiMessage.get_community(message))
        pdu = module.apiMessage.get_pdu(message)
        known = any(hmac.compare_digest(given, each) for each in communities)
        found = _notification(module, message, pdu, send) if known else None
    except MALFORMED as wrong:
        raise Unread(Why.MALFORMED) from wrong
    if found is None:
        raise Unread(Why.COMMUNITY)
    return found


def _notification(module: Any, message: Any, pdu: Any, send: Callable[[bytes], None]) -> Heard:
    if module is v1:
        if pdu.tagSet != v1.TrapPDU.tagSet:
            raise Unread(Why.MALFORMED)
        return heard("1", v2c.apiPDU.get_varbinds(rfc2576.v1_to_v2(pdu)), None)
    respond = None
    if pdu.tagSet == v2c.InformRequestPDU.tagSet:

        def respond() -> None:
            answer = module.apiMessage.get_response(message)
            module.apiPDU.set_varbinds(module.apiMessage.get_pdu(answer), module.apiPDU.get_varbinds(pdu))
            send(encoder.encode(answer))

    elif pdu.tagSet != v2c.SNMPv2TrapPDU.tagSet:
        raise Unread(Why.MALFORMED)
    return heard("2c", module.apiPDU.get_varbinds(pdu), respond)


def heard(version: str, given: Sequence[tuple[Any, Any]], respond: Callable[[], None] | None) -> Heard:
    """A notification from its objects, in the form of v2.

    Raises:
        Unread: too many objects, or none that says which trap it is.
    """
    if len(given) > MOST_OBJECTS:
        raise Unread(Why.TOO_LONG)
    named = [(str(oid), value) for oid, value in given]
    first = dict(reversed(named))
    if TRAP not in first:
        raise Unread(Why.MALFORMED)
    rest = [(oid, value) for oid, value in named if oid not in (UPTIME, TRAP, COMMUNITY)]
    binds = [(oid, said(value)) for oid, value in rest[:KEPT_OBJECTS]]
    return Heard(version, str(first[TRAP]), binds, len(rest) - len(binds), respond)


def said(value: Any) -> str:
    """A value as text, see `agent.profiles.conversion.words`; what is not there is ""."""
    if isinstance(value, rfc1905.NoSuchObject | rfc1905.NoSuchInstance | rfc1905.EndOfMibView | univ.Null):
        return ""
    if isinstance(value, rfc1902.IpAddress):
        return str(value.prettyPrint())
    if isinstance(value, univ.OctetString):
        return words(bytes(value)[: 4 * LONGEST_TEXT])[:LONGEST_TEXT]
    return str(value)[:LONGEST_TEXT]
