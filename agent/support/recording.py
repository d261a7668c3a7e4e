"""Records a device for support: what its profile reads, with nothing that tells whose it is, and the record it makes.

A recording has one object a line, `oid|type|value`, as simulators of SNMP read it; the type is the ASN.1 tag (2 INTEGER,
4 OCTET STRING, 4x the same in hexadecimal, 6 OBJECT IDENTIFIER, 64 IpAddress, 65 Counter32, 66 Gauge32, 67 TimeTicks,
70 Counter64). SNMP libraries give numbers without their tags, so that those of counters and times are what the profile
says, and others follow from their size.

Errors: those of `agent.snmp.session`, when the device does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.polling.contact import Contact, OpenSession
from agent.polling.meeting import recognised
from agent.profiles import matching
from agent.profiles.language import Profile
from agent.reading import Clock, Happening, Reading
from agent.settings.target import Target
from agent.snmp.played import PlayedExchange, TapedExchange
from agent.snmp.requester import Requester
from agent.snmp.session import Exchange, Runaway, Session, SnmpError, Value
from agent.support.anonymous import Disguise

Opener = Callable[[Callable[[Exchange], Exchange]], OpenSession]
SUBTREES = ("1.3.6.1.2.1.1", *(f"1.3.6.1.2.1.47.1.1.1.1.{column}" for column in (2, 5, 7, 8, 9, 10, 11, 12, 13)))
"""Beside what the profile reads: the system group, and what the device is made of (ENTITY-MIB)."""
_UPTIMES = ("1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.8.0", "1.3.6.1.2.1.1.9.1.4.", "1.3.6.1.2.1.25.1.1.0")
_INTEGERS, _GAUGES = range(-(2**31), 2**31), range(2**32)


class Recording(NamedTuple):
    """A device as it was, without what tells whose it is."""

    lines: list[str]
    """The recording, comments first."""
    items: list[Reading | Happening]
    """What its profile makes of the recording."""
    replaced: Mapping[str, int]
    """Kind of text → how many different ones were replaced."""
    missing: list[str]
    """Subtrees that could not be walked."""


async def record(target: Target, profiles: Mapping[str, Profile], *, opener: Opener, clock: Clock) -> Recording:
    """Polls a device once and records it. The caller has asked for consent.

    Args:
        target: the device.
        profiles: by id.
        opener: makes a function that opens sessions over an Exchange that the given one has wrapped.
        clock: as of `Contact`.

    Raises:
        SnmpError: it does not answer as it is asked, with its own words.
    """
    tape: dict[str, Value] = {}
    open_session = opener(lambda inner: TapedExchange(inner, tape))
    session = open_session(target)
    try:
        fit, _ = await recognised(session, profiles, target.profile)
        missing = [subtree for subtree in SUBTREES if not await _walked(session, subtree)]
    finally:
        session.close()
    await _polled(Contact(target, profiles, open_session=open_session, clock=clock))
    disguise = Disguise(fit.profile)
    objects = disguise.replaced(tape)
    played = Target(name="recorded", address="192.0.2.1", profile=str(fit.profile.id))
    items = await _polled(
        Contact(played, profiles, open_session=lambda _: Requester(PlayedExchange(objects)), clock=clock)
    )
    lines = [*_head(fit, disguise, missing), *_lines(objects, fit.profile)]
    return Recording(lines, items, disguise.counts, missing)


async def _walked(session: Session, subtree: str) -> bool:
    try:
        await session.rows(subtree)
    except Runaway:
        return False
    return True


async def _polled(contact: Contact) -> list[Reading | Happening]:
    try:
        items = await contact.poll()
    finally:
        contact.close()
    for item in items:
        if isinstance(item, Reading) and not item.ok:
            raise SnmpError(item.why)
    return items


def _head(fit: matching.Fit, disguise: Disguise, missing: Iterable[str]) -> list[str]:
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(disguise.counts.items())) or "nothing"
    lines = [f"# Recorded by forewarn as {fit.profile.id} ({fit.why}).", f"# Replaced by stand-ins: {said}."]
    lines.append("# Kinds of numbers are those of the profile, else by their size.")
    return lines + [f"# Not walked, it has no end: {subtree}" for subtree in missing]


def _lines(objects: Mapping[str, Value], profile: Profile) -> list[str]:
    kinds = {str(link.oid): link.type for group in profile.groups() for link in group.links() if link.oid}
    order = sorted(objects, key=lambda oid: tuple(map(int, oid.split("."))))
    return [f"{oid}|{_written(oid, objects[oid], kinds)}" for oid in order]


def _written(oid: str, value: Value, kinds: Mapping[str, str | None]) -> str:
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        plain = value.isascii() and text.isprintable()
        return f"4|{text}" if plain else f"4x|{value.hex()}"
    if isinstance(value, str):
        return f"64|{value}" if value.count(".") == 3 else f"6|{value}"  # noqa: PLR2004 - four octets
    if isinstance(value, float):
        return f"4|{value}"
    if oid.startswith(_UPTIMES):
        return f"67|{value}"
    kind = next((kinds[column] for column in _columns(oid) if column in kinds), None)
    tags = {"counter32": 65, "counter64": 70, "timeticks": 67}
    by_size = 2 if value in _INTEGERS else 66 if value in _GAUGES else 70
    return f"{tags.get(str(kind), by_size)}|{value}"


def _columns(oid: str) -> Iterable[str]:
    """The object itself and everything it may lie under."""
    while oid:
        yield oid
        oid = oid.rpartition(".")[0]
