"""What SNMP answers and recorded objects mean, read a second time and simply: fuzzing holds the agent's values against it.

It knows nothing of the agent's reading of octets: X.690 (BER), RFC 3416 (PDUs) and RFC 2578 section 7.1 (types), written
out, and lenient where devices are. A value the agent tells must be among those that are possible here.
"""

from __future__ import annotations

import ipaddress
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agent.profiles.language import Column, Group, Profile

Plain = int | float | bytes | str
ABSENT = (0x05, 0x80, 0x81, 0x82)
"""NULL, noSuchObject, noSuchInstance, endOfMibView."""
UNSIGNED = (0x41, 0x42, 0x43, 0x46, 0x47)
"""Counter32, Gauge32, TimeTicks, Counter64, and the UInteger32 of old (RFC 1442)."""
_FLOATS = {b"\x9f\x78\x04": ">f", b"\x9f\x79\x08": ">d"}
"""Opaque float and double, as net-snmp writes them (draft-perkins-opaque)."""
_NUMBER = re.compile(rb"[-+]?[0-9]+(?:[.,][0-9]+)?")
_UNITS = (1.0, 1024.0, 1024.0**2, 1024.0**3, 1024.0**4, 1e-3, 1e3, 1e6, 1e9, 60.0, 3600.0, 86400.0)


class Part(NamedTuple):
    """One value: its tag and content."""

    tag: int
    content: bytes


def parts(octets: bytes) -> Iterator[Part]:
    """The values that stand one after another in some octets; ends where they are none."""
    at = 0
    while at + 2 <= len(octets):
        tag, size, begin = octets[at], octets[at + 1], at + 2
        if size & 0x80:
            more = size & 0x7F
            size, begin = int.from_bytes(octets[begin : begin + more], "big"), begin + more
        if begin + size > len(octets):
            return
        yield Part(tag, octets[begin : begin + size])
        at = begin + size


