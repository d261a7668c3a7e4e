"""2,000 malformed messages, made of real ones: each is counted by its reason, and none stops the flow."""

from __future__ import annotations

from collector.storage.database import Databases
from forewarn.wire import Reason
from tests import blocks
from tests.blocks import Script
from tests.intakes import Collector
from tests.malformed import shower


def test_two_thousand_malformed_messages_are_counted_and_none_stops_the_flow(sqlite_databases: Databases) -> None:
    blocks.enrolled(sqlite_databases, "a1", "a2")
    collector = Collector(sqlite_databases)
    well = Script(agent="a2").poll(20)
    found = shower(collector, Script().topic, "a1", 1000, seed=1)
    collector.send(well.topic, well.block(1, 10))
    found += shower(collector, Script().topic, "a1", 1000, seed=2)
    ack = collector.send(well.topic, well.block(11, 20))
    assert ack is not None
    assert (ack.agent, ack.upto, ack.held) == ("a2", 20, "")
    counters = collector.counters("a1")
    held = found[Reason.NEWER_VERSION]
    assert sum(found.values()) == 2000
    assert counters.set_aside + counters.held == 2000
    assert counters.held == held
    assert {Reason.NOT_JSON, Reason.NOT_ZLIB, Reason.WRONG_FIELD, Reason.WRONG_SHAPE} <= set(found)
    assert len(collector.asides()) == 100, "what is kept is bounded"
    assert collector.committed() == [("E1", seq) for seq in range(1, 21)]
