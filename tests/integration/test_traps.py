"""Traps and informs as net-snmp sends them, heard by the real process, to the event and the poll they cause."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.credential import Credential
from agent.reading import Happening, Reading
from agent.settings import Settings
from agent.target import Target
from agent.traps.listener import Listener
from agent.traps.setting import Listening
from forewarn.bus import Broker
from forewarn.consent import Refusal
from forewarn.settings import Secret
from forewarn.vocabulary import DeviceKind, Source
from tests.polling import RealClock, until
from tests.servers import free_port, program

UPTIME, LINK_DOWN, INDEX = "12345", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.7"


class Spool:
    """A sink that may hold what it is given, as a full disk does."""

    def __init__(self) -> None:
        self.events: list[Happening] = []
        self.room = asyncio.Event()
        self.room.set()

    async def put(self, item: Reading | Happening) -> None:
        assert isinstance(item, Happening)
        await self.room.wait()
        self.events.append(item)


class Site:
    """A listener with its process, and what it did."""

    def __init__(self, *devices: Target, **traps: Any) -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        self.spool = Spool()
        self.nudged: list[str] = []
        self.refusal: Refusal | None = None
        given = traps.pop("credentials_given", {})
        settings = Settings(
            site="s-1",
            agent="a-1",
            shard=0,
            secret=Secret("x"),
            broker=Broker(host="127.0.0.1"),
            credentials=given,
            devices=list(devices) or [Target(name="sw-1", address="127.0.0.1", community=Secret("site"))],
            traps=Listening(enabled=True, address="127.0.0.1", port=self.port, **traps),
        )
        self.listener = Listener(
            settings,
            sink=self.spool,
            permit=self.permit,
            refuses=self.permit,
            clock=RealClock(),
            nudge=self.nudged.append,
            kind=lambda _: DeviceKind.SWITCH,
        )

    def permit(self, source: Source, address: str | None) -> Refusal | None:
        assert source is Source.TRAP
        return self.refusal

    @property
    def texts(self) -> list[dict[str, str]]:
        return [event.text for event in self.spool.events]

    async def listens(self) -> None:
        await until(lambda: self.listener.state.port == self.port)

    @property
    def dropped(self) -> dict[str, int]:
        return self.listener.state.tally.dropped

    async def send(self, *words: str, name: str = "snmptrap") -> subprocess.CompletedProcess[str]:
        """`words` end in the OID of the trap."""
        command = [program(name, "snmp"), *words[:-1], f"127.0.0.1:{self.port}", UPTIME, words[-1]]
        return await asyncio.to_thread(run, command)

    async def send_v1(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`words` go on behind the place with the enterprise."""
        command = [program("snmptrap", "snmp"), *words[:3], f"127.0.0.1:{self.port}", *words[3:]]
        return await asyncio.to_thread(run, command)

    async def trap(self, *binds: str, oid: str = LINK_DOWN, community: str = "site", source: str = "127.0.0.1") -> None:
        head = [program("snmptrap", "snmp"), "-v2c", "-c", community, f"--clientaddr={source}"]
        sent = await asyncio.to_thread(run, [*head, f"127.0.0.1:{self.port}", UPTIME, oid, *binds])
        assert sent.returncode == 0, sent.stderr


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MIBS": "", "SNMPCONFPATH": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=env)


@asynccontextmanager
async def heard(*devices: Target, **traps: Any) -> AsyncIterator[Site]:
    site = Site(*devices, **traps)
    running = asyncio.create_task(site.listener.run())
    try:
        await site.listens()
        yield site
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_trap_becomes_an_event_in_words_and_its_device_is_polled():
    async def steps() -> None:
        async with heard() as site:
            await site.trap(INDEX, "i", "7", "1.3.6.1.2.1.31.1.1.1.1.7", "s", "Gi0/7")
            await until(lambda: site.nudged == ["sw-1"])
            (event,) = site.spool.events
            assert (event.device, event.kind, event.address) == ("sw-1", "event", "127.0.0.1")
            assert event.shape is not None
            assert (event.shape.source, event.shape.kind) == (Source.TRAP, DeviceKind.SWITCH)
            assert event.text == {
                "event": "link down",
                "zh": "端口断开",
                "severity": "warning",
                "instance": "Gi0/7",
                "trap": LINK_DOWN,
                "ifIndex": "7",
                "ifName": "Gi0/7",
            }

    asyncio.run(steps())


