"""Whether an SNMP v3 message is as secure as the request it answers (RFC 3412 section 7.2, RFC 3414).

gufo-snmp takes a message without authentication or privacy for the answer to a request with both, so that whoever is
on the way could invent values. Only reports may be less secure: an engine that does not know us says so in the clear.
The digest of a message that bears one is not checked, here or there: of an answer without privacy it proves nothing.

Errors:
    ValueError   it is no SNMP v3 message
"""

from __future__ import annotations

AUTHENTICATED, ENCRYPTED = 1, 2
"""Bits of msgFlags."""
HEAD = 512
"""Octets of a message that tell."""
_LEVEL = AUTHENTICATED | ENCRYPTED
_REPORT = 0xA8


def below(head: bytes, wanted: int) -> bool:
    """Whether a message is less secure than was asked for, and no report.

    Args:
        head: the first octets of the message, `HEAD` are enough.
        wanted: bits of msgFlags.

    Raises:
        ValueError: see above.
    """
    try:
        at, _ = _opened(head, 0)
        at = _passed(head, at)  # msgVersion
        inner, after = _opened(head, at)
        flags, _ = _opened(head, _passed(head, _passed(head, inner)))
        missing = wanted & _LEVEL & ~head[flags]
        if not missing:
            return False
        scoped = _passed(head, after)
        inner, _ = _opened(head, scoped)
        return bool(head[flags] & ENCRYPTED) or head[_passed(head, _passed(head, inner))] != _REPORT
    except IndexError:
        raise ValueError("no SNMP v3 message") from None


def _opened(head: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at `at` begin and end (BER, definite lengths)."""
    length, begin = head[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(head[at + 2 : begin], "big")
    return begin, begin + length


def _passed(head: bytes, at: int) -> int:
    return _opened(head, at)[1]
