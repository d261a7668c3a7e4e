"""Traps and informs as net-snmp sends them, heard by the real process, to the event and the poll they cause."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pyasn1.codec.ber import encoder
from pysnmp.proto.api import v2c

from agent.reading import Happening, Reading
from agent.settings import Settings
from agent.settings.credential import Credential
from agent.settings.listening import Listening
from agent.settings.target import Target
from agent.traps.listener import Listener
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
        self.port = traps.pop("port", 0) or free_port(socket.SOCK_DGRAM)
        self.spool = Spool()
        self.nudged: list[str] = []
        self.refusal: Refusal | None = None
        self.refused_address = ""
        self.noted: list[str | None] = []
        tell = traps.pop("tell", 60.0)
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
            refuses=self.refuses,
            clock=RealClock(),
            nudge=self.nudged.append,
            kind=lambda _: DeviceKind.SWITCH,
            tell=tell,
        )

    def permit(self, source: Source, address: str | None) -> Refusal | None:
        self.noted.append(address)
        return self.refuses(source, address)

    def refuses(self, source: Source, address: str | None) -> Refusal | None:
        assert source is Source.TRAP
        return Refusal.ADDRESS if address is not None and address == self.refused_address else self.refusal

    def of(self, device: str) -> list[dict[str, str]]:
        return [event.text for event in self.spool.events if event.device == device]

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


def trap_octets(number: int) -> bytes:
    """A v2c trap `link down` of interface `number`."""
    pdu = v2c.SNMPv2TrapPDU()
    v2c.apiPDU.set_defaults(pdu)
    uptime = ((1, 3, 6, 1, 2, 1, 1, 3, 0), v2c.TimeTicks(1))
    trap = ((1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0), v2c.ObjectIdentifier(LINK_DOWN))
    v2c.apiPDU.set_varbinds(pdu, [uptime, trap, ((1, 3, 6, 1, 2, 1, 2, 2, 1, 1, number), v2c.Integer(number))])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_community(message, "site")
    v2c.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


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


INFORM = ["-v2c", "-c", "site", "-r", "0", "-t", "1"]


def test_an_inform_is_answered_only_when_its_event_is_stored():
    async def steps() -> None:
        async with heard() as site:
            site.spool.room.clear()
            waiting = await site.send(*INFORM, LINK_DOWN, name="snmpinform")
            assert "Timeout" in waiting.stderr, "the disk takes nothing yet"
            site.spool.room.set()
            await until(lambda: len(site.texts) == 1)
            assert (await site.send(*INFORM, LINK_DOWN, name="snmpinform")).returncode == 0, "the same again: stored"
            assert (await site.send(*INFORM, "1.3.6.1.6.3.1.1.5.4", name="snmpinform")).returncode == 0
            await until(lambda: len(site.texts) == 2)

    asyncio.run(steps())


def test_a_v3_inform_finds_out_who_we_are_and_is_answered_after_a_restart_of_ours_too():
    async def steps() -> None:
        device, before = user_device(), ""
        async with heard(device) as site:
            asked = [*AS_USER, "-r", "1", "-t", "2"]
            sent = await site.send(*asked, LINK_DOWN, name="snmpinform")
            assert (sent.returncode, sent.stderr) == (0, before)
            process = site.listener.process
            assert process is not None
            process.kill()
            await until(lambda: site.listener.state.restarts == 1)
            await site.listens()
            sent = await site.send(*asked, LINK_DOWN, name="snmpinform")
            assert (sent.returncode, sent.stderr) == (0, "")
            await until(lambda: len(site.texts) == 2)
            wrong = ["wrongpass1" if word == "privpass1" else word for word in asked]
            assert (await site.send(*wrong, LINK_DOWN, name="snmpinform")).returncode != 0
            assert len(site.texts) == 2

    asyncio.run(steps())


def test_an_inform_that_the_guard_refuses_is_not_answered():
    async def steps() -> None:
        async with heard() as site:
            site.refused_address = "127.0.0.1"
            sent = await site.send(*INFORM, LINK_DOWN, name="snmpinform")
            assert "Timeout" in sent.stderr
            assert (site.texts, site.nudged) == ([], [])
            assert "127.0.0.1" in site.noted, "for the customer to read in the status"

    asyncio.run(steps())


def test_without_the_scope_nobody_listens_and_with_it_somebody_does():
    async def steps() -> None:
        async with heard() as site:
            process = site.listener.process
            site.refusal = Refusal.SCOPE
            await until(lambda: site.listener.state.port == 0)
            assert process is not None
            await until(lambda: process.returncode is not None)
            await until(lambda: site.listener.state.why == str(Refusal.SCOPE))
            assert site.spool.events == []
            site.refusal = None
            await site.listens()
            await site.trap()
            await until(lambda: len(site.texts) == 1)

    asyncio.run(steps())


def test_the_very_same_again_is_counted_and_told_once():
    async def steps() -> None:
        async with heard() as site:
            for _ in range(4):
                await site.trap(INDEX, "i", "7")
            await site.trap(INDEX, "i", "8")
            await until(lambda: len(site.texts) == 3)
            assert [(text["instance"], text.get("repeated")) for text in site.texts] == [
                ("7", None),
                ("8", None),
                ("7", "3"),
            ]

    asyncio.run(steps())


def told(site: Site) -> list[dict[str, str]]:
    return [text for text in site.of("loud") if text["event"] == "traps dropped"]


def test_one_that_floods_harms_no_other_and_is_told_of():
    async def steps() -> None:
        one = Target(name="loud", address="127.0.0.2", community=Secret("site"))
        other = Target(name="calm", address="127.0.0.3", community=Secret("site"))
        async with heard(one, other, tell=0.5) as site:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
                loud.bind(("127.0.0.2", 0))
                for number in range(5000):
                    loud.sendto(trap_octets(number), ("127.0.0.1", site.port))
                    if number % 50 == 0:
                        await asyncio.sleep(0.005)
            for number in range(5):
                await site.trap(INDEX, "i", str(number), source="127.0.0.3")
            await until(lambda: len(site.of("calm")) == 5)
            await until(lambda: sum(int(text["count"]) for text in told(site)) > 2500)
            assert {text["why"] for text in told(site)} == {"more than 10 a second"}
            assert len(site.of("loud")) < 200

    asyncio.run(steps())


def test_strangers_are_counted_by_address_and_never_kept():
    async def steps() -> None:
        async with heard() as site:
            for address in ("127.0.0.9", "127.0.0.9", "127.0.0.10"):
                await site.trap(source=address)
            await site.trap()
            await until(lambda: len(site.texts) == 1 and len(site.listener.state.tally.strangers) == 2)
            assert site.listener.state.tally.strangers == {"127.0.0.9": 2, "127.0.0.10": 1}
            assert site.dropped == {"from no device of ours": 3}

    asyncio.run(steps())


def test_a_community_that_was_passed_on_never_stands_in_an_event():
    async def steps() -> None:
        async with heard() as site:
            await site.trap("1.3.6.1.6.3.18.1.4.0", "s", "hush", "1.3.6.1.6.3.18.1.3.0", "a", "10.0.0.9")
            await until(lambda: len(site.texts) == 1)
            assert "hush" not in str(site.texts)
            assert site.texts[0]["snmpTrapAddress"] == "10.0.0.9"

    asyncio.run(steps())


def test_a_port_that_is_taken_is_said():
    async def steps() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            site = Site(port=taken.getsockname()[1])
            running = asyncio.create_task(site.listener.run())
            await until(lambda: "Address already in use" in site.listener.state.why)
            assert f"cannot listen on 127.0.0.1 port {site.port}" in site.listener.state.why
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(steps())


def test_the_process_ends_when_the_agent_is_gone():
    async def steps() -> None:
        async with heard() as site:
            process = site.listener.process
            assert process is not None
            assert process.stdin is not None
            process.stdin.close()
            await until(lambda: process.returncode is not None)

    asyncio.run(steps())
