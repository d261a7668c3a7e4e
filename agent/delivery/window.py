"""How much may be under way at once: a window of blocks that grows with what is confirmed and halves when it is not.

Below its threshold the window grows by one with every block confirmed, so that it doubles with every answer; above it,
by one with every whole window. The threshold is half of what was too much last, so that many agents which
come back at once find the rate that their broker and collector bear, and keep to it.
"""

from __future__ import annotations

from collections import deque


class Window:
    """Numbers of what is under way: the last seq of each block sent and not confirmed.

    `most` is the widest it may be. `halved` counts how often it had to give way.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._size = 1.0
        self._threshold = float(most)
        self._flight: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._flight)

    @property
    def size(self) -> int:
        """How many blocks may be under way."""
        return int(self._size)

    @property
    def first(self) -> int | None:
        """The last seq of the oldest block under way."""
        return self._flight[0] if self._flight else None

    def has_room(self) -> bool:
        """Whether one more block may go."""
        return len(self._flight) < self.size

    def sent(self, last: int) -> None:
        """A block went."""
        self._flight.append(last)

    def confirm(self, upto: int) -> None:
        """Everything up to a seq is committed."""
        while self._flight and self._flight[0] <= upto:
            self._flight.popleft()
            grown = self._size + (1.0 if self._size < self._threshold else 1.0 / self._size)
            self._size = min(grown, self._most)

    def clear(self) -> None:
        """Nothing is under way any more, through nobody's fault."""
        self._flight.clear()

    def halve(self) -> None:
        """What was under way was too much, or is lost."""
        self._flight.clear()
        self._threshold = self._size = max(1.0, self._size / 2)

    def restart(self) -> None:
        """Nobody knows what the other side bears now: begins with one block."""
        self._flight.clear()
        self._threshold, self._size = max(1.0, self._size / 2, self._threshold / 2), 1.0
