"""Who takes an agent's records as a collector must, without keeping more of them than when each device was polled."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator

from forewarn import signals, wire
from forewarn.bus import Broker, Done, Offline
from forewarn.bus.mqtt import MqttBus
from forewarn.signals import Ack

_BOOT = "bench"
_JITTER = 0.5
"""Of an interval: how far two polls in neighbouring slots may lie apart beyond it, for a poll is dated at its middle."""


class Taker:
    """Acknowledges what comes in order. `polls` has, by device, when it was polled (Unix seconds); a poll that failed is one."""

    def __init__(self, bus: MqttBus, key: str) -> None:
        self.polls: dict[str, list[float]] = defaultdict(list)
        self.failed = self.lost = 0
        """Polls that failed, and records declared lost."""
        self._bus, self._key = bus, key
        self._taken: dict[str, int] = {}
        self._turn = threading.Lock()
        bus.subscribe(signals.block_filter(), self._block)

    def _block(self, _topic: str, payload: bytes, done: Done) -> None:
        done()
        block = wire.unpack(payload).block
        upto = self._taken.get(block.epoch, 0)
        gap = block.records[0].begins > upto + 1
        with self._turn:
            for record in () if gap else block.records:
                if record.seq > upto:
                    upto = record.seq
                    self._note(record)
        self._taken[block.epoch] = upto
        ack = Ack(agent=block.agent, epoch=block.epoch, upto=upto, boot=_BOOT, rewind=gap)
        with contextlib.suppress(Offline):
            self._bus.publish(signals.ack_topic(block.agent), signals.seal_ack(ack, self._key), retain=True)

    def _note(self, record: wire.Record) -> None:
        self.lost += record.kind == "lost"
        if not record.kind:
            self.polls[record.device].append(record.t / 1000)
            self.failed += not record.ok

    def missed(self, devices: Iterable[str], begin: float, end: float, interval: float) -> int:
        """How many polls of `devices` are missing between two times (Unix seconds), one being due each `interval`."""
        with self._turn:
            return sum(missing(self.polls[device], begin, end, interval) for device in devices)


def missing(polls: Iterable[float], begin: float, end: float, interval: float) -> int:
    """How many of one device's polls are missing: two that are not neighbours have others between them."""
    times = [begin, *sorted(at for at in polls if begin < at < end), end]
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    slack = interval * _JITTER
    first, last = apart[0], apart[-1]
    edges = sum(int(max(each - slack, 0) // interval) for each in ([first] if len(apart) == 1 else [first, last]))
    return edges + sum(max(round(each / interval) - 1, 0) for each in apart[1:-1])


@contextlib.contextmanager
def taking(port: int, secret: str) -> Iterator[Taker]:
    """Takes the records of agents with this secret from the broker at a port of loopback."""
    bus = MqttBus(Broker(host="127.0.0.1", port=port), "bench-taker")
    taker = Taker(bus, signals.derive(secret, "ack"))
    bus.connect()
    try:
        yield taker
    finally:
        bus.close()
