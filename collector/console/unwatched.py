"""Devices that nobody watches, as a table of a site's page: what answered while the agent looked."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from collector.console.listing import Cell, Column, listed
from collector.console.visit import Visit

_TEXTS = ("address", "mac", "maker", "name", "model", "answers")
_WIDE = ("mac", "model", "name")


def table_of(visit: Visit, site: str, rows: Sequence[Any]) -> None:
    """Those of a site, the newest first; nothing where there are none."""
    if not rows:
        return
    say = visit.say
    columns = [
        Column(word, say(f"unwatched_{word}"), "long" if word == "answers" else "", wide=word in _WIDE)
        for word in _TEXTS
    ]
    columns += [
        Column("first", say("unwatched_first"), "time"),
        Column("last", say("unwatched_last"), "time", wide=True),
    ]
    shown = [
        {word: Cell(str(row["text"].get(word, ""))) for word in _TEXTS}
        | {
            "address": _address(str(row["text"].get("address", ""))),
            "first": Cell(visit.ago(row["first_seen"]), row["first_seen"], saved=visit.at(row["first_seen"])),
            "last": Cell(visit.ago(row["last_seen"]), row["last_seen"], saved=visit.at(row["last_seen"])),
        }
        for row in rows
    ]
    listed(visit, f"{say('unwatched')} · {len(rows)}", columns, shown, f"unwatched-{site}")


def _address(text: str) -> Cell:
    """Sorted as a number: 10.0.0.9 before 10.0.0.64."""
    try:
        address = ip_address(text)
    except ValueError:
        return Cell(text)
    return Cell(text, f"{address.version} {int(address):039}")
