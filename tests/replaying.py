"""Plays recordings to the agent, through the real responder and the real adapter, and tells what it made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agent.polling.contact import Contact
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.credential import Access
from agent.settings.target import Target
from agent.snmp.opening import opener
from agent.snmp.requester import Requester
from agent.snmp.session import Exchange
from forewarn.demo.responder import Device
from forewarn.settings import Duration, Secret
from tests.clocks import SteppedClock

Connect = Callable[[str, int, Access, float], Exchange]


def replay(device: Device, text: str) -> None:
    """Gives a device the values of a recording, over those it has."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, tag, content = line.split("|", 2)
            device.set(name, int(tag), content)


def polled_twice(device: Device, later: str, connect: Connect | None = None) -> dict[str, Any]:
    """Two polls of a device a minute apart, with `later` in between, as people read them; `connect` is the adapter."""
    first, second = asyncio.run(_polled(device, later, connect))
    return {"first": told(first), "a minute later": told(second)}


async def _polled(device: Device, later: str, connect: Connect | None) -> list[list[Reading | Happening]]:
    target = Target(
        name="it", address=device.address, port=device.port, community=Secret("public"), timeout=Duration(2), retries=0
    )
    clock = SteppedClock()

    def opened(of: Target) -> Requester:
        assert connect is not None
        return Requester(connect(of.address, of.port, of.access(), of.timeout), retries=of.retries)

    contact = Contact(target, shipped(), open_session=opener() if connect is None else opened, clock=clock)
    first = await contact.poll()
    replay(device, later)
    clock.step(60)
    second = await contact.poll()
    contact.close()
    return [first, second]


def told(items: list[Reading | Happening]) -> dict[str, Any]:
    """A poll as people read it, but for the times that no two runs share."""
    reading = next(item for item in items if isinstance(item, Reading))
    assert reading.ok, reading.why
    rows: dict[str, Any] = {}
    for (table, instance, field), value in zip(reading.shape.columns(), reading.values, strict=True):
        if field not in ("rtt_seconds", "poll_seconds"):
            rows.setdefault(table, {}).setdefault(instance, {})[field] = value
    inventory = next((item.text for item in items if isinstance(item, Happening)), None)
    said = {"kind": str(reading.shape.kind), "profile": reading.shape.profile, "values": rows}
    return said | ({"inventory": inventory} if inventory else {})
