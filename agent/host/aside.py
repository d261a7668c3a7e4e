"""What takes long is asked aside, every so often: whoever reads gets the last answer and never waits.

Errors: none of its own; what is asked must not raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Asks in a thread of its own.

    Args:
        ask: blocks as long as it likes; never two at once.
        every: seconds from one start to the next. An answer counts for twice as long, then it is None: better nothing
            than what was true once.
        monotonic: seconds by a clock that nobody sets.
        name: of the thread.
    """

    def __init__(self, ask: Callable[[], T], *, every: float, monotonic: Callable[[], float], name: str) -> None:
        self._ask = ask
        self._every = every
        self._monotonic = monotonic
        self._name = name
        self._asked: float | None = None
        self._answer: tuple[float, T] | None = None
        self._thread: threading.Thread | None = None

    def latest(self) -> T | None:
        """The last answer; None before the first and when it is too old. Asks anew when it is time."""
        now = self._monotonic()
        under_way = self._thread is not None and self._thread.is_alive()
        if not under_way and (self._asked is None or now - self._asked >= self._every):
            self._asked = now
            # A daemon: one that hangs in the kernel must not keep the agent from ending.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        answer = self._answer
        return answer[1] if answer is not None and now - answer[0] <= 2 * self._every else None

    def settle(self, seconds: float) -> None:
        """Waits until nothing is under way, so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        begun = self._monotonic()
        self._answer = (begun, self._ask())
