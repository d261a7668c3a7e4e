"""What happened to a device, as a card of its page: replaced, other firmware, no SNMP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.console.labels import inventory_label
from collector.console.listing import Cell, Column, listed
from collector.console.visit import Visit
from collector.console.words import Say

_SAID = {"device replaced": "event_replaced", "firmware changed": "event_firmware", "no SNMP": "event_no_snmp"}
"""The agent's words for an event → ours."""


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
    word = _SAID.get(text.get("event", ""))
    what = text.get("what", "")
    named = say("event_engine") if what == "engine" else inventory_label(what, say)
    values = {name: text[name] for name in ("before", "after", "why") if name in text}
    try:
        return say(word, what=named, **values) if word else " · ".join(text.values())
    except KeyError:
        return " · ".join(text.values())
