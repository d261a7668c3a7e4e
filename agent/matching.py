"""Which profile a device is polled by, and why.

A device is asked once for what all profiles want to see; the highest priority that fits wins. Hikvision's cameras show
no sysObjectID at all, so that profiles may ask for any object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.conversion import mac, words, written
from agent.profile import Condition, Profile
from agent.snmp.session import Value

DESCRIPTION, OBJECT_ID, UPTIME, NAME, LOCATION = (f"1.3.6.1.2.1.1.{arc}.0" for arc in (1, 2, 3, 5, 6))
"""The system group of SNMPv2-MIB (RFC 3418)."""

Known = Mapping[str, Value]


class Fit(NamedTuple):
    """A profile and what the device showed."""

    profile: Profile
    why: str


def questions(profiles: Iterable[Profile]) -> list[str]:
    """The objects that tell which profile fits."""
    probes = {
        str(condition.probe)
        for profile in profiles
        if profile.match
        for condition in profile.match.conditions()
        if condition.probe is not None
    }
    return [DESCRIPTION, OBJECT_ID, UPTIME, NAME, LOCATION, *sorted(probes)]


def best(profiles: Iterable[Profile], known: Known) -> Fit | None:
    """The profile of the highest priority that fits what a device showed; None when none does."""
    found = [profile for profile in profiles if profile.match]
    for profile in sorted(found, key=lambda profile: (-profile.match.priority if profile.match else 0, profile.id)):
        why = fits(profile, known)
        if why is not None:
            return Fit(profile, why)
    return None


def fits(profile: Profile, known: Known) -> str | None:
    """Why a profile is for the device that showed this, None when it is not."""
    if profile.match is None:
        return None
    shown = [_shown(condition, known) for condition in profile.match.all]
    if None in shown:
        return None
    if profile.match.any:
        first = next((why for why in (_shown(condition, known) for condition in profile.match.any) if why), None)
        if first is None:
            return None
        shown.append(first)
    return ", ".join(filter(None, shown)) or "fits every device"


def _shown(condition: Condition, known: Known) -> str | None:
    if condition.sysobjectid is not None:
        return _object_id(str(condition.sysobjectid), known)
    if condition.sysdescr is not None:
        text = written(known.get(DESCRIPTION, b""))
        return f"sysDescr has `{condition.sysdescr}`" if re.search(condition.sysdescr, text) else None
    value = known.get(str(condition.probe))
    if value is None or (condition.matches is not None and not re.search(condition.matches, written(value))):
        return None
    # Not what it shows: that may change by the minute, and the inventory with it.
    return f"{condition.probe} has `{condition.matches}`" if condition.matches else f"{condition.probe} exists"


def _object_id(wanted: str, known: Known) -> str | None:
    shown = written(known.get(OBJECT_ID, ""))
    prefix = wanted.removesuffix("*").rstrip(".")
    under = wanted.endswith("*") and shown.startswith(prefix + ".")
    return f"sysObjectID is `{shown}`" if shown == prefix or under else None


def inventory(fit: Fit, known: Known, found: Known) -> dict[str, str]:
    """The texts of a device, none empty.

    Args:
        fit: how it is polled.
        known: what it answered to `questions`.
        found: what it answered to the objects of its profile's inventory.
    """
    texts = {"name": known.get(NAME), "description": known.get(DESCRIPTION), "location": known.get(LOCATION)}
    shown = {name: words(value) for name, value in texts.items() if value is not None}
    for name, text in fit.profile.inventory.items():
        shows = mac if name == "mac" else words
        value = shows(found[str(text.oid)]) if text.oid in found else text.text or ""
        if text.find is not None:
            part = re.search(text.find, value)
            value = part[1] if part else ""
        shown[str(name)] = value
    shown |= {"kind": str(fit.profile.kind), "profile": str(fit.profile.id), "matched": fit.why}
    return {name: text[:256] for name, text in shown.items() if text}
