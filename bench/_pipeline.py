"""The collector's path of a value in one thread, so that its parts can be told apart: intake, rules, series."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from collector import memory
from collector.evaluation.evaluate import Evaluation
from collector.evaluation.snapshots import Snapshots
from collector.intake.intake import Intake, Pace
from collector.journal.disk import DatabaseJournal
from collector.opening import rule_texts
from collector.projections.runner import ENTRIES
from collector.register import Register
from collector.series.duck import DuckStore
from collector.series.projection import SeriesProjection
from collector.settings import Rules
from collector.storage.database import Databases, open_sqlite
from collector.tickets.book import Book
from forewarn.bus import Handler, State, Watcher
from forewarn.consent import Consent, document, milliseconds, new_key, sign
from forewarn.signals import block_topic
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Header, Record, Shape, TableShape, pack, seal
from rules.engine import Engine
from rules.ruleset import ruleset

START = milliseconds("2026-06-01T00:00:00Z")
ROUND = 60_000

_INTERFACE = ["up", "in_bits_per_second", "out_bits_per_second", "in_errors_per_second", "out_errors_per_second"]
_DISK = ["status", "temperature_celsius", "reallocated_sectors", "pending_sectors", "reported_uncorrectable"]
_VOLUME = ["used_percent", "free_bytes", "total_bytes", "overwrite"]
RECORDER = Shape(
    DeviceKind.RECORDER,
    "bench-recorder",
    Source.SNMP,
    [
        TableShape("device", [""], ["up", "rtt_seconds", "uptime_seconds"]),
        TableShape("host", [""], ["cpu_percent", "memory_used_percent", "load1"]),
        TableShape("disk", [str(number) for number in range(10)], _DISK),
        TableShape("volume", ["1", "2", "3", "4"], _VOLUME),
        TableShape("interface", ["1", "2"], _INTERFACE),
        TableShape("channel", [str(number) for number in range(9)], ["recording", "video_loss"]),
    ],
)
"""100 values."""
CAMERA = Shape(
    DeviceKind.CAMERA,
    "bench-camera",
    Source.SNMP,
    [
        TableShape("device", [""], ["up", "rtt_seconds", "uptime_seconds"]),
        TableShape("host", [""], ["cpu_percent", "memory_used_percent", "load1"]),
        TableShape("volume", ["1"], _VOLUME),
        TableShape("interface", ["1", "2"], _INTERFACE),
    ],
)
"""20 values."""

_LEVELS = {
    "rtt_seconds": (0.002, 0.001, 4),
    "uptime_seconds": (1e6, 1e4, 0),
    "cpu_percent": (20.0, 5.0, 1),
    "memory_used_percent": (40.0, 2.0, 1),
    "load1": (0.5, 0.2, 2),
    "temperature_celsius": (38.0, 2.0, 0),
    "used_percent": (50.0, 0.2, 2),
    "free_bytes": (2e12, 1e9, 0),
    "in_bits_per_second": (8e6, 1e6, 1),
    "out_bits_per_second": (3e5, 1e5, 1),
}
_STEADY = {"up": 1.0, "total_bytes": 4e12, "recording": 1.0}


def values(
    shape: Shape, chance: random.Random, fixed: Mapping[str, float] = MappingProxyType({})
) -> list[float | None]:
    """What a healthy device says: some noise where a real one has it; `fixed` fields say what they are told."""
    made: list[float | None] = []
    for _, _, name in shape.columns():
        if name in fixed:
            made.append(fixed[name])
        elif name in _LEVELS:
            level, noise, digits = _LEVELS[name]
            made.append(round(chance.gauss(level, noise), digits))
        else:
            made.append(_STEADY.get(name, 0.0))
    return made


@dataclass
class Sender:
    """One agent's spool, as far as its blocks need it."""

    agent: str
    shard: int
    devices: list[str]
    shape: Shape
    chain: bytes = GENESIS
    seq: int = 0

    def bodies(self, t: int, chance: random.Random, fixed: Mapping[str, float] = MappingProxyType({})) -> list[bytes]:
        """One poll of each device, sealed."""
        made: list[bytes] = []
        for device in self.devices:
            self.seq += 1
            record = Record(
                seq=self.seq, t=t, device=device, shape=self.shape.digest, values=values(self.shape, chance, fixed)
            )
            body, self.chain = seal(record, self.chain)
            made.append(body)
        return made

    def block(self, bodies: Sequence[bytes], t: int, *, consent: str = "c-1") -> tuple[str, bytes]:
        """A message of some records: (topic, payload)."""
        header = Header(
            site="s1",
            agent=self.agent,
            epoch="E1",
            boot="B",
            oldest=1,
            head=self.seq,
            consent=consent,
            sent=t,
        )
        return block_topic(self.shard, self.agent), pack(header, [self.shape], bodies)


