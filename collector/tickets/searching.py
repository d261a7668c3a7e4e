"""Which tickets a search means, as conditions on their rows."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_

from collector.storage import tables
from collector.tickets.ticket import Search

_t = tables.ticket


def conditions(wanted: Search) -> list[Any]:
    """What a ticket's row must fulfil."""
    found: list[Any] = []
    for name in ("site", "device", "rule", "severity", "assignee"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(_t.c[name] == value)
    if wanted.states:
        found.append(_t.c.state.in_(wanted.states))
    if wanted.holds is not None:
        cleared = _t.c.recovered.is_not(None) | (_t.c.rule == "")
        found.append(~cleared if wanted.holds else cleared)
    if wanted.false_alarm is not None:
        found.append(_t.c.false_at.is_not(None) if wanted.false_alarm else _t.c.false_at.is_(None))
    if wanted.held is not None:
        found.append(_t.c.held.is_not(None) if wanted.held else _t.c.held.is_(None))
    if wanted.text:
        found.append(_says(wanted.text))
    return found


def _says(text: str) -> ColumnElement[bool]:
    # Both databases keep JSON as it was written, with everything beyond ASCII escaped.
    escaped = json.dumps(text)[1:-1]
    plain = (_t.c.device, _t.c.instance, _t.c.id)
    return or_(
        cast(_t.c.title, Text).icontains(escaped, autoescape=True),
        *(column.icontains(text, autoescape=True) for column in plain),
    )
