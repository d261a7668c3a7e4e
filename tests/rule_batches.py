"""Batches for tests of rules: series by device, cut wherever a test likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.engine import Engine
from rules.finding import Finding
from rules.ruleset import Ruleset, ruleset
from rules.samples import Arrival, Batch, Device, Rows

BEGIN = 1_700_000_000_000
TICKET = """
  ticket:
    title: {zh: "{device}", en: "{device} {instance}"}
    advice: {zh: "x", en: "x"}
"""


class Poll(NamedTuple):
    """One poll at a place in the journal."""

    position: int
    t: int
    device: str
    shape: Shape
    values: Sequence[float]
    arrived: int = 0


def rules(text: str) -> Ruleset:
    """Rules from YAML without their ticket texts, which are put in."""
    return ruleset([("test.yaml", text.replace("TICKET", TICKET.strip("\n").lstrip()))])


def one_rule(when: str, *, table: str = "volume", recover: str = "never: true", more: str = "") -> Ruleset:
    """One rule with a critical condition."""
    return rules(
        f"- id: test.rule\n  on: {{table: {table}}}\n  when: {{critical: '{when}'}}\n  recover: {{{recover}}}\n{more}  TICKET\n"
    )


def shape(*tables: tuple[str, Sequence[str], Sequence[str]], kind: DeviceKind = DeviceKind.SERVER) -> Shape:
    """A shape from (table, instances, fields)."""
    return Shape(
        kind, "test", Source.SNMP, [TableShape(table, list(names), list(fields)) for table, names, fields in tables]
    )


def batch(polls: Sequence[Poll], *, arrivals: Iterable[Arrival] = (), tick: int | None = None, last: int = 0) -> Batch:
    """The batch that the collector would make of these polls."""
    groups: dict[str, list[tuple[int, Poll]]] = {}
    ranks: dict[str, int] = {}
    for poll in polls:
        rank = ranks.get(poll.device, 0)
        ranks[poll.device] = rank + 1
        groups.setdefault(poll.shape.digest, []).append((rank, poll))
    return Batch(
        polls[0].position if polls else last,
        polls[-1].position if polls else last,
        rows=[_rows(group) for group in groups.values()],
        arrivals=list(arrivals),
        tick=tick,
    )


def _rows(group: list[tuple[int, Poll]]) -> Rows:
    polls = [poll for _, poll in group]
    arrived = np.array([poll.arrived or poll.t for poll in polls])
    t = np.array([poll.t for poll in polls])
    return Rows(
        shape=polls[0].shape,
        devices=[Device("site", "agent", poll.device) for poll in polls],
        t=t,
        arrived=arrived,
        position=np.array([poll.position for poll in polls]),
        rank=np.array([rank for rank, _ in group]),
        future=t > arrived + 300_000,
        values=np.array([poll.values for poll in polls], dtype=np.float64).reshape(len(polls), -1),
    )


def told(engine: Engine, *batches: Batch) -> list[Finding]:
    """All findings of some batches."""
    return [finding for one in batches for finding in engine.apply(one)]


def series(values: Sequence[Sequence[float]], of: Shape, device: str = "dev", every: int = 60_000) -> list[Poll]:
    """A poll a step."""
    return [Poll(at + 1, BEGIN + at * every, device, of, row) for at, row in enumerate(values)]
