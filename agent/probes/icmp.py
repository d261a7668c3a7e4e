"""ICMP echo (RFC 792, RFC 4443), through the socket that needs no rights where the system allows it.

Linux opens a datagram ICMP socket to the groups in net.ipv4.ping_group_range, also for IPv6; a raw one needs root or
CAP_NET_RAW. Which of them serves is tried once for each probe.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import struct
import time

from agent.probes.probe import Found, answered, silent, untold

NOT_ALLOWED = (
    "this system lets us send no ping: set net.ipv4.ping_group_range so that it covers our group, "
    "or give the agent CAP_NET_RAW"
)
_TRIES = 3
_ECHO = {4: (8, 0), 6: (128, 129)}
"""Types of request and reply."""


class Icmp:
    """One device, pinged up to three times within the timeout; the first answer counts."""

    label = "icmp"
    fields: tuple[str, ...] = ("up", "latency_seconds")

    def __init__(self, address: str, *, label: str = "icmp", timeout: float = 2.0) -> None:
        self.label = label
        self._address = address
        self._version = ipaddress.ip_address(address).version
        self._timeout = timeout
        self._number = int.from_bytes(os.urandom(2), "big")

    async def look(self) -> Found:
        """See Probe."""
        try:
            opened, raw = self._opened()
        except PermissionError:
            return untold(NOT_ALLOWED)
        except OSError as wrong:
            return untold(f"no ICMP socket: {wrong.strerror}")
        with opened:
            for _ in range(_TRIES):
                try:
                    latency = await self._pinged(opened, raw=raw)
                except OSError as wrong:
                    return silent(f"no way to it: {wrong.strerror or wrong}")
                if latency is not None:
                    return answered(latency)
        return silent(f"no answer to {_TRIES} pings within {self._timeout:g} s")

    def _opened(self) -> tuple[socket.socket, bool]:
        family, protocol = (
            (socket.AF_INET, socket.IPPROTO_ICMP) if self._version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)  # noqa: PLR2004 - IPv4
        )
        try:
            opened, raw = socket.socket(family, socket.SOCK_DGRAM, protocol), False
        except PermissionError:
            opened, raw = socket.socket(family, socket.SOCK_RAW, protocol), True
        opened.setblocking(False)
        return opened, raw

    async def _pinged(self, opened: socket.socket, *, raw: bool) -> float | None:
        loop = asyncio.get_running_loop()
        self._number = (self._number + 1) % 65536
        ask, reply = _ECHO[self._version]
        mark = os.urandom(16)
        identity = os.getpid() & 0xFFFF
        packet = struct.pack("!BBHHH", ask, 0, 0, identity, self._number) + mark
        if self._version == 4:  # noqa: PLR2004 - over IPv6 the system sums
            packet = struct.pack("!BBHHH", ask, 0, checksum(packet), identity, self._number) + mark
        begun = time.monotonic()
        await loop.sock_sendto(opened, packet, (self._address, 0))
        try:
            async with asyncio.timeout(self._timeout / _TRIES):
                while True:
                    came, _ = await loop.sock_recvfrom(opened, 2048)
                    if raw and self._version == 4 and came:  # noqa: PLR2004 - with the IP header before it
                        came = came[(came[0] & 0x0F) * 4 :]
                    # Everybody's answers reach a raw socket: ours bears the mark.
                    if came[:1] == bytes([reply]) and came[8:24] == mark:
                        return time.monotonic() - begun
        except TimeoutError:
            return None


def checksum(packet: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = packet + b"\0" * (len(packet) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
