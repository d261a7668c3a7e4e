"""Simulated switches in processes of their own, so that their work is not counted as the agent's."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from forewarn.demo import ber
from forewarn.demo.responder import Device, Mood, Responder

T = TypeVar("T")
PORTS = 24
UPTIME = "1.3.6.1.2.1.1.3.0"
_IF, _IFX, _POE = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.105.1.1.1"
COLUMNS = {
    f"{_IF}.8": 2,
    f"{_IF}.7": 2,
    f"{_IFX}.6": 70,
    f"{_IFX}.10": 70,
    f"{_IF}.14": 65,
    f"{_IF}.20": 65,
    f"{_IF}.13": 65,
    f"{_IF}.19": 65,
    f"{_IFX}.15": 66,
    f"{_POE}.6": 2,
    f"{_POE}.12": 65,
    f"{_POE}.13": 65,
    f"{_POE}.14": 65,
}
"""What `switch.generic` reads of a row → the type it has."""


@dataclass
class Switches:
    """Addresses and UDP ports of the switches; `requests` counts what they were asked since the last call."""

    places: list[tuple[str, int]]
    pipes: list[Connection]

    def requests(self) -> int:
        return sum(int(_told(pipe, "requests")) for pipe in self.pipes)

    def misbehave(self, dead: int) -> int:
        """The last `dead` of them answer no more; of those before as many as are returned have another fault.

        Of a hundred living: 2 answer after a second, 1 with garbage, 1 begins anew every few seconds, 2 find ten
        objects too many.
        """
        living = len(self.places) - dead
        moods = ["late"] * (living * 2 // 100) + ["garbage"] * (living // 100) + ["rebooting"] * (living // 100)
        moods += ["small"] * (living * 2 // 100)
        plan = ["honest"] * (living - len(moods)) + moods + ["silent"] * dead
        for pipe, some in zip(self.pipes, _shared(plan, len(self.pipes)), strict=True):
            _told(pipe, some)
        return len(moods)


@contextmanager
def switches(count: int) -> Iterator[Switches]:
    """Runs `count` switches with 24 ports on 127.0.1.1 and so on, 500 in a process."""
    context = multiprocessing.get_context("spawn")
    children, pipes = [], []
    for some in _shared(range(count), max(-(-count // 500), 1)):
        ours, theirs = multiprocessing.Pipe()
        children.append(context.Process(target=_serve, args=(len(some), theirs), daemon=True))
        children[-1].start()
        pipes.append(ours)
    try:
        yield Switches([place for pipe in pipes for place in pipe.recv()], pipes)
    finally:
        for pipe, child in zip(pipes, children, strict=True):
            pipe.send("end")
            child.join(10)


def _shared(whole: Sequence[T], parts: int) -> list[Sequence[T]]:
    """A sequence in nearly equal parts."""
    ends = [len(whole) * at // parts for at in range(parts + 1)]
    return [whole[begin:end] for begin, end in itertools.pairwise(ends)]


def _told(pipe: Connection, what: object) -> Any:
    pipe.send(what)
    return pipe.recv()


def capacity(seconds: float = 1.0) -> float:
    """Requests a second that one process of the switches can answer, the network left out: GETs of 42 objects."""
    device = Device(_objects())
    oids = [f"{column}.{'1.' if column.startswith(_POE) else ''}{port}" for column in COLUMNS for port in range(1, 25)]
    asked = []
    for begin in range(0, len(oids), 42):
        binds = b"".join(ber.bind(ber.oid(oid), b"\x05\x00") for oid in oids[begin : begin + 42])
        body = ber.integer(7 + begin) + ber.integer(0) * 2 + ber.tlv(ber.SEQUENCE, binds)
        head = ber.integer(1) + ber.tlv(ber.OCTETS, b"public")
        asked.append(ber.tlv(ber.SEQUENCE, head + ber.tlv(ber.GET, body)))
    done, begun = 0, time.process_time()
    while time.process_time() - begun < seconds:
        assert all(device.answer(datagram) for datagram in asked)
        done += len(asked)
    return done / (time.process_time() - begun)


def _serve(count: int, pipe: Connection) -> None:
    objects = _objects()
    with Responder() as responder:
        devices = [responder.add(objects, address=f"127.0.1.{at % 250 + 1}") for at in range(count)]
        pipe.send([(device.address, device.port) for device in devices])
        rebooting: list[Device] = []
        while True:
            if not pipe.poll(5.0):
                for device in rebooting:
                    device.set(UPTIME, 67, 100)
                continue
            asked = pipe.recv()
            if asked == "end":
                return
            if asked == "requests":
                pipe.send(sum(device.requests for device in devices))
                for device in devices:
                    device.requests = 0
            else:
                for device, mood in zip(devices, asked, strict=True):
                    _put(device, mood)
                rebooting = [device for device, mood in zip(devices, asked, strict=True) if mood == "rebooting"]
                pipe.send(None)


def _put(device: Device, mood: str) -> None:
    if mood == "small":
        device.most_binds = 9
    elif mood != "rebooting":
        device.mood, device.delay = Mood(mood), 0.9


def _objects() -> dict[str, bytes]:
    objects = {
        "1.3.6.1.2.1.1.1.0": ber.value(4, "a simulated switch"),
        "1.3.6.1.2.1.1.2.0": ber.value(6, "1.3.6.1.4.1.99999.1.24"),
        "1.3.6.1.2.1.1.3.0": ber.value(67, 360_000_000),
        "1.3.6.1.2.1.1.5.0": ber.value(4, "switch"),
        "1.3.6.1.2.1.17.1.2.0": ber.value(2, PORTS),
    }
    for column, tag in COLUMNS.items():
        for port in range(1, PORTS + 1):
            row = f"1.{port}" if column.startswith(_POE) else str(port)
            objects[f"{column}.{row}"] = ber.value(tag, 1 if tag == 2 else port * 1_000_003)
    for port in range(1, PORTS + 1):
        objects[f"{_IF}.3.{port}"] = ber.value(2, 6)
        objects[f"{_IFX}.1.{port}"] = ber.value(4, f"GigabitEthernet0/{port}")
    return objects