def name(content: bytes, most: int = 2) -> str:
    """An OBJECT IDENTIFIER, dotted (X.690 section 8.19).

    No first arc is above 2; gufo-snmp splits one that would be as 4.23 instead of 2.103, for which `most` is raised.
    """
    arcs: list[int] = []
    arc = 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        return ""
    first = min(arcs[0] // 40, most)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def meanings(part: Part) -> list[Plain]:  # noqa: PLR0911 - one return a type
    """What a value may mean; empty for what is not there or is no value.

    An unsigned number without its leading zero octet is meant as large as it looks: devices write it so. A number of no
    octets is 0 to both client libraries, which net-snmp refuses; one beyond its 32 or 64 bits is cut to them by gufo-snmp,
    which is what a counter means (RFC 2578 section 7.1.6) and wrong for a gauge. No device is known to send either.
    """
    tag, content = part
    if tag == 0x02:
        return [int.from_bytes(octets, "big", signed=True) for octets in (content, content[-8:])]
    if tag in UNSIGNED:
        whole = int.from_bytes(content, "big")
        return [whole, whole % 2**64] if tag == 0x46 or whole < 2**32 else [whole, whole % 2**32]
    if tag == 0x06:
        return [name(content), name(content, 6)]
    if tag == 0x40 and len(content) == 4:
        return [str(ipaddress.IPv4Address(content))]
    if tag == 0x44:
        for mark, form in _FLOATS.items():
            if content.startswith(mark) and len(content) == 3 + mark[2]:
                return [content, *struct.unpack(form, content[3:])]
        return [content]
    return [content] if tag == 0x04 else []


def answered(datagram: bytes, number: int) -> dict[str, list[Plain]]:
    """What an answer to the request of that number tells: OID → what its value may mean.

    Beside an error there should be no values (RFC 3416 section 4.2.1); those that are there nevertheless are told. Which kind
    of PDU it is does not matter: pysnmp takes any that has the number.
    """
    told: dict[str, list[Plain]] = {}
    for message in parts(datagram):
        inside = list(parts(message.content))
        pdus = [list(parts(part.content)) for part in inside[2:3]]
        for pdu in pdus:
            if len(pdu) < 4 or int.from_bytes(pdu[0].content, "big", signed=True) != number:
                continue
            for bind in parts(pdu[3].content):
                both = list(parts(bind.content))
                if len(both) == 2 and both[0].tag == 0x06:
                    for oid in {name(both[0].content), name(both[0].content, 6)}:
                        told.setdefault(oid, []).extend(meanings(both[1]))
        break
    return told


def same(one: Plain, other: Plain) -> bool:
    """Whether two values are the same, of the same type; not a number is like itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return type(one) is type(other) and one == other


class Shown(NamedTuple):
    """What a device shows in one poll: OID → what its value may mean, and when, in seconds."""

    objects: Mapping[str, list[Plain]]
    at: float


def shown(objects: Mapping[str, bytes], at: float) -> Shown:
    """The same from encoded values."""
    return Shown(
        {oid: [m for part in list(parts(coded))[:1] for m in meanings(part)] for oid, coded in objects.items()}, at
    )


def _under(oid: str, showing: Shown) -> Iterator[tuple[str, Plain]]:
    for each, values in showing.objects.items():
        if each == oid or each.startswith(f"{oid}."):
            yield from ((each, value) for value in values)


def _numbers(value: Plain, *, units: bool) -> Iterator[float]:
    """The numbers a value may be."""
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, bytes):
        found = _NUMBER.findall(value)
        if not units:
            try:
                yield float(value)
            except ValueError:
                return
        elif len(found) == 1:
            yield from (float(found[0].replace(b",", b".")) * unit for unit in _UNITS)


class Possible:
    """Which values a record may have by a profile, from what a device showed in the polls so far."""

    def __init__(self, profile: Profile, polls: list[Shown]) -> None:
        self._profile = profile
        self._polls = polls

    def allows(self, table: str, field: str, value: float) -> bool:
        """Whether a field may have this value."""
        if not math.isfinite(value):
            return False
        columns = [(group, column) for group in self._profile.groups() for column in self._of(group, table, field)]
        return any(self._from(group, link, value) for group, column in columns for link in column.chain())

    def _of(self, group: Group, table: str, field: str) -> list[Column]:
        if group.table != table:
            return []
        named = "status" if field == "status_code" else field
        found = [column for name, column in group.all_columns() if name == named]
        return (
            [Column(oid=link.oid, type="gauge") for one in found for link in one.chain()] if field != named else found
        )

    def _from(self, group: Group, link: Column, value: float) -> bool:  # noqa: PLR0911 - one return a type
        if link.value is not None:
            return self._summed(group, link)
        assert link.oid is not None
        there = [each for poll in self._polls for each in _under(str(link.oid), poll)]
        if link.take == "count":
            return 0 <= value <= len(there)
        if not there:
            return False
        if link.type in ("status", "bits", "mask", "bit_text", "flag"):
            return value in (0.0, 1.0, 2.0, 3.0)
        if link.type == "clock":
            return True
        if link.type in ("counter32", "counter64"):
            return any(_near(value, rate * link.scale) for rate in self._rates(str(link.oid)))
        return self._scaled(link, [raw for _, raw in there], value)

    def _scaled(self, link: Column, raws: Iterable[Plain], value: float) -> bool:
        low, high = link.range or (-math.inf, math.inf)
        ticks = 0.01 if link.type == "timeticks" else 1.0
        factors = [ticks * factor for factor in (link.scale, *link.alt_scale)]
        plains = [plain for raw in raws for plain in _numbers(raw, units=link.type == "text")]
        might = [plain * factor for plain in plains for factor in factors]
        if link.take in ("mean", "sum", "max", "min"):
            return bool(might) and (link.take == "sum" or _within(min(might), value, max(might)))
        return any(_near(value, each) for each in might) and low <= value <= high

    def _summed(self, group: Group, link: Column) -> bool:
        """A formula has a value only when each column it names may have one."""
        words = set(re.findall(r"[a-z_][a-z_0-9]*", str(link.value))) - {"pow10"}
        columns = dict(group.all_columns())
        return all(any(self._has(group, each) for each in columns[word].chain()) for word in words if word in columns)  # type: ignore[index]

    def _has(self, group: Group, link: Column) -> bool:
        if link.value is not None:
            return self._summed(group, link)
        return link.take == "count" or any(True for poll in self._polls for _ in _under(str(link.oid), poll))

    def _rates(self, oid: str) -> Iterator[float]:
        """Counts per second between any two polls, with one wrap of 32 bits or without."""
        for later, now in enumerate(self._polls):
            for before in self._polls[:later]:
                was = {each: value for each, value in _under(oid, before) if isinstance(value, int)}
                for each, value in _under(oid, now):
                    if isinstance(value, int) and each in was:
                        seconds = now.at - before.at
                        yield (value - was[each]) / seconds
                        yield (value - was[each] + 2**32) / seconds


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _within(low: float, value: float, high: float) -> bool:
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    return low - slack <= value <= high + slack
