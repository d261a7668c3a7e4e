"""Whether a device is well spoken to: up, suspect after a failed poll, down after three.

One that is down is asked for a single object, with growing pauses, and polled whole as soon as it answers. So a dead
device costs a request now and then, and a site that is switched on again is not met by everything at once.
"""

from __future__ import annotations

import math
import random
from enum import StrEnum

FAILURES = 3
"""Failed polls in a row after which a device is down."""
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 300.0
"""Seconds between two askings of a device that is down: twice as long each time."""


class Standing(StrEnum):
    """How it goes with one device."""

    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"


class Health:
    """What is known of one device.

    `why` says in a sentence why the last asking failed, "" when it did not; `since` when it first did, Unix
    milliseconds; `ask_at` when one that is down is to be asked again, by the steady clock.
    """

    def __init__(self) -> None:
        self.standing = Standing.UP
        self.why = ""
        self.since = 0
        self.ask_at = math.inf
        self._failures = 0
        self._pause = FIRST_PAUSE

    def answered(self) -> None:
        """A poll went well."""
        self.standing, self.why, self.ask_at = Standing.UP, "", math.inf
        self._failures, self._pause = 0, FIRST_PAUSE

    def knocked(self) -> None:
        """One that was down answered when asked for a single object: the next poll decides."""
        self.standing, self.ask_at = Standing.SUSPECT, math.inf
        self._failures = FAILURES - 1

    def failed(self, why: str, *, now: int, at: float) -> None:
        """An asking failed: `now` in Unix milliseconds, `at` by the steady clock."""
        if not self.why:
            self.since = now
        self.why = why
        self._failures += 1
        if self._failures < FAILURES:
            self.standing = Standing.SUSPECT
            return
        self.standing = Standing.DOWN
        self.ask_at = at + self._pause * random.uniform(1.0, 1.25)  # noqa: S311 - jitter
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
