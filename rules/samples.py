"""What rules look at: a stretch of the journal as arrays.

A batch is cut anywhere; how it was cut never changes a result. Within it, polls that share a shape form one `Rows`,
so that a rule sees all its series of a family as one array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forewarn.wire import Shape

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Device(NamedTuple):
    """One device of one site, as polled by one agent."""

    site: str
    agent: str
    device: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The polls of a batch that share a shape, in journal order.

    Shapes: `devices` n; `t` (event time), `arrived` (Unix milliseconds), `position` (journal) and `rank` int64[n];
    `values` float64[n, shape.width], NaN for null. `rank` counts a device's polls within the batch over all groups:
    evaluating rank by rank keeps every device's order of time.
    `future` marks rows whose `t` is over 5 minutes ahead of their arrival: stored, kept from the rules.
    """

    shape: Shape
    devices: list[Device]
    t: Integers
    arrived: Integers
    position: Integers
    rank: Integers
    future: npt.NDArray[np.bool_]
    values: Floats


class Happened(NamedTuple):
    """One record in text, at its place in the journal; `kind` is event, inventory, lost or result."""

    device: Device
    kind: str
    t: int
    arrived: int
    position: int
    text: dict[str, str]


class Arrival(NamedTuple):
    """That an agent was heard: the last block of it in this batch."""

    site: str
    agent: str
    arrived: int
    position: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The journal from `first` to `last` position. `tick`, when given, is the arrival time of a tick that ends it.

    Ticks (one every 10 s while a collector runs) are how time passes for absence: what no tick attests (the
    collector was down) does not count as silence. A tick attests what passed since the one before, and at most
    `listened` milliseconds where that is given: 0 from a process that has only begun to listen.
    """

    first: int
    last: int
    rows: list[Rows] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    tick: int | None = None
    listened: int | None = None
