"""Probes against real services on this machine: what each finds, and what is told when it finds nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from agent.polling.poller import poll_once
from agent.polling.reach import answers, reached
from agent.probes import icmp
from agent.probes.http import Http, ends
from agent.probes.icmp import Icmp, checksum
from agent.probes.ntp import Ntp
from agent.probes.probe import Found, Probe
from agent.probes.rtsp import Rtsp
from agent.probes.tcp import Tcp
from agent.reading import Happening
from agent.settings.probes import ProbeSetting
from agent.settings.target import Target
from forewarn.settings import Secret
from forewarn.vocabulary import DeviceKind, Source
from tests.clocks import SteppedClock
from tests.e2e.collector_run import certificates
from tests.polling import RealClock, reading, value
from tests.servers import free_port
from tests.web_devices import PASSWORD, USER, WebDevice, md5, serving

LOCAL = "127.0.0.1"
SDP = "v=0\r\nm=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def look(probe: Probe) -> Found:
    return asyncio.run(probe.look())


@contextmanager
def listening(*, answer: bytes | None = None) -> Iterator[int]:
    with socket.create_server((LOCAL, 0)) as server:
        server.settimeout(0.1)
        ending = threading.Event()

        def serve() -> None:
            while not ending.is_set():
                try:
                    taken, _ = server.accept()
                except TimeoutError:
                    continue
                with taken:
                    if answer is not None:
                        taken.recv(4096)
                        taken.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ending.set()
            thread.join()


def test_a_ping_is_answered_with_its_latency():
    found = look(Icmp(LOCAL))
    if found.why == icmp.NOT_ALLOWED:
        pytest.skip(found.why)
    assert found.values["up"] == 1
    assert 0 < found.values["latency_seconds"] < 2


def test_where_no_ping_may_be_sent_nothing_is_said_of_the_device_but_what_to_set(monkeypatch):
    def refused(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(icmp, "socket", SimpleNamespace(**{**vars(socket), "socket": refused}))
    found = look(Icmp(LOCAL))
    assert found.values == {}
    assert "set net.ipv4.ping_group_range" in found.why
    assert "CAP_NET_RAW" in found.why


def test_the_sum_over_a_packet_with_its_sum_in_it_is_nothing():
    packet = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"abc"
    whole = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    assert checksum(whole) == 0


def test_an_open_port_is_up_and_a_closed_one_says_so():
    with listening() as port:
        found = look(Tcp(LOCAL, port, label="tcp"))
        assert found.values["up"] == 1
        assert found.values["latency_seconds"] > 0
    closed = look(Tcp(LOCAL, port, label="tcp"))
    assert (closed.values, closed.why, closed.there) == ({"up": 0.0}, f"TCP port {port} is closed", True)


def test_a_web_page_is_up_with_its_status_and_a_redirection_is_not_followed():
    with serving(WebDevice({"/": "hello", "/moved": lambda _: (302, "")}, digest=False)) as device:
        found = look(Http(LOCAL, device.port, "/", label="http", clock=RealClock()))
        assert (found.values["up"], found.values["status"], found.values["status_code"]) == (1, 0, 200)
        moved = look(Http(LOCAL, device.port, "/moved", label="http", clock=RealClock(), wanted=200))
        assert (moved.values["status"], moved.values["status_code"]) == (2, 302)
        assert moved.why == "HTTP status 302, not 200"
        device.statuses["/"] = 503
        broken = look(Http(LOCAL, device.port, "/", label="http", clock=RealClock()))
        assert (broken.values["up"], broken.values["status"]) == (1, 2)
        assert [each.path for each in device.asked] == ["/", "/moved", "/"]
    with listening(answer=b"SSH-2.0-OpenSSH\r\n") as port:
        found = look(Http(LOCAL, port, "/", label="http", clock=RealClock()))
        assert found.values == {"up": 0.0}
        assert f"port {port} answers, but no HTTP" in found.why


def test_a_certificate_tells_how_long_it_holds_and_whether_it_is_accepted(tmp_path):
    made = certificates(tmp_path / "tls")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)

    def https(device: WebDevice, **more: Any) -> Found:
        return look(Http(LOCAL, device.port, "/", label="https", clock=RealClock(), tls=True, **more))

    with serving(WebDevice({"/": "hello"}, digest=False), context=context) as device:
        found = https(device, ca=made.ca)
        assert (found.values["status"], found.values["certificate_accepted"], found.why) == (0, 1, "")
        assert 86000 < found.values["certificate_left_seconds"] <= 86400
        unknown = https(device)
        assert unknown.values["certificate_accepted"] == 0
        assert "certificate: unable to get local issuer certificate" in unknown.why
        unread = https(device, ca=tmp_path / "nowhere")
        assert "certificate: not judged" in unread.why
        assert "certificate_accepted" not in unread.values
        misnamed = https(device, ca=made.ca, name="cam.example")
        assert misnamed.values["certificate_accepted"] == 0
        assert "Hostname mismatch" in misnamed.why
    with pytest.raises(ValueError, match="no certificate"):
        ends(b"\x30\x03\x02\x01\x01")


class Camera:
    """An RTSP server of a camera: OPTIONS and DESCRIBE, the latter behind a digest."""

    def __init__(self, description: str = SDP, *, scheme: str = 'Digest realm="it", nonce="n"') -> None:
        self.description = description
        self.scheme = scheme
        self.asked: list[str] = []
        self.said = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                headers = dict(line.split(": ", 1) for line in rest if line)
                self.asked.append(head.split()[0])
                writer.write(self._answer(head, headers).encode())
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    def _answer(self, head: str, headers: dict[str, str]) -> str:
        method, uri, _ = head.split()
        start = f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\n"
        if method == "OPTIONS":
            return f"{start}Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"
        if not uri.endswith("/101"):
            return start.replace("200 OK", "404 Not Found") + "\r\n"
        one, two = md5(f"{USER}:it:{PASSWORD}"), md5(f"{method}:{uri}")
        given = headers.get("Authorization", "")
        self.said += bool(given)
        if self.scheme and f'response="{md5(f"{one}:n:{two}")}"' not in given and "Basic Zm9yZXdhcm46" not in given:
            return start.replace("200 OK", "401 Unauthorized") + f"WWW-Authenticate: {self.scheme}\r\n\r\n"
        return f"{start}Content-Length: {len(self.description)}\r\n\r\n{self.description}"


@asynccontextmanager
async def rtsp(camera: Handler, **setting: Any) -> Any:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await camera(reader, writer)
        await writer.wait_closed()
        served -= 1

    async with await asyncio.start_server(serve, LOCAL, 0) as server:
        port = server.sockets[0].getsockname()[1]
        given = {"rtsp": "/Streaming/Channels/101", "port": port, "user": USER, "password": Secret(PASSWORD), **setting}
        yield Rtsp(LOCAL, ProbeSetting(**given), clock=SteppedClock(), timeout=5)
        while served:
            await asyncio.sleep(0.01)


def described(camera: Handler, times: int = 1, **setting: Any) -> list[Found]:
    async def steps() -> list[Found]:
        async with rtsp(camera, **setting) as probe:
            return [await probe.look() for _ in range(times)]

    return asyncio.run(steps())


def test_a_stream_is_described_with_its_codec_and_never_set_up():
    camera = Camera()
    (found,) = described(camera)
    assert (found.values["up"], found.values["stream"], found.values["status"]) == (1, 1, 0)
    assert (found.texts, found.why) == ({"stream": "H265"}, "")
    assert camera.asked == ["OPTIONS", "DESCRIBE", "DESCRIBE"]


def test_a_stream_that_is_not_there_or_has_no_picture_is_told_apart_from_a_silent_camera():
    (missing,) = described(Camera(), rtsp="/Streaming/Channels/901")
    assert (missing.values["up"], missing.values["stream"], missing.why) == (1, 0, "RTSP status 404")
    (deaf,) = described(Camera(SDP.partition("m=video")[0]))
    assert (deaf.values["stream"], deaf.why) == (0, "described without a picture")


def test_without_a_user_or_with_a_refused_one_the_camera_is_up_and_its_stream_unknown():
    (alone,) = described(Camera(), user="", password=None)
    assert (alone.values["up"], alone.values["status"], alone.why) == (1, 3, "it asks for a user")
    assert "stream" not in alone.values
    camera = Camera()
    first, second = described(camera, times=2, password=Secret("wrong"))
    assert first.why == f"credentials refused for user `{USER}`; not said again for 30 min"
    assert (second.values["up"], second.why) == (1, first.why)
    assert camera.said == 1, "devices lock accounts"


class Curt(Camera):
    """Hangs up on who says a wrong password."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            except asyncio.IncompleteReadError:
                break
            answer = self._answer(head, dict(line.split(": ", 1) for line in rest if line))
            if " 401 " in answer and "Authorization" in "".join(rest):
                break
            writer.write(answer.encode())
        writer.close()


