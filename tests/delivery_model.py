"""Delivery as a state machine: a real spool and uplink, a broker that may do anything, two real intakes on one journal.

No socket, no thread of the collector's, and time only when the machine lets it pass. What is checked after every step:
no acknowledgement says more than the journal has, nothing leaves the spool that is not committed, no watermark is
beyond the spool's head. At the end, when the network behaves again, everything must come to rest: each record is
committed once and in its place or declared lost, and the chain of hashes is whole.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.delivery.presence import Presences
from agent.delivery.spool import Spool
from agent.delivery.uplink import Identity, Tempo, Uplink
from agent.guard import Guard
from collector.intake.intake import Intake, Pace
from collector.journal.disk import Change, DatabaseJournal
from collector.register import Register
from collector.storage.database import open_sqlite
from forewarn import signals, wire
from forewarn.bus import Handler, Message, Offline, State, Watcher, fits
from forewarn.consent import document
from forewarn.wire import GENESIS, Record
from tests import blocks
from tests.blocks import CAMERA, NOW

AGENT = "a1"
MOST_FLYING = 60
TURNS = 400
"""More than any run needs to come to rest once the network behaves."""
UNBOUNDED = 1 << 30


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@dataclass
class Clock:
    """Time, moved by hand: seconds since the beginning."""

    passed: float = 0.0

    def now(self) -> int:
        return NOW + int(self.passed * 1000)

    def monotonic(self) -> float:
        return self.passed


@dataclass
class Packet:
    """A message under way to everybody who listens."""

    topic: str
    payload: bytes


class Network:
    """The broker: what flies arrives in any order, never, or twice; it forgets what it retained when it dies."""

    def __init__(self) -> None:
        self.flying: list[Packet] = []
        self.retained: dict[str, bytes] = {}
        self.lines: list[Line] = []
        self.up = True

    def take(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        if len(self.flying) < MOST_FLYING:
            self.flying.append(Packet(topic, payload))

    def deliver(self, at: int, *, again: bool) -> None:
        packet = self.flying[at] if again else self.flying.pop(at)
        for line in self.lines:
            line.arrive(packet.topic, packet.payload)

    def die(self) -> None:
        self.up = False
        self.flying.clear()
        self.retained.clear()
        for line in self.lines:
            line.turn(connected=False)


class Line:
    """A bus: somebody's connection to the network."""

    def __init__(self, network: Network, says: Callable[[str, bytes], None] = lambda _, __: None) -> None:
        self._network = network
        self._says = says
        self.state = State(connected=False, why="not yet")
        self._routes: list[tuple[Sequence[str], Handler]] = []
        self._watchers: list[Watcher] = []
        network.lines.append(self)

    def connect(self) -> None:
        """Not before `turn`."""

    def close(self, timeout: float = 5.0) -> None:
        """Nothing to wait for."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        if not self.state.connected:
            raise Offline(self.state.why)
        self._says(topic, payload)
        self._network.take(topic, payload, retain=retain)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def subscribe(self, filters: Sequence[str], handler: Handler) -> None:
        self._routes.append((filters, handler))

    def unsubscribe(self, filters: Sequence[str]) -> None:
        self._routes = [(some, handler) for some, handler in self._routes if list(some) != list(filters)]

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def will(self, make: Callable[[], Message]) -> None:
        """Nobody looks at wills here."""

    def turn(self, *, connected: bool) -> None:
        if connected == self.state.connected:
            return
        self.state = State(connected, "" if connected else "cut")
        for watcher in self._watchers:
            watcher(self.state)
        if connected:
            for topic, payload in list(self._network.retained.items()):
                self.arrive(topic, payload)

    def arrive(self, topic: str, payload: bytes) -> None:
        for filters, handler in self._routes:
            if self.state.connected and any(fits(wanted, topic) for wanted in filters):
                handler(topic, payload, lambda: None)
                return

    def drop(self) -> None:
        self._network.lines.remove(self)


class MortalJournal(DatabaseJournal):
    """A journal whose process dies at a commit, when it is told to."""

    dies = ""

    def commit(self, change: Change) -> None:
        if self.dies == "before commit":
            raise Killed
        super().commit(change)
        if self.dies == "after commit":
            raise Killed


@functools.cache
def template() -> tuple[Path, dict[str, Any]]:
    """Migrated databases with site, consent and agent; copied for every run."""
    folder = Path(tempfile.mkdtemp(prefix="fw-model-", dir=_fast()))
    atexit.register(shutil.rmtree, folder)
    databases = open_sqlite(folder)
    databases.migrate()
    made = blocks.enrolled(databases, AGENT)[AGENT]._asdict()
    databases.close()
    return folder, made


def _fast() -> str | None:
    """A folder in memory where the system has one: no step is to wait for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Collector:
    """One process of the service company: an intake, stepped by hand."""

    def __init__(self, folder: Path, network: Network, clock: Clock, says: Callable[[str, bytes], None]) -> None:
        self.databases = open_sqlite(folder)
        self.journal = MortalJournal(self.databases)
        self.line = Line(network, says)
        register = Register(self.databases, now=clock.now, monotonic=clock.monotonic)
        pace = Pace(linger=0.0, tick=60.0)
        self.intake = Intake(self.journal, register, self.line, now=clock.now, monotonic=clock.monotonic, pace=pace)

    def turn(self, dies: str = "") -> bool:
        """One turn of the ingest thread; False when it died of it."""
        self.journal.dies = dies
        try:
            self.intake.turn(0)
        except Killed:
            return False
        finally:
            self.journal.dies = ""
        return True

    def vanish(self) -> None:
        self.line.drop()
        self.databases.close()


