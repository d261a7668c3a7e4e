"""A channel that keeps its notices: for tests and the demo, under the same contract as the real ones."""

from __future__ import annotations

import threading

from collector.notify.notifier import Notice, NotifyError


class Shelf:
    """Takes every notice, unless it was told to fail."""

    def __init__(self, name: str = "shelf") -> None:
        self.name = name
        self.taken: list[Notice] = []
        self._refusals: list[NotifyError] = []
        self._lock = threading.Lock()

    def fail(self, why: str, *, permanent: bool = False) -> None:
        """The next notice does not get through."""
        with self._lock:
            self._refusals.append(NotifyError(self.name, why, permanent=permanent))

    def send(self, notice: Notice) -> None:
        """Keeps the notice.

        Raises:
            NotifyError: as `fail` ordered.
        """
        with self._lock:
            if self._refusals:
                raise self._refusals.pop(0)
            self.taken.append(notice)
