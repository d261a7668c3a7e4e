"""The simulated site on the air: its devices answer on real UDP ports of this machine, and move with the time.

Errors:
    OSError   no port can be had
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from forewarn.demo.responder import Device, Mood, Responder
from forewarn.demo.site import Drive, Simulated

ADDRESS = "127.0.0.1"
TURN = 0.2
"""Seconds between two moves: a twenty-fifth of the polls' interval, so that rates are right to a few percent."""
_START = 2**33
"""Where octet counters begin."""


@dataclass
class _Count:
    """A counter that is driven by a rate."""

    value: float = float(_START)
    at: int = 0


@dataclass
class Actor:
    """A device of the site, answering."""

    role: Simulated
    device: Device
    counts: dict[str, _Count] = field(default_factory=dict)

    def move(self, now: int) -> None:
        """Gives every driven object its value at `now` (Unix milliseconds)."""
        for drive in self.role.drives:
            value = self._counted(drive, now) if drive.counter else drive.write(drive.course(now))
            self.device.set(drive.oid, drive.tag, value)

    def _counted(self, drive: Drive, now: int) -> int:
        count = self.counts.setdefault(drive.oid, _Count(at=now))
        count.value += max(drive.course(now), 0.0) * (now - count.at) / 1000
        count.at = now
        return int(count.value)


class Stage:
    """All devices of the site; within a `with` they answer and, after `play`, move."""

    def __init__(self, roles: Sequence[Simulated]) -> None:
        self._responder = Responder()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="stage", daemon=True)
        self.actors = [Actor(role, self._responder.add(role.objects, address=ADDRESS)) for role in roles]
        for actor in self.actors:
            actor.move(_now())

    def __enter__(self) -> Self:
        self._responder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._responder.stop()

    def play(self) -> None:
        """Begins to move, and goes on until the end."""
        self._thread.start()

    def answer(self, names: Sequence[str], *, answers: bool) -> None:
        """Makes devices fall silent, or answer again."""
        for actor in self.actors:
            if actor.role.name in names:
                actor.device.mood = Mood.HONEST if answers else Mood.SILENT

    def _play(self) -> None:
        while not self._stop.wait(TURN):
            now = _now()
            for actor in self.actors:
                actor.move(now)


def _now() -> int:
    return time.time_ns() // 1_000_000
