"""Simulated switches in a process of their own, so that their work is not counted as the agent's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from forewarn.demo import ber
from forewarn.demo.responder import Mood, Responder

PORTS = 24
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
    pipe: Connection

    def requests(self) -> int:
        self.pipe.send("requests")
        return int(self.pipe.recv())

    def silence(self, some: int) -> None:
        """The last `some` of them answer no more."""
        self.pipe.send(some)
        self.pipe.recv()


@contextmanager
def switches(count: int) -> Iterator[Switches]:
    """Runs `count` switches with 24 ports on 127.0.1.1 and so on."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(count, theirs), daemon=True)
    child.start()
    try:
        yield Switches(ours.recv(), ours)
    finally:
        ours.send("end")
        child.join(10)


def _serve(count: int, pipe: Connection) -> None:
    objects = _objects()
    with Responder() as responder:
        devices = [responder.add(objects, address=f"127.0.1.{at % 250 + 1}") for at in range(count)]
        pipe.send([(device.address, device.port) for device in devices])
        while (asked := pipe.recv()) != "end":
            if isinstance(asked, int):
                for device in devices[-asked:]:
                    device.mood = Mood.SILENT
                pipe.send(None)
            else:
                pipe.send(sum(device.requests for device in devices))
                for device in devices:
                    device.requests = 0


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
