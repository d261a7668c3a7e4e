"""A collector as a real process behind a real mosquitto with passwords and access list, and a scripted agent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from collector.register import Register
from collector.storage.database import open_postgres, open_sqlite
from forewarn import signals
from forewarn.bus import Broker, Offline
from forewarn.bus.mqtt import MqttBus
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.settings import Secret
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Header, Record, Shape, TableShape, pack, seal
from tests import servers

ROOT = Path(__file__).parents[2]
SHAPE = Shape(
    DeviceKind.UPS,
    "ups.rfc1628",
    Source.SNMP,
    [TableShape("ups", [""], ["charge_percent", "runtime_seconds", "on_battery"])],
)


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What `true` gives once it is not empty; fails with `what` when it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError, Offline):
            found = true()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"never came true: {what}")


class Certificates(NamedTuple):
    """An authority of our own, and what it signed for the broker."""

    ca: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """Makes an authority and a certificate for 127.0.0.1 with it, as a service company would."""
    folder.mkdir(parents=True)
    ca, ca_key, wanted, cert, key = (folder / name for name in ("ca.crt", "ca.key", "b.csr", "b.crt", "b.key"))
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl, curve = (
        servers.program("openssl", "openssl"),
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    )
    signing = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1", "-extfile", folder / "names"]
    for words in (
        ["req", "-x509", *curve, "-nodes", "-days", "2", "-subj", "/CN=Our CA", "-keyout", ca_key, "-out", ca],
        ["req", *curve, "-nodes", "-subj", "/CN=broker", "-keyout", key, "-out", wanted],
        ["x509", "-req", "-in", wanted, *signing, "-out", cert],
    ):
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True)
    return Certificates(ca, cert, key)


@dataclass
class Run:
    """Everything of one collector, in one folder."""

    folder: Path
    broker: servers.Mosquitto
    port: int = field(default_factory=servers.free_port)
    token: str = ""
    database: str = ""
    within: list[str] = field(default_factory=list)
    """A command that runs the collector's, in a world of its own."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def typed(self, *words: str) -> str:
        """What one command prints."""
        command = [sys.executable, "-m", "forewarn", "collector", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Starts `forewarn collector run`; its output is in `log`."""
        command = [*self.within, sys.executable, "-m", "forewarn", "collector", "run", "--config", "collector.yaml"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment(), stdout=log, stderr=log)

    def end(self) -> int:
        """Asks it to end; gives its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def get(self, path: str) -> Any:
        """The answer of the API."""
        answer = httpx.get(f"{self.address}{path}", headers={"Authorization": f"Bearer {self.token}"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def missing(self) -> list[str] | None:
        """What /readyz names."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        missing: list[str] = httpx.get(f"{self.address}/readyz", trust_env=False).json()["missing"]
        return missing

    @contextlib.contextmanager
    def register(self) -> Iterator[Register]:
        """The register beside the running collector, as the commands open it but without a process of its own."""
        databases = open_postgres(self.database) if self.database else open_sqlite(self.folder / "data")
        databases.migrate()
        try:
            yield Register(databases)
        finally:
            databases.close()

    def add_agent(self) -> dict[str, Any]:
        """Registers the agent a1; gives its settings."""
        with self.register() as register:
            return register.add_agent("s1", "a1")._asdict()

    def reload_broker(self) -> None:
        """Writes the broker's files and has it read them."""
        with self.register() as register:
            register.broker_files(self.folder / "broker-files")
        # A mosquitto that has only just begun to listen is ended by the signal instead.
        until(lambda: self.missing() == [], "the collector is connected")
        assert self.broker.process is not None
        self.broker.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


def environment() -> dict[str, str]:
    """The environment of commands and programs of this tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def collector(
    folder: Path, *, broker_up: bool = True, tls: Certificates | None = None, also: dict[str, Any] | None = None
) -> Iterator[Run]:
    """A registered site, broker files, mosquitto (unless told otherwise) and a collector started.

    `also` are further settings; without `database.url` among them it runs on SQLite.
    """
    files = folder / "broker-files"
    broker = servers.Mosquitto(folder / "mosquitto", servers.free_port())
    broker.folder.mkdir()
    broker.lines = ["allow_anonymous false", f"password_file {files}/passwords", f"acl_file {files}/acl"]
    broker.lines += ["user root"] if os.geteuid() == 0 else []
    run = Run(folder, broker, database=(also or {}).get("database", {}).get("url", ""))
    login: dict[str, Any] = {"user": "collector", "password_file": str(files / "collector.password")}
    if tls is not None:
        broker.lines += [f"certfile {tls.certificate}", f"keyfile {tls.key}"]
        login["tls"] = {"ca": str(tls.ca)}
    settings = {
        "folder": "data",
        "broker": {"host": "127.0.0.1", "port": broker.port, **login},
        "api": {"port": run.port},
        **(also or {}),
    }
    files.mkdir()
    (files / "collector.password").write_text("only-for-the-test\n")
    (folder / "collector.yaml").write_text(yaml.safe_dump(settings))
    with run.register() as register:
        register.add_site("s1", "Harbour North")
        run.token = register.add_token("Mei")
        register.broker_files(files)
    try:
        if broker_up:
            broker.start()
        run.start()
        yield run
    finally:
        if run.process is not None and run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        broker.stop()


class ScriptedAgent:
    """Publishes what a test tells it to, and notes what it is acknowledged."""

    def __init__(self, run: Run, made: dict[str, Any], consent: str) -> None:
        self.id, self.site, self.shard = made["agent"], made["site"], made["shard"]
        self.consent = consent
        self.seq, self.chain = 0, GENESIS
        self.acks: list[signals.Ack] = []
        self.heard = threading.Event()
        self.key = signals.derive(made["secret"], "ack")
        password = Secret(signals.derive(made["secret"], "mqtt"))
        self.bus = MqttBus(Broker(host="127.0.0.1", port=run.broker.port, user=self.id, password=password), self.id)
        self.bus.subscribe([signals.ack_topic(self.id)], self._acked)

    def _acked(self, _topic: str, payload: bytes, done: Callable[[], None]) -> None:
        # One made before the collector noticed the registration carries no MAC: an agent does not believe it either.
        with contextlib.suppress(signals.Forged):
            self.acks.append(signals.open_ack(payload, self.key))
        done()

    def block(self, polls: list[tuple[int, str, list[float | None]]]) -> bytes:
        """The next block: (t, device, values) of UPSs."""
        bodies = []
        for t, device, values in polls:
            self.seq += 1
            body, self.chain = seal(Record(self.seq, t, device, shape=SHAPE.digest, values=values), self.chain)
            bodies.append(body)
        header = Header(
            site=self.site,
            agent=self.id,
            epoch="01EPOCH",
            boot="01BOOT",
            oldest=1,
            head=self.seq,
            consent=self.consent,
            sent=polls[-1][0],
        )
        return pack(header, [SHAPE], bodies)

    def send(self, payload: bytes) -> None:
        """Publishes a block, when the broker is there."""
        until(lambda: self.bus.publish(signals.block_topic(self.shard, self.id), payload), "the broker takes a block")

    def deliver(self, payload: bytes, upto: int) -> signals.Ack:
        """Publishes a block, again every two seconds as an agent would, until it is acknowledged."""
        for _ in range(30):
            self.send(payload)
            with contextlib.suppress(AssertionError):
                return self.acknowledged(upto, 2)
        raise AssertionError(f"never acknowledged up to {upto}")

    def acknowledged(self, upto: int, seconds: float = 60) -> signals.Ack:
        """The acknowledgement that reaches a number."""
        what = f"acknowledged up to {upto}"
        return until(lambda: next((ack for ack in self.acks if ack.upto >= upto), None), what, seconds)


def consented(run: Run) -> str:
    """Registers a signed consent for the site; gives its id."""
    private, public = new_key()
    now = int(time.time() * 1000)
    draft = Consent(
        id="c-1",
        site="s1",
        customer="Harbour Ltd",
        signed_by="Li",
        scopes=[Source.SNMP],
        networks=["10.0.0.0/8"],
        valid_from=instant(now - 86_400_000),
        valid_until=instant(now + 86_400_000),
    )
    with run.register() as register:
        register.add_consent(document(sign(draft, private)), key=public)
    return draft.id


def facts(log: str, event: str) -> list[dict[str, Any]]:
    """The lines of a log that tell an event."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]
