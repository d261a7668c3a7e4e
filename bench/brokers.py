"""What each broker is seen to do, and that records cross it whole while it is killed again and again.

For each of `KINDS` a server is started on loopback with the settings of docs/brokers.md and asked for one property after
another (`ASKED` says what each figure means; yes is 1, no is 0). Then an agent delivers to a collector through it while
it is killed (kill -9) and started `--kills` times; of the NATS cluster one node after another. `lost` and `doubled`
compare the agent's own ledger with the journal, over all brokers. `--only 1` takes the first kind alone, `--only 2` the
second. `quick` kills once, waits for no redelivery, and leaves RabbitMQ and the cluster out, which take long to start.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from forewarn.bus import Backoff, Broker, BusError, Done, Message
from forewarn.bus.mqtt import MqttBus
from tests import brokers
from tests.delivering import Delivery

TARGETS: dict[str, str | float] = {"lost": "<= 0", "doubled": "<= 0"}
OPTIONS = {"kills": 5, "only": 0}
KINDS = ("mosquitto", "amqtt", "nats", "nats-cluster", "rabbitmq")
QUICK = KINDS[:3]
SLOW = 3000
SIZES = (64, 256, 1000, 4096, 16_384)
"""KiB."""
PATIENCE = 40.0


def run(*, quick: bool, kills: int, only: int) -> dict[str, float]:
    """Asks and kills; see the module and TARGETS."""
    figures = {"records": 0.0, "kills": 0.0, "lost": 0.0, "doubled": 0.0}
    for kind in (KINDS[only - 1],) if only else QUICK if quick else KINDS:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            with brokers.running(kind, Path(folder) / "broker") as broker:
                figures[f"{kind}_start_seconds"] = time.monotonic() - began
                for name, ask in ASKED.items():
                    if not (quick and name == "redelivered_after_seconds"):
                        figures[f"{kind}_{name}"] = ask(broker)
                killed = delivered(broker, Path(folder), 1 if quick else kills)
        figures[f"{kind}_back_seconds"] = killed.pop("back_seconds")
        for name, count in killed.items():
            figures[name] += count
    return figures


def delivered(broker: brokers.Broker, folder: Path, kills: int) -> dict[str, float]:
    """Delivers through a broker that is killed so often."""
    ports = broker.ports
    delivery = Delivery(folder, ports, ports[1:] + ports[:1])
    back: list[float] = []
    with delivery.going():
        delivery.moves(timeout=PATIENCE)
        for number in range(kills):
            began = time.monotonic()
            if isinstance(broker, brokers.Nats) and broker.size > 1:
                broker.kill_node(number % broker.size)
                delivery.moves(1, timeout=PATIENCE)
                back.append(time.monotonic() - began)
                broker.start()
            else:
                broker.kill()
                broker.start()
                delivery.moves(1, timeout=PATIENCE)
                back.append(time.monotonic() - began)
            delivery.moves(timeout=PATIENCE)
        delivery.level()
    spooled, kept = Counter(delivery.ledger()), Counter(delivery.kept())
    delivery.databases.close()
    return {
        "records": float(spooled.total()),
        "kills": float(kills),
        "lost": float((spooled - kept).total()),
        "doubled": float((kept - spooled).total()),
        "back_seconds": max(back),
    }


class Ear:
    """Keeps what it hears; `keep` withholds the acknowledgements in `owed`."""

    def __init__(self, *, keep: bool = False) -> None:
        self.heard: list[bytes] = []
        self.owed: list[Done] = []
        self._keep = keep
        self._changed = threading.Condition()

    def __call__(self, _topic: str, payload: bytes, done: Done) -> None:
        with self._changed:
            self.heard.append(payload)
            self.owed.append(done)
            self._changed.notify_all()
        if not self._keep:
            done()

    def wait(self, count: int, timeout: float = 5.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.heard) >= count, timeout)

    def quiet(self, seconds: float = 1.0) -> int:
        """How much came in all, once nothing has come for so long."""
        count = -1
        while count != len(self.heard):
            count = len(self.heard)
            self.wait(count + 1, seconds)
        return count

    def settle(self) -> None:
        """Acknowledges as it comes, and what is owed."""
        self._keep = False
        for done in self.owed:
            done()


@contextlib.contextmanager
def bus(broker: brokers.Broker, name: str, *, at: int = 0, **heard: Ear) -> Iterator[MqttBus]:
    """A connection to one of the ports; `heard` are filters, `__` for `/` and `any` for `+`."""
    ports = broker.ports
    made = MqttBus(Broker(host="127.0.0.1", port=ports[at % len(ports)]), name, backoff=Backoff(0.05, 0.3))
    for wanted, ear in heard.items():
        made.subscribe([wanted.replace("__", "/").replace("any", "+")], ear)
    made.will(lambda: Message(f"will/{name}", b"gone"))
    connect(made)
    try:
        yield made
    finally:
        made.close()


def connect(made: MqttBus) -> None:
    made.connect()
    wait(lambda: made.state.connected)


def wait(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit("the benchmark gave up waiting for the broker")
        time.sleep(0.02)


def retained(broker: brokers.Broker, wanted: str = "kept__a") -> float:
    with bus(broker, "here") as here:
        here.publish("kept/a", b"new", retain=True).result(10)
        with bus(broker, "late", at=1, **{wanted: (ear := Ear())}):
            return float(ear.wait(1))


def retained_by_wildcard(broker: brokers.Broker) -> float:
    return retained(broker, "kept__any")


def retained_after_kill(broker: brokers.Broker) -> float:
    with bus(broker, "here") as here:
        here.publish("kept/b", b"new", retain=True).result(10)
        time.sleep(1.0)
        broker.kill()
        broker.start()
        with bus(broker, "late", at=1, kept__b=(ear := Ear())):
            return float(ear.wait(1))


def will_after_seconds(broker: brokers.Broker) -> float:
    with bus(broker, "there", at=1, will__any=(ear := Ear())), bus(broker, "victim") as victim:
        connection = victim._connection  # noqa: SLF001 - a power cut asks nobody
        sock = connection._client.socket() if connection else None  # noqa: SLF001
        began = time.monotonic()
        sock.shutdown(2)  # type: ignore[union-attr]
        return time.monotonic() - began if ear.wait(1) else -1.0


def dots_in_topics(broker: brokers.Broker) -> float:
    """Whether a message to `d.x/y` comes as that (the bus drops what comes under another name)."""
    with bus(broker, "there", at=1, **{"d.x__y": (ear := Ear())}), bus(broker, "here") as here:
        here.publish("d.x/y", b"dotted").result(10)
        return float(ear.wait(1))


def told(here: MqttBus, topic: str, count: int) -> list[bytes]:
    """Publishes so many numbers, never more than 500 without the broker's PUBACK."""
    sent = [b"%d" % number for number in range(count)]
    for start in range(0, count, 500):
        for future in [here.publish(topic, payload) for payload in sent[start : start + 500]]:
            future.result(30)
    return sent