V3 = {
    "version": "3",
    "user": "forewarn",
    "auth": "sha256",
    "auth_key": Secret("authpass1"),
    "privacy": "aes128",
    "privacy_key": Secret("privpass1"),
}
AS_USER = [
    "-v3",
    "-u",
    "forewarn",
    "-a",
    "SHA-256",
    "-A",
    "authpass1",
    "-x",
    "AES",
    "-X",
    "privpass1",
    "-l",
    "authPriv",
]
ENGINE = ["-e", "0x8000000001020304"]


def user_device(**changed: Any) -> Target:
    return Target(name="sw-1", address="127.0.0.1", snmp=Credential(**(V3 | changed)))


def test_a_v1_trap_reads_as_the_same_trap_of_v2():
    async def steps() -> None:
        async with heard() as site:
            generic = ["-v1", "-c", "site", "1.3.6.1.4.1.9.1.1", "127.0.0.1", "2", "0", "55", INDEX, "i", "7"]
            assert (await site.send_v1(*generic)).returncode == 0
            specific = ["-v1", "-c", "site", "1.3.6.1.4.1.4242.9", "127.0.0.1", "6", "17", "55"]
            assert (await site.send_v1(*specific)).returncode == 0
            await until(lambda: len(site.texts) == 2)
            assert (site.texts[0]["event"], site.texts[0]["instance"]) == ("link down", "7")
            assert site.texts[1]["event"] == "unknown trap"
            assert site.texts[1]["trap"] == "1.3.6.1.4.1.4242.9.0.17"

    asyncio.run(steps())


def test_a_v3_trap_is_read_with_the_key_of_its_device_and_nothing_else_is():
    async def steps() -> None:
        async with heard(user_device()) as site:
            assert (await site.send(*AS_USER, *ENGINE, "-Z", "1,10", LINK_DOWN)).returncode == 0
            await until(lambda: len(site.texts) == 1)
            wrong = ["wrongpass1" if word == "authpass1" else word for word in AS_USER]
            await site.send(*wrong, *ENGINE, "-Z", "1,11", "1.3.6.1.6.3.1.1.5.4")
            await site.send("-v3", "-u", "forewarn", "-l", "noAuthNoPriv", *ENGINE, "-Z", "1,12", "1.3.6.1.6.3.1.1.5.4")
            await site.send("-v3", "-u", "nobody", "-l", "noAuthNoPriv", *ENGINE, "-Z", "1,13", "1.3.6.1.6.3.1.1.5.4")
            await site.trap(community="public")
            await until(lambda: sum(site.dropped.values()) == 4)
            assert site.dropped == {"wrong user or key": 2, "less protected than agreed": 1, "wrong community": 1}
            assert len(site.texts) == 1

    asyncio.run(steps())


def test_a_v3_trap_sent_again_later_by_somebody_else_is_refused():
    async def steps() -> None:
        async with heard(user_device()) as site:
            for at, moment in enumerate(("3,1000", "3,900", "3,800", "2,5000")):
                await site.send(*AS_USER, *ENGINE, "-Z", moment, f"1.3.6.1.4.1.4242.0.{at}")
            await until(lambda: len(site.texts) + sum(site.dropped.values()) == 4)
            assert len(site.texts) == 2, "the newest, and one within 150 s of it"
            assert site.dropped == {"sent before": 2}

    asyncio.run(steps())
