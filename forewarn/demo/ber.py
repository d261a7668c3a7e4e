"""The few octets of BER (X.690) that an SNMP v1 and v2c responder needs, and recordings in text form.

A recording has one object a line, `oid|type|value`, with the type as its ASN.1 tag number (2 INTEGER, 4 OCTET STRING,
4x the same in hexadecimal, 5 NULL, 6 OBJECT IDENTIFIER, 64 IpAddress, 65 Counter32, 66 Gauge32, 67 TimeTicks,
70 Counter64); lines that begin with # are comments.

Errors:
    ValueError   octets that are no SNMP message, or a line that is no object
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
ADDRESS, COUNTER32, GAUGE32, TIMETICKS, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB = b"\x80\x00", b"\x81\x00", b"\x82\x00"
GET, GETNEXT, RESPONSE, SET, GETBULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5

_UNSIGNED = (COUNTER32, GAUGE32, TIMETICKS, COUNTER64)


class Request(NamedTuple):
    """One decoded request; `first` and `second` are error-status/index, or non-repeaters/max-repetitions."""

    community: bytes
    pdu: int
    number: int
    first: int
    second: int
    oids: list[bytes]
    """Each OID as its content octets."""
    version: int = 1
    """0 for SNMP v1, 1 for v2c (RFC 1901)."""


def tlv(tag: int, body: bytes) -> bytes:
    """One value with its tag and length."""
    size = len(body)
    if size < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(number: int, tag: int = INTEGER) -> bytes:
    """A whole number in the fewest octets, two's complement."""
    return tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


@lru_cache(65536)
def oid(text: str) -> bytes:
    """The content octets of a dotted OID."""
    arcs = [int(arc) for arc in text.strip(".").split(".")]
    octets = bytearray()
    for arc in [arcs[0] * 40 + arcs[1], *arcs[2:]]:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        octets.extend(reversed(groups))
    return bytes(octets)


def arcs(content: bytes) -> tuple[int, ...]:
    """The numbers of an OID, from its content octets; they sort as SNMP sorts objects."""
    found: list[int] = []
    arc = 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if octet < 0x80:  # noqa: PLR2004 - X.690 8.19.2
            found.append(arc)
            arc = 0
    if not found:
        raise ValueError("an OID without arcs")
    return (min(found[0] // 40, 2), found[0] - 40 * min(found[0] // 40, 2), *found[1:])


def value(tag: int, content: int | str | bytes) -> bytes:
    """A value with its tag, from what a person would write."""
    if tag == INTEGER or tag in _UNSIGNED:
        return integer(int(content), tag)
    if tag == NULL:
        return b"\x05\x00"
    if tag == OID:
        return tlv(tag, oid(str(content)))
    if tag == ADDRESS:
        return tlv(tag, ipaddress.IPv4Address(content).packed)
    return tlv(tag, content if isinstance(content, bytes) else str(content).encode())


def recorded(text: str) -> dict[str, bytes]:
    """Reads a recording.

    Returns:
        OID without leading dot → the value's octets with tag and length.

    Raises:
        ValueError: with the number of the line.
    """
    objects: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, kind, content = line.split("|", 2)
            raw = bytes.fromhex(content) if kind.endswith("x") else content
            objects[name.strip(".")] = value(int(kind.rstrip("x")), raw)
        except ValueError as wrong:
            raise ValueError(f"line {number} is no `oid|type|value`: {wrong}") from wrong
    return objects


def request(datagram: bytes) -> Request:
    """Reads an SNMP v1 or v2c request.

    Raises:
        ValueError: it is none.
    """
    try:
        _, message, _ = _read(datagram, 0)
        tag, version, at = _read(message, 0)
        if tag != INTEGER or version not in (b"\x00", b"\x01"):
            raise ValueError("neither version 1 nor 2c")
        _, community, at = _read(message, at)
        pdu, body, _ = _read(message, at)
        _, number, at = _read(body, 0)
        _, first, at = _read(body, at)
        _, second, at = _read(body, at)
        _, binds, _ = _read(body, at)
    except IndexError as wrong:
        raise ValueError("cut short") from wrong
    return Request(community, pdu, _signed(number), _signed(first), _signed(second), _names(binds), version[0])


def response(to: Request, binds: bytes, *, number: int | None = None, error: int = 0, index: int = 0) -> bytes:
    """The octets that answer a request; `binds` are joined varbinds."""
    body = integer(to.number if number is None else number) + integer(error) + integer(index) + tlv(SEQUENCE, binds)
    return tlv(SEQUENCE, integer(to.version) + tlv(OCTETS, to.community) + tlv(RESPONSE, body))


def bind(name: bytes, content: bytes) -> bytes:
    """One varbind, from the OID's content octets and the value's octets with tag and length."""
    return tlv(SEQUENCE, tlv(OID, name) + content)


def _read(octets: bytes, at: int) -> tuple[int, bytes, int]:
    tag, size = octets[at], octets[at + 1]
    at += 2
    if size & 0x80:
        more = size & 0x7F
        size = int.from_bytes(octets[at : at + more], "big")
        at += more
    if at + size > len(octets):
        raise ValueError("cut short")
    return tag, octets[at : at + size], at + size


def _names(binds: bytes) -> list[bytes]:
    names: list[bytes] = []
    at = 0
    while at < len(binds):
        _, body, at = _read(binds, at)
        names.append(_read(body, 0)[1])
    return names


def _signed(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)