@dataclass
class Agent:
    """The customer's side: spool and uplink, stepped by hand on a loop of their own."""

    folder: Path
    network: Network
    clock: Clock
    made: dict[str, Any]
    limit: int
    loop: asyncio.AbstractEventLoop
    line: Line = field(init=False)
    spool: Spool = field(init=False)
    uplink: Uplink = field(init=False)
    boots: int = 0

    def start(self) -> None:
        """Opens the spool again after a crash, with a fresh uplink."""
        self.boots += 1
        boot = f"boot-{self.boots}"
        consent = self.folder / "consent.json"
        consent.write_bytes(document(blocks.consent()))
        self.line = Line(self.network)
        self.spool = Spool(self.folder / "spool", clock=self.clock, linger=0.0, limit=self.limit)
        guard = Guard(self.folder, consent, site="s1", trusted=[blocks.PUBLIC], clock=self.clock)
        who = Identity("s1", AGENT, self.made["shard"], signals.derive(self.made["secret"], "ack"), boot)
        presences = Presences(self.folder, AGENT, boot)
        self.uplink = Uplink(
            self.line, self.spool, guard, who=who, presences=presences, clock=self.clock, tempo=Tempo(patience=5.0)
        )
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        await self.spool.open()
        running = asyncio.create_task(self.uplink.run())
        await asyncio.sleep(0)  # As far as its subscriptions; from here on it is stepped.
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    def turn(self) -> None:
        """Everything that the uplink does before it would wait."""
        self.loop.run_until_complete(self.uplink._step())

    def put(self, records: list[Record]) -> list[int]:
        async def all_of_them() -> list[int]:
            return await asyncio.gather(*(self.spool.put(record, CAMERA, "c-1") for record in records))

        return self.loop.run_until_complete(all_of_them())

    def crash(self) -> None:
        """Ends; what was put is on disk, what the uplink knew is gone."""
        self.line.drop()
        self.loop.run_until_complete(self.spool.close())


