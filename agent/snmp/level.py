"""Whether an SNMP v3 message is as secure as the request it answers (RFC 3412 section 7.2, RFC 3414).

gufo-snmp takes a message without authentication or privacy for the answer to a request with both, so that whoever is
on the way could invent values. Only reports may be less secure: an engine that does not know us says so in the clear.
Whether the digest of a message that bears one is right, `agent.snmp.authenticity` says.

Errors:
    ValueError   it is no SNMP v3 message
"""

from __future__ import annotations

AUTHENTICATED, ENCRYPTED = 1, 2
"""Bits of msgFlags."""
_LEVEL = AUTHENTICATED | ENCRYPTED
_REPORT = 0xA8


def borne(message: bytes) -> int:
    """The msgFlags of a message.

    Raises:
        ValueError: see above.
    """
    try:
        return message[_flags(message)]
    except IndexError:
        raise ValueError("no SNMP v3 message") from None


def below(message: bytes, wanted: int) -> bool:
    """Whether a message is less secure than was asked for, and no report.

    Args:
        message: the whole datagram.
        wanted: bits of msgFlags.

    Raises:
        ValueError: see above.
    """
    flags = borne(message)
    if not wanted & _LEVEL & ~flags:
        return False
    if flags & ENCRYPTED:
        return True
    try:
        scoped, _ = opened(message, passed(message, secured(message)))
        return message[passed(message, passed(message, scoped))] != _REPORT
    except IndexError:
        raise ValueError("no SNMP v3 message") from None


def secured(message: bytes) -> int:
    """Where msgSecurityParameters stands.

    Raises:
        IndexError: the message ends before.
    """
    at, _ = opened(message, 0)
    return passed(message, passed(message, at))  # Behind msgVersion and msgGlobalData.


def opened(message: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at `at` begin and end (BER, definite lengths).

    Raises:
        IndexError: the message ends before.
    """
    length, begin = message[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(message[at + 2 : begin], "big")
    return begin, begin + length


def passed(message: bytes, at: int) -> int:
    """Where the element behind the one at `at` stands.

    Raises:
        IndexError: the message ends before.
    """
    return opened(message, at)[1]


def _flags(message: bytes) -> int:
    at, _ = opened(message, 0)
    at, _ = opened(message, passed(message, at))  # Into msgGlobalData, behind msgVersion.
    begin, end = opened(message, passed(message, passed(message, at)))
    if end != begin + 1:
        raise IndexError
    return begin
