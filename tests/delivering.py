"""Delivery as it is, in one process: an agent's spool and uplink, a collector's intake and journal, a broker between.

`Delivery` puts records all the while, so that whatever is killed is killed in the middle, and `proven` compares the
agent's own ledger with the journal, record by record and in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.delivery.presence import Presences
from agent.delivery.spool import Spool
from agent.delivery.uplink import Identity, Tempo, Uplink
from agent.guard import Guard
from collector.intake.intake import Intake
from collector.journal.disk import DatabaseJournal
from collector.register import Register
from collector.storage.database import open_sqlite
from forewarn import consent as consents
from forewarn import signals
from forewarn.bus import Backoff, Broker, Node
from forewarn.bus.mqtt import MqttBus
from forewarn.wire import Record
from tests.agents import AGENT, SHAPE, SITE, SystemClock, signed, until, write_consent

QUICK = Tempo(patience=1.0, patience_most=2.0, held=0.2, held_most=0.5, gather=0.05, glance=0.1)
BACKOFF = Backoff(0.05, 0.3)


class Delivery:
    """One agent and one collector, each with a bus to its own list of a broker's ports.

    Args:
        folder: for everything on disk.
        ours: the agent's ports, the first one first.
        theirs: the collector's.
        host: where the agent's ports are.
        collectors_host: where the collector's are, if elsewhere.
        keepalive: seconds, of both buses.
    """

    def __init__(
        self,
        folder: Path,
        ours: Sequence[int],
        theirs: Sequence[int],
        *,
        host: str = "127.0.0.1",
        collectors_host: str = "",
        keepalive: int = 15,
    ) -> None:
        private, public = consents.new_key()
        self._consent = signed(private)
        self.databases = open_sqlite(folder / "data")
        self.databases.migrate()
        register = Register(self.databases)
        register.add_site(SITE, "Site")
        register.add_consent(consents.document(self._consent), key=public)
        enrolled = register.add_agent(SITE, AGENT)
        self.journal = DatabaseJournal(self.databases)
        self.collector = _bus("collector", collectors_host or host, theirs, keepalive)
        clock = SystemClock()
        self.intake = Intake(self.journal, register, self.collector, now=clock.now, monotonic=time.monotonic)
        home = folder / "agent"
        home.mkdir()
        write_consent(home / "consent.json", self._consent)
        guard = Guard(home, home / "consent.json", site=SITE, trusted=[public], clock=clock)
        self._ledger = home / "ledger"
        self.spool = Spool(home / "spool", clock=clock, linger=0.001, ledger=self._ledger)
        self.agent = _bus(AGENT, host, ours, keepalive)
        who = Identity(SITE, AGENT, enrolled.shard, signals.derive(enrolled.secret, "ack"), "run-1")
        presences = Presences(home, AGENT, "run-1")
        self.uplink = Uplink(self.agent, self.spool, guard, who=who, presences=presences, clock=clock, tempo=QUICK)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._enough = threading.Event()

    @contextlib.contextmanager
    def going(self) -> Iterator[None]:
        """Delivers within, with records put all the while."""
        self._thread.start()
        self._do(self.spool.open())
        self.intake.start()
        self.collector.connect()
        running = asyncio.run_coroutine_threadsafe(self.uplink.run(), self._loop)
        feeding = asyncio.run_coroutine_threadsafe(self._feed(), self._loop)
        try:
            yield
        finally:
            self._enough.set()
            feeding.result(20)
            running.cancel()
            self._do(self.spool.close())
            self.agent.close()
            self.intake.stop()
            self.collector.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _do(self, coroutine) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _feed(self) -> None:
        while not self._enough.is_set():
            now = int(time.time() * 1000)
            records = [Record(0, now, f"cam-{at}", values=[1.0]) for at in range(20)]
            await asyncio.gather(*(self.spool.put(record, SHAPE, self._consent.id) for record in records))
            await asyncio.sleep(0.1)

    @property
    def committed(self) -> int:
        """The watermark."""
        return max((mark.upto for mark in self.intake.standing.marks.values()), default=0)

    def moves(self, by: int = 200, timeout: float = 45) -> float:
        """Waits until so many records more are committed; says how many seconds the first of them took."""
        began, before = time.monotonic(), self.committed
        until(lambda: self.committed > before, self._standing, timeout)
        took = time.monotonic() - began
        until(lambda: self.committed >= before + by, self._standing, timeout)
        return took

    def level(self) -> None:
        """No more records; waits until all of them are committed."""
        self._enough.set()
        until(lambda: self.committed == self.spool.standing.head == self.spool.standing.acked, self._standing, 45)

    def _standing(self) -> str:
        return f"{self.committed} of {self.spool.standing}; {self.uplink.status}; collector {self.collector.state}"

    def ledger(self) -> list[tuple[str, int, str]]:
        """Every record the spool ever took: (epoch, seq, hash)."""
        lines = (line.split() for line in self._ledger.read_text().splitlines())
        return [(epoch, int(seq), chained) for epoch, seq, chained in lines]

    def kept(self) -> list[tuple[str, int, str]]:
        """Every record in the journal, in its order."""
        kept: list[tuple[str, int, str]] = []
        after = 0
        while entries := self.journal.read(after, 500):
            after = entries[-1].position
            for entry in entries:
                if entry.received is not None:
                    records = entry.received.block.records
                    taken = [record for record in records if entry.first <= record.seq <= entry.last]
                    kept += [(entry.epoch, record.seq, record.hash) for record in taken]
        return kept

    def proven(self) -> int:
        """How many records were spooled, each of which is in the journal once, in order, with its hash."""
        ledger, kept = self.ledger(), self.kept()
        self.databases.close()
        assert kept == ledger
        return len(ledger)


def _bus(name: str, host: str, ports: Sequence[int], keepalive: int) -> MqttBus:
    others = [Node(host=host, port=port) for port in ports[1:]]
    return MqttBus(Broker(host=host, port=ports[0], others=others), name, backoff=BACKOFF, keepalive=keepalive)
