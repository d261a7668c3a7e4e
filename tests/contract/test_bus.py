"""What both buses promise: the real one with every broker of docs/brokers.md, and its twin in memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from forewarn.bus import Backoff, Broker, Bus, Done, Message, Offline, State, fits
from forewarn.bus.loopback import WINDOW, Exchange, LoopbackBus
from forewarn.bus.mqtt import MqttBus
from tests import brokers
from tests.delivering import Delivery


class Place(Protocol):
    window: int
    """Messages it gives us before it waits for an acknowledgement; 0: it never waits."""
    wildcards: bool
    """Whether what is retained reaches who asks for it with a wildcard."""

    def bus(self, name: str) -> Bus: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...


class Real:
    def __init__(self, broker: brokers.Broker) -> None:
        self.broker = broker
        self.window = 0 if isinstance(broker, brokers.Amqtt) else 20
        self.wildcards = not isinstance(broker, brokers.RabbitMq)
        self.kill, self.start = broker.kill, broker.start
        self.made = 0

    def bus(self, name: str) -> Bus:
        self.made += 1  # A broker may still be putting away the last test's client of this name.
        address = Broker(host="127.0.0.1", port=self.broker.ports[0])
        return MqttBus(address, f"{name}-{self.made}", backoff=Backoff(0.05, 0.2))


class Twin:
    window = WINDOW
    wildcards = True

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.kill, self.start = self.exchange.kill, self.exchange.start

    def bus(self, name: str) -> Bus:
        return LoopbackBus(self.exchange, name)


@pytest.fixture(scope="module", params=["loopback", "mosquitto", "amqtt", "nats", "rabbitmq"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if request.param == "loopback":
        yield Twin()
        return
    with brokers.running(request.param, tmp_path_factory.mktemp(request.param)) as broker:
        yield Real(broker)


dies = pytest.mark.parametrize("place", ["loopback", "mosquitto", "amqtt", "nats"], indirect=True)
"""For tests that kill the broker. RabbitMQ takes ten seconds to start, so it is killed in the last test only."""


class Ear:
    """Keeps what a handler was given."""

    def __init__(self, *, keep: bool = False) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.done: list[Done] = []
        self.keep = keep
        self.changed = threading.Condition()

    def __call__(self, topic: str, payload: bytes, done: Done) -> None:
        with self.changed:
            self.heard.append((topic, payload))
            self.done.append(done)
            self.changed.notify_all()
        if not self.keep:
            done()

    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.heard]

    def wait(self, count: int, timeout: float = 10) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= count, timeout), self.heard


def until(true: Callable[[], bool], timeout: float = 15) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def connected(*buses: Bus) -> Iterator[None]:
    try:
        for bus in buses:
            bus.connect()
        for bus in buses:
            until(lambda bus=bus: bus.state.connected)  # type: ignore[misc]
        yield
    finally:
        for bus in buses:
            bus.close()


def test_messages_arrive_in_order_at_whoever_asked(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    there.subscribe(["fw/1/t/+/a"], ear)
    with connected(there, here):
        sent = [here.publish("fw/1/t/00/a", b"%d" % number) for number in range(300)]
        here.publish("fw/1/t/00/b", b"not asked for")
        for future in sent:
            future.result(10)
        ear.wait(300)
        assert ear.payloads() == [b"%d" % number for number in range(300)]


def test_a_filter_added_while_connected_is_asked_for_at_once(place: Place) -> None:
    bus, ear = place.bus("one"), Ear()
    with connected(bus):
        bus.subscribe(["x/#"], ear)
        bus.publish("x/y/z", b"here")
        ear.wait(1)


def test_retained_messages_reach_who_comes_later(place: Place) -> None:
    here, late, ear = place.bus("here"), place.bus("late"), Ear()
    late.subscribe(["k/a"], ear)
    with connected(here):
        here.publish("k/a", b"old", retain=True).result(5)
        here.publish("k/a", b"new", retain=True).result(5)
        with connected(late):
            ear.wait(1)
            assert ear.heard == [("k/a", b"new")]
            here.publish("k/a", b"", retain=True).result(5)
            ear.wait(2)
        ear.heard.clear()
        later = place.bus("later")
        later.subscribe(["k/a", "x"], ear)
        with connected(later):
            here.publish("x", b"end").result(5)
            ear.wait(1)
            assert ear.heard == [("x", b"end")]


def test_retained_messages_reach_who_asks_with_a_wildcard_where_the_broker_can(place: Place) -> None:
    here, late, ear = place.bus("here"), place.bus("late"), Ear()
    late.subscribe(["p/+"], ear)
    with connected(here):
        here.publish("p/a", b"online", retain=True).result(5)
        with connected(late):
            ear.wait(1) if place.wildcards else None
            here.publish("p/b", b"end").result(5)
            ear.wait(1 + place.wildcards)
            assert ear.payloads() == [b"online", b"end"][not place.wildcards :]


def test_a_withheld_done_holds_back_the_rest_beyond_the_window(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear(keep=True)
    there.subscribe(["t"], ear)
    at_first = place.window or 60
    with connected(there, here):
        for number in range(60):
            here.publish("t", b"%d" % number)
        ear.wait(at_first)
        here.publish("elsewhere", b"").result(5)
        assert len(ear.heard) == at_first
        taken = 0
        while taken < 60:
            ear.wait(taken + 1)
            ear.done[taken]()
            taken += 1
        assert ear.payloads() == [b"%d" % number for number in range(60)]


@dies
def test_publishing_while_not_connected_is_refused_and_nothing_is_sent_later(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    there.subscribe(["t"], ear)
    with pytest.raises(Offline, match="not started"):
        here.publish("t", b"early")
    with connected(there, here):
        place.kill()
        until(lambda: not here.state.connected)
        with pytest.raises(Offline):
            here.publish("t", b"meanwhile")
        place.start()
        until(lambda: here.state.connected and there.state.connected)
        here.publish("t", b"after").result(5)
        ear.wait(1)
        assert ear.payloads() == [b"after"]


@dies
def test_after_a_killed_broker_comes_back_filters_are_asked_for_again(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    turns: list[bool] = []
    there.subscribe(["t"], ear)
    there.watch(lambda state: turns.append(state.connected))
    with connected(there, here):
        place.kill()
        until(lambda: not here.state.connected and not there.state.connected)
        assert there.state.why
        place.start()
        until(lambda: here.state.connected and there.state.connected)
        here.publish("t", b"again").result(5)
        ear.wait(1)
        assert turns[0] is True
        assert turns[-1] is True
        assert False in turns


@dies
def test_a_done_from_before_a_reconnect_acknowledges_nothing_after_it(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear(keep=True)
    there.subscribe(["t"], ear)
    at_first = place.window or 25
    with connected(there, here):
        for _ in range(20):
            here.publish("t", b"before")
        ear.wait(20)
        place.kill()
        until(lambda: not here.state.connected and not there.state.connected)
        place.start()
        until(lambda: here.state.connected and there.state.connected)
        for _ in range(25):
            here.publish("t", b"after")
        ear.wait(20 + at_first)
        for done in ear.done[:20]:
            done()
            done()
        here.publish("elsewhere", b"").result(5)
        assert len(ear.heard) == 20 + at_first
        for done in ear.done[20:25]:
            done()
        ear.wait(45)


def test_an_orderly_close_sends_no_will_and_lets_the_last_words_out(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    there.subscribe(["p"], ear)
    here.will(lambda: Message("p", b"vanished"))
    with connected(there):
        here.connect()
        until(lambda: here.state.connected)
        here.publish("p", b"goodbye")
        here.close()
        there.publish("p", b"end").result(5)
        ear.wait(2)
        assert ear.payloads() == [b"goodbye", b"end"]
        assert here.state == State(connected=False, why="closed")


@dies
def test_the_will_is_made_anew_for_every_connection(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    made: list[int] = []

    def will() -> Message:
        made.append(len(made) + 1)
        return Message("p", b"%d" % made[-1])

    here.will(will)
    there.subscribe(["p"], ear)
    with connected(there, here):
        first = len(made)
        place.kill()
        until(lambda: not here.state.connected and not there.state.connected)
        place.start()
        until(lambda: here.state.connected and there.state.connected)
        assert len(made) > first
        again = made[-1]
        _cut(here)
        ear.wait(1)
        assert ear.payloads()[0] == b"%d" % again


def _cut(bus: Bus) -> None:
    """Ends the connection without a word, as a power cut would."""
    if isinstance(bus, LoopbackBus):
        bus.vanish()
        return
    assert isinstance(bus, MqttBus)
    assert bus._connection is not None
    sock = bus._connection._client.socket()
    assert sock is not None
    sock.shutdown(2)  # type: ignore[union-attr]


def test_messages_published_from_many_threads_all_arrive(place: Place) -> None:
    here, there, ear = place.bus("here"), place.bus("there"), Ear()
    there.subscribe(["t/+"], ear)
    with connected(there, here):

        def talk(name: int) -> None:
            for future in [here.publish(f"t/{name}", b"%d" % number) for number in range(100)]:
                future.result(10)

        threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ear.wait(400)
        for name in range(4):
            assert [said for topic, said in ear.heard if topic == f"t/{name}"] == [b"%d" % n for n in range(100)]


@pytest.mark.parametrize("place", ["mosquitto", "amqtt", "nats", "rabbitmq"], indirect=True)
def test_a_broker_killed_between_spool_and_journal_costs_no_record(place: Real, tmp_path: Path) -> None:
    delivery = Delivery(tmp_path, place.broker.ports, place.broker.ports)
    with delivery.going():
        delivery.moves()
        place.kill()
        place.start()
        delivery.moves()
        delivery.level()
    assert delivery.proven() > 400


@pytest.mark.parametrize(
    ("wanted", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/+", "a/b", True),
        ("a/b", "a/c", False),
    ],
)
def test_a_filter_fits_as_mqtt_says(wanted: str, topic: str, *, expected: bool) -> None:
    assert fits(wanted, topic) is expected
