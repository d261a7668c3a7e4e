"""How many requests to web interfaces and probes are under way on the site at once.

As over SNMP, devices that did not answer last time wait in a line of their own: however many are dead, they keep nobody
else waiting.

Errors: none.
"""

from __future__ import annotations

import asyncio

MOST = 64
_DOUBTFUL = 32


class Turns:
    """Shared by all sources of the site.

    Args:
        most: requests that may be under way at once.
    """

    def __init__(self, most: int = MOST) -> None:
        self._usual = asyncio.Semaphore(most)
        self._doubtful = asyncio.Semaphore(min(most, _DOUBTFUL))

    def of(self, *, trusted: bool) -> asyncio.Semaphore:
        """What to hold during one request; `trusted` is whether the device answered last time."""
        return self._usual if trusted else self._doubtful
