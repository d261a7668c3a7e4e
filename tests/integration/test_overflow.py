"""A spool that overflows while its blocks travel: the collector has every number once, committed or declared lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from agent.delivery.cutting import Identity
from agent.delivery.pace import Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Spool
from agent.delivery.uplink import Uplink
from agent.guard import Guard
from collector.intake.intake import Intake, Pace
from collector.journal.disk import DatabaseJournal
from collector.journal.entry import Entry
from collector.register import Register
from collector.storage.database import Databases, open_sqlite
from forewarn import signals
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.consent import document, new_key
from forewarn.wire import Record
from tests.agents import AGENT, SHAPE, SITE, SystemClock, signed, write_consent
from tests.integration.test_exactly_once import counted

TEMPO = Tempo(patience=0.2, patience_most=0.4, held=0.1, held_most=0.2, gather=0.0, glance=0.02)
LIMIT = 8000
"""Bytes of the spool: about forty records."""


class MuteBus(LoopbackBus):
    """A bus whose acknowledgements can be lost on their way."""

    mute = False

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Future[None]:
        if not self.mute:
            return super().publish(topic, payload, retain=retain)
        lost: Future[None] = Future()
        lost.set_result(None)
        return lost


class Line:
    """A real spool and uplink, and a real intake that works when it is told to."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        clock, exchange = SystemClock(), Exchange()
        private, public = new_key()
        self.consent = signed(private)
        self.journal = DatabaseJournal(databases)
        register = Register(databases)
        register.add_site(SITE, "Site")
        register.add_consent(document(self.consent), key=public)
        enrolled = register.add_agent(SITE, AGENT)
        self.collector = MuteBus(exchange, "collector")
        pace = Pace(linger=0.0, tick=1e9)
        self.intake = Intake(
            self.journal, register, self.collector, now=clock.now, monotonic=clock.monotonic, pace=pace
        )
        self.collector.connect()
        write_consent(folder / "consent.json", self.consent)
        guard = Guard(folder, folder / "consent.json", site=SITE, trusted=[public], clock=clock)
        self.spool = Spool(folder / "spool", clock=clock, linger=0.0, limit=LIMIT)
        self.bus = LoopbackBus(exchange, AGENT)
        who = Identity(SITE, AGENT, enrolled.shard, signals.derive(enrolled.secret, "ack"), "run-1")
        presences = Presences(folder, AGENT, "run-1")
        self.uplink = Uplink(self.bus, self.spool, guard, who=who, presences=presences, clock=clock, tempo=TEMPO)
        self._t = clock.now() - 60_000
        self.put_so_far = 0

    async def put(self, count: int) -> None:
        numbers = range(self.put_so_far, self.put_so_far + count)
        self.put_so_far += count
        for number in numbers:
            record = Record(seq=0, t=self._t + number, device="cam", values=[float(number)])
            await self.spool.put(record, SHAPE, self.consent.id)

    async def travelling(self) -> None:
        """Waits until a block is on its way to the intake, which does nothing meanwhile."""
        async with asyncio.timeout(10):
            while not self.intake.waiting_bytes:
                await asyncio.sleep(0.01)

    async def turn(self, upto: int) -> None:
        """Lets the intake work until it has committed so far."""
        async with asyncio.timeout(20):
            while (mark := next(iter(self.journal.marks().values()), None)) is None or mark.upto < upto:
                await asyncio.to_thread(self.intake.turn, 0.02)

    async def emptied(self) -> None:
        async with asyncio.timeout(20):
            while self.spool.standing.records:
                await asyncio.to_thread(self.intake.turn, 0.02)

    def entries(self) -> list[Entry]:
        return [entry for entry in self.journal.read(0, 100_000) if entry.received is not None]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    databases = open_sqlite(tmp_path / "databases")
    databases.migrate()
    one = Line(tmp_path, databases)
    yield one
    one.bus.close()
    one.collector.close()
    databases.close()


def trimmed(entry: Entry) -> bool:
    """Whether the entry begins inside a lost range whose first part the collector had."""
    assert entry.received is not None
    first = entry.received.block.records[0]
    return first.kind == "lost" and first.begins < entry.first <= first.seq


@pytest.mark.parametrize(
    ("known", "more", "half"), [("committed", 20, False), ("committed", 150, True), ("travelling", 150, True)]
)
def test_a_lost_range_that_grows_over_numbers_the_collector_has_counts_each_once(
    line: Line, known: str, more: int, half: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        await line.spool.open()
        task = asyncio.create_task(line.uplink.run())
        line.collector.mute = True
        for _ in range(3):
            await line.put(30)
            if known == "committed":
                await line.turn(line.spool.standing.head)
            else:
                await line.travelling()
            await line.put(more)
            line.collector.mute = False
            await line.emptied()
            line.collector.mute = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await line.spool.close()

    asyncio.run(story())
    assert "oldest records dropped" in caplog.messages
    (seqs,) = counted(line.journal).values()
    assert seqs == list(range(1, line.put_so_far + 1))
    assert any(trimmed(entry) for entry in line.entries()) is half
    assert all(record.why.startswith("overflow") for record in losses(line))
    assert losses(line) or not half


def losses(line: Line) -> list[Record]:
    blocks = [entry.received.block for entry in line.entries() if entry.received is not None]
    return [record for block in blocks for record in block.records if record.kind == "lost"]
