"""The bus in memory: an `Exchange` stands for the broker, a `LoopbackBus` for each connection to it.

For tests and the demo. It keeps the promises of `forewarn.bus` and the habits of Mosquitto that matter above it: a
window of 20 unacknowledged messages a connection, 1,000 more queued and the rest dropped although acknowledged,
retained messages that die with the broker, wills.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from forewarn.bus import Done, Handler, Message, Offline, Routes, State, Watcher, fits, without
from forewarn.telemetry import Log

WINDOW = 20
QUEUE = 1000
RETRY = 0.02

log = Log(__name__)


class Exchange:
    """A broker in memory; `kill` and `start` are what a power cut and a restart do to one."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.up = True
        self._retained: dict[str, bytes] = {}
        self._links: list[_Link] = []

    def kill(self) -> None:
        """Ends every connection and forgets everything."""
        with self.lock:
            self.up = False
            self._retained.clear()
            links, self._links = self._links, []
        for link in links:
            link.cut("the broker is gone")

    def start(self) -> None:
        """Takes connections again."""
        self.up = True

    def attach(self, link: _Link) -> bool:
        """Takes a connection; False when the broker is down."""
        with self.lock:
            if self.up:
                self._links.append(link)
            return self.up

    def detach(self, link: _Link, *, orderly: bool) -> None:
        """Ends one connection; its will is published unless it left in order."""
        with self.lock:
            if link not in self._links:
                return
            self._links.remove(link)
            if link.will is not None and not orderly:
                self.publish(link.will)

    def publish(self, message: Message) -> None:
        """Gives a message to every connection that asked for it."""
        with self.lock:
            if message.retain and message.payload:
                self._retained[message.topic] = message.payload
            elif message.retain:
                self._retained.pop(message.topic, None)
            for link in self._links:
                if link.wants(message.topic):
                    link.offer(message.topic, message.payload)

    def ask(self, link: _Link, filters: Sequence[str]) -> None:
        """Adds filters to a connection and gives it what is retained under them."""
        with self.lock:
            link.filters.extend(filters)
            for topic, payload in self._retained.items():
                if any(fits(wanted, topic) for wanted in filters):
                    link.offer(topic, payload)

    def leave_out(self, link: _Link, filters: Sequence[str]) -> None:
        """Takes filters off a connection."""
        with self.lock:
            link.filters = [wanted for wanted in link.filters if wanted not in filters]


class _Link:
    """One connection: its filters, its will, and what waits for it."""

    def __init__(self, will: Message | None) -> None:
        self.will = will
        self.filters: list[str] = []
        self.why = ""
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._unacknowledged = 0
        self._changed = threading.Condition()

    def wants(self, topic: str) -> bool:
        return any(fits(wanted, topic) for wanted in self.filters)

    def offer(self, topic: str, payload: bytes) -> None:
        with self._changed:
            if len(self._waiting) < QUEUE:
                self._waiting.append((topic, payload))
            self._changed.notify_all()

    def cut(self, why: str) -> None:
        with self._changed:
            self.why = self.why or why
            self._changed.notify_all()

    def take(self) -> tuple[str, bytes, Done] | None:
        """Waits for the next message within the window; None when the connection is cut."""
        with self._changed:
            self._changed.wait_for(lambda: self.why or (self._waiting and self._unacknowledged < WINDOW))
            if self.why:
                return None
            self._unacknowledged += 1
            topic, payload = self._waiting.popleft()
        return topic, payload, _Done(self._acknowledge)

    def _acknowledge(self) -> None:
        with self._changed:
            self._unacknowledged -= 1
            self._changed.notify_all()


class _Done:
    """Frees one place in the window, once."""

    def __init__(self, free: Callable[[], None]) -> None:
        self._free: Callable[[], None] | None = free

    def __call__(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free()


class LoopbackBus:
    """The Bus to an Exchange."""

    def __init__(self, exchange: Exchange, client_id: str) -> None:
        self._exchange = exchange
        self._client_id = client_id
        self._routes: Routes = []
        self._watchers: list[Watcher] = []
        self._make_will: Callable[[], Message] | None = None
        self._state = State(connected=False, why="not started")
        self._link: _Link | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"loopback {client_id}", daemon=True)

    @property
    def state(self) -> State:
        """Whether the exchange is reached."""
        return self._state

    def will(self, make: Callable[[], Message]) -> None:
        """See Bus."""
        self._make_will = make

    def watch(self, watcher: Watcher) -> None:
        """See Bus."""
        self._watchers.append(watcher)

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        """See Bus."""
        self._routes.append((list(filters), handler))
        link = self._link
        if link is not None and self._state.connected:
            self._exchange.ask(link, filters)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """See Bus."""
        self._routes = without(self._routes, filters)
        link = self._link
        if link is not None:
            self._exchange.leave_out(link, filters)

    def connect(self) -> None:
        """See Bus."""
        self._thread.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        """See Bus."""
        link = self._link
        if link is None or link.why or not self._state.connected:
            raise Offline(self._state.why or "not connected")
        self._exchange.publish(Message(topic, payload, retain))
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def close(self, timeout: float = 5.0) -> None:
        """See Bus."""
        self._closing.set()
        link = self._link
        if link is not None:
            self._exchange.detach(link, orderly=True)
            link.cut("closed")
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def vanish(self) -> None:
        """Ends the connection as a power cut at our side would: the exchange publishes the will; it then comes back."""
        link = self._link
        if link is not None:
            self._exchange.detach(link, orderly=False)
            link.cut("the connection was cut")

    def _run(self) -> None:
        while not self._closing.is_set():
            link = _Link(self._make_will() if self._make_will else None)
            if self._exchange.attach(link):
                self._live(link)
                self._turn(State(connected=False, why=link.why))
            else:
                self._turn(State(connected=False, why="the broker is not reached"))
            self._closing.wait(RETRY)

    def _live(self, link: _Link) -> None:
        self._link = link
        for filters, _ in self._routes:
            self._exchange.ask(link, filters)
        self._turn(State(connected=True, why=""))
        while (taken := link.take()) is not None:
            self._hand_over(*taken)
        self._link = None

    def _turn(self, state: State) -> None:
        before, self._state = self._state, state
        if before != state:
            for watcher in self._watchers:
                watcher(state)

    def _hand_over(self, topic: str, payload: bytes, done: Done) -> None:
        for filters, handler in self._routes:
            if any(fits(wanted, topic) for wanted in filters):
                handler(topic, payload, done)
                return
        done()
