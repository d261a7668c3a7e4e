"""What has arrived from the broker and is not committed yet, bounded by bytes.

The network thread puts messages in and returns at once. A message is acknowledged to the broker while there is room;
above the limit the acknowledgement is withheld until there is room again, and the broker's window holds back the rest.
A broker that pushes on regardless gets its messages dropped at twice the limit: their agents send them again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from forewarn.bus import Done

OVERHEAD = 500
"""Bytes a waiting message takes beside its payload."""


class Waiting(NamedTuple):
    """A message as it arrived (Unix milliseconds)."""

    topic: str
    payload: bytes
    arrived: int


class Inbox:
    """A queue between the network thread and the ingest thread.

    Args:
        limit: bytes above which the broker is held back.
        now: Unix milliseconds.
    """

    def __init__(self, limit: int, *, now: Callable[[], int]) -> None:
        self._limit = limit
        self._now = now
        self._ready = threading.Condition()
        self._messages: deque[Waiting] = deque()
        self._withheld: deque[Done] = deque()
        self._used = 0
        self._woken = False
        self._enough = 1
        self.dropped = 0

    @property
    def used(self) -> int:
        """Bytes in here, those being committed included."""
        return self._used

    def put(self, topic: str, payload: bytes, done: Done) -> None:
        """Takes a message from the network thread; `done` is called when the broker may send more."""
        with self._ready:
            if self._used > 2 * self._limit:
                self.dropped += 1
            else:
                self._messages.append(Waiting(topic, payload, self._now()))
                self._used += len(payload) + OVERHEAD
                if self._used > self._limit:
                    self._withheld.append(done)
                    return self._notify()
                self._notify()
        return done()

    def _notify(self) -> None:
        if len(self._messages) in (1, self._enough):
            self._ready.notify()

    def wake(self) -> None:
        """Makes `take` return at once."""
        with self._ready:
            self._woken = True
            self._ready.notify()

    def take(self, most: int, *, timeout: float, linger: float) -> list[Waiting]:
        """Waits for messages and takes up to `most` of them, in order.

        Args:
            most: enough for one transaction.
            timeout: seconds to wait for the first.
            linger: seconds to wait for more once there is one.
        """
        with self._ready:
            self._enough = most
            self._ready.wait_for(lambda: self._messages or self._woken, timeout)
            if self._messages and not self._woken:
                self._ready.wait_for(lambda: len(self._messages) >= most or self._woken, linger)
            self._woken = False
            return [self._messages.popleft() for _ in range(min(most, len(self._messages)))]

    def settle(self, taken: Sequence[Waiting]) -> None:
        """Says that messages taken are dealt with, which makes room."""
        freed: list[Done] = []
        with self._ready:
            self._used -= sum(len(message.payload) + OVERHEAD for message in taken)
            while self._withheld and self._used <= self._limit:
                freed.append(self._withheld.popleft())
        for done in freed:
            done()
