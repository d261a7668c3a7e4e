"""What is asked for no more comes no more, over a real mosquitto and in memory, after a reconnect too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forewarn.bus import Backoff, Broker, Bus, Done
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.bus.mqtt import MqttBus
from tests import servers
from tests.agents import until


@pytest.fixture(params=["mosquitto", "loopback"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Bus, Callable[[], None]]]:
    """A bus, and what cuts its connection for a moment."""
    if request.param == "loopback":
        exchange = Exchange()

        def cut() -> None:
            exchange.kill()
            exchange.start()

        yield LoopbackBus(exchange, "one"), cut
        return
    with servers.mosquitto(tmp_path / "mosquitto") as broker:

        def kill() -> None:
            broker.kill()
            broker.start()

        yield MqttBus(Broker(host="127.0.0.1", port=broker.port), "one", backoff=Backoff(0.05, 0.2)), kill


def test_a_filter_given_up_brings_nothing_more_now_and_after_a_reconnect(
    place: tuple[Bus, Callable[[], None]],
) -> None:
    bus, cut = place
    heard: list[bytes] = []

    def hear(_topic: str, payload: bytes, done: Done) -> None:
        heard.append(payload)
        done()

    def say(word: bytes) -> None:
        bus.publish("t/07/a", word).result(5)
        bus.publish("t/08/a", word + b" after").result(5)
        until(lambda: heard[-1:] == [word + b" after"])

    bus.subscribe(["t/07/+"], hear)
    bus.subscribe(["t/08/+"], hear)
    bus.connect()
    try:
        until(lambda: bus.state.connected)
        say(b"first")
        bus.unsubscribe(["t/07/+"])
        say(b"second")
        downs: list[bool] = []
        bus.watch(lambda state: downs.append(state.connected))
        cut()
        until(lambda: downs[-1:] == [True])
        say(b"third")
        assert heard == [b"first", b"first after", b"second after", b"third after"]
        bus.subscribe(["t/07/+"], hear)
        say(b"fourth")
        assert heard[4:] == [b"fourth", b"fourth after"]
    finally:
        bus.close()
