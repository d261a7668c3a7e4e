"""What only a real broker shows: passwords, access lists, TLS, and mistakes of a handler."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forewarn.bus import Backoff, Broker, Done, State, Tls, Unusable, mqtt
from forewarn.bus.mqtt import MqttBus
from forewarn.settings import Secret
from tests import brokers, servers
from tests.agents import until

QUICK = Backoff(0.05, 0.2)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = [servers.program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[servers.Mosquitto]:
    passwords = tmp_path / "passwords"
    passwords.touch()
    maker = servers.program("mosquitto_passwd", "mosquitto")
    for user in ("a-1", "a-2"):
        subprocess.run([maker, "-b", str(passwords), user, f"word of {user}"], check=True, capture_output=True)
    acl = tmp_path / "acl"
    acl.write_text("pattern readwrite own/%u\n")
    passwords.chmod(0o644)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {acl}")
    with servers.mosquitto(tmp_path / "mosquitto", *lines) as broker:
        yield broker


def test_a_wrong_password_is_named_and_the_right_one_connects(guarded: servers.Mosquitto, tmp_path: Path) -> None:
    wrong = MqttBus(Broker(host="127.0.0.1", port=guarded.port, user="a-1", password=Secret("no")), "w", backoff=QUICK)
    wrong.connect()
    until(lambda: "refuses" in wrong.state.why)
    assert wrong.state.why == "the broker refuses us: not authorized"
    wrong.close()
    file = tmp_path / "word"
    file.write_text("word of a-1\n")
    right = MqttBus(Broker(host="127.0.0.1", port=guarded.port, user="a-1", password_file=file), "r", backoff=QUICK)
    right.connect()
    until(lambda: right.state.connected)
    right.close()


def test_the_access_list_keeps_an_agent_to_its_own_topic(guarded: servers.Mosquitto) -> None:
    heard: list[bytes] = []

    def hear(_topic: str, payload: bytes, done: Done) -> None:
        heard.append(payload)
        done()

    buses = []
    for user in ("a-1", "a-2"):
        broker = Broker(host="127.0.0.1", port=guarded.port, user=user, password=Secret(f"word of {user}"))
        bus = MqttBus(broker, user, backoff=QUICK)
        bus.subscribe(["own/#"], hear)
        bus.connect()
        buses.append(bus)
    until(lambda: all(bus.state.connected for bus in buses))
    buses[1].publish("own/a-1", b"forged").result(5)
    buses[0].publish("own/a-1", b"mine").result(5)
    until(lambda: b"mine" in heard)
    assert heard == [b"mine"]
    for bus in buses:
        bus.close()


def test_tls_connects_to_the_broker_it_trusts_and_to_no_other(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "server")
    other, _ = certificate(tmp_path, "other")
    lines = ("allow_anonymous true", f"cafile {cert}", f"certfile {cert}", f"keyfile {key}")
    heard: list[bytes] = []
    with servers.mosquitto(tmp_path / "mosquitto", *lines) as broker:
        bus = MqttBus(Broker(host="127.0.0.1", port=broker.port, tls=Tls(ca=cert)), "t", backoff=QUICK)
        bus.subscribe(["x"], lambda _topic, payload, done: (heard.append(payload), done())[0])
        bus.connect()
        until(lambda: bus.state.connected)
        large = b"x" * 60_000
        for _ in range(50):
            bus.publish("x", large)
        until(lambda: len(heard) == 50)
        assert set(heard) == {large}
        bus.close()
        strict = MqttBus(Broker(host="127.0.0.1", port=broker.port, tls=Tls(ca=other)), "t", backoff=QUICK)
        strict.connect()
        until(lambda: "certificate verify failed" in strict.state.why)
        strict.close()


def test_a_refused_subscription_is_named_and_asked_for_again_until_it_is_granted(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with brokers.running("amqtt", tmp_path / "amqtt") as broker:
        assert isinstance(broker, brokers.Amqtt)
        broker.stop()
        broker.allowed = ["other/#"]
        broker.start()
        bus = MqttBus(Broker(host="127.0.0.1", port=broker.port, user="a-1"), "one", backoff=QUICK)
        bus.subscribe(["mine"], lambda _topic, payload, done: (heard.append(payload), done())[0])
        bus.connect()
        until(lambda: "mine" in bus.state.why, lambda: bus.state)
        refused = "the broker refuses us the subscription to mine: its access list forbids it, or it is not able to now"
        assert bus.state == State(connected=False, why=refused)
        broker.stop()
        broker.allowed = ["mine"]
        broker.start()
        until(lambda: bus.state.connected, lambda: bus.state)
        bus.publish("mine", b"heard").result(5)
        until(lambda: heard == [b"heard"])
        bus.close()


def test_a_broker_that_never_answers_is_left_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "ANSWER_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        bus = MqttBus(Broker(host="127.0.0.1", port=dumb.getsockname()[1]), "one", backoff=QUICK)
        bus.connect()
        until(lambda: "answer" in bus.state.why, lambda: bus.state)
        assert bus.state.why == "the broker does not answer"
        bus.close()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"nowhere\.crt"):
        MqttBus(Broker(host="h", tls=Tls(ca=tmp_path / "nowhere.crt")), "t")
    with pytest.raises(Unusable, match=r"password_file .*nowhere"):
        MqttBus(Broker(host="h", user="u", password_file=tmp_path / "nowhere"), "t")


def test_a_handlers_mistake_with_one_message_stops_no_other(broker: servers.Mosquitto) -> None:
    heard: list[bytes] = []
    enough = threading.Event()

    def hear(_topic: str, payload: bytes, done: Done) -> None:
        if payload == b"bad":
            raise ValueError("cannot read this")
        heard.append(payload)
        done()
        enough.set()

    bus = MqttBus(Broker(host="127.0.0.1", port=broker.port), "one", backoff=QUICK)
    bus.subscribe(["x"], hear)
    bus.connect()
    until(lambda: bus.state.connected)
    for _ in range(30):
        bus.publish("x", b"bad")
    bus.publish("x", b"good")
    assert enough.wait(10)
    bus.close()
