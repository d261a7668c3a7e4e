"""Sees when two devices answer with one SNMP engine id, and says so once.

An engine id is to be unique (RFC 3411 section 5); machines set up from one image, and some makers' whole series, share
one. Then SNMP v3 takes the clock and the keys of one for those of the other, and answers fail in turn for no visible reason.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.devices.remembered import Remembered
from agent.devices.visited import Visited
from agent.reading import Happening

SHARED = "shared SNMP engine"


class Engines:
    """The engines of a site.

    Args:
        devices: what is remembered of each, by name; which engine it showed and what was told of it is kept there.
    """

    def __init__(self, devices: Mapping[str, Remembered]) -> None:
        self._devices = devices
        self._seen: dict[str, str] = {}

    def told(self, contact: Visited, now: int) -> list[Happening]:
        """The event that names two devices, when the one that was just polled (at `now`) shares another's engine."""
        name = str(contact.target.name)
        known = self._devices.get(name)
        if known is None or not known.engine or self._seen.get(name) == known.engine:
            return []
        self._seen[name] = known.engine
        same = [other for other, each in self._devices.items() if other != name and each.engine == known.engine]
        if not same:
            known.double = ""
            return []
        if known.double in same or any(self._devices[other].double == name for other in same):
            return []
        known.double = same[0]
        text = {"event": SHARED, "engine": known.engine, "device": name, "other": same[0]}
        return [Happening(now, name, "event", contact.shape, text, contact.target.address)]
