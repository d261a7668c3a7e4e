"""Clocks that tests hold in their hands."""

from __future__ import annotations


class SteppedClock:
    """A clock that moves only when told; `jump` sets the wall clock alone, as an operator or NTP would."""

    def __init__(self, wall: int = 1_700_000_000_000) -> None:
        self.wall = wall
        self.steady = 1000.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def step(self, seconds: float) -> None:
        self.wall += int(seconds * 1000)
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        self.wall += int(seconds * 1000)
