"""A bus around a bus, for runners that want to know what passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from forewarn.bus import Bus, Handler, Message, State, Watcher


class WrappedBus:
    """Hands everything on."""

    def __init__(self, inner: Bus) -> None:
        self.inner = inner

    @property
    def state(self) -> State:
        return self.inner.state

    def connect(self) -> None:
        self.inner.connect()

    def close(self, timeout: float = 5.0) -> None:
        self.inner.close(timeout)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        return self.inner.publish(topic, payload, retain=retain)

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        self.inner.subscribe(filters, handler)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        self.inner.unsubscribe(filters)

    def watch(self, watcher: Watcher) -> None:
        self.inner.watch(watcher)

    def will(self, make: Callable[[], Message]) -> None:
        self.inner.will(make)
