"""What the engine says: a rule began to hold, changed its severity, or recovered, and why.

A finding is complete: whoever reads it needs no other source to know what happened. It is plain data, so that it
travels as JSON into the ticket and back.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Turn(StrEnum):
    """What a finding reports."""

    OPENED = "opened"
    CHANGED = "changed"
    """Another severity than before."""
    RECOVERED = "recovered"


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sub-expression of the condition that held, as it was evaluated.

    `text` is the source (`ttt(used_percent, 98) < 72h`), `value` its left side, `threshold` what it was compared
    with, `held` the outcome. `detail` has a function's own state by name: of `ttt` slope, low, high, p, samples.
    `spare` says what would have prevented it, as far as one value can ("fires unless used_percent < 61.2").
    """

    text: str
    value: float | None
    threshold: float | None = None
    held: bool | None = None
    unit: str = ""
    detail: dict[str, float] = {}
    spare: str = ""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a rule held: the source line, the times, the evidence, how long it had been pending."""

    rule: str
    source: str
    """file:line of the rule."""
    version: str
    """Digest of the rule's meaning: two rules with the same digest decide alike."""
    severity: str
    since: int
    """When the condition began to hold (event time, Unix milliseconds)."""
    evidence: list[Evidence]
    values: dict[str, float | None] = {}
    """Every field the rule looked at, at that moment."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A turn of one rule on one instance.

    The identity of what it speaks of is (site, device, rule, instance). `position` is the journal position of the
    record or tick that decided it, `t` the event time of that record, `arrived` its arrival. `title` and `advice`
    are the rule's texts with values filled in, by language (`zh`, `en`). `severity` is "warning" or "critical".
    """

    turn: Turn
    site: str
    agent: str
    device: str
    rule: str
    table: str
    instance: str
    severity: str
    t: int
    arrived: int
    position: int
    reason: Reason
    title: dict[str, str] = {}
    advice: dict[str, str] = {}
