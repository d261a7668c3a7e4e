"""An intake driven turn by turn, with what it told the agents."""

from __future__ import annotations

import sqlalchemy as sa

from collector.intake.intake import Intake, Pace
from collector.journal.disk import Counters, DatabaseJournal
from collector.register import Register
from collector.storage import tables
from collector.storage.database import Databases, reading
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.signals import Ack, peek_ack
from tests.blocks import NOW

FAST = Pace(linger=0.0, tick=1e9, retry=0.01)


class Collector:
    """An intake driven turn by turn, with what it told the agents."""

    def __init__(self, databases: Databases, pace: Pace = FAST) -> None:
        self.databases = databases
        self.clock = 0.0
        self.now = NOW
        self.exchange = Exchange()
        self.bus = LoopbackBus(self.exchange, "collector")
        self.journal = DatabaseJournal(databases)
        register = Register(databases, monotonic=self.look)
        self.intake = Intake(
            self.journal, register, self.bus, now=lambda: self.now, monotonic=lambda: self.clock, pace=pace
        )
        self.intake.turn(0)  # the first tick
        self.payloads: list[tuple[str, bytes, bool]] = []
        self.bus.publish = self.heard  # type: ignore[method-assign, assignment]

    def look(self) -> float:
        self.clock += 2
        return self.clock

    def heard(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.payloads.append((topic, payload, retain))

    def send(self, topic: str, *payloads: bytes) -> Ack | None:
        """Sends blocks in one turn; returns what the topic's agent is told then, if anything."""
        for payload in payloads:
            self.intake.receive(topic, payload, lambda: None)
        before = len(self.payloads)
        self.intake.turn(0)
        mine = [payload for _, payload, _ in self.payloads[before:]]
        return peek_ack(mine[-1]) if mine else None

    def turned(self) -> tuple[str, int] | None:
        """What the last agent spoken to in a turn without messages is told: (held, upto)."""
        ack = self.send("")
        return (ack.held, ack.upto) if ack else None

    def committed(self) -> list[tuple[str, int]]:
        """(epoch, seq) of every record in the journal, in order."""
        return [
            (entry.epoch, record.seq)
            for entry in self.journal.read(0, 10_000)
            if entry.received is not None
            for record in entry.received.block.records
            if entry.first <= record.seq <= entry.last
        ]

    def counters(self, agent: str = "a1") -> Counters:
        return DatabaseJournal(self.databases).counters().get(agent, Counters())

    def asides(self) -> list[sa.Row]:
        with reading(self.databases.journal) as connection:
            return list(connection.execute(sa.select(tables.set_aside).order_by(tables.set_aside.c.id)))
