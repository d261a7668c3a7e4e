"""The collector as `forewarn collector run` composes it, its bus and its series store with gates around them.

Run as `python -m bench._chaos.collector SETTINGS GATE`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from bench._chaos.bus import WrappedBus
from bench._chaos.gate import COMMITTED, WRITTEN, Gate
from collector import memory
from collector.app import Collector, build, opened
from collector.series.store import Points, SeriesKey, SeriesStore
from collector.settings import Settings, load
from collector.storage.database import StorageError
from forewarn import telemetry
from forewarn.bus import Bus
from rules.samples import Batch


class GatedBus(WrappedBus):
    """Stops before an acknowledgement goes out: what it says is committed already."""

    def __init__(self, bus: Bus, gate: Gate) -> None:
        super().__init__(bus)
        self._gate = gate

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        if topic.startswith("fw/1/k/"):
            self._gate.reach(COMMITTED)
        return self.inner.publish(topic, payload, retain=retain)


class GatedStore:
    """Stops when the store has taken rows, before anybody hears of it."""

    def __init__(self, store: SeriesStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def cursor(self) -> int:
        return self._store.cursor()

    def write(self, batch: Batch) -> None:
        self._store.write(batch)
        if batch.rows:
            self._gate.reach(WRITTEN)

    def last(self, site: str, device: str | None = None) -> dict[SeriesKey, tuple[int, float]]:
        return self._store.last(site, device)

    def read(self, keys: Sequence[SeriesKey], begin: int, end: int, *, most: int = 2000) -> dict[SeriesKey, Points]:
        return self._store.read(keys, begin, end, most=most)

    def series(self, site: str, device: str | None = None) -> list[SeriesKey]:
        return self._store.series(site, device)

    def tend(self, now: int) -> None:
        self._store.tend(now)

    def ping(self) -> str | None:
        return self._store.ping()

    def close(self) -> None:
        self._store.close()


def _built(settings: Settings, gate: Gate, stop: threading.Event) -> Collector | None:
    while not stop.is_set():
        with contextlib.ExitStack() as until, contextlib.suppress(StorageError):
            adapters = opened(settings, until)
            bus, store = GatedBus(adapters.bus, gate), GatedStore(adapters.store, gate)
            collector = build(settings, dataclasses.replace(adapters, bus=bus, store=store))
            until.pop_all()
            return collector
        stop.wait(0.2)
    return None


def main(config: Path, address: Path) -> int:
    settings = load(config)
    telemetry.start(settings.log.level)
    gate = Gate(address, "collector")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    collector = _built(settings, gate, stop)
    if collector is None:
        return 0
    memory.settle()
    collector.start()
    try:
        stop.wait()
    finally:
        collector.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*(Path(word) for word in sys.argv[1:])))
