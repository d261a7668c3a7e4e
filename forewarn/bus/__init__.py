"""The bus: MQTT 3.1.1 as both sides use it. This package is the only place that knows paho.

What it promises is little, because nothing above it needs more: a message may be lost, repeated or late. Order is kept
within one connection. `publish` hands over only while connected and never queues for later; the future it returns
ends with the broker's PUBACK, which says nothing about safety (a broker forgets what it acknowledged). Received
messages are handed to a handler on the network thread with a `done` to call, from any thread, once the message is
kept; until then its PUBACK is withheld, and the broker's window (20 messages in Mosquitto) holds back the rest.

A bus is connected only when the broker has granted every filter; one that it refuses ends the connection, which is
tried again. Otherwise a program would look connected and hear nothing.

Every connection is a fresh client with a clean session. So nothing of a dead connection can burst into the next one,
and a `done` that comes late, after a reconnect, acknowledges nothing.

`mqtt.MqttBus` is the real thing, `loopback.LoopbackBus` its twin in memory; both pass the same contract tests.

Errors:
    BusError
    ├─ Offline    not connected, or the connection ended before the PUBACK: try again when connected
    └─ Unusable   the settings can never work (a file that is not there, a key that does not fit): `why` says which
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol

import msgspec

from forewarn.settings import Secret


class BusError(Exception):
    """Anything the bus could not do."""


class Offline(BusError):
    """Not connected, or no longer."""


class Unusable(BusError):
    """Settings that cannot work; trying again does not help."""


class State(NamedTuple):
    """Whether the broker is reached; `why` says in a sentence why not."""

    connected: bool
    why: str


class Message(NamedTuple):
    """Something to publish."""

    topic: str
    payload: bytes
    retain: bool = False


Done = Callable[[], None]
Handler = Callable[[str, bytes, Done], None]
"""Takes (topic, payload, done) on the network thread, which it must not keep: hand over and return."""
Watcher = Callable[[State], None]


class Bus(Protocol):
    """A connection to a broker that comes back by itself."""

    @property
    def state(self) -> State:
        """Whether the broker is reached."""

    def connect(self) -> None:
        """Begins to connect, in the background, and goes on until `close`. Set everything else up before."""

    def close(self, timeout: float = 5.0) -> None:
        """Waits up to `timeout` s for PUBACKs still out, then disconnects in order: the will is not sent."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        """Sends a message with QoS 1; the future ends at its PUBACK, or fails with Offline.

        Raises:
            Offline: not connected now.
        """

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        """Asks for topics with QoS 1, now and after every reconnect. The first handler whose filter fits gets it."""

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Asks for these topics no more. What is under way may still reach the handler's turn, and is dropped."""

    def watch(self, watcher: Watcher) -> None:
        """Calls `watcher` on the network thread at every change; when connected, every filter is granted."""

    def will(self, make: Callable[[], Message]) -> None:
        """`make` is asked before every connection attempt for what the broker says when we vanish."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS to the broker; the server's name is always checked."""

    ca: Annotated[
        Path | None,
        msgspec.Meta(description="Certificates that the broker's must descend from (default: the system's)."),
    ] = None
    certificate: Annotated[Path | None, msgspec.Meta(description="Our own certificate, if the broker wants one.")] = (
        None
    )
    key: Annotated[Path | None, msgspec.Meta(description="The private key of `certificate`.")] = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate", "`certificate` and `key` are given together")


class _ClosedWhenRefused(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave it lying open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another address of the same broker."""

    host: Annotated[str, msgspec.Meta(description="Name or address of another node of the cluster.")]
    port: Annotated[int | None, msgspec.Meta(description="Its port (default: as `broker.port`).", ge=1, le=65535)] = (
        None
    )


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and who we are to it."""

    host: Annotated[str, msgspec.Meta(description="Name or address of the MQTT broker.", examples=["127.0.0.1"])]
    port: Annotated[int, msgspec.Meta(description="Its port: 1883, or 8883 with TLS.", ge=1, le=65535)] = 1883
    others: Annotated[
        list[Node], msgspec.Meta(description="Other nodes of the same cluster, tried in turn when one is not reached.")
    ] = msgspec.field(default_factory=list)
    user: Annotated[str, msgspec.Meta(description="User name at the broker.")] = ""
    password: Annotated[Secret | None, msgspec.Meta(description="Password, or give `password_file`.")] = None
    password_file: Annotated[Path | None, msgspec.Meta(description="A file whose first line is the password.")] = None
    tls: Annotated[Tls | None, msgspec.Meta(description="Encrypts the connection.")] = None

    def nodes(self) -> list[Broker]:
        """The same broker at each of its addresses, `host` first."""
        places = [(self.host, self.port), *((node.host, node.port or self.port) for node in self.others)]
        return [msgspec.structs.replace(self, host=host, port=port, others=[]) for host, port in places]

    def secret(self) -> str | None:
        """The password, from wherever it is kept.

        Raises:
            Unusable: the file cannot be read.
        """
        if self.password is not None:
            return self.password.reveal()
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        except (OSError, UnicodeDecodeError) as wrong:
            raise Unusable(
                f"password_file {self.password_file} cannot be read: {getattr(wrong, 'strerror', wrong)}"
            ) from wrong

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS.

        Raises:
            Unusable: a file is missing, or no certificate or key.
        """
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.ca)
            context.sslsocket_class = _ClosedWhenRefused
            if self.tls.certificate is not None:
                context.load_cert_chain(self.tls.certificate, self.tls.key)
        except (OSError, ssl.SSLError) as wrong:
            files = ", ".join(str(file) for file in (self.tls.ca, self.tls.certificate, self.tls.key) if file)
            raise Unusable(f"TLS files {files}: {wrong}") from wrong
        return context


class Backoff(NamedTuple):
    """How long to wait between attempts: doubling from `first` to `most` seconds, each with up to half cut off."""

    first: float = 1.0
    most: float = 60.0

    def wait(self, failures: int) -> float:
        """Seconds before the next attempt after so many failures in a row (1 or more)."""
        return min(self.most, self.first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


Routes = list[tuple[list[str], Handler]]
"""Who gets what, in the order it was asked for."""


def without(routes: Routes, filters: Sequence[str]) -> Routes:
    """Routes less some filters: a new list, since the network thread may be walking through the old one."""
    gone = set(filters)
    kept = (([wanted for wanted in asked if wanted not in gone], handler) for asked, handler in routes)
    return [(asked, handler) for asked, handler in kept if asked]


def fits(wanted: str, topic: str) -> bool:
    """Whether a topic matches a filter with `+` and `#` (MQTT 3.1.1 section 4.7)."""
    if wanted in (topic, "#"):
        return True
    levels = topic.split("/")
    asked = wanted.split("/")
    for at, level in enumerate(asked):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(asked) == len(levels)