def test_a_camera_that_hangs_up_on_a_wrong_password_hears_it_once():
    camera = Curt()
    first, second = described(camera, times=2, password=Secret("wrong"))
    assert first.why == f"it hangs up when told the password of user `{USER}`; not said again for 30 min"
    assert (first.values["up"], first.values["status"]) == (1, 3)
    assert second.why == first.why
    assert camera.said == 1


def test_however_many_streams_a_recorder_has_a_wrong_password_is_said_twice_at_most():
    camera = Camera()
    wrong = {"user": USER, "password": Secret("wrong")}

    async def steps() -> list[Any]:
        async with await asyncio.start_server(camera, LOCAL, 0) as server:
            port = server.sockets[0].getsockname()[1]
            paths = [f"/Streaming/Channels/{channel}/101" for channel in range(16)]
            probes = [ProbeSetting(rtsp=path, port=port, **wrong) for path in paths]
            recorder = Target(name="nvr", address=LOCAL, use_snmp=False, probes=probes)
            return await poll_once(recorder, {}, open_session=lambda _: pytest.fail("no SNMP"), clock=RealClock())

    assert asyncio.run(steps())[0].why.count("credentials refused") == 16
    assert camera.said == 2, "each more would bring the account nearer to its lock"


def test_a_password_is_said_in_the_clear_only_where_a_person_allows_it():
    basic = 'Basic realm="it"'
    camera = Camera(scheme=basic)
    (refused,) = described(camera)
    assert "it offers Basic" in refused.why
    assert camera.said == 0
    (allowed,) = described(Camera(scheme=basic), basic=True)
    assert allowed.values["stream"] == 1


