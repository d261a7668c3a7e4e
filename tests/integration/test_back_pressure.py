"""The series store is down: rules go on, agents are acknowledged, and the journal keeps what the store has not taken."""

from __future__ import annotations

from collections.abc import Sequence

from collector.journal.entry import Entry
from collector.projections.runner import Projections, Runner
from collector.series.memory import MemoryStore
from collector.series.projection import SeriesProjection
from collector.series.store import Unavailable
from collector.storage.database import Databases
from forewarn.bus import Backoff
from rules.samples import Batch
from tests import blocks
from tests.agents import until
from tests.blocks import Script
from tests.intakes import Collector


class Down(MemoryStore):
    """A store that takes nothing until it is up."""

    up = False

    def write(self, batch: Batch) -> None:
        if not self.up:
            raise Unavailable("the store is down")
        super().write(batch)


class Rules:
    """A projection that takes everything, as the rules do."""

    name = "rules"

    def __init__(self) -> None:
        self.at = 0

    def cursor(self) -> int:
        return self.at

    def apply(self, entries: Sequence[Entry]) -> None:
        self.at = entries[-1].position


def test_a_store_that_is_down_keeps_the_journal_and_stops_nobody_else(sqlite_databases: Databases) -> None:
    blocks.enrolled(sqlite_databases, "a1")
    collector, store, rules = Collector(sqlite_databases), Down(), Rules()
    quick = Backoff(0.01, 0.02)
    runners = [Runner(collector.journal, one, gather=0.0, backoff=quick) for one in (SeriesProjection(store), rules)]
    running = Projections(runners)
    running.start()
    script = Script().poll(30)
    for first in range(1, 30, 3):
        ack = collector.send(script.topic, script.block(first, first + 2))
        assert ack is None or ack.held == ""
    assert len(collector.committed()) == 30
    until(lambda: rules.at == collector.journal.head())
    until(lambda: running.progress()[0].error)
    assert collector.journal.prune(min(store.cursor(), rules.cursor()), 2**62) == 0, "the store still needs all of it"
    store.up = True
    until(lambda: store.cursor() == collector.journal.head())
    running.stop()
    pruned = collector.journal.prune(min(store.cursor(), rules.cursor()), 2**62)
    assert pruned == collector.journal.head() - 1
