"""A device that is silent over SNMP is tried otherwise only where the consent lets it be probed."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from agent.app import build
from agent.profiles.files import shipped
from agent.settings import load
from agent.settings.target import Target
from agent.snmp.opening import opener
from forewarn import consent as consents
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.vocabulary import Source
from tests.agents import AGENT, SECRET, SITE, SystemClock, signed, write_consent


@pytest.mark.parametrize("scopes", [[Source.SNMP], [Source.SNMP, Source.PROBE]])
def test_a_silent_device_is_pinged_only_with_the_scope_of_probes(tmp_path: Path, scopes: list[Source]) -> None:
    private, public = consents.new_key()
    (tmp_path / "agent").mkdir()
    write_consent(tmp_path / "agent" / "consent.json", signed(private, scopes=scopes))
    pinged: list[str] = []

    async def reach(target: Target) -> str:
        pinged.append(str(target.name))
        return ""

    async def steps() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            silent.setblocking(False)
            (tmp_path / "agent.yaml").write_text(
                f"site: {SITE}\nagent: {AGENT}\nshard: 7\nsecret: '{SECRET}'\nfolder: {tmp_path / 'agent'}\n"
                f"broker: {{host: 127.0.0.1}}\ntrusted_keys: ['{public}']\nhost: {{enabled: false}}\ndevices:\n"
                f"  - {{name: cam, address: 127.0.0.1, port: {silent.getsockname()[1]}, interval: 0.5s, timeout: 0.1s, "
                "retries: 0}\n"
            )
            agent = build(
                load(tmp_path / "agent.yaml", env={}),
                bus=LoopbackBus(Exchange(), AGENT),
                clock=SystemClock(),
                profiles=shipped(),
                open_session=opener(),
                reach=reach,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(agent.run(stop))
            async with asyncio.timeout(20):
                for _ in range(3):  # The third is asked when the second poll is over, and what follows it.
                    await asyncio.get_running_loop().sock_recv(silent, 2048)
            stop.set()
            await running

    asyncio.run(steps())
    assert bool(pinged) == (Source.PROBE in scopes)
