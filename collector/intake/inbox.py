"""What has arrived from the broker and is not committed yet, bounded by bytes and fair between agents.

The network thread puts messages in and returns at once. Each agent has a lane of its own, whichever of the topics it
may write it writes on, and lanes are emptied in turn, a message each: who sends a day's backlog waits for himself, and
a live record of another agent goes with the next commit. What is taken at once is bounded by bytes too, so that no
commit takes long. Within a lane order is kept. An agent that sends more than its window allows fills its own lane: what
goes beyond LANE_LIMIT is dropped, so that it does not keep the broker from bringing what others send.

A message is acknowledged to the broker while there is room; above the limit the acknowledgement is withheld until there
is room again, and the broker's window holds back the rest. A broker that pushes on regardless gets its messages dropped
at twice the limit: their agents send them again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from forewarn.bus import Done

OVERHEAD = 500
"""Bytes a waiting message takes beside its payload."""
LANE = 600
"""Bytes that a lane takes beside its messages."""
LANE_LIMIT = 8 * 1024 * 1024
"""Bytes that one lane holds: an agent's widest window, sent again several times over."""
ROOM = 384 * 1024
"""Payload bytes that are taken at once: a fraction of a second's work, even when every block is full."""


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
        self._lanes: OrderedDict[str, deque[Waiting]] = OrderedDict()
        """In the order of their turns; a lane that is empty is not there."""
        self._held: dict[str, int] = {}
        """Bytes that wait in each lane."""
        self._count = 0
        self._waiting_bytes = 0
        self._withheld: deque[Done] = deque()
        self._used = 0
        self._woken = False
        self._enough = 1
        self.dropped = 0

    @property
    def used(self) -> int:
        """Bytes in here, those being committed included."""
        return self._used + LANE * len(self._lanes)

    def put(self, topic: str, payload: bytes, done: Done) -> None:
        """Takes a message from the network thread; `done` is called when the broker may send more."""
        agent, size = topic.rpartition("/")[2], len(payload) + OVERHEAD
        with self._ready:
            if self.used > 2 * self._limit or self._held.get(agent, 0) + size > LANE_LIMIT:
                self.dropped += 1
            else:
                self._lanes.setdefault(agent, deque()).append(Waiting(topic, payload, self._now()))
                self._held[agent] = self._held.get(agent, 0) + size
                self._count += 1
                self._waiting_bytes += len(payload)
                self._used += size
                if self.used > self._limit:
                    self._withheld.append(done)
                    return self._notify()
                self._notify()
        return done()

    def _notify(self) -> None:
        if self._count in (1, self._enough) or self._waiting_bytes >= ROOM:
            self._ready.notify()

    def wake(self) -> None:
        """Makes `take` return at once."""
        with self._ready:
            self._woken = True
            self._ready.notify()

    def take(self, most: int, *, timeout: float, linger: float) -> list[Waiting]:
        """Waits for messages and takes up to `most` of them and about ROOM bytes, lane by lane in turn.

        Args:
            most: enough for one transaction.
            timeout: seconds to wait for the first.
            linger: seconds to wait for more once there is one.
        """
        with self._ready:
            self._enough = most
            self._ready.wait_for(lambda: self._count or self._woken, timeout)
            if self._count and not self._woken:
                self._ready.wait_for(lambda: self._count >= most or self._waiting_bytes >= ROOM or self._woken, linger)
            self._woken = False
            return self._taken(most)

    def _taken(self, most: int) -> list[Waiting]:
        taken: list[Waiting] = []
        room = ROOM
        while self._lanes and len(taken) < most and room > 0:
            agent, lane = self._lanes.popitem(last=False)
            message = lane.popleft()
            self._held[agent] -= len(message.payload) + OVERHEAD
            if lane:  # Behind all others, until its next turn.
                self._lanes[agent] = lane
            else:
                del self._held[agent]
            taken.append(message)
            room -= len(message.payload)
        self._count -= len(taken)
        self._waiting_bytes -= ROOM - room
        return taken

    def settle(self, taken: Sequence[Waiting]) -> None:
        """Says that messages taken are dealt with, which makes room."""
        freed: list[Done] = []
        with self._ready:
            self._used -= sum(len(message.payload) + OVERHEAD for message in taken)
            while self._withheld and self.used <= self._limit:
                freed.append(self._withheld.popleft())
        for done in freed:
            done()
