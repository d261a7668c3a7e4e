"""A device without SNMP tells its inventory when it is new, when it changes, and daily."""

from __future__ import annotations

import asyncio
import socket

from agent.polling.poller import contacts
from agent.profiles.files import shipped
from agent.reading import Happening
from agent.settings.probes import ProbeSetting
from agent.settings.target import Target
from agent.snmp.opening import opener
from tests.clocks import SteppedClock


def told(target: Target, clock: SteppedClock, hours: int, *, changed_at: int = -1) -> list[int]:
    """The hours at which its inventory was told, polled every six hours."""

    async def polled() -> list[int]:
        [contact] = contacts(target, shipped(), open_session=opener(), clock=clock)
        found: list[int] = []
        for hour in range(0, hours, 6):
            if hour == changed_at:
                contact.company.texts["firmware"] = "other"  # type: ignore[attr-defined]
            items = await contact.poll()
            found += [hour for item in items if isinstance(item, Happening) and item.kind == "inventory"]
            clock.step(6 * 3600)
        contact.close()
        return found

    return asyncio.run(polled())


def test_a_device_that_is_only_probed_tells_its_inventory_daily_and_on_change() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        probes = [ProbeSetting(tcp=door.getsockname()[1])]
        target = Target(name="cam", address="127.0.0.1", use_snmp=False, probes=probes)
        assert told(target, SteppedClock(), 50) == [0, 24, 48]
        assert told(target, SteppedClock(), 50, changed_at=12) == [0, 12, 36]
