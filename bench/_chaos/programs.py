"""The servers and programs of one run, each in a session of its own, so that kill -9 takes all of it at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg

from bench._chaos.gate import until

ROOT = Path(__file__).parents[2]
PATHS = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class Program:
    """One program: started, killed as by a power cut, started again with whatever it left on disk."""

    def __init__(self, name: str, command: list[str], folder: Path, ready: Callable[[], bool], user: str = "") -> None:
        self.name = name
        self.folder = folder
        self.command = command
        self._ready = ready
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        also: dict[str, object] = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                self.command,
                cwd=self.folder,
                env=env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **also,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it works; ends with its log when it does not."""
        until(self._works, lambda: f"{self.name} works: {self.log()}", 60)

    def _works(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended by itself: {self.log()}")
        return self._ready()

    def kill(self) -> None:
        """Kill -9 of it and of all its children."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self) -> None:
        """Asks it to end; by force after 30 s."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, *also: str) -> str:
    """Where a program lies.

    Raises:
        SystemExit: it is not installed.
    """
    found = shutil.which(name, path=":".join([*also, PATHS]))
    if found is None:
        raise SystemExit(f"`{name}` is not installed: `make servers` brings it")
    return found


def answers(port: int) -> bool:
    """Whether something accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def broker(folder: Path, port: int) -> Program:
    """Mosquitto with default settings but for the port, on purpose: it forgets what it acknowledged."""
    folder.mkdir(parents=True)
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    return Program("broker", [program("mosquitto"), "-c", str(config)], folder, lambda: answers(port))


def victoria(folder: Path, port: int) -> Program:
    """VictoriaMetrics as Debian ships it."""
    command = [
        program("victoria-metrics"),
        f"-storageDataPath={folder}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-loggerLevel=ERROR",
    ]
    return Program("store", command, folder, lambda: answers(port))


def influxdb(folder: Path, port: int) -> Program:
    """InfluxDB 1.x as Debian ships it."""
    folder.mkdir(parents=True)
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n'
    )
    return Program("store", [program("influxd"), "-config", str(config)], folder, lambda: _has_bucket(port))


def asked(port: int, path: str, form: dict[str, str]) -> str:
    """What a local server answers to a form."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", urllib.parse.urlencode(form).encode(), timeout=60) as answer:
        return str(answer.read().decode())


def _has_bucket(port: int) -> bool:
    """Makes the database as an administrator would; once made, asking again changes nothing."""
    with contextlib.suppress(OSError):
        return "error" not in asked(port, "/query", {"q": "CREATE DATABASE forewarn"})
    return False


def postgres(folder: Path, port: int) -> Program:
    """PostgreSQL with its defaults, its files made here; `folder` must be open to its account."""
    homes = [str(home) for home in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    user = "postgres" if os.geteuid() == 0 else ""
    folder.mkdir(parents=True)
    also: Mapping[str, object] = {}
    if user:
        shutil.chown(folder, user, user)
        also = {"user": user, "group": user, "extra_groups": []}
    make = [program("initdb", *homes), "-D", str(folder / "data"), "-U", "forewarn", "-A", "trust", "--no-sync"]
    subprocess.run([*make, "-E", "UTF8", "--locale=C"], check=True, capture_output=True, cwd="/", **also)  # type: ignore[call-overload]
    (folder / "log").touch(mode=0o666)
    command = [program("postgres", *homes), "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1"]
    command += ["-k", str(folder)]
    return Program("database", command, folder, lambda: _takes(address(port)), user)


def address(port: int, name: str = "postgres") -> str:
    return f"postgresql://forewarn@127.0.0.1:{port}/{name}"


def _takes(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def runner(role: str, words: list[str], folder: Path, ready: Callable[[], bool]) -> Program:
    """The agent or the collector in the bench's own composition."""
    return Program(role, [sys.executable, "-m", f"bench._chaos.{role}", *words], folder, ready)


def now() -> int:
    return int(time.time() * 1000)
