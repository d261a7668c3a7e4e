"""Whatever the network does to blocks and whenever the ingest dies: each record once, in order, per epoch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.intake.intake import Intake, Pace
from collector.journal.disk import DatabaseJournal
from collector.register import Register
from collector.storage.database import Databases, open_sqlite
from forewarn.bus.loopback import Exchange, LoopbackBus
from tests import blocks
from tests.blocks import NOW, Script

LENGTH = 24
STEP = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(["E1", "E2"]), st.integers(1, LENGTH), st.integers(0, 8)),
    st.tuples(st.just("lose"), st.sampled_from(["E1", "E2"]), st.integers(1, LENGTH), st.integers(0, 4)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("die")),
)


class Ingest:
    """An ingest on the same database each time it is made."""

    def __init__(self, databases: Databases) -> None:
        self.journal = DatabaseJournal(databases)
        register = Register(databases)
        bus = LoopbackBus(Exchange(), "collector")
        pace = Pace(linger=0.0, tick=1e9)
        self.intake = Intake(self.journal, register, bus, now=lambda: NOW, monotonic=lambda: 0.0, pace=pace)

    def send(self, script: Script, payload: bytes) -> None:
        self.intake.receive(script.topic, payload, lambda: None)


def counted(journal: DatabaseJournal) -> dict[str, list[int]]:
    """Each epoch's committed seqs in journal order; a declared loss stands for all its numbers."""
    seqs: dict[str, list[int]] = {}
    after = 0
    while entries := journal.read(after, 1000):
        after = entries[-1].position
        for entry in entries:
            if entry.received is None:
                continue
            for record in entry.received.block.records:
                span = range(max(record.begins, entry.first), min(record.seq, entry.last) + 1)
                seqs.setdefault(entry.epoch, []).extend(span)
    return seqs


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=40), small_ring=st.booleans())
def test_each_record_is_committed_once_and_in_order(steps: list[tuple[Any, ...]], small_ring: bool) -> None:
    scripts = {epoch: Script(epoch=epoch).poll(LENGTH) for epoch in ("E1", "E2")}
    with tempfile.TemporaryDirectory() as folder:
        databases = open_sqlite(Path(folder))
        databases.migrate()
        blocks.enrolled(databases, "a1")
        ingest = Ingest(databases)
        for what, *rest in steps:
            if what == "commit":
                ingest.intake.turn(0)
            elif what == "die":
                ingest = Ingest(databases)
            else:
                send(ingest, what, scripts, *rest)
        for script in scripts.values():
            ingest.send(script, script.block(1, LENGTH))
        ingest.intake.turn(0)
        assert counted(ingest.journal) == {epoch: list(range(1, LENGTH + 1)) for epoch in counted(ingest.journal)}
        assert set(counted(ingest.journal)) == {"E1", "E2"}
        assert counted(DatabaseJournal(databases, ring_bytes=1 if small_ring else 10**9)) == counted(ingest.journal)
        marks = ingest.journal.marks()
        assert {spool[1]: mark.upto for spool, mark in marks.items()} == {"E1": LENGTH, "E2": LENGTH}
        assert ingest.journal.counters()["a1"].held == 0
        databases.close()


def send(ingest: Ingest, what: str, scripts: dict[str, Script], epoch: str, first: int, more: int) -> None:
    script, last = scripts[epoch], min(first + more, LENGTH)
    if what == "lose":
        end = min(last + 2, LENGTH)
        ingest.send(script, script.block(last + 1, end, lost=script.lose(first, last)))
    else:
        ingest.send(script, script.block(first, last))
