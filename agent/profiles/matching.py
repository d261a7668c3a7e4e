"""Which profile a device is polled by, and why.

A device is asked at once for every object that profiles want to see, then for the tables that still decide, one
request each. The highest priority that fits wins; of equal ones the longer sysObjectID, then a profile before what it
extends, then the name. Hikvision's cameras show no sysObjectID at all, so that profiles may ask for any object.

Errors: those of `agent.snmp.session`, when the device does not answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from agent.profiles import instances
from agent.profiles.conversion import mac, words, written
from agent.profiles.language import Condition, Match, Profile
from agent.snmp.session import Runaway, Session, Value

DESCRIPTION, OBJECT_ID, UPTIME, NAME, LOCATION = (f"1.3.6.1.2.1.1.{arc}.0" for arc in (1, 2, 3, 5, 6))
"""The system group of SNMPv2-MIB (RFC 3418)."""

Known = Mapping[str, Value]
_LONGEST = 256
_FEW = 8
"""A stack has so many chassis; the first that shows something counts."""


class Fit(NamedTuple):
    """A profile and what the device showed."""

    profile: Profile
    why: str


class Judged(NamedTuple):
    """Whether something holds, in words; `asks` is the subtree that would tell when `holds` is None."""

    holds: bool | None
    why: str
    asks: str = ""


@dataclass(slots=True)
class Shown:
    """What a device has shown of itself so far."""

    known: dict[str, Value]
    """Objects; one that was asked for and is not here is not there."""
    seen: dict[str, bool] = field(default_factory=dict)
    """Subtree → whether there is any object under it; one that is not here was not asked for."""


def questions(profiles: Iterable[Profile]) -> list[str]:
    """The objects that tell which profile fits."""
    probes = {
        str(condition.innermost().probe)
        for profile in profiles
        if profile.match
        for condition in profile.match.conditions()
        if condition.innermost().probe is not None
    }
    return [DESCRIPTION, OBJECT_ID, UPTIME, NAME, LOCATION, *sorted(probes)]


async def find(profiles: Iterable[Profile], session: Session) -> tuple[Fit | None, Shown]:
    """The profile for a device, and what the device showed; None when none fits.

    Raises:
        SnmpError: the device did not answer.
    """
    found = list(profiles)
    shown = Shown(await session.get_many(questions(found)))
    while True:
        answer = best(found, shown)
        if not isinstance(answer, str):
            return answer, shown
        shown.seen[answer] = await session.has(answer)


def best(profiles: Iterable[Profile], shown: Shown) -> Fit | str | None:
    """The profile that fits what a device showed; the subtree to ask for first when that decides; None for none."""
    for _, level in groupby(sorted(profiles, key=_priority), key=_priority):
        fitting: list[tuple[Profile, str]] = []
        for profile in level:
            judged = judge(profile, shown)
            if judged.holds is None:
                return judged.asks
            if judged.holds:
                fitting.append((profile, judged.why))
        if fitting:
            profile, why = min(fitting, key=lambda one: _rank(one[0], shown))
            return Fit(profile, why)
    return None


async def considered(profiles: Iterable[Profile], session: Session, shown: Shown) -> list[tuple[Profile, Judged]]:
    """Every profile with why it fits or not, in the order in which they are tried; asks for all that decides.

    Raises:
        SnmpError: the device did not answer.
    """
    found = []
    for profile in sorted(profiles, key=lambda each: (_priority(each), _rank(each, shown))):
        judged = judge(profile, shown)
        while judged.holds is None:
            shown.seen[judged.asks] = await session.has(judged.asks)
            judged = judge(profile, shown)
        found.append((profile, judged))
    return found


def judge(profile: Profile, shown: Shown) -> Judged:
    """Whether a profile is for the device that showed this, and why."""
    if profile.match is None:
        return Judged(False, "has no `match`: used only where the settings name it")
    every = [_judged(condition, shown) for condition in profile.match.all]
    for holds in (False, None):
        decided = next((one for one in every if one.holds is holds), None)
        if decided is not None:
            return decided
    if profile.match.any:
        one = _any(profile.match, shown)
        if not one.holds:
            return one
        every.append(one)
    return Judged(True, ", ".join(one.why for one in every) or "fits every device")


def _any(match: Match, shown: Shown) -> Judged:
    every = [_judged(condition, shown) for condition in match.any]
    for holds in (True, None):
        decided = next((one for one in every if one.holds is holds), None)
        if decided is not None:
            return decided
    return Judged(False, ", ".join(one.why for one in every))


def _judged(condition: Condition, shown: Shown) -> Judged:
    if condition.unless is not None:
        inner = _judged(condition.unless, shown)
        return inner if inner.holds is None else Judged(not inner.holds, inner.why)
    if condition.sysobjectid is not None:
        return _object_id(str(condition.sysobjectid), shown.known)
    if condition.sysdescr is not None:
        found = re.search(condition.sysdescr, written(shown.known.get(DESCRIPTION, b""))) is not None
        return Judged(found, f"sysDescr {'has' if found else 'has no'} `{condition.sysdescr}`")
    if condition.exists is not None:
        subtree = str(condition.exists)
        there = shown.seen.get(subtree)
        if there is None:
            return Judged(None, f"{subtree} not asked for", subtree)
        return Judged(there, f"{subtree} has rows" if there else f"nothing under {subtree}")
    return _probe(str(condition.probe), condition.matches, shown.known)


def _probe(probe: str, pattern: str | None, known: Known) -> Judged:
    # Never with what it shows: that may change by the minute, and the inventory with it.
    value = known.get(probe)
    if value is None:
        return Judged(False, f"no {probe}")
    if pattern is None:
        return Judged(True, f"{probe} exists")
    found = re.search(pattern, written(value)) is not None
    return Judged(found, f"{probe} {'has' if found else 'has no'} `{pattern}`")


def _object_id(wanted: str, known: Known) -> Judged:
    shown = _shown_id(known)
    if _under(wanted, shown):
        return Judged(True, f"sysObjectID is `{shown}`")
    return Judged(False, f"sysObjectID is `{shown}`, not `{wanted}`")


def _shown_id(known: Known) -> str:
    """The sysObjectID; some devices say zeroDotZero (RFC 2578) for none."""
    shown = written(known.get(OBJECT_ID, ""))
    return "" if shown == "0.0" else shown


def _under(wanted: str, shown: str) -> bool:
    prefix = wanted.removesuffix("*").rstrip(".")
    return shown == prefix or (wanted.endswith("*") and shown.startswith(prefix + "."))


def _priority(profile: Profile) -> int:
    return -profile.match.priority if profile.match else 1 << 30


def _rank(profile: Profile, shown: Shown) -> tuple[int, int, str]:
    """Less comes first among profiles of one priority that fit."""
    lengths = [_length(condition, shown) for condition in (profile.match.conditions() if profile.match else ())]
    return -max(lengths, default=0), -len(profile.extended), str(profile.id)


def _length(condition: Condition, shown: Shown) -> int:
    """How much of the sysObjectID a condition has asked for; all of it counts for more than a beginning."""
    wanted = condition.sysobjectid
    if not wanted or not _under(wanted, _shown_id(shown.known)):
        return 0
    return 2 * wanted.removesuffix("*").rstrip(".").count(".") + (not wanted.endswith("*"))


async def shown_texts(profile: Profile, session: Session) -> dict[str, Value]:
    """What a device shows of the texts of its inventory, by `Text.key`.

    Raises:
        SnmpError: the device did not answer.
    """
    texts = {link.key: link for text in profile.inventory.values() for link in text.chain() if link.oid}
    plain = [str(text.oid) for text in texts.values() if text.where is None]
    found = await session.get_many(list(dict.fromkeys(plain)))
    columns: dict[str, dict[str, Value]] = {}
    for key, text in texts.items():
        if text.where is None:
            continue
        column = str(text.where.oid)
        if column not in columns:
            columns[column] = await _rows(session, column)
        known = {f"{column}.{row}": value for row, value in columns[column].items()}
        kept = [row for row in columns[column] if instances.kept(text.where, row, known)][:_FEW]
        shown = await session.get_many([f"{text.oid}.{row}" for row in kept])
        said = next((value for value in shown.values() if words(value)), None)
        if said is not None:
            found[key] = said
    return found


async def _rows(session: Session, column: str) -> dict[str, Value]:
    """The rows of a column; none of one without an end."""
    try:
        return await session.rows(column)
    except Runaway:
        return {}


def inventory(fit: Fit, known: Known, found: Known) -> dict[str, str]:
    """The texts of a device, none empty.

    Args:
        fit: how it is polled.
        known: what it answered to `questions`.
        found: its `shown_texts`.
    """
    texts = {"name": known.get(NAME), "description": known.get(DESCRIPTION), "location": known.get(LOCATION)}
    shown = {name: words(value) for name, value in texts.items() if value is not None}
    for name, text in fit.profile.inventory.items():
        shows = mac if name == "mac" else words
        for link in text.chain():
            value = shows(found[link.key]) if link.key in found else link.text or ""
            if link.find is not None:
                part = re.search(link.find, value)
                value = (part[1] or "") if part else ""
            if value:
                break
        shown[str(name)] = value
    shown |= {"kind": str(fit.profile.kind), "profile": str(fit.profile.id), "matched": fit.why}
    return {name: text[:_LONGEST] for name, text in shown.items() if text}
