"""What is refused, and what is not well, in the language of who reads it."""

from __future__ import annotations

import re

from collector.console.words import WORDS, Say

_NAMED = re.compile(r"`([^`]*)`")


def refusal_told(kept: str, say: Say) -> str:
    """Why blocks are held or a payload was set aside.

    Args:
        kept: a word of `forewarn.wire.Reason`, or that, a colon and the detail as the intake keeps it.
        say: the language; of the detail the names it gives in backquotes are told.
    """
    reason, _, detail = kept.partition(": ")
    word = f"refusal_{reason.strip().replace(' ', '_')}"
    if word not in WORDS:
        return kept
    names = ", ".join(dict.fromkeys(name for name in _NAMED.findall(detail) if name))
    return f"{say(word)} ({names})" if names else say(word)


def part_told(name: str, say: Say) -> str:
    """A part of the collector, as /readyz names it."""
    return say(f"part_{name}") if f"part_{name}" in WORDS else name


def trouble_told(name: str, say: Say) -> str:
    """What it means that a part does not work; empty for one without words."""
    return say(f"trouble_{name}") if f"trouble_{name}" in WORDS else ""
