"""Web sources and probes of a whole site: how many at once, how long, and what a device may keep to itself."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.devices.beside import Company
from agent.devices.health import Standing
from agent.devices.remembered import Memory, Remembered
from agent.isapi.contact import Isapi
from agent.onvif import soap
from agent.onvif.contact import Onvif
from agent.polling.poller import Poller, contacts
from agent.probes.contact import Probes
from agent.probes.http import Http
from agent.reading import Happening, Reading
from agent.settings.login import Login
from agent.settings.probes import ProbeSetting
from agent.settings.target import Target
from agent.web.turns import Turns
from forewarn.settings import Duration, Secret
from tests.clocks import SteppedClock
from tests.e2e.collector_run import certificates
from tests.integration import test_onvif, test_probes
from tests.integration.test_isapi import ANSWERS
from tests.integration.test_onvif import Camera
from tests.polling import Kept, RealClock, ended, reading, until, value
from tests.web_devices import PASSWORD, USER, WebDevice, serving

LOCAL = "127.0.0.1"


def made(target: Target, clock: Any = None, turns: Turns | None = None, remembered: Remembered | None = None) -> Any:
    return contacts(
        target,
        {},
        open_session=lambda _: pytest.fail("no SNMP"),
        clock=clock or RealClock(),
        turns=turns,
        remembered=remembered,
    )


def probed(*settings: ProbeSetting, **more: Any) -> Target:
    return Target(name="it", address=LOCAL, use_snmp=False, probes=list(settings), **more)


def test_no_more_requests_are_under_way_than_the_site_allows():
    at_once = most = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        await reader.readuntil(b"\r\n\r\n")
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        writer.close()

    async def steps() -> None:
        async with await asyncio.start_server(slow, LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            turns = Turns(3)
            login = Login(user=USER, password=Secret(PASSWORD), port=port)
            devices = [probed(*(ProbeSetting(http=f"/{n}", port=port) for n in range(3))) for _ in range(3)]
            devices += [Target(name="it", address=LOCAL, use_snmp=False, isapi=login) for _ in range(3)]
            devices += [Target(name="it", address=LOCAL, use_snmp=False, onvif=login) for _ in range(3)]
            await asyncio.gather(*(contact.poll() for device in devices for contact in made(device, turns=turns)))

    asyncio.run(steps())
    assert most == 3


def test_streams_that_wait_to_say_their_password_hold_no_turn():
    camera = test_probes.Camera()

    async def steps() -> Reading:
        async with await asyncio.start_server(camera, LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            login = {"user": USER, "password": Secret(PASSWORD), "port": port}
            paths = [f"/Streaming/Channels/{number}/101" for number in range(4)]
            recorder = probed(*(ProbeSetting(rtsp=path, **login) for path in paths), timeout=Duration(10))
            turns = Turns(1)
            (contact,) = made(recorder, turns=turns)
            async with contact.lockout.turn:  # Another source is about to say it, and needs a turn.
                asking = asyncio.create_task(contact.poll())
                async with asyncio.timeout(10):
                    while camera.asked.count("DESCRIBE") < len(paths):
                        await asyncio.sleep(0.01)
                async with asyncio.timeout(5), turns.of(trusted=True):
                    pass
            return reading(await asking)

    assert asyncio.run(steps()).why == "", "all four are described in the end"


def test_devices_that_do_not_answer_take_nobody_s_turn():
    with serving(WebDevice({"/": "hello"}, digest=False)) as device, socket.socket(type=socket.SOCK_DGRAM) as deaf:
        deaf.bind((LOCAL, 0))
        turns = Turns(1)
        (dead,) = made(probed(ProbeSetting(ntp=True, port=deaf.getsockname()[1]), timeout=Duration(30)), turns=turns)
        dead.health.standing = Standing.SUSPECT
        (well,) = made(probed(ProbeSetting(http="/", port=device.port)), turns=turns)

        async def steps() -> None:
            asking = asyncio.create_task(dead.poll())
            await asyncio.sleep(0.05)
            async with asyncio.timeout(10):
                assert reading(await well.poll()).ok
            assert not asking.done()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(steps())


def test_a_probe_that_takes_longer_than_its_slot_does_not_call_the_device_up():
    with socket.socket(type=socket.SOCK_DGRAM) as deaf, socket.create_server((LOCAL, 0)) as open_port:
        deaf.bind((LOCAL, 0))
        ntp = ProbeSetting(ntp=True, port=deaf.getsockname()[1])
        slow = {"timeout": Duration(30), "interval": Duration(0.4)}
        (alone,) = made(probed(ntp, **slow))
        silent = reading(asyncio.run(alone.poll()))
        assert (silent.ok, value(silent, "device", "", "up")) == (False, 0)
        assert silent.why == "ntp 0: no answer within 0.342 s, the time between two polls".replace(
            "ntp 0", f"ntp {deaf.getsockname()[1]}"
        )
        (both,) = made(probed(ntp, ProbeSetting(tcp=open_port.getsockname()[1]), **slow))
        found = reading(asyncio.run(both.poll()))
        assert (found.ok, value(found, "device", "", "up")) == (True, 1), "what came is told"
        assert value(found, "probe", f"tcp {open_port.getsockname()[1]}", "up") == 1


@pytest.mark.parametrize("source", ["isapi", "onvif"])
def test_a_device_that_takes_longer_than_its_slot_is_up_only_if_it_took_a_connection(source: str):
    def polled(port: int) -> Reading:
        login = Login(user=USER, password=Secret(PASSWORD), port=port)
        given: dict[str, Any] = {source: login, "timeout": Duration(30), "interval": Duration(0.4)}
        (contact,) = made(Target(name="it", address=LOCAL, use_snmp=False, **given))
        return reading(asyncio.run(contact.poll()))

    with socket.create_server((LOCAL, 0), backlog=0) as server, ExitStack() as waiting:
        port = server.getsockname()[1]
        slow = polled(port)
        assert (slow.ok, slow.why) == (False, "no complete answer within 0.36 s")
        assert value(slow, "device", "", "up") == 1, "it took the connection"
        for _ in range(4):  # From now on the kernel drops who knocks.
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex((LOCAL, port))
        assert value(polled(port), "device", "", "up") == 0, "nobody answers"


def test_a_page_of_any_length_is_up_with_its_status_and_is_not_read():
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n")
        try:
            while sent < 80_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        except OSError:
            pass
        writer.close()

    async def steps() -> None:
        async with await asyncio.start_server(endless, LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = await Http(LOCAL, port, "/", label="http", clock=RealClock(), timeout=20).look()
            assert (found.values["up"], found.values["status_code"], found.why) == (1, 200, "")

    asyncio.run(steps())
    assert sent < 40_000_000


def test_a_wrong_password_is_said_twice_by_all_sources_together_and_not_after_a_restart(tmp_path: Path):
    answers = yaml.safe_load((ANSWERS / "camera.yaml").read_text()) | {soap.DEVICE: lambda _: (200, "")}
    with serving(WebDevice(answers)) as device:
        device.password = "another"
        login = Login(user=USER, password=Secret(PASSWORD), port=device.port)
        target = Target(name="cam-1", address=LOCAL, use_snmp=False, isapi=login, onvif=login)
        clock = SteppedClock()

        def hour() -> list[str]:
            """Half an hour of an agent, from its start to its end."""
            memory = Memory(tmp_path, ["cam-1"])
            members = made(target, clock, remembered=memory.devices["cam-1"])
            whys = []
            for _ in range(3):
                clock.step(60)
                whys += [reading(asyncio.run(each.poll())).why for each in members]
            memory.save()
            return whys

        first = hour()
        assert any("credentials refused" in why for why in first)
        assert device.refused() == 2
        again = hour()
        assert device.refused() == 2, "a restart is no reason to say it again"
        assert all("asked again in" in why for why in again), again
        clock.step(1800)
        hour()
        assert device.refused() == 4


def test_an_agent_that_is_killed_remembers_what_was_refused(tmp_path: Path):
    with serving(WebDevice(yaml.safe_load((ANSWERS / "camera.yaml").read_text()))) as device:
        device.password = "another"
        login = Login(user=USER, password=Secret(PASSWORD), port=device.port)
        camera = Target(name="cam-1", address=LOCAL, use_snmp=False, isapi=login, interval=Duration(0.3))

        async def steps() -> None:
            poller = Poller(
                [camera],
                profiles={},
                open_session=lambda _: pytest.fail("no SNMP"),
                sink=Kept(),
                permit=lambda *_: None,
                clock=RealClock(),
                memory=Memory(tmp_path, ["cam-1"]),
            )
            running = asyncio.create_task(poller.run())
            await until((tmp_path / "devices.json").exists)
            assert Memory(tmp_path, ["cam-1"]).devices["cam-1"].refusals.each, "on disk before it ends"
            await ended(running)

        asyncio.run(steps())
        assert device.refused() == 1


class Shy(Camera):
    """Wants a user for the questions in `closed`, and lets nobody ask those in `denied`."""

    def __init__(self, clock: SteppedClock, *, closed: str = "", denied: str = "") -> None:
        super().__init__(clock)
        self.closed, self.denied = closed, denied

    def __call__(self, body: bytes) -> tuple[int, str]:
        fault = f'<s:Envelope xmlns:s="e" xmlns:ter="t"><s:Body>{test_onvif.FAULT}</s:Body></s:Envelope>'
        text = body.decode()
        if self.closed and f"<w:{self.closed} " in text and "UsernameToken" not in text:
            return 400, fault
        if self.denied and f"<w:{self.denied} " in text:
            return 400, fault
        return super().__call__(body)


def onvif(device: WebDevice, clock: SteppedClock, password: str = PASSWORD) -> Onvif:
    login = Login(user=USER, password=Secret(password), port=device.port)
    return made(Target(name="it", address=LOCAL, use_snmp=False, onvif=login), clock)[0]


def polled(contact: Onvif) -> tuple[Reading, dict[str, str]]:
    items = asyncio.run(contact.poll())
    told = [item.text for item in items if isinstance(item, Happening) and item.kind == "inventory"]
    return reading(items), told[0] if told else {}


def test_a_camera_that_wants_a_user_for_its_clock_is_read_all_the_same():
    clock = SteppedClock()
    with serving(WebDevice({soap.DEVICE: Shy(clock, closed="GetSystemDateAndTime")}, digest=False)) as device:
        contact = onvif(device, clock)
        found, inventory = polled(contact)
        assert (found.ok, found.why) == (True, "")
        assert value(found, "device", "", "clock_offset_seconds") == pytest.approx(0, abs=1)
        assert inventory["serial"] == "S-0001"
        clock.step(60)
        assert polled(contact)[0].why == ""


def test_such_a_camera_hears_a_wrong_password_once_and_is_up():
    clock = SteppedClock()
    camera = Shy(clock, closed="GetSystemDateAndTime", denied="GetSystemDateAndTime")
    with serving(WebDevice({soap.DEVICE: camera}, digest=False)) as device:
        contact = onvif(device, clock, password="wrong")
        for _ in range(5):
            found, _ = polled(contact)
            clock.step(60)
        said = [each for each in device.asked if b"UsernameToken" in each.body]
        assert len(said) == 1
        assert value(found, "device", "", "up") == 1
        assert "credentials refused" in found.why
        assert "asked again in 26 min" in found.why


def test_a_camera_that_asks_for_a_user_by_http_alone_is_read():
    clock = SteppedClock()
    with serving(WebDevice({soap.DEVICE: Camera(clock)}, digest=True)) as device:
        found, inventory = polled(onvif(device, clock))
        assert (found.ok, found.why) == (True, "")
        assert inventory["serial"] == "S-0001"


def test_what_a_user_may_not_see_costs_that_alone():
    clock = SteppedClock()
    camera = Shy(clock, denied="GetNetworkInterfaces")
    with serving(WebDevice({soap.DEVICE: camera, "/onvif/media2": camera}, digest=False)) as device:
        found, inventory = polled(onvif(device, clock))
        assert found.ok
        assert found.why == f"incomplete: GetNetworkInterfaces: credentials refused for user `{USER}`"
        assert (inventory["serial"], inventory["stream"]) == ("S-0001", "H264 1920x1080, JPEG 640x360")
        assert "mac" not in inventory


def test_a_replaced_file_of_certificates_is_read_without_a_restart(tmp_path: Path):
    ours, theirs = (certificates(tmp_path / name) for name in ("ours", "theirs"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours.certificate, ours.key)
    trusted = tmp_path / "ca.pem"
    shutil.copy(theirs.ca, trusted)
    answers = yaml.safe_load((ANSWERS / "camera.yaml").read_text())
    with serving(WebDevice(answers), context=context) as device:
        login = Login(user=USER, password=Secret(PASSWORD), port=device.port, tls=True, ca=trusted)
        (isapi,) = made(Target(name="it", address=LOCAL, use_snmp=False, isapi=login), SteppedClock())
        probe = Http(LOCAL, device.port, "/", label="https", clock=SteppedClock(), timeout=5, tls=True, ca=trusted)
        assert "its certificate is not accepted" in reading(asyncio.run(isapi.poll())).why
        assert asyncio.run(probe.look()).values["certificate_accepted"] == 0
        shutil.copy(ours.ca, tmp_path / "new")
        (tmp_path / "new").replace(trusted)
        assert reading(asyncio.run(isapi.poll())).why == ""
        assert asyncio.run(probe.look()).values["certificate_accepted"] == 1


def test_the_sources_of_one_device_share_what_it_refused():
    login = Login(user=USER, password=Secret(PASSWORD), port=1)
    target = Target(name="it", address=LOCAL, use_snmp=False, isapi=login, onvif=login)
    company = Company(target)
    members = [kind(target, company, clock=SteppedClock(), leads=False) for kind in (Isapi, Onvif, Probes)]
    assert len({id(each.lockout) for each in members}) == 1
