"""Devices that answer SNMP v1 and v2c on real UDP ports from recordings, and misbehave on request.

One thread serves all devices of a `Responder`. Values may be changed from any thread while it runs. It reads only:
a SET is counted and not answered.

Errors:
    OSError      the address is taken or not ours
    ValueError   a recording that is none (from `forewarn.demo.ber`)
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from forewarn.demo import ber

ETHERNET = 1472
"""The largest UDP payload that crosses an Ethernet unfragmented; real devices answer no more."""
_Peer = tuple[str, int]
_MOST_REPETITIONS = 100
_MISSING = (ber.NO_SUCH_OBJECT, ber.NO_SUCH_INSTANCE, ber.END_OF_MIB)
_COLUMN_ARCS = 11
"""No column that a profile walks has a longer name, every row of one has."""


class Mood(StrEnum):
    """How a device treats its next requests."""

    HONEST = "honest"
    SILENT = "silent"
    LATE = "late"
    """Answers `Device.delay` seconds after the request."""
    GARBAGE = "garbage"
    CUT = "cut"
    """The first half of the right answer."""
    WRONG_NUMBER = "wrong number"
    """The right answer under another request id."""
    ENDLESS = "endless"
    """Every walk goes on for ever, with ever new objects."""
    CIRCLING = "circling"
    """Every walk comes back to where it was."""
    NOTHING = "nothing"
    """noSuchObject to everything."""


@dataclass(eq=False)
class Device:
    """One simulated device: its objects, its mood, and what was asked of it."""

    objects: dict[str, bytes]
    community: bytes = b"public"
    mood: Mood = Mood.HONEST
    delay: float = 0.0
    lose: int = 0
    """How many of the next requests get lost on the way."""
    most_binds: int = 0
    """GETs with more objects are refused with tooBig; 0: no limit but the datagram's."""
    most_bytes: int = ETHERNET
    newest: int = 1
    """The newest version it speaks: 0 for v1 alone, 1 for v2c too."""
    mute: str = ""
    """An OID under which it answers nothing: requests with an object there are lost."""
    requests: int = 0
    sets: int = 0
    socket: socket.socket | None = None
    _order: list[tuple[tuple[int, ...], bytes]] = field(default_factory=list)
    _known: dict[bytes, bytes] = field(default_factory=dict)
    _place: dict[bytes, int] = field(default_factory=dict)
    _stale: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        """The UDP port it answers on."""
        assert self.socket is not None, "added to no responder"
        return int(self.socket.getsockname()[1])

    @property
    def address(self) -> str:
        """The IP address it answers on."""
        assert self.socket is not None, "added to no responder"
        return str(self.socket.getsockname()[0])

    def set(self, name: str, tag: int, content: int | str | bytes) -> None:
        """Gives an object a value from now on; `tag` is the ASN.1 tag number as in recordings."""
        encoded = ber.value(tag, content)
        with self._lock:
            self._stale |= name not in self.objects
            self.objects[name] = encoded
            if not self._stale:
                self._known[ber.oid(name)] = ber.bind(ber.oid(name), encoded)

    def remove(self, prefix: str) -> None:
        """Takes away every object that is or lies under `prefix`."""
        with self._lock:
            gone = [name for name in self.objects if name == prefix or name.startswith(prefix + ".")]
            for name in gone:
                del self.objects[name]
            self._stale = True

    def restore(self, objects: Mapping[str, bytes]) -> None:
        """Gives back objects that were taken away; those that are there keep their values."""
        with self._lock:
            self.objects = dict(objects) | self.objects
            self._stale = True

    def answer(self, datagram: bytes) -> bytes | None:
        """What it sends back to these octets, None for nothing."""
        self.requests += 1
        if self.lose > 0:
            self.lose -= 1
            return None
        try:
            asked = ber.request(datagram)
        except ValueError:
            return None
        if asked.pdu == ber.SET:
            self.sets += 1
        if asked.community != self.community or self.mood is Mood.SILENT or asked.pdu == ber.SET:
            return None
        if asked.version > self.newest or (asked.version == 0 and asked.pdu == ber.GETBULK) or self._is_mute(asked):
            return None
        with self._lock:
            self._index()
            answer = self._answered(asked)
        return os.urandom(40) if self.mood is Mood.GARBAGE else answer

    def _is_mute(self, asked: ber.Request) -> bool:
        return bool(self.mute) and any(name.startswith(ber.oid(self.mute)) for name in asked.oids)

    def _index(self) -> None:
        if not self._stale:
            return
        self._order = sorted((ber.arcs(ber.oid(name)), ber.oid(name)) for name in self.objects)
        self._known = {ber.oid(name): ber.bind(ber.oid(name), value) for name, value in self.objects.items()}
        self._place = {name: place for place, (_, name) in enumerate(self._order)}
        self._stale = False

    def _answered(self, asked: ber.Request) -> bytes:
        if asked.pdu == ber.GET:
            if self.most_binds and len(asked.oids) > self.most_binds:
                return ber.response(asked, b"", error=1)
            binds = [self._got(name) for name in asked.oids]
        elif asked.pdu == ber.GETNEXT:
            binds = [self._next(name)[1] for name in asked.oids]
        else:
            binds = self._bulk(asked)
        if asked.version == 0:
            # RFC 1157 section 4.1.2: one name that is not there refuses the request, told by its place.
            for place, (name, bound) in enumerate(zip(asked.oids, binds, strict=True), 1):
                if bound in [ber.bind(name, missing) for missing in _MISSING]:
                    same = b"".join(ber.bind(each, ber.value(ber.NULL, "")) for each in asked.oids)
                    return ber.response(asked, same, error=2, index=place)
        wrong = asked.number ^ 0x55 if self.mood is Mood.WRONG_NUMBER else None
        answer = ber.response(asked, b"".join(binds), number=wrong)
        if len(answer) > self.most_bytes:
            return ber.response(asked, b"", error=1)
        return answer[: len(answer) // 2] if self.mood is Mood.CUT else answer

    def _got(self, name: bytes) -> bytes:
        if self.mood is Mood.NOTHING:
            return ber.bind(name, ber.NO_SUCH_OBJECT)
        return self._known.get(name) or ber.bind(name, ber.NO_SUCH_INSTANCE)

    def _next(self, name: bytes) -> tuple[bytes, bytes]:
        """The object after `name`, as (its name, its varbind)."""
        if self.mood is Mood.ENDLESS:
            after = _endless(name)
            return after, ber.bind(after, ber.integer(1))
        place = self._place.get(name)
        place = bisect.bisect_right(self._order, (ber.arcs(name), b"\xff")) if place is None else place + 1
        if self.mood is Mood.CIRCLING and name in self._place:
            place = self._place[name]
        if place >= len(self._order) or self.mood is Mood.NOTHING:
            return name, ber.bind(name, ber.END_OF_MIB)
        after = self._order[place][1]
        return after, self._known[after]

    def _bulk(self, asked: ber.Request) -> list[bytes]:
        binds = [self._next(name)[1] for name in asked.oids[: asked.first]]
        names = asked.oids[asked.first :]
        room = self.most_bytes - 60 - sum(map(len, binds))
        for _ in range(min(asked.second, _MOST_REPETITIONS)):
            for column, name in enumerate(names):
                names[column], bound = self._next(name)
                room -= len(bound)
                if room < 0:
                    return binds
                binds.append(bound)
        return binds


class Responder:
    """Serves devices from one thread, between `start` and `stop` or within a `with`."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self._selector = selectors.DefaultSelector()
        self._late: list[tuple[float, int, Device, bytes, _Peer]] = []
        self._thread = threading.Thread(target=self._serve, name="responder", daemon=True)
        self._running = True

    def add(
        self,
        recording: str | Mapping[str, bytes],
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        community: str = "public",
    ) -> Device:
        """Puts a device on an address and UDP port (0: a free one); `recording` as in `forewarn.demo.ber`."""
        objects = ber.recorded(recording) if isinstance(recording, str) else dict(recording)
        device = Device(objects, community.encode())
        device.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        device.socket.setblocking(False)
        device.socket.bind((address, port))
        self.devices.append(device)
        self._selector.register(device.socket, selectors.EVENT_READ, device)
        return device

    def start(self) -> Self:
        """Begins to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answers no more, and gives the ports back."""
        self._running = False
        if self._thread.is_alive():
            self._thread.join()
        for device in self.devices:
            if device.socket is not None:
                device.socket.close()
        self._selector.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        while self._running:
            for key, _ in self._selector.select(0.02 if self._late else 0.1):
                self._take(key.data)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, device, answer, peer = heapq.heappop(self._late)
                _send(device, answer, peer)

    def _take(self, device: Device) -> None:
        assert device.socket is not None
        for datagram, peer in _received(device.socket):
            answer = device.answer(datagram)
            if answer is None:
                continue
            if device.mood is Mood.LATE:
                due = time.monotonic() + device.delay
                heapq.heappush(self._late, (due, device.requests, device, answer, peer))
            else:
                _send(device, answer, peer)


def _endless(name: bytes) -> bytes:
    """The object after `name` in a table without end: under a column its first row, then the next row for ever."""
    places = ber.arcs(name)
    after = (*places[:-1], places[-1] + 1) if len(places) > _COLUMN_ARCS else (*places, 1)
    return ber.oid(".".join(map(str, after)))


def _received(source: socket.socket) -> Iterator[tuple[bytes, _Peer]]:
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            yield source.recvfrom(65536)


def _send(device: Device, answer: bytes, peer: _Peer) -> None:
    if device.socket is not None:
        with contextlib.suppress(OSError):
            device.socket.sendto(answer, peer)