class SilentBus:
    """Takes what is published, and counts it."""

    def __init__(self) -> None:
        self.state = State(connected=True, why="")
        self.published = 0

    def connect(self) -> None:
        """Nothing to connect to."""

    def close(self, timeout: float = 5.0) -> None:
        """Nothing to close."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:  # noqa: ARG002
        """Counts it."""
        self.published += 1
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        """Nothing comes."""

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Nothing came."""

    def watch(self, watcher: Watcher) -> None:
        """Nothing changes."""

    def will(self, make: object) -> None:
        """Nobody hears it."""


@dataclass
class Spent:
    """CPU seconds by part, of all threads of the process."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class Pipeline:
    """Intake, rules and DuckDB on databases of their own, driven by hand."""

    def __init__(self, folder: Path, agents: Sequence[str]) -> None:
        memory.settle()
        self.now = START
        self.spent = Spent()
        self.databases = open_sqlite(folder)
        self.databases.migrate()
        self.shards = _register(self.databases, agents)
        self.journal = DatabaseJournal(self.databases)
        self.bus = SilentBus()
        register = Register(self.databases)
        self.intake = Intake(
            self.journal,
            register,
            self.bus,
            now=lambda: self.now,
            monotonic=time.monotonic,
            pace=Pace(linger=0.0, inbox_bytes=1 << 40),
        )
        self.store = DuckStore(folder / "series.duckdb")
        self.series = SeriesProjection(self.store)
        self._position = {"series": 0, "rules": 0}
        library = ruleset(rule_texts(Rules()))
        self.engine = Engine(library)
        self.rules = Evaluation(
            lambda _: self.engine,
            service=self.databases.service,
            journal=self.journal,
            book=Book(self.databases.service, now=lambda: self.now),
            snapshots=Snapshots(folder / "rules"),
            every=1e9,
        )

    def take(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Commits some messages to the journal."""
        with self.spent.on("intake"):
            for topic, payload in messages:
                self.intake.receive(topic, payload, _nothing)
            while self.intake.turn(0):
                pass

    def derive(self) -> None:
        """Brings rules and series to the head of the journal."""
        for part, projection in (("series", self.series), ("rules", self.rules)):
            with self.spent.on(part):
                while entries := self.journal.read(self._position[part], ENTRIES):
                    projection.apply(entries)
                    self._position[part] = entries[-1].position

    def settle(self) -> None:
        """Waits until the series store has written everything."""
        with self.spent.on("series"):
            self.store.read([], 0, 1)

    def close(self) -> None:
        self.store.close()
        self.databases.close()


def _nothing() -> None:
    """What a broker would hear."""


def _register(databases: Databases, agents: Sequence[str]) -> dict[str, int]:
    private, public = new_key()
    consent = Consent(
        id="c-1",
        site="s1",
        customer="Customer",
        signed_by="Person",
        scopes=[Source.SNMP],
        networks=["192.0.2.0/24"],
        valid_from="2026-01-01T00:00:00Z",
        valid_until="2027-01-01T00:00:00Z",
    )
    register = Register(databases)
    register.add_site("s1", "Site")
    register.add_consent(document(sign(consent, private)), key=public)
    return {agent: register.add_agent("s1", agent).shard for agent in agents}


@contextmanager
def pipeline(agents: int, devices: int, shape: Shape) -> Iterator[tuple[Pipeline, list[Sender]]]:
    """A fresh pipeline with `agents` senders of `devices` devices each."""
    names = [f"a{number}" for number in range(agents)]
    with TemporaryDirectory() as folder:
        made = Pipeline(Path(folder), names)
        senders = [
            Sender(name, made.shards[name], [f"{name}-d{number}" for number in range(devices)], shape) for name in names
        ]
        yield made, senders
        made.close()