def window(broker: brokers.Broker) -> float:
    """Messages given without an acknowledgement, of 500."""
    with bus(broker, "there", at=1, w=(ear := Ear(keep=True))), bus(broker, "here") as here:
        told(here, "w", 500)
        return float(ear.quiet())


def kept_for_slow(broker: brokers.Broker) -> float:
    """Messages that reach in the end who acknowledges none before all of SLOW are confirmed to the sender."""
    with bus(broker, "there", at=1, s=(ear := Ear(keep=True))), bus(broker, "here") as here:
        told(here, "s", SLOW)
        ear.settle()
        return float(ear.quiet(3.0))


def in_order(broker: brokers.Broker) -> float:
    """Whether all of 2,000 come, in the order they were sent in."""
    with bus(broker, "there", at=1, o=(ear := Ear())), bus(broker, "here") as here:
        sent = told(here, "o", 2000)
        ear.wait(len(sent), 20)
        return float(ear.heard == sent)


def redelivered_after_seconds(broker: brokers.Broker) -> float:
    """Seconds until a message comes again on a connection that lives and does not acknowledge it; -1: not in 40 s."""
    with bus(broker, "there", at=1, r=(ear := Ear(keep=True))), bus(broker, "here") as here:
        here.publish("r", b"once").result(10)
        ear.wait(1)
        began = time.monotonic()
        return time.monotonic() - began if ear.wait(2, PATIENCE) else -1.0


def largest_kib(broker: brokers.Broker) -> float:
    """Of SIZES, the largest that comes through."""
    most = 0.0
    for size in SIZES:
        with bus(broker, f"there{size}", at=1, l=(ear := Ear())), bus(broker, f"here{size}") as here:
            try:
                here.publish("l", bytes(size * 1024)).result(10)
            except (BusError, TimeoutError):
                break
            if not ear.wait(1):
                break
        most = float(size)
    return most


ASKED: dict[str, Callable[[brokers.Broker], float]] = {
    "retained": retained,
    "retained_by_wildcard": retained_by_wildcard,
    "retained_after_kill": retained_after_kill,
    "will_after_seconds": will_after_seconds,
    "window_of_500": window,
    "kept_for_slow_of_3000": kept_for_slow,
    "in_order": in_order,
    "dots_in_topics": dots_in_topics,
    "redelivered_after_seconds": redelivered_after_seconds,
    "largest_kib": largest_kib,
}
"""What is asked of a broker, in this order."""
