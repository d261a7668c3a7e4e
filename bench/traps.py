"""Traps: how many one process takes a second, what each costs, and how little it costs to be flooded.

The real process is fed over loopback with traps of three objects that differ, with `rate` out of the way, by a sender
that waits for what is not taken yet. Every notice is told back as stored. CPU is that of the process alone. Informs of
SNMP v3 (SHA-256, AES-128) are sent one after another by one device while another floods.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pyasn1.codec.ber import encoder
from pysnmp.hlapi.v3arch import asyncio as v3
from pysnmp.proto.api import v2c

from agent.settings.credential import Access
from agent.traps import pipe
from agent.traps.pipe import Kept, Notice, Order, Started
from agent.traps.state import Tally
from bench._processes import free_port

TARGETS: dict[str, str | float] = {
    "cpu_us_per_trap_flooded": "<= 50",
    "resident_mb": "<= 60",
    "v3_informs_answered_share_flooded": ">= 0.99",
}
_USER = Access(
    "3",
    user="ups",
    authentication="sha256",
    authentication_key="authpass1",
    privacy="aes128",
    privacy_key="privpass1",
)
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
    informs = _informs(25 if quick else 100)
    return informs | {
        "traps_per_second": count / seconds,
        "cpu_us_per_trap": cpu / count * 1e6,
        "cpu_us_per_trap_flooded": wasted / dropped * 1e6,
        "resident_mb": resident / 1e6,
    }


def _informs(count: int) -> dict[str, float]:
    """How many informs are answered while another device floods, and how late; each waits 2 s and is sent once again."""
    hears = _Process(rate=10.0, burst=50, users=[_USER])
    hears.flooding.set()
    storm = threading.Thread(target=hears.storm, daemon=True)
    storm.start()
    try:
        took = asyncio.run(_sent(count, hears.port))
    finally:
        hears.flooding.clear()
        storm.join()
        resident = hears.resident()
        hears.end()
    answered = sorted(each for each in took if each is not None)
    return {
        "v3_informs_answered_share_flooded": len(answered) / count,
        "v3_inform_p50_ms_flooded": answered[len(answered) // 2] * 1000 if answered else math.inf,
        "v3_inform_p99_ms_flooded": answered[min(int(len(answered) * 0.99), len(answered) - 1)] * 1000
        if answered
        else math.inf,
        "flood_traps_per_second": hears.stormed,
        "resident_mb_v3": resident / 1e6,
    }


async def _sent(count: int, port: int) -> list[float | None]:
    """Seconds until each inform was answered; None for one that was not."""
    engine = v3.SnmpEngine()
    user = v3.UsmUserData(
        _USER.user,
        _USER.authentication_key,
        _USER.privacy_key,
        authProtocol=v3.USM_AUTH_HMAC192_SHA256,
        privProtocol=v3.USM_PRIV_CFB128_AES,
    )
    target = await v3.UdpTransportTarget.create(("127.0.0.1", port), timeout=2, retries=1)
    took: list[float | None] = []
    for number in range(count):
        begun = time.monotonic()
        problem, status, _, _ = await v3.send_notification(
            engine, user, target, v3.ContextData(), "inform", *_binds(number), lookupMib=False
        )
        took.append(None if problem or int(status or 0) else time.monotonic() - begun)
        await asyncio.sleep(max(0.11 - (time.monotonic() - begun), 0))  # Within the rate of one device.
    engine.close_dispatcher()
    return took


def _binds(number: int) -> list[v3.ObjectType]:
    given = [
        ("1.3.6.1.2.1.1.3.0", v2c.TimeTicks(number)),
        ("1.3.6.1.6.3.1.1.4.1.0", v2c.ObjectIdentifier("1.3.6.1.6.3.1.1.5.3")),
        ("1.3.6.1.2.1.2.2.1.1.7", v2c.Integer(number)),
    ]
    return [v3.ObjectType(v3.ObjectIdentity(oid), value) for oid, value in given]


class _Process:
    """One trap process and our end of its pipe. Traps come from 127.0.0.2, informs from 127.0.0.1."""

    def __init__(self, *, rate: float, burst: int, users: Sequence[Access] = ()) -> None:
        order = Order(
            address="127.0.0.1",
            port=free_port(),
            sources={"127.0.0.2": [0], "127.0.0.1": [each for each, _ in enumerate(users, 1)]},
            accesses=[Access("2c", "site"), *users],
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
        self.flooding = threading.Event()
        self.stormed = 0.0
        self.port = self._port.get(timeout=30)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.2", 0))
        self._socket.connect(("127.0.0.1", self.port))

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

    def storm(self) -> None:
        """Floods until `flooding` is cleared; `stormed` is how many a second that were."""
        made, begun, count = _trap(1), time.monotonic(), 0
        while self.flooding.is_set():
            for _ in range(20):
                self._socket.send(made)
            count += 20
            time.sleep(0.002)
        self.stormed = count / (time.monotonic() - begun)

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