class Delivery(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fw-model-", dir=_fast()))
        self.clock = Clock()
        self.network = Network()
        self.promised: dict[int, tuple[str, int]] = {}
        """Time of a record, which is its name here → epoch and seq that the spool promised."""
        self.heads: dict[str, int] = {}
        self.loop = asyncio.new_event_loop()
        original, made = template()
        self.kept = self.folder / "collector"
        shutil.copytree(original, self.kept)
        self.key = signals.derive(made["secret"], "ack")
        (self.folder / "agent").mkdir()
        self.watch = sqlite3.connect(self.kept / "journal.db", isolation_level=None)
        self.collectors: list[Collector | None] = [None, None]
        self.agent = Agent(self.folder / "agent", self.network, self.clock, made, UNBOUNDED, self.loop)
        self.bounded = False

    @initialize(limit=st.sampled_from([UNBOUNDED, UNBOUNDED, 12_000]), both=st.booleans(), warm=st.integers(0, 6))
    def begin(self, limit: int, both: bool, warm: int) -> None:
        self.bounded = limit != UNBOUNDED
        self.agent.limit = limit
        self.agent.start()
        self.agent.line.turn(connected=True)
        for which in range(1 + both):
            self._bring(which)
        for _ in range(warm):  # Every block acknowledged lets one more be under way.
            self.put(1)
            self.all_works()

    def _bring(self, which: int) -> None:
        collector = Collector(self.kept, self.network, self.clock, self._said)
        collector.line.turn(connected=self.network.up)
        self.collectors[which] = collector

    def _said(self, topic: str, payload: bytes) -> None:
        """Hears every acknowledgement as it leaves, before the network has it."""
        ack = signals.open_ack(payload, self.key)
        assert topic == signals.ack_topic(AGENT)
        marks = self.marks()
        assert ack.upto <= marks.get(ack.epoch, 0), f"acknowledged {ack.upto} of {marks.get(ack.epoch, 0)} committed"

    def marks(self) -> dict[str, int]:
        return dict(self.watch.execute("SELECT epoch, upto FROM watermark"))

    def put(self, count: int) -> None:
        self.clock.passed += 0.01
        first = NOW + len(self.promised)
        records = [Record(0, first + at, device=f"cam{at % 3}", values=[1.0, 0.1]) for at in range(count)]
        for record, seq in zip(records, self.agent.put(records), strict=True):
            self.promised[record.t] = (self.agent.spool.standing.epoch, seq)

    @rule(counts=st.lists(st.sampled_from([0, 1, 2, 5, 30]), min_size=1, max_size=5))
    def sends(self, counts: list[int]) -> None:
        """Records come and leave; nothing of it arrives yet."""
        for count in counts:
            if count:
                self.put(count)
            self.clock.passed += 0.6
            self.agent.turn()

    @rule()
    def all_works(self) -> None:
        """What is under way arrives, is committed, acknowledged, and let go."""
        self.clock.passed += 1.1
        self.agent.turn()
        self._deliver_all()
        for which, collector in enumerate(self.collectors):
            if collector is not None and not collector.turn():
                self._kill(which)
        self._deliver_all()
        self.agent.turn()

    def _deliver_all(self) -> None:
        while self.network.flying:
            self.network.deliver(0, again=False)

    @precondition(lambda self: self.network.flying)
    @rule(at=st.sampled_from([0, 0, 0, 1, 2, 7]), some=st.integers(1, 8), again=st.sampled_from([False, False, True]))
    def arrives(self, at: int, some: int, again: bool) -> None:
        """In order, out of order, or now and later once more."""
        for step in range(min(some, len(self.network.flying))):
            self.network.deliver((at + step * again) % len(self.network.flying), again=again)

    @precondition(lambda self: self.network.flying)
    @rule(at=st.integers(0, 7), some=st.integers(1, 3))
    def is_lost(self, at: int, some: int) -> None:
        for _ in range(min(some, len(self.network.flying))):
            del self.network.flying[at % len(self.network.flying)]

    @rule(which=st.integers(0, 1), dies=st.sampled_from(["", "", "", "before commit", "after commit"]))
    def collector_works(self, which: int, dies: str) -> None:
        collector = self.collectors[which]
        if collector is None:
            self._bring(which)
        elif not collector.turn(dies):
            self._kill(which)

    @rule(seconds=st.sampled_from([0.6, 1.2, 7.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.passed += seconds
        self.agent.turn()

    @rule(what=st.sampled_from(["collector", "agent", "broker", "line"]), which=st.integers(0, 1))
    def something_breaks(self, what: str, which: int) -> None:
        if what == "collector":
            self._kill(which)
        elif what == "broker":
            self.network.die()
        elif what == "line":
            self.agent.line.turn(connected=False)
        else:
            self.agent.crash()
            self.agent.start()
            self.agent.line.turn(connected=self.network.up)

    @rule()
    def the_broker_is_there(self) -> None:
        self.network.up = True
        for line in self.network.lines:
            line.turn(connected=True)

    def _kill(self, which: int) -> None:
        collector, self.collectors[which] = self.collectors[which], None
        if collector is not None:
            collector.vanish()

    @invariant()
    def nothing_is_ahead_of_its_source(self) -> None:
        if not self.agent.boots:
            return
        standing = self.agent.spool.standing
        self.heads[standing.epoch] = standing.head
        marks = self.marks()
        assert all(upto <= self.heads[epoch] for epoch, upto in marks.items()), (marks, self.heads)
        assert standing.acked <= marks.get(standing.epoch, 0), "the spool let go of what is not committed"
        assert standing.oldest <= standing.acked + 1, "the spool lacks what is not acknowledged"

    def teardown(self) -> None:
        try:
            if self.agent.boots:
                self._rest()
                self._account()
        finally:
            self._end()

    def _rest(self) -> None:
        """The network behaves, and somebody is there to take what comes."""
        self.the_broker_is_there()
        if self.collectors == [None, None]:
            self._bring(0)
        for _ in range(TURNS):
            self.all_works()
            self.nothing_is_ahead_of_its_source()
            standing = self.agent.spool.standing
            if standing.acked == standing.head and not self.network.flying:
                return
        raise AssertionError(f"it never came to rest: {self.agent.spool.standing}, {self.agent.uplink.status}")

    def _account(self) -> None:
        taken = Taken()
        rows = self.watch.execute("SELECT epoch, first, last, payload FROM entry WHERE agent <> '' ORDER BY position")
        for epoch, first, last, payload in rows:
            taken.enter(epoch, first, last, wire.unpack(payload))
        marks = self.watch.execute("SELECT epoch, upto, chain FROM watermark").fetchall()
        assert taken.upto == {epoch: upto for epoch, upto, _ in marks}
        assert taken.chain == {epoch: bytes(chain) for epoch, _, chain in marks}
        for t, (epoch, seq) in self.promised.items():
            if t in taken.seen:
                assert taken.seen[t] == [(epoch, seq)]
            else:
                assert (epoch, seq) in taken.lost, f"record {seq} is nowhere"
                assert self.bounded, "lost without need"

    def _end(self) -> None:
        for which in range(2):
            self._kill(which)
        if self.agent.boots:
            self.agent.crash()
        self.watch.close()
        self.loop.close()
        shutil.rmtree(self.folder)


class Taken:
    """The journal read as a stranger would: where each record is, and whether each follows the one before."""

    def __init__(self) -> None:
        self.upto: dict[str, int] = {}
        self.chain: dict[str, bytes] = {}
        self.seen: dict[int, list[tuple[str, int]]] = {}
        self.lost: set[tuple[str, int]] = set()

    def enter(self, epoch: str, first: int, last: int, received: wire.Received) -> None:
        assert first == self.upto.get(epoch, 0) + 1, f"{first}..{last} behind {self.upto.get(epoch, 0)}"
        for record, body in zip(received.block.records, received.bodies, strict=True):
            if record.seq < first:
                continue
            if record.kind == "lost" and record.first:
                self.lost.update((epoch, seq) for seq in range(max(first, record.first), record.seq + 1))
            else:
                chained = wire.chained_body(body, self.chain.get(epoch, GENESIS))
                assert chained.hex() == record.hash, f"the chain is broken at {record.seq}"
                assert record.seq == self.upto.get(epoch, 0) + 1
                if not record.kind:
                    self.seen.setdefault(record.t, []).append((epoch, record.seq))
            self.upto[epoch] = record.seq
            self.chain[epoch] = bytes.fromhex(record.hash)
        assert self.upto[epoch] == last
