"""What happened to a device, as a card of its page: replaced, other firmware, no SNMP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.console.labels import inventory_label
from collector.console.listing import Cell, Column, listed
from collector.console.visit import Visit
from collector.console.words import Say

_SAID = {
    "device replaced": "event_replaced",
    "firmware changed": "event_firmware",
    "no SNMP": "event_no_snmp",
    "shared SNMP engine": "event_engine_shared",
    "device nobody watches": "event_unwatched",
    "more devices nobody watches": "event_more_unwatched",
}
"""The agent's words for an event → ours."""
_HEAD = frozenset(("event", "zh", "severity", "instance", "repeated"))
"""What stands in front of a trap's sentence, or nowhere."""


def card_of(visit: Visit, device: str, rows: Sequence[Any]) -> None:
    """The events of a device, the newest first; nothing where nothing happened."""
    if not rows:
        return
    say = visit.say
    columns = [Column("time", say("time"), "time"), Column("event", say("event_what"), "long")]
    shown = [
        {"time": Cell(visit.ago(row["t"]), row["t"], saved=visit.at(row["t"])), "event": Cell(told(row["text"], say))}
        for row in rows
    ]
    listed(visit, say("events"), columns, shown, f"events-{device}")


def told(text: Mapping[str, str], say: Say) -> str:
    """An event in a sentence; one of a newer agent in its own words."""
    if "trap" in text or text.get("event") == "traps dropped":
        return trap(text, say)
    word = _SAID.get(text.get("event", ""))
    what = text.get("what", "")
    named = say("event_engine") if what == "engine" else inventory_label(what, say)
    values = {name: text[name] for name in ("before", "after", "why", "other", "engine") if name in text}
    values |= {name: text[name] for name in ("address", "answers", "count") if name in text}
    values["maker"] = text.get("maker") or say("maker_unknown")
    try:
        return say(word, what=named, **values) if word else " · ".join(text.values())
    except KeyError:
        return " · ".join(text.values())


def trap(text: Mapping[str, str], say: Say) -> str:
    """What a device reported by itself: what, where, and the rest of what it said, by name."""
    known = text.get("zh") if say.language == "zh" else None
    head = known or (say("event_unknown_trap") if text.get("event") == "unknown trap" else text.get("event", ""))
    where = f" {text['instance']}" if text.get("instance") else ""
    rest = [f"{name} {value}" for name, value in text.items() if name not in _HEAD and value != text.get("instance")]
    again = [say("event_repeated", count=text["repeated"])] if text.get("repeated") else []
    return " · ".join([f"{head}{where}", *again, *rest])
