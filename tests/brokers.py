"""Real brokers beside mosquitto: amqtt, NATS (one node or a cluster of three) and RabbitMQ, all open to loopback.

Each takes the settings that docs/brokers.md names, and is a plain process of the test's own with its data in a folder.
`ports` are where clients may connect: one, or one for each node. `kill` is kill -9 of all of it, `start` brings it back
on the same ports with whatever it kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests import servers
from tests.servers import free_port, program, start, stop

ROOT = Path(__file__).parents[1]
NATS_OPTIONS = "stream_replicas: {replicas}, consumer_replicas: {replicas}, max_ack_pending: 20"
_AMQTT = "amqtt.plugins"
RABBITMQ_OPTIONS = ("mqtt.allow_anonymous = true", "mqtt.prefetch = 20")


class Broker(Protocol):
    """What every broker here can do."""

    @property
    def ports(self) -> list[int]: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Amqtt:
    """The broker that the demo embeds, in a child process; `allowed` are the only filters it lets `a-1` ask for."""

    folder: Path
    port: int = field(default_factory=free_port)
    allowed: list[str] | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def ports(self) -> list[int]:
        return [self.port]

    def start(self) -> None:
        plugins: dict[str, object] = {f"{_AMQTT}.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        if self.allowed is not None:
            lists = {"acl": {"a-1": self.allowed}, "publish_acl": {"a-1": ["#"]}}
            plugins[f"{_AMQTT}.topic_checking.TopicAccessControlListPlugin"] = lists
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}}
        settings = {"listeners": listeners, "plugins": plugins}
        file = self.folder / "amqtt.json"
        file.write_text(json.dumps(settings))
        main = "import sys; from forewarn.demo.broker import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", main, str(file)]
        self.process = start(command, self.folder, self.port, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def kill(self) -> None:
        _kill(self.process)

    def stop(self) -> None:
        _stop(self.process)


@dataclass
class Nats:
    """NATS with JetStream and its MQTT listener: as many nodes as asked for, one process each."""

    folder: Path
    size: int = 1
    options: str = NATS_OPTIONS
    nodes: list[subprocess.Popen[bytes] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ports = [free_port() for _ in range(self.size)]
        self._clients = [free_port() for _ in range(self.size)]
        self._routes = [free_port() for _ in range(self.size)]
        self._watched = [free_port() for _ in range(self.size)]
        self.nodes = [None] * self.size

    def start(self) -> None:
        """Starts every node that does not run, and waits until each is current."""
        for at in range(self.size):
            self._start_node(at)
        self.settle()

    def _start_node(self, at: int) -> None:
        node = self.nodes[at]
        if node is not None and node.poll() is None:
            return
        folder = self.folder / f"n{at}"
        folder.mkdir(exist_ok=True)
        (folder / "nats.conf").write_text(self._settings(at, folder))
        command = [nats_program(), "-c", str(folder / "nats.conf")]
        self.nodes[at] = start(command, folder, self._clients[at])

    def _settings(self, at: int, folder: Path) -> str:
        lines = [
            f"server_name: n{at}",
            f'listen: "127.0.0.1:{self._clients[at]}"',
            f'http: "127.0.0.1:{self._watched[at]}"',
            f'jetstream {{ store_dir: "{folder}/store" }}',
            f'mqtt {{ listen: "127.0.0.1:{self.ports[at]}", {self.options.format(replicas=self.size)} }}',
        ]
        if self.size > 1:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
            lines.append(f'cluster {{ name: fw, listen: "127.0.0.1:{self._routes[at]}", routes: [{routes}] }}')
        return "\n".join([*lines, ""])

    def settle(self, timeout: float = 30) -> None:
        """Waits until every running node says that it is healthy: JetStream has a leader and is level with it."""
        end = time.monotonic() + timeout
        for at, node in enumerate(self.nodes):
            while node is not None and node.poll() is None and not self._healthy(at):
                if time.monotonic() > end:
                    pytest.fail(f"NATS node {at} does not become healthy: {(self.folder / f'n{at}/log').read_text()}")
                time.sleep(0.05)

    def _healthy(self, at: int) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError, urllib.error.URLError):
            return bool(opener.open(f"http://127.0.0.1:{self._watched[at]}/healthz", timeout=2).status == 200)
        return False

    def kill_node(self, at: int) -> None:
        """Ends one node as a power cut would."""
        _kill(self.nodes[at])

    def kill(self) -> None:
        for node in self.nodes:
            _kill(node)

    def stop(self) -> None:
        for node in self.nodes:
            _stop(node)


def nats_program() -> str:
    """The server, from the wheel among the development packages."""
    return program("nats-server", "nats-server", str(Path(sys.executable).parent))


@dataclass
class RabbitMq:
    """RabbitMQ with its MQTT plugin, its own home, and its own Erlang port mapper."""

    folder: Path
    lines: tuple[str, ...] = RABBITMQ_OPTIONS
    process: subprocess.Popen[bytes] | None = None
    mapper: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._mqtt, self._amqp, self._peers, self._mapped = (free_port() for _ in range(4))

    @property
    def ports(self) -> list[int]:
        return [self._mqtt]

    def start(self) -> None:
        # Debian's wrapper in /usr/sbin would change to the account of the service.
        server = program("rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin")
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server" if server.startswith("/usr/sbin") else server
        if self.mapper is None:
            mapper = [program("epmd", "erlang-base"), "-port", str(self._mapped), "-address", "127.0.0.1"]
            self.mapper = start(mapper, self.folder, self._mapped)
        own = [f"listeners.tcp.1 = 127.0.0.1:{self._amqp}", f"mqtt.listeners.tcp.1 = 127.0.0.1:{self._mqtt}"]
        spare = ["disk_free_limit.absolute = 10MB", "vm_memory_high_watermark.absolute = 512MB"]
        (self.folder / "rabbitmq.conf").write_text("\n".join([*own, *spare, *self.lines, ""]))
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        self.process = start([server], self.folder, self._mqtt, env=self._environment(), cwd=self.folder)

    def _environment(self) -> dict[str, str]:
        places = {
            "HOME": self.folder,
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": self.folder / "generated",
            "RABBITMQ_LOG_BASE": self.folder / "logs",
            "RABBITMQ_MNESIA_BASE": self.folder / "mnesia",
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_SCHEMA_DIR": self.folder / "schema",
        }
        return {
            **os.environ,
            **{name: str(path) for name, path in places.items()},
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapped),
            "LANG": "C.UTF-8",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._peers),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_NODENAME": f"fw{self._mqtt}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",  # The server is the process we start, not a child of a shell.
        }

    def kill(self) -> None:
        _kill(self.process)

    def stop(self) -> None:
        # Killed: an orderly end takes ten seconds, and it starts a port mapper anew when its own is gone first.
        _kill(self.process)
        _stop(self.mapper)
        self.mapper = None


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        stop(process)


def _mosquitto(folder: Path) -> servers.Mosquitto:
    lines = ["allow_anonymous true"] + (["user root"] if os.geteuid() == 0 else [])
    return servers.Mosquitto(folder, free_port(), lines=lines)


KINDS: dict[str, Callable[[Path], Broker]] = {
    "mosquitto": _mosquitto,
    "amqtt": Amqtt,
    "nats": Nats,
    "nats-cluster": lambda folder: Nats(folder, size=3),
    "rabbitmq": RabbitMq,
}


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[Broker]:
    """A broker of one of KINDS, started."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = KINDS[kind](folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
