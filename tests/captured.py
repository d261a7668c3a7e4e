"""Runs `forewarn agent` commands in a network of their own and says what they sent: every packet that left.

`python -m tests.captured FILE`, within `unshare --net`: makes an interface whose other end is this process, with
10.99.0.1/24 and the way to everywhere else; runs each command that FILE holds (a list of [folder, words]), and writes
beside it, as FILE.sent, for each one its exit code, when it began, what it told, and the packets: [seconds, address,
protocol, port, time to live]. Only one host out there speaks: it answers WS-Discovery that it hears by multicast.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from agent.commands import main
from agent.discovery import search
from agent.onvif.announcement import GROUP, PORT
from tests.announcing import match, number_in

OWN, SPEAKS = "10.99.0.1", "10.99.0.5"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_TCP, _UDP = 6, 17
Packet = tuple[float, str, int, int, int]


class World:
    """Everything outside: takes each packet that leaves."""

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        self._tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._tun, _TUNSETIFF, struct.pack("16sH", b"fw0", _IFF_TUN | _IFF_NO_PI))
        Path("/proc/sys/net/ipv6/conf/fw0/disable_ipv6").write_text("1")
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
        for words in ("link set lo up", "link set fw0 up", f"addr add {OWN}/24 dev fw0", "route add default dev fw0"):
            subprocess.run(["ip", *words.split()], check=True)
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            packet = os.read(self._tun, 65536)
            head = (packet[0] & 15) * 4
            protocol, to = packet[9], socket.inet_ntoa(packet[16:20])
            port = struct.unpack("!H", packet[head + 2 : head + 4])[0] if protocol in (_TCP, _UDP) else 0
            self.sent.append((time.monotonic(), to, protocol, port, packet[8]))
            if (to, protocol, port) == (GROUP, _UDP, PORT):
                back = struct.unpack("!H", packet[head : head + 2])[0]
                os.write(self._tun, _datagram(match(number_in(packet[head + 8 :]), SPEAKS), back))


def _datagram(content: bytes, port: int) -> bytes:
    """From who speaks to us, over IPv4; UDP without its checksum, which IPv4 allows."""
    inner = struct.pack("!HHHH", PORT, port, 8 + len(content), 0) + content
    ends = socket.inet_aton(SPEAKS) + socket.inet_aton(OWN)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 64, _UDP, 0) + ends
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + inner


def run(file: Path) -> None:
    """Runs the commands of a file and writes what they sent."""
    world = World()
    search.WAIT = 0.3  # Nobody out there keeps us waiting.
    found = []
    for folder, words in json.loads(file.read_text()):
        os.chdir(folder)
        begun, before = time.monotonic(), len(world.sent)
        with contextlib.redirect_stdout(io.StringIO()) as told:
            code = main(words)
        found.append({"code": code, "begun": begun, "told": told.getvalue(), "sent": world.sent[before:]})
    file.with_name(file.name + ".sent").write_text(json.dumps(found))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
