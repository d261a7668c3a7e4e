"""ONVIF devices with written answers behind a real HTTP server that checks the token as the specification says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.devices.beside import Company
from agent.devices.lockout import REST
from agent.onvif import soap
from agent.onvif.contact import Onvif
from agent.reading import Happening, Reading
from agent.settings.login import Login
from agent.settings.target import Target
from agent.web.xmltext import read as soap_read
from forewarn.settings import Secret
from forewarn.vocabulary import Source
from tests.clocks import SteppedClock
from tests.polling import reading, value
from tests.web_devices import PASSWORD, USER, WebDevice, serving

# Written from the ONVIF specifications, not taken from a device.
ANSWERS = {
    "GetDeviceInformation": "<d:Manufacturer>Sample</d:Manufacturer><d:Model>M-1</d:Model>"
    "<d:FirmwareVersion>1.2</d:FirmwareVersion><d:SerialNumber>S-0001</d:SerialNumber>",
    "GetNetworkInterfaces": "<d:NetworkInterfaces><t:Info><t:HwAddress>02-00-00-00-00-03</t:HwAddress></t:Info>"
    "</d:NetworkInterfaces>",
    "GetCapabilities": "<d:Capabilities><t:Media><t:XAddr>http://camera.example/onvif/media2</t:XAddr></t:Media>"
    "</d:Capabilities>",
    "GetProfiles": "".join(
        f"<d:Profiles><t:VideoEncoderConfiguration><t:Encoding>{codec}</t:Encoding><t:Resolution><t:Width>{wide}</t:Width>"
        f"<t:Height>{high}</t:Height></t:Resolution></t:VideoEncoderConfiguration></d:Profiles>"
        for codec, wide, high in (("H264", 1920, 1080), ("JPEG", 640, 360), ("H264", 1920, 1080))
    ),
}
FAULT = "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault>"


class Camera:
    """Answers by question. Its clock is `ahead` of ours, and it takes tokens of its own last five seconds only."""

    def __init__(self, clock: SteppedClock, *, ahead: float = 0.0) -> None:
        self.clock = clock
        self.ahead = ahead
        self.questions: list[str] = []
        self.tokens = 0
        self.nonces: set[str] = set()
        self.answers = dict(ANSWERS)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now() / 1000 + self.ahead, UTC)

    def __call__(self, body: bytes) -> tuple[int, str]:
        message = body.decode()
        found = re.search(r"<s:Body><w:(\w+) ", message)
        assert found is not None
        question = found[1]
        self.questions.append(question)
        if question == "GetSystemDateAndTime":
            now = self.now()
            date = f"<t:Year>{now.year}</t:Year><t:Month>{now.month}</t:Month><t:Day>{now.day}</t:Day>"
            time = f"<t:Hour>{now.hour}</t:Hour><t:Minute>{now.minute}</t:Minute><t:Second>{now.second}</t:Second>"
            shown = f"<t:UTCDateTime><t:Time>{time}</t:Time><t:Date>{date}</t:Date></t:UTCDateTime>"
            return self._sent(question, f"<d:SystemDateAndTime>{shown}</d:SystemDateAndTime>")
        if not self._allowed(message):
            return 400, f'<s:Envelope xmlns:s="e" xmlns:ter="t"><s:Body>{FAULT}</s:Body></s:Envelope>'
        return self._sent(question, self.answers[question]) if question in self.answers else (500, "")

    def _sent(self, question: str, inner: str) -> tuple[int, str]:
        whole = f"<d:{question}Response>{inner}</d:{question}Response>"
        return 200, f'<s:Envelope xmlns:s="e" xmlns:d="d" xmlns:t="t"><s:Body>{whole}</s:Body></s:Envelope>'

    def _allowed(self, message: str) -> bool:
        self.tokens += 1
        parts = {name: re.search(rf"<\w:{name}[^>]*>([^<]*)<", message) for name in ("Password", "Nonce", "Created")}
        digest, nonce, created = (found[1] if found is not None else "" for found in parts.values())
        made = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        fresh = abs(self.now() - made) <= timedelta(seconds=5) and nonce not in self.nonces
        self.nonces.add(nonce)
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        return fresh and digest == base64.b64encode(wanted).decode()


Serve = Callable[[Camera], WebDevice]


@pytest.fixture
def serve() -> Iterator[Serve]:
    opened: list[Any] = []

    def started(camera: Camera) -> WebDevice:
        paths = dict.fromkeys((soap.DEVICE, "/onvif/media2"), camera)
        opened.append(serving(WebDevice(paths, digest=False)))  # type: ignore[arg-type]
        return opened[-1].__enter__()

    yield started
    for each in opened:
        each.__exit__(None, None, None)


def contact(device: WebDevice, clock: SteppedClock, password: str = PASSWORD) -> Onvif:
    login = Login(user=USER, password=Secret(password), port=device.port)
    target = Target(name="it", address="127.0.0.1", use_snmp=False, onvif=login)
    company = Company(target)
    made = Onvif(target, company, clock=clock, leads=True)
    company.members.append(made)
    return made


def polled(made: Onvif) -> list[Reading | Happening]:
    return asyncio.run(made.poll())


def test_a_camera_tells_who_it_is_and_how_far_its_clock_is_off(serve):
    clock = SteppedClock()
    camera = Camera(clock)
    items = polled(contact(serve(camera), clock))
    found = reading(items)
    assert (found.ok, found.why, found.shape.source) == (True, "", Source.ONVIF)
    assert value(found, "device", "", "up") == 1
    assert value(found, "device", "", "clock_offset_seconds") == pytest.approx(0, abs=1)
    (inventory,) = [item.text for item in items if isinstance(item, Happening)]
    assert (inventory["vendor"], inventory["model"], inventory["firmware"]) == ("Sample", "M-1", "1.2")
    assert (inventory["serial"], inventory["mac"]) == ("S-0001", "02:00:00:00:00:03")
    assert inventory["stream"] == "H264 1920x1080, JPEG 640x360"
    assert set(camera.questions) == set(soap.QUESTIONS), "these five, and only reading ones"


@pytest.mark.parametrize("ahead", [-86400.0, 900.0])
def test_a_camera_with_a_wrong_clock_is_asked_in_its_own_time(serve, ahead):
    clock = SteppedClock()
    items = polled(contact(serve(Camera(clock, ahead=ahead)), clock))
    assert reading(items).why == ""
    assert value(reading(items), "device", "", "clock_offset_seconds") == pytest.approx(ahead, abs=1)


def test_what_it_is_is_asked_every_hour_and_its_clock_at_every_poll(serve):
    clock = SteppedClock()
    camera = Camera(clock)
    made = contact(serve(camera), clock)
    polled(made)
    camera.questions.clear()
    clock.step(60)
    polled(made)
    assert camera.questions == ["GetSystemDateAndTime"]
    clock.step(3600)
    polled(made)
    assert "GetDeviceInformation" in camera.questions


def test_a_refused_password_is_said_once_and_the_clock_is_still_read(serve):
    clock = SteppedClock()
    camera = Camera(clock)
    made = contact(serve(camera), clock, password="wrong")
    first = reading(polled(made))
    assert first.why == f"incomplete: credentials refused for user `{USER}`"
    assert value(first, "device", "", "clock_offset_seconds") is not None
    for _ in range(5):
        clock.step(60)
        again = reading(polled(made))
    assert camera.tokens == 1
    assert "asked again in 25 min" in again.why
    clock.step(REST)
    polled(made)
    assert camera.tokens == 2


def test_a_refusal_in_words_we_do_not_know_is_not_provoked_again_either(serve, monkeypatch):
    monkeypatch.setattr(
        "tests.integration.test_onvif.FAULT", "<s:Fault><s:Reason>Authority failure</s:Reason></s:Fault>"
    )
    clock = SteppedClock()
    camera = Camera(clock)
    made = contact(serve(camera), clock, password="wrong")
    for _ in range(5):
        clock.step(60)
        again = reading(polled(made))
    assert camera.tokens == 1
    assert again.why == "incomplete: GetDeviceInformation fails: Authority failure; asked again in 26 min"


def test_a_device_without_media_service_is_still_who_it_is(serve):
    clock = SteppedClock()
    camera = Camera(clock)
    del camera.answers["GetProfiles"]
    items = polled(contact(serve(camera), clock))
    (inventory,) = [item.text for item in items if isinstance(item, Happening)]
    assert inventory["serial"] == "S-0001"
    assert "stream" not in inventory


def test_the_media_service_is_asked_at_the_device_s_own_address_whatever_it_names(serve):
    clock = SteppedClock()
    device = serve(Camera(clock))
    polled(contact(device, clock))
    assert [each.path for each in device.asked][-1] == "/onvif/media2"


@pytest.mark.parametrize(
    "path", ["cgi-bin/reboot.cgi", "onvif/../ISAPI/System/reboot", "onvif/media?action=reboot", ""]
)
def test_a_path_outside_its_services_is_never_asked_whoever_names_it(path):
    answer = f"<a><Media><XAddr>http://127.0.0.1/{path}</XAddr></Media></a>"
    assert soap.media_path(soap_read(answer.encode())) == soap.MEDIA


def test_a_web_server_that_is_no_camera_is_named():
    with serving(WebDevice({soap.DEVICE: "<html></html>"}, digest=False)) as device:
        found = reading(polled(contact(device, SteppedClock())))
    assert (found.ok, found.values[0]) == (False, 1)
    assert "no ONVIF service" in found.why
