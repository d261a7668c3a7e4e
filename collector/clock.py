"""Time, by the door: everything in the collector that asks what time it is was handed one of these."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the collector knows of time; tests and the demo bring their own."""

    def now(self) -> int:
        """Unix milliseconds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class SystemClock:
    """The machine's own."""

    def now(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()
