"""Traps: how many one process takes a second, what each costs, and how little it costs to be flooded.

The real process is fed over loopback with traps of three objects that differ, with `rate` out of the way, by a sender
that waits for what is not taken yet. Every notice is told back as stored. CPU is that of the process alone.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from pyasn1.codec.ber import encoder
from pysnmp.proto.api import v2c

from agent.settings.credential import Access
from agent.traps import pipe
from agent.traps.pipe import Kept, Notice, Order, Started
from agent.traps.state import Tally
from bench._processes import free_port

TARGETS: dict[str, str | float] = {"cpu_us_per_trap_flooded": "<= 50", "resident_mb": "<= 60"}
_AHEAD = 60
_TICK = os.sysconf("SC_CLK_TCK")


def run(*, quick: bool) -> dict[str, float]:
    """Figures: traps a second and CPU a trap, taken and dropped; resident memory afterwards, MB."""
    count = 4000 if quick else 20_000
    taken = _Process(rate=1e9, burst=10**9)
    begun, spent = time.monotonic(), taken.spent()
    taken.feed(count)
    seconds, cpu = time.monotonic() - begun, taken.spent() - spent
    resident = taken.resident()
    taken.end()
    flooded = _Process(rate=10.0, burst=50)
    spent = flooded.spent()
    dropped = flooded.flood(10 * count)
    wasted = flooded.spent() - spent
    flooded.end()
    return {
        "traps_per_second": count / seconds,
        "cpu_us_per_trap": cpu / count * 1e6,
        "cpu_us_per_trap_flooded": wasted / dropped * 1e6,
        "resident_mb": resident / 1e6,
    }


class _Process:
    """One trap process and our end of its pipe."""

    def __init__(self, *, rate: float, burst: int) -> None:
        order = Order(
            address="127.0.0.1",
            port=free_port(),
            sources={"127.0.0.1": [0]},
            accesses=[Access("2c", "site")],
            engine="8000fde8056162636465",
            boots=1,
            rate=rate,
            burst=burst,
        )
        command = [sys.executable, "-m", "agent.traps.receiver"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._say(order)
        self.notices = 0
        self.tally = Tally()
        self._port: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", self._port.get(timeout=30)))

    def _say(self, what: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(pipe.line(what))
        self._child.stdin.flush()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            told = pipe.read_told(line)
            if isinstance(told, Notice):
                self.notices += 1
                self._say(Kept(told.id, stored=True))
            elif isinstance(told, Tally):
                self.tally = told
            elif isinstance(told, Started):
                self._port.put(told.port)

    def feed(self, count: int) -> None:
        """Sends so many and waits until all came."""
        made = [_trap(number) for number in range(count)]
        for number, octets in enumerate(made):
            while number - self.notices >= _AHEAD:
                time.sleep(0.0005)
            self._socket.send(octets)
        end = time.monotonic() + 60
        while self.notices < count and time.monotonic() < end:
            time.sleep(0.001)

    def flood(self, count: int) -> int:
        """Sends so many without waiting; returns how many the process dropped (the kernel drops some itself)."""
        made = _trap(1)
        for number in range(count):
            self._socket.send(made)
            if number % 100 == 0:
                time.sleep(0.002)
        time.sleep(1.0)
        return max(1, sum(self.tally.dropped.values()))

    def spent(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident(self) -> float:
        """Octets in memory."""
        pages = Path(f"/proc/{self._child.pid}/statm").read_text(encoding="ascii").split()[1]
        return float(int(pages) * os.sysconf("SC_PAGE_SIZE"))

    def end(self) -> None:
        """Ends it as an agent does."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._socket.close()


def _trap(number: int) -> bytes:
    pdu = v2c.SNMPv2TrapPDU()
    v2c.apiPDU.set_defaults(pdu)
    binds = [
        ("1.3.6.1.2.1.1.3.0", v2c.TimeTicks(number)),
        ("1.3.6.1.6.3.1.1.4.1.0", v2c.ObjectIdentifier("1.3.6.1.6.3.1.1.5.3")),
        ("1.3.6.1.2.1.2.2.1.1.7", v2c.Integer(number)),
        ("1.3.6.1.2.1.2.2.1.8.7", v2c.Integer(2)),
        ("1.3.6.1.2.1.31.1.1.1.1.7", v2c.OctetString("GigabitEthernet0/7")),
    ]
    v2c.apiPDU.set_varbinds(pdu, [(v2c.ObjectIdentifier(oid), value) for oid, value in binds])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_community(message, "site")
    v2c.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))
