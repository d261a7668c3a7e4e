"""What the tests of polling share: recorded devices, a sink that keeps, ways to read a record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent.polling.contact import Contact
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Duration
from tests.clocks import SteppedClock

RECORDINGS = Path(__file__).parent / "fixtures" / "recordings"
UPTIME = "1.3.6.1.2.1.1.3.0"
IN_OCTETS, IN_ERRORS, OPER_STATUS, NAMES = (
    f"1.3.6.1.2.1.{tail}" for tail in ("31.1.1.1.6", "2.2.1.14", "2.2.1.8", "31.1.1.1.1")
)


class RealClock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.items: list[Reading | Happening] = []

    async def put(self, item: Reading | Happening) -> None:
        self.items.append(item)

    def of(self, device: str) -> list[Reading]:
        return [item for item in self.items if isinstance(item, Reading) and item.device == device]


def recorded(responder: Responder, profile: str) -> Device:
    return responder.add((RECORDINGS / f"{profile}.snmprec").read_text())


def target(device: Device, name: str = "it", **kwargs: Any) -> Target:
    given = {"interval": Duration(60), "timeout": Duration(0.2), "retries": 0, **kwargs}
    return Target(name=name, address=device.address, port=device.port, **given)


def contact(device: Device, clock: SteppedClock, **kwargs: Any) -> Contact:
    return Contact(target(device, **kwargs), shipped(), open_session=opener(), clock=clock)


def value(reading: Reading, table: str, instance: str, field: str) -> float | None:
    return dict(zip(reading.shape.columns(), reading.values, strict=True))[table, instance, field]


def in_loop(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps())


def reading(items: list[Reading | Happening]) -> Reading:
    return next(item for item in items if isinstance(item, Reading))


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end, "did not come about in time"
        await asyncio.sleep(0.02)


async def ended(running: asyncio.Task[None]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
