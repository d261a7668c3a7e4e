"""Which device it is that answers under a name: told by its serial, else its MAC, else its SNMP engine.

Its name in the settings is what people and tickets know it by, whatever its address. When another device answers
under that name, or the same one with another firmware, an event says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.snmp.session import Value

ENGINE_ID = "1.3.6.1.6.3.10.2.1.1.0"
"""snmpEngineID (RFC 3411)."""
REPLACED, FIRMWARE = "device replaced", "firmware changed"
_BY = ("serial", "mac", "engine")
"""What tells devices apart, the surest first."""
_RANDOM = bytes.fromhex("80001f8880")
"""How an engine's id begins that net-snmp made at random, and may make anew at any start."""


def identity(inventory: Mapping[str, str], engine: Value | None) -> dict[str, str]:
    """What identifies a device, of what it told; nothing that is empty."""
    found = {word: inventory[word].strip() for word in ("serial", "mac", "firmware") if inventory.get(word, "").strip()}
    if isinstance(engine, bytes) and engine and not engine.startswith(_RANDOM):
        found["engine"] = engine.hex()
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[dict[str, str]]:
    """The events between two identities of one name: `event`, `what` tells it, `before`, `after`."""
    by = next((word for word in _BY if before.get(word) and now.get(word)), None)
    if by is not None and before[by].casefold() != now[by].casefold():
        return [{"event": REPLACED, "what": by, "before": before[by], "after": now[by]}]
    old, new = before.get("firmware"), now.get("firmware")
    if old and new and old != new:
        return [{"event": FIRMWARE, "what": "firmware", "before": old, "after": new}]
    return []


def merged(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What to remember: a device that keeps something to itself today is still who it was."""
    replaced = any(change["event"] == REPLACED for change in changes(before, now))
    return dict(now) if replaced else {**before, **now}
