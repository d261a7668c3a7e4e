"""The pictures in the READMEs: which pages of the demo they show, how large they are, and what must be on them."""

from __future__ import annotations

from typing import NamedTuple

FOLDER = "docs/images"
WIDTH = 1280
LARGEST = 150_000
"""Bytes."""


class Picture(NamedTuple):
    """A page of the demo; `shows` are names of words of the console that must be read in the picture's part of it."""

    path: str
    height: int
    shows: tuple[str, ...]
    curves: int


PICTURES = {
    "ticket": Picture("/tickets/{ticket}", 1000, ("act_acknowledge", "act_resolve", "advice", "why", "history"), 1),
    "fleet": Picture("/", 320, ("critical_open", "unacknowledged", "sites_count", "heard"), 0),
    "device": Picture("/sites/harbour/nvr-1", 760, ("what_to_chart", "inventory", "profile", "range_24h"), 3),
}


def height(name: str) -> int:
    """Pixels."""
    return PICTURES[name].height
