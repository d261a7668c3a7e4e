"""Real servers for the tests, each on a free loopback port with its data in a temporary folder.

A server that is not installed skips its tests, and says which package brings it; with CI=true it fails them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

_RANGE = 1000
_FIRST = 10_000 + os.getpid() % 20 * _RANGE
_ports = itertools.cycle(range(_FIRST, _FIRST + _RANGE))
PATHS = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A loopback port that nobody listens on now.

    It lies below those the kernel gives to connections, and in a range of this process's own, so that neither a
    connection nor another worker's server takes it before the test does.
    """
    for _ in range(_RANGE):
        port = next(_ports)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free on loopback")


def program(name: str, package: str, *also: str) -> str:
    """The path of a server's program, or the test is skipped (failed with CI=true)."""
    found = shutil.which(name, path=":".join([PATHS, *also]))
    if found:
        return found
    what = f"`{name}` is not installed: `make servers` brings it (Debian package {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, timeout: float = 30) -> None:
    """Returns when something accepts connections on the port; fails with the server's log when it died."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"server on port {port} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def start(command: list[str], folder: Path, port: int, **kwargs: object) -> subprocess.Popen[bytes]:
    """Starts a server in its own session, its output in `folder/log`, and waits for its port."""
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **kwargs)  # type: ignore[call-overload]
    try:
        wait_for_port(port, process, log)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server, by force after 10 s."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Mosquitto:
    """A real broker with default settings but for port, passwords and ACL. `kill` is kill -9."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def ports(self) -> list[int]:
        """Where clients may connect."""
        return [self.port]

    def start(self) -> None:
        """Starts it, or starts it again on the same port with whatever it persisted."""
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *self.lines, ""]))
        command = [program("mosquitto", "mosquitto"), "-c", str(config)]
        self.process = start(command, self.folder, self.port)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it in order."""
        if self.process is not None and self.process.poll() is None:
            stop(self.process)


@contextlib.contextmanager
def mosquitto(folder: Path, *lines: str) -> Iterator[Mosquitto]:
    """A broker in `folder`; `lines` are further lines of mosquitto.conf (anonymous access when there are none)."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = Mosquitto(folder, free_port(), lines=list(lines) or ["allow_anonymous true"])
    if os.geteuid() == 0:
        broker.lines.append("user root")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL cluster; gives the SQLAlchemy address of its empty database."""
    homes = [str(home) for home in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb, server = program("initdb", "postgresql", *homes), program("postgres", "postgresql", *homes)
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to(folder.anchor + "tmp") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    make = [initdb, "-D", str(data), "-U", "forewarn", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(make, check=True, capture_output=True, cwd="/", **user)  # type: ignore[call-overload]
    port = free_port()
    command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
    (folder / "log").touch(mode=0o666)
    process = start(command, folder, port, cwd="/", **user)
    address = f"postgresql://forewarn@127.0.0.1:{port}/postgres"
    try:
        _settle(address)
        yield address.replace("postgresql:", "postgresql+psycopg:")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _settle(address: str) -> None:
    for _ in range(100):
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address):
            return
        time.sleep(0.1)
    pytest.fail("PostgreSQL does not become ready")


def new_database(address: str) -> str:
    """Makes an empty database in a PostgreSQL server and gives its address."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"{address.rpartition('/')[0]}/{name}"


@contextlib.contextmanager
def influxdb(folder: Path) -> Iterator[int]:
    """InfluxDB 1.x (`/query`, `/write`); gives its HTTP port."""
    folder.mkdir(parents=True, exist_ok=True)
    server = program("influxd", "influxdb")
    port, rpc = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n'
    )
    process = start([server, "-config", str(config)], folder, port)
    try:
        yield port
    finally:
        stop(process)


@dataclass
class VictoriaMetrics:
    """A real store (`/api/v2/write`, PromQL reads) on an HTTP port. `kill` is kill -9."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, or starts it again with whatever it wrote down."""
        command = [
            program("victoria-metrics", "victoria-metrics"),
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-loggerLevel=ERROR",
        ]
        self.process = start(command, self.folder, self.port)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def victoria_metrics(folder: Path) -> Iterator[VictoriaMetrics]:
    """A store in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    store = VictoriaMetrics(folder, free_port())
    store.start()
    try:
        yield store
    finally:
        assert store.process is not None
        stop(store.process)
