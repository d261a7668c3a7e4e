"""Real processes for a benchmark: mosquitto, a collector, agents whose spools are full, and what each of them spends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import urllib.response
from collections.abc import Iterator
from pathlib import Path

import psutil
import yaml

from agent.app import SystemClock
from agent.delivery.spool import Spool
from bench._pipeline import values
from collector.register import Enrolled, Register
from collector.storage.database import Databases, open_sqlite
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import Source
from forewarn.wire import Record, Shape

ROOT = Path(__file__).parents[1]
CONSENT = "c-bench"
SITE = "s1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A process started for the benchmark, its output in `folder/log`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        self.folder = folder

    def spent(self) -> float:
        """CPU seconds of all its threads so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Site:
    """Broker, collector and the register they share; `agents` are registered, not running."""

    def __init__(self, folder: Path, *, rules: str = "") -> None:
        self.folder = folder
        self.port, self.api = free_port(), free_port()
        self._private, self._public = new_key()
        self.databases: Databases = open_sqlite(folder / "data")
        self.databases.migrate()
        self.register = Register(self.databases)
        self.register.add_site(SITE, "Bench")
        now = int(time.time() * 1000)
        draft = Consent(
            id=CONSENT,
            site=SITE,
            customer="Bench",
            signed_by="Bench",
            scopes=[Source.SNMP],
            networks=["192.0.2.0/24"],
            valid_from=instant(now - 40 * 86_400_000),
            valid_until=instant(now + 86_400_000),
        )
        self.consent = document(sign(draft, self._private))
        self.register.add_consent(self.consent, key=self._public)
        settings: dict[str, object] = {
            "folder": "data",
            "broker": {"host": "127.0.0.1", "port": self.port},
            "api": {"port": self.api},
        }
        if rules:
            (folder / "rules").mkdir()
            (folder / "rules" / "bench.yaml").write_text(rules)
            settings["rules"] = {"folders": ["rules"]}
        (folder / "collector.yaml").write_text(yaml.safe_dump(settings))

    def broker(self, *lines: str) -> Running:
        """Mosquitto with default settings but for the port and further `lines`, open to loopback."""
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if found is None:
            raise SystemExit("`mosquitto` is not installed: `make servers` brings it")
        folder = self.folder / "mosquitto"
        folder.mkdir()
        listener = f"listener {self.port} 127.0.0.1"
        (folder / "conf").write_text("\n".join([listener, "allow_anonymous true", *lines, ""]))
        return Running([found, "-c", str(folder / "conf")], folder)

    def collector(self) -> Running:
        """The collector as people run it, ready to take blocks."""
        running = Running([sys.executable, "-m", "forewarn", "collector", "run", "-c", "collector.yaml"], self.folder)
        until(self.ready, "the collector is ready")
        return running

    def ready(self) -> bool:
        with contextlib.suppress(OSError), self._asked("/readyz") as answer:
            return bool(answer.status == 200)
        return False

    def lag(self) -> float:
        """Journal entries that the slowest projection has not taken."""
        with self._asked("/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return max(float(line.split()[-1]) for line in lines if line.startswith("forewarn_projection_lag_entries{"))

    def _asked(self, path: str) -> contextlib.AbstractContextManager[urllib.response.addinfourl]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return contextlib.closing(opener.open(f"http://127.0.0.1:{self.api}{path}", timeout=5))

    def agent(self, name: str, shape: Shape, *, devices: int, rounds: int) -> SpooledAgent:
        """Registers an agent and fills its spool, a poll a minute and device."""
        return SpooledAgent(self, self.register.add_agent(SITE, name), shape, devices=devices, rounds=rounds)

    @property
    def trusted(self) -> str:
        return self._public


class SpooledAgent:
    """An agent with no devices of its own and a spool full of polls, held by its file STOP until `go`."""

    def __init__(self, site: Site, enrolled: Enrolled, shape: Shape, *, devices: int, rounds: int) -> None:
        self.name = enrolled.agent
        self.folder = site.folder / self.name
        self.home = self.folder / "agent"
        self.home.mkdir(parents=True)
        (self.home / "consent.json").write_bytes(site.consent)
        self.head = asyncio.run(_filled(self.home / "spool", shape, f"{self.name}-d", devices, rounds))
        settings = {
            "site": SITE,
            "agent": self.name,
            "secret": enrolled.secret,
            "shard": enrolled.shard,
            "broker": {"host": "127.0.0.1", "port": site.port},
            "trusted_keys": [site.trusted],
            "host": {"enabled": False},
            "report": "1h",
        }
        (self.folder / "agent.yaml").write_text(yaml.safe_dump(settings))
        (self.home / "STOP").touch()

    def start(self) -> Running:
        return Running([sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"], self.folder)

    def go(self) -> None:
        (self.home / "STOP").unlink()


async def _filled(folder: Path, shape: Shape, prefix: str, devices: int, rounds: int) -> int:
    import random

    chance = random.Random(prefix)
    spool = Spool(folder, clock=SystemClock(), linger=0.0)
    await spool.open()
    begin = int(time.time() * 1000) - rounds * 60_000
    for number in range(rounds):
        t = begin + number * 60_000
        records = [Record(0, t, f"{prefix}{device}", values=values(shape, chance)) for device in range(devices)]
        await asyncio.gather(*(spool.put(record, shape, CONSENT) for record in records))
    head = spool.standing.head
    await spool.close()
    return head


def until(true: object, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit(f"the benchmark gave up waiting: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def ending(*running: Running) -> Iterator[None]:
    """Ends processes, whatever happens meanwhile."""
    try:
        yield
    finally:
        for one in reversed(running):
            one.end()
