"""What the sources of the agent make: one reading per poll of one device, one happening per event.

Everything that is polled or noticed reaches the spool in one of these two forms, and through one door:
source → guard (consent) → spool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from forewarn.wire import Shape


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of one device, successful or not.

    `t` is Unix milliseconds, half-way between request and answer. `values` has one float or None for each position
    of `shape`. A failed poll (`ok` false, `why` in a sentence) keeps the device's last shape, with `device.up` 0 and
    every other value None; None always means "not known", never 0. `address` is the IP address that was polled, None
    for this host itself: the guard judges it.
    """

    t: int
    device: str
    shape: Shape
    values: list[float | None]
    ok: bool = True
    why: str = ""
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """One event in text: `kind` is event, inventory, lost or result; `text` holds what happened, by name."""

    t: int
    device: str
    kind: str
    shape: Shape | None = None
    text: dict[str, str] = field(default_factory=dict)
    address: str | None = None


class Sink(Protocol):
    """Where sources put what they read. The one implementation asks the guard, then the spool."""

    async def put(self, item: Reading | Happening) -> None:
        """Takes one item; returns when it is committed to disk, or was refused by the guard and counted."""


class Clock(Protocol):
    """Time, by the door: tests and the demo bring their own."""

    def now(self) -> int:
        """Unix milliseconds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
