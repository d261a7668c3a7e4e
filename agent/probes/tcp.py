"""A TCP connection, opened and closed; nothing is sent."""

from __future__ import annotations

import asyncio
import time

from agent.probes.probe import Found, answered, unconnected


class Tcp:
    """One port of one device."""

    fields: tuple[str, ...] = ("up", "latency_seconds")

    def __init__(self, address: str, port: int, *, label: str, timeout: float = 2.0) -> None:
        self.label = label
        self._address = address
        self._port = port
        self._timeout = timeout

    async def look(self) -> Found:
        """See Probe."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(self._address, self._port)
        except OSError as wrong:  # TimeoutError is one as well.
            return unconnected(wrong, self._port, self._timeout)
        writer.close()
        return answered(time.monotonic() - begun)
