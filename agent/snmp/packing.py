"""How many objects a device takes in one request: learned, halved where it fails, tried again after a while.

The sizes are a ladder whose steps are about half as large again, as Zabbix has them: few failures find the right one. A
device begins at the top, because nearly all can; what it cannot costs one failure, and is remembered.
"""

from __future__ import annotations

import bisect

LADDER = (1, 2, 3, 4, 6, 9, 13, 19, 28, 42, 56)
MOST = LADDER[-1]
_BEFORE_GROWTH = 50
_MOST_PATIENCE = 6400


class Packing:
    """What one device takes.

    Args:
        size: objects per request, as remembered.
        patience: how many full requests must be answered before a larger one is tried, as remembered.
    """

    def __init__(self, size: int = MOST, patience: int = _BEFORE_GROWTH) -> None:
        self.size = min(max(size, 1), MOST)
        self.patience = min(max(patience, _BEFORE_GROWTH), _MOST_PATIENCE)
        self._answered = 0
        self._trying = False

    def answered(self, count: int) -> None:
        """A request for `count` objects was answered. Only full ones say that more may fit."""
        if count < self.size:
            return
        self._trying = False
        self._answered += 1
        if self.size < MOST and self._answered >= self.patience:
            self.size = LADDER[bisect.bisect_right(LADDER, self.size)]
            self._answered, self._trying = 0, True

    def refused(self, count: int) -> None:
        """A request for `count` objects failed, and half of them did not."""
        if self._trying:
            self.patience = min(self.patience * 2, _MOST_PATIENCE)
        half = max(count // 2, 1)
        self.size = min(self.size, LADDER[bisect.bisect_right(LADDER, half) - 1])
        self._answered, self._trying = 0, False
