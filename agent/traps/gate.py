"""What is taken of what arrives: from whom, how much, and what only says the same again. No I/O and no clock.

Everything here is bounded: a bucket for each device, so many strangers by name, so many notices remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Generic, TypeVar

LARGEST = 8 * 1024
"""Octets of the largest datagram taken (RFC 3417 asks for 484 at least; real traps have some hundreds)."""
STRANGERS = 64
"""Strangers counted by address; the rest are counted together."""
REMEMBERED = 4096
"""Notices remembered at once to know them again."""
OTHERS = "others"

T = TypeVar("T")


class Why(StrEnum):
    """Why something that arrived was dropped."""

    STRANGER = "from no device of ours"
    TOO_LARGE = "too large"
    TOO_MANY = "more than is taken a second"
    TOO_LONG = "too many objects"
    MALFORMED = "no SNMP notification"
    COMMUNITY = "wrong community"
    USER = "wrong user or key"
    LEVEL = "less protected than agreed"
    STALE = "sent before"
    BUSY = "more than the disk takes"


class Bucket:
    """Lets `burst` pass at once, and `rate` a second in the long run."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: int) -> None:
        self._left = float(burst)
        self._at = 0.0

    def takes(self, now: float, rate: float, burst: int) -> bool:
        """Whether one more may pass at `now`, seconds by a steady clock."""
        self._left = min(float(burst), self._left + (now - self._at) * rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Gate:
    """Judges a datagram by whom it is from, before it is looked into."""

    def __init__(self, known: Collection[str], *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets = {address: Bucket(burst) for address in known}
        self.strangers: dict[str, int] = {}
        self._over: dict[str, int] = {}

    def judge(self, address: str, size: int, now: float) -> Why | None:
        """None lets it in; `now` is seconds by a steady clock."""
        bucket = self._buckets.get(address)
        if bucket is None:
            named = address if address in self.strangers or len(self.strangers) < STRANGERS else OTHERS
            self.strangers[named] = self.strangers.get(named, 0) + 1
            return Why.STRANGER
        if not bucket.takes(now, self._rate, self._burst):
            self._over[address] = self._over.get(address, 0) + 1
            return Why.TOO_MANY
        return Why.TOO_LARGE if size > LARGEST else None

    def over(self) -> dict[str, int]:
        """By device: how many were too many since this was last asked."""
        found, self._over = self._over, {}
        return found


class _Known(Generic[T]):
    __slots__ = ("first", "since", "times")

    def __init__(self, first: T, since: float) -> None:
        self.first = first
        self.since = since
        self.times = 0


class Repeats(Generic[T]):
    """Knows what came before, within a window from its first coming."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._known: OrderedDict[bytes, _Known[T]] = OrderedDict()

    def again(self, key: bytes, now: float) -> T | None:
        """What came first, when this is it again: counted."""
        known = self._known.get(key)
        if known is None or now - known.since >= self._window:
            return None
        known.times += 1
        return known.first

    def remember(self, key: bytes, first: T, now: float) -> None:
        """Something new; callers ask `ended` first."""
        self._known[key] = _Known(first, now)

    def ended(self, now: float) -> Iterator[tuple[T, int]]:
        """Those whose window is over, or for whom there is no room, and how often they came again; forgets them."""
        while self._known:
            key, known = next(iter(self._known.items()))
            if now - known.since < self._window and len(self._known) < REMEMBERED:
                return
            del self._known[key]
            yield known.first, known.times
