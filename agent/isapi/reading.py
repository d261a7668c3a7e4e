"""Values out of an answer of ISAPI, as its mapping says. What does not fit is null, never 0."""

from __future__ import annotations

import contextlib
import math
from xml.etree.ElementTree import Element

from agent.isapi.mapping import Group, Texts, Value
from agent.profiles.clockface import moment
from forewarn.vocabulary import DeviceKind, Status

Row = dict[str, float | None]
MOST_ROWS = 512
_LONGEST = 256


def rows(group: Group, root: Element, now: float) -> dict[str, Row]:
    """Instance → field → value of one answer; `now` in Unix seconds is what clocks are held against."""
    if group.rows is None or group.instance is None:
        return {"": _row(group, root, now)}
    found: dict[str, Row] = {}
    for element in root.iterfind(group.rows):
        name = text(element, group.instance)
        if name and len(found) < MOST_ROWS:
            found.setdefault(name, _row(group, element, now))
    return found


def told(inventory: Texts, root: Element) -> tuple[dict[str, str], DeviceKind | None]:
    """What a device tells of itself, none empty, and what it is."""
    found = {str(name): text(root, path) for name, path in inventory.texts.items()}
    fixed = {str(name): words for name, words in inventory.fixed.items()}
    kinds = {name.casefold(): kind for name, kind in inventory.kinds.items()}
    kind = kinds.get("".join(text(root, inventory.kind).casefold().split()))
    return {name: words for name, words in (fixed | found).items() if words}, kind


def text(element: Element, path: str) -> str:
    """The text at a path; "" where there is none."""
    there = element.find(path)
    return (there.text or "").strip()[:_LONGEST] if there is not None else ""


def _row(group: Group, element: Element, now: float) -> Row:
    return {str(name): _value(value, element, now) for name, value in group.fields.items()}


def _value(value: Value, element: Element, now: float) -> float | None:
    shown = next((words for path in value.elements if (words := text(element, path))), "")
    if not shown or shown in value.no:
        return None
    if value.states:
        states = {name.casefold(): meaning for name, meaning in value.states.items()}
        return float(Status[states.get(shown.casefold(), "unknown").upper()])
    if value.numbers:
        return {name.casefold(): number for name, number in value.numbers.items()}.get(shown.casefold())
    if value.clock:
        at = moment(shown.encode())
        return at - now if at is not None else None
    plain = _number(shown)
    if plain is not None and value.share_of is not None:
        other = _number(text(element, value.share_of))
        return (
            100 * plain / (plain + other) if other is not None and plain >= 0 and plain + other > 0 <= other else None
        )
    return _ranged(plain * value.scale, value.range) if plain is not None else None


def _number(shown: str) -> float | None:
    with contextlib.suppress(ValueError):
        found = float(shown)
        return found if math.isfinite(found) else None
    return None


def _ranged(found: float, bounds: tuple[float, float] | None) -> float | None:
    return found if bounds is None or bounds[0] <= found <= bounds[1] else None