def test_what_is_no_rtsp_is_named():
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    (found,) = described(web)
    assert found.values == {"up": 0.0}
    assert "is no RTSP" in found.why


class Timekeeper(threading.Thread):
    """An NTP server whose clock is `ahead` by so many seconds."""

    def __init__(self, ahead: float, *, stratum: int = 3, leap: int = 0, echo: bool = True) -> None:
        super().__init__()
        self.ahead, self.stratum, self.leap, self.echo = ahead, stratum, leap, echo
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOCAL, 0))
        self.port = self.socket.getsockname()[1]

    def run(self) -> None:
        packet, who = self.socket.recvfrom(512)
        now = time.time() + self.ahead + 2_208_988_800
        stamp = struct.pack("!II", int(now) % 2**32, int(now % 1 * 2**32))
        head = bytes([self.leap << 6 | 4 << 3 | 4, self.stratum, 6, 0xEC]) + bytes(12)
        self.socket.sendto(head + bytes(8) + (packet[40:48] if self.echo else bytes(8)) + stamp + stamp, who)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        self.socket.close()


@pytest.mark.parametrize("ahead", [0.0, -3600.0, 86400.0])
def test_an_ntp_service_tells_how_far_its_clock_is_off(ahead):
    with Timekeeper(ahead) as server:
        found = look(Ntp(LOCAL, server.port, label="ntp", clock=RealClock()))
    assert found.values["clock_offset_seconds"] == pytest.approx(ahead, abs=0.5)
    assert (found.values["up"], found.values["status"], found.why) == (1, 0, "")


def test_a_clock_that_was_never_set_gives_no_offset_and_a_stray_answer_none_at_all():
    with Timekeeper(0, leap=3) as server:
        unset = look(Ntp(LOCAL, server.port, label="ntp", clock=RealClock()))
    assert (unset.values["up"], unset.values["status"]) == (1, 1)
    assert "clock_offset_seconds" not in unset.values
    assert "own clock is not set" in unset.why
    with Timekeeper(0, echo=False) as server:
        stray = look(Ntp(LOCAL, server.port, label="ntp", clock=RealClock()))
    assert (stray.values, stray.why) == ({"up": 0.0}, "what answers is no NTP service")


def once(target: Target) -> Any:
    return asyncio.run(poll_once(target, {}, open_session=lambda _: pytest.fail("no SNMP"), clock=RealClock()))


def test_a_device_of_probes_alone_is_up_by_what_answers_and_is_what_the_settings_say():
    with listening() as port:
        probes = [ProbeSetting(tcp=port, name="stream port"), ProbeSetting(tcp=free_port(), name="web")]
        items = once(Target(name="cam", address=LOCAL, use_snmp=False, kind=DeviceKind.CAMERA, probes=probes))
    found = reading(items)
    assert (found.shape.kind, found.shape.source) == (DeviceKind.CAMERA, Source.PROBE)
    assert value(found, "device", "", "up") == 1
    assert [value(found, "probe", name, "up") for name in ("stream port", "web")] == [1, 0]
    assert found.why.startswith("web: TCP port")
    assert [item.kind for item in items if isinstance(item, Happening)] == ["inventory"]


def test_a_device_of_which_nothing_answers_is_down_and_its_probes_say_why():
    probes = [ProbeSetting(ntp=True, port=free_port())]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((LOCAL, 0))
        probes = [ProbeSetting(ntp=True, port=deaf.getsockname()[1])]
        found = reading(once(Target(name="cam", address=LOCAL, use_snmp=False, probes=probes, timeout=0.2)))
    assert (found.ok, value(found, "device", "", "up")) == (False, 0)
    assert "no answer from UDP port" in found.why


def test_what_answers_anything_is_reached():
    with listening() as port:
        target = Target(name="it", address=LOCAL, probes=[ProbeSetting(tcp=port)])
        assert asyncio.run(reached(target)) in ("ping", f"TCP {port}")
    assert asyncio.run(answers(LOCAL))


def test_no_probe_module_speaks_of_setting_up_or_playing_a_stream():
    folder = Path(icmp.__file__).parent
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not [word for word in ('"SETUP"', '"PLAY"', '"RECORD"', '"POST"', ".post(") if word in text], file.name
