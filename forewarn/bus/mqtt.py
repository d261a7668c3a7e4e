"""The bus over TCP or TLS, through paho: see `forewarn.bus` for what it promises."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from forewarn.bus import Backoff, Broker, Done, Handler, Message, Offline, Routes, State, Watcher, fits, without
from forewarn.telemetry import Log

KEEPALIVE = 15
"""A connection on which nothing arrives for so many seconds is asked for a sign of life, and given up after as many."""
CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 20.0
"""So long a broker may take to greet us or to grant a subscription; a cluster takes 5 to 10 s to say no."""
STEADY = 10.0
"""A connection that lasted so many seconds resets the back-off."""

log = Log(__name__)


class MqttBus:
    """The Bus over TCP or TLS, through paho.

    One thread of ours runs everything: it connects, reads, writes, calls handlers and watchers, and waits.
    """

    def __init__(
        self, broker: Broker, client_id: str, *, backoff: Backoff | None = None, keepalive: int = KEEPALIVE
    ) -> None:
        """Connects as `client_id`; a silent connection is given up after twice `keepalive` seconds.

        Raises:
            Unusable: the settings name files that cannot be used.
        """
        self._nodes = itertools.cycle(broker.nodes())
        self._node = next(self._nodes)
        self._client_id = client_id
        self._backoff = backoff or Backoff()
        self._keepalive = keepalive
        self._password = broker.secret()
        self._context = broker.context()
        self._routes: Routes = []
        self._asking = threading.Lock()
        """Held while filters change, so that one that comes with a connection is asked for once and not never."""
        self._watchers: list[Watcher] = []
        self._make_will: Callable[[], Message] | None = None
        self._state = State(connected=False, why="not started")
        self._connection: _Connection | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bus {client_id}", daemon=True)

    @property
    def state(self) -> State:
        """Whether the broker is reached."""
        return self._state

    def will(self, make: Callable[[], Message]) -> None:
        """See Bus."""
        self._make_will = make

    def watch(self, watcher: Watcher) -> None:
        """See Bus."""
        self._watchers.append(watcher)

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        """See Bus."""
        with self._asking:
            self._routes = [*self._routes, (list(filters), handler)]
            connection = self._connection
            if connection is not None and connection.asked:
                connection.ask(filters)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """See Bus."""
        with self._asking:
            self._routes = without(self._routes, filters)
            connection = self._connection
            if connection is not None and connection.asked:
                connection.leave_out(filters)

    def connect(self) -> None:
        """See Bus."""
        self._thread.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        """See Bus."""
        connection = self._connection
        if connection is None or not self._state.connected:
            raise Offline(self._state.why or "not connected")
        return connection.publish(topic, payload, retain=retain)

    def close(self, timeout: float = 5.0) -> None:
        """See Bus."""
        connection = self._connection
        if connection is not None and self._state.connected:
            connection.settle(timeout)
        self._closing.set()
        if connection is not None:
            connection.leave()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(CONNECT_TIMEOUT + 1)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            began = time.monotonic()
            why = self._live()
            failures = 1 if time.monotonic() - began >= STEADY else failures + 1
            self._node = next(self._nodes)
            self._turn(State(connected=False, why="closed" if self._closing.is_set() else why))
            self._closing.wait(self._backoff.wait(failures))

    def _live(self) -> str:
        """One connection from its beginning to its end; returns why it ended, in a sentence."""
        will = self._make_will() if self._make_will else None
        with contextlib.closing(_Connection(self._client_id, self)) as connection:
            connection.prepare(self._node.user, self._password, self._context, will)
            self._connection = connection
            if self._closing.is_set():
                return "closed"
            try:
                connection.open(self._node.host, self._node.port, self._keepalive)
                return connection.serve()
            except (OSError, ValueError) as wrong:
                return f"broker {self._node.host}:{self._node.port} is not reached: {wrong}"
            finally:
                self._connection = None

    def greeted(self, connection: _Connection) -> None:
        """The broker took us: asks for every filter on this connection."""
        with self._asking:
            for filters, _ in self._routes:
                connection.ask(filters)
            connection.asked = True

    def ready(self) -> None:
        """Every filter is granted: only now are we connected, for before it we would be deaf."""
        self._turn(State(connected=True, why=""))

    def _turn(self, state: State) -> None:
        before, self._state = self._state, state
        if before == state:
            return
        if state.connected:
            log.info("connected", host=self._node.host, port=self._node.port, client=self._client_id)
        elif state.why != "closed":
            log.warning("not connected", why=state.why, client=self._client_id)
        for watcher in self._watchers:
            watcher(state)

    def hand_over(self, topic: str, payload: bytes, done: Done) -> None:
        """Gives a message to the first handler whose filter fits."""
        for filters, handler in self._routes:
            if any(fits(wanted, topic) for wanted in filters):
                try:
                    handler(topic, payload, done)
                except Exception:  # a handler's mistake with one message must not stop all others
                    log.exception("handler failed", topic=topic, size=len(payload))
                    done()
                return
        done()


class _Done:
    """Sends the PUBACK of one message, once, on the connection it came by."""

    __slots__ = ("_client", "_mid")

    def __init__(self, client: paho.Client, mid: int) -> None:
        self._client: paho.Client | None = client
        self._mid = mid

    def __call__(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.ack(self._mid, 1)


class _Connection:
    """One connection, driven by the thread that calls `open` and `serve`; the rest may be called from any thread.

    paho's own loop is not used: it waits with select(), which fails above 1,023 open files, and swallows its thread's
    death. `_out`, `_early`, `_awaited` and `_answered` are guarded by `_lock`, which is never held while paho is called:
    paho holds a lock of its own around `_acknowledged`.
    """

    def __init__(self, client_id: str, bus: MqttBus) -> None:
        self._bus = bus
        self._ready = False
        self._over = False
        self._awaited: dict[int, list[str]] = {}
        self._answered: dict[int, list[ReasonCode]] = {}
        self._answer_due = 0.0
        self._lock = threading.Condition()
        self._out: dict[int, Future[None]] = {}
        self._early: set[int] = set()
        self._dead = False
        self._why = ""
        self.asked = False
        """Whether the filters were asked for: those that come later must be asked for one by one."""
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=True, reconnect_on_failure=False, manual_ack=True
        )
        client.max_inflight_messages_set(0)
        client.connect_timeout = CONNECT_TIMEOUT
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_publish = self._acknowledged
        client.on_subscribe = self._subscribed
        client.on_socket_open = _no_delay
        client.on_socket_register_write = self._wake
        self._client = client

    def prepare(self, user: str, password: str | None, context: ssl.SSLContext | None, will: Message | None) -> None:
        if user:
            self._client.username_pw_set(user, password)
        if context is not None:
            self._client.tls_set_context(context)
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=will.retain)

    def open(self, host: str, port: int, keepalive: int) -> None:
        self._client.connect(host, port, keepalive)
        self._answer_due = time.monotonic() + ANSWER_TIMEOUT

    def serve(self) -> str:
        """Reads and writes until the connection ends; returns why, in a sentence."""
        client, reads = self._client, selectors.EVENT_READ
        sock: Any = client.socket()
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, reads)
            selector.register(sock, reads)
            asked, checked, code = reads, time.monotonic(), MQTTErrorCode.MQTT_ERR_SUCCESS
            while not code and client.socket() is not None and not self._over:
                self._look_for_answers()
                wanted = reads | selectors.EVENT_WRITE if client.want_write() else reads
                if wanted != asked:
                    selector.modify(sock, wanted)
                    asked = wanted
                waiting = hasattr(sock, "pending") and sock.pending() > 0
                ready = {key.fileobj: mask for key, mask in selector.select(0 if waiting else 1.0)}
                if self._wake_read in ready:
                    self._drain()
                if waiting or ready.get(sock, 0) & reads:
                    code = client.loop_read()
                if not code and client.want_write():
                    code = client.loop_write()
                if not code and time.monotonic() - checked > 1:
                    checked, code = time.monotonic(), client.loop_misc()
        return self._why or f"connection lost ({paho.error_string(code).rstrip('.')})"

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> Future[None]:
        future: Future[None] = Future()
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Offline(f"the broker does not take more now ({paho.error_string(sent.rc).rstrip('.')})")
        with self._lock:
            if sent.mid in self._early:
                self._early.remove(sent.mid)
                future.set_result(None)
            elif self._dead:
                future.set_exception(Offline("the connection ended before the broker answered"))
            else:
                self._out[sent.mid] = future
        return future

    def ask(self, filters: Sequence[str]) -> None:
        _, mid = self._client.subscribe([(wanted, 1) for wanted in filters])
        if mid is None:
            return  # The connection is gone; the next one asks again.
        with self._lock:
            codes = self._answered.pop(mid, None)
            if codes is None:
                self._awaited[mid] = list(filters)
                self._answer_due = time.monotonic() + ANSWER_TIMEOUT
        if codes is not None:
            self._judge(filters, codes)

    def _judge(self, filters: Sequence[str], codes: Sequence[ReasonCode]) -> None:
        refused = [wanted for wanted, code in zip(filters, codes, strict=False) if code.is_failure]
        if refused:
            # A cluster that lost a node refuses for a while what it grants a moment later; connected without it we
            # would hear nothing for ever. The connection ends, and the next one asks again.
            what = f"the broker refuses us the subscription to {', '.join(refused)}"
            self._end(f"{what}: its access list forbids it, or it is not able to now")

    def _look_for_answers(self) -> None:
        """On the thread of `serve`: are we ready, or has the broker kept us waiting too long?"""
        if self._over or (self._ready and not self._awaited):
            return
        if self.asked and not self._awaited:
            self._ready = True
            self._bus.ready()
        elif time.monotonic() > self._answer_due:
            with self._lock:
                asked = ", ".join(wanted for filters in self._awaited.values() for wanted in filters)
            self._end(f"the broker does not answer{f' the subscription to {asked}' if asked else ''}")

    def _end(self, why: str) -> None:
        self._why = self._why or why
        self._over = True
        self._wake()

    def leave_out(self, filters: Sequence[str]) -> None:
        self._client.unsubscribe(list(filters))

    def settle(self, timeout: float) -> None:
        """Waits until every publish has its PUBACK."""
        with self._lock:
            self._lock.wait_for(lambda: not self._out or self._dead, timeout)

    def leave(self) -> None:
        self._client.disconnect()
        self._wake()

    def close(self) -> None:
        with self._lock:
            self._dead = True
            left = list(self._out.values())
            self._out.clear()
            self._lock.notify_all()
        for future in left:
            future.set_exception(Offline("the connection ended before the broker answered"))
        sock: Any = self._client.socket()
        if sock is not None:
            sock.close()
        self._wake_read.close()
        self._wake_write.close()

    def _wake(self, *_: object) -> None:
        # A full pipe wakes as well as one more byte would; a closed one belongs to a connection that is over.
        with contextlib.suppress(OSError):
            self._wake_write.send(b"w")

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)

    def _connected(self, _client: object, _user: object, _flags: object, code: ReasonCode, _more: object) -> None:
        if code.is_failure:
            self._why = f"the broker refuses us: {str(code).lower()}"
            return
        self._bus.greeted(self)

    def _subscribed(self, _client: object, _user: object, mid: int, codes: list[ReasonCode], _more: object) -> None:
        with self._lock:
            filters = self._awaited.pop(mid, None)
            if filters is None:
                self._answered[mid] = codes
                return
        self._judge(filters, codes)

    def _message(self, client: paho.Client, _user: object, message: paho.MQTTMessage) -> None:
        done: Done = _Done(client, message.mid) if message.qos else _nothing
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("message on a topic that is not UTF-8 dropped", size=len(message.payload))
            done()
            return
        self._bus.hand_over(topic, bytes(message.payload), done)

    def _acknowledged(self, _client: object, _user: object, mid: int, _code: object, _more: object) -> None:
        with self._lock:
            future = self._out.pop(mid, None)
            if future is None:
                self._early.add(mid)
                return
            if not self._out:
                self._lock.notify_all()
        future.set_result(None)


def _nothing() -> None:
    """The `done` of a message that expects none."""


def _no_delay(_client: object, _user: object, sock: Any) -> None:
    # Without it a lone PUBACK waits up to 40 ms for company.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
