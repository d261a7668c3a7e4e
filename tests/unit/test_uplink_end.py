"""Delivery ends when it is told to, whatever else happens in the same moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.delivery.cutting import Identity
from agent.delivery.pace import Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Spool
from agent.delivery.uplink import Uplink
from agent.guard import Guard
from forewarn.bus.loopback import Exchange, LoopbackBus
from tests.agents import AGENT, SECRET, SHARD, SITE, SystemClock


@pytest.mark.parametrize("turns", range(5))
def test_an_end_asked_for_as_something_wakes_the_uplink_is_not_forgotten(tmp_path: Path, turns: int) -> None:
    async def story() -> bool:
        clock = SystemClock()
        guard = Guard(tmp_path, tmp_path / "consent.json", site=SITE, trusted=[], clock=clock)
        spool = Spool(tmp_path / "spool", clock=clock, linger=0.0)
        who, presences = Identity(SITE, AGENT, SHARD, SECRET, "run-1"), Presences(tmp_path, AGENT, "run-1")
        bus = LoopbackBus(Exchange(), AGENT)
        uplink = Uplink(bus, spool, guard, who=who, presences=presences, clock=clock, tempo=Tempo())
        await spool.open()
        task = asyncio.create_task(uplink.run())
        while not bus.state.connected or uplink._wake.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        uplink._wake.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await spool.close()
        bus.close()
        return bool(ended)

    assert asyncio.run(story())
