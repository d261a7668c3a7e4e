"""A bad line to a broker: it loses, delays, falls silent, or hangs up, as a test says.

`Packets` is a real network: the broker lives in a network namespace of its own, and every IP packet between it and us
passes through a thread that may lose or delay it (Linux, root, /dev/net/tun). `Proxy` does what it can for everybody:
it forwards streams, and a lost packet is a pause as long as the first retransmission takes (RFC 6298: 200 ms and more).
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests import servers

RETRANSMISSION = 0.2
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x1, 0x1000
"""linux/if_tun.h."""


class Link(Protocol):
    """What a test may do to a line. `host` and `port` are the broker's at our end of it."""

    host: str
    port: int
    loss: float
    delay: float
    silent: bool

    def hang_up(self) -> None:
        """Ends what is connected now, so that both ends know it."""


class Proxy:
    """See the module; a thread for each direction of each connection."""

    def __init__(self, port: int) -> None:
        self.host, self.loss, self.delay, self.silent = "127.0.0.1", 0.0, 0.0, False
        self._broker = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._dice = random.Random(3)
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """See Link."""
        left, self._open = self._open, []
        for end in left:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._broker), 5)
                except OSError:
                    near.close()
                    continue
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while heard := source.recv(1400):
                pause = self.delay + (RETRANSMISSION if self._dice.random() < self.loss else 0.0)
                time.sleep(pause)
                while self.silent:
                    time.sleep(0.02)
                target.sendall(heard)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Packets:
    """See the module. One thread carries packets between an interface of ours and one in the broker's namespace."""

    def __init__(self, namespace: str, port: int, number: int) -> None:
        self.loss, self.delay, self.silent = 0.0, 0.0, False
        self.host, self.port = f"10.213.{number}.2", port
        self._dice = random.Random(3)
        self._closing = False
        self._ours, near = _interface(f"fw{os.getpid() % 100_000}a{number}")
        self._theirs, far = _interface(f"fw{os.getpid() % 100_000}b{number}")
        _typed("ip", "link", "set", far, "netns", namespace)
        for words, name, end in (((), near, 1), (("-n", namespace), far, 2)):
            _typed("ip", *words, "address", "add", f"10.213.{number}.{end}/30", "dev", name)
            _typed("ip", *words, "link", "set", name, "up")
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """A line of packets has no connection to end; silence is what it knows."""

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)

    def _carry(self) -> None:
        under_way: list[tuple[float, int, int, bytes]] = []
        count = itertools.count()
        other = {self._ours: self._theirs, self._theirs: self._ours}
        while not self._closing:
            wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.1
            for source in select.select([self._ours, self._theirs], [], [], min(wait, 0.1))[0]:
                packet = os.read(source, 65_536)
                if not self.silent and self._dice.random() >= self.loss:
                    due = time.monotonic() + self.delay * self._dice.uniform(0.5, 1.5)
                    heapq.heappush(under_way, (due, next(count), other[source], packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, target, packet = heapq.heappop(under_way)
                with contextlib.suppress(OSError):  # An interface may refuse while it is set up.
                    os.write(target, packet)


def _interface(name: str) -> tuple[int, str]:
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return handle, name


def _typed(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def packets_can_be_carried() -> bool:
    """Whether this account may make namespaces and interfaces."""
    if os.geteuid() or shutil.which("ip") is None or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return False
    name = f"fwtry{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        _typed("ip", "netns", "delete", name)
    return made


@contextlib.contextmanager
def proxied(folder: Path) -> Iterator[tuple[Link, int]]:
    """A mosquitto behind a Proxy; gives the line, and the port of the broker itself on 127.0.0.1."""
    with servers.mosquitto(folder) as broker, contextlib.closing(Proxy(broker.port)) as link:
        yield link, broker.port


@contextlib.contextmanager
def carried(folder: Path) -> Iterator[tuple[Link, Link]]:
    """A mosquitto in a namespace of its own with two lines to it: a bad one and a good one."""
    folder.mkdir(parents=True, exist_ok=True)
    namespace = f"fw{os.getpid()}"
    _typed("ip", "netns", "add", namespace)
    process, links = None, []
    try:
        _typed("ip", "-n", namespace, "link", "set", "lo", "up")
        port = servers.free_port()
        first = os.getpid() % 120 * 2  # Another run on this machine has another network.
        links = [Packets(namespace, port, number) for number in (first, first + 1)]
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 0.0.0.0\nallow_anonymous true\nuser root\n")
        server = servers.program("mosquitto", "mosquitto")
        with (folder / "log").open("ab") as log:
            command = ["ip", "netns", "exec", namespace, server, "-c", str(config)]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        _reached(links[1])
        yield links[0], links[1]
    finally:
        if process is not None:
            servers.stop(process)
        for link in links:
            link.close()
        _typed("ip", "netns", "delete", namespace)


def _reached(link: Link) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((link.host, link.port), 1).close()
        except OSError:
            assert time.monotonic() < end, "the broker in its namespace is not reached"
            time.sleep(0.05)
        else:
            return
