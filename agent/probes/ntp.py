"""How far a device's clock is off, as its own NTP service tells (SNTP client mode, RFC 5905 section 14).

A device whose clock was never set, or that says so itself (leap indicator 3, stratum 0 or 16), answers without an
offset to go by.
"""

from __future__ import annotations

import asyncio
import struct

from agent.probes.probe import Found, answered, silent
from agent.reading import Clock

_SINCE_1900 = 2_208_988_800
_ERA = 2**32
_LENGTH = 48
_ASK = bytes([0x23]) + bytes(_LENGTH - 9)
"""Version 4, client; but for the last eight octets, our time of sending."""
_SERVER, _UNSYNCHRONISED, _HIGHEST_STRATUM = 4, 3, 15


class Ntp:
    """The NTP service of one device."""

    fields: tuple[str, ...] = ("up", "latency_seconds", "clock_offset_seconds", "status")

    def __init__(self, address: str, port: int, *, label: str, clock: Clock, timeout: float = 2.0) -> None:
        self.label = label
        self._address = address
        self._port = port
        self._clock = clock
        self._timeout = timeout

    async def look(self) -> Found:
        """See Probe."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[bytes] = loop.create_future()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Heard(came), remote_addr=(self._address, self._port)
            )
        except OSError as wrong:
            return silent(f"no way to it: {wrong.strerror or wrong}")
        try:
            begun, at = self._clock.now() / 1000, self._clock.monotonic()
            sent = _stamp(begun)
            transport.sendto(_ASK + sent)
            async with asyncio.timeout(self._timeout):
                packet = await came
            took = self._clock.monotonic() - at
        except TimeoutError:
            return silent(f"no answer from UDP port {self._port} within {self._timeout:g} s")
        except OSError as wrong:
            return silent(f"UDP port {self._port}: {wrong.strerror or wrong}", there=isinstance(wrong, ConnectionError))
        finally:
            transport.close()
        return _judged(packet, sent, begun, took)


class _Heard(asyncio.DatagramProtocol):
    def __init__(self, came: asyncio.Future[bytes]) -> None:
        self._came = came

    def datagram_received(self, packet: bytes, _: object) -> None:
        if not self._came.done():
            self._came.set_result(packet)

    def error_received(self, wrong: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(wrong)


def _judged(packet: bytes, sent: bytes, begun: float, took: float) -> Found:
    # The answer repeats our time of sending: a stray or forged one does not.
    if len(packet) < _LENGTH or packet[0] & 7 != _SERVER or packet[24:32] != sent:
        return silent("what answers is no NTP service", there=True)
    stratum = packet[1]
    received, transmitted = _seconds(packet[32:40], begun), _seconds(packet[40:48], begun)
    if packet[0] >> 6 == _UNSYNCHRONISED or not 0 < stratum <= _HIGHEST_STRATUM or not any(packet[40:48]):
        return answered(took, status=1.0)._replace(why="its NTP service says that its own clock is not set")
    offset = ((received - begun) + (transmitted - (begun + took))) / 2
    return answered(took, clock_offset_seconds=offset, status=0.0)


def _stamp(now: float) -> bytes:
    whole, part = divmod(now + _SINCE_1900, 1)
    return struct.pack("!II", int(whole) % _ERA, int(part * _ERA))


def _seconds(stamp: bytes, near: float) -> float:
    """Unix seconds, in the era that is nearest to ours (the first one ends in 2036)."""
    whole, part = int.from_bytes(stamp[:4], "big"), int.from_bytes(stamp[4:8], "big")
    found = whole - _SINCE_1900 + part / _ERA
    return found + round((near - found) / _ERA) * _ERA
