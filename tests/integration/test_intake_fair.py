"""A day's backlog of one agent, and a live record of another: who is committed first, and in how many commits."""

from __future__ import annotations

import secrets
from pathlib import Path

from collector.intake.inbox import ROOM
from collector.storage.database import open_sqlite
from forewarn.signals import peek_ack
from forewarn.wire import Record
from tests import blocks
from tests.blocks import NOW, Script
from tests.intakes import Collector


def test_a_live_record_is_committed_and_acknowledged_before_another_agents_backlog(tmp_path: Path) -> None:
    databases = open_sqlite(tmp_path)
    databases.migrate()
    enrolled = blocks.enrolled(databases, "a1", "a2")
    collector = Collector(databases)
    backlog, live = (Script(agent=name, shard=enrolled[name].shard) for name in ("a1", "a2"))
    for seq in range(1, 41):  # Full blocks, as a backlog sends them.
        backlog.add(Record(seq=seq, t=NOW + seq, kind="event", text={"event": secrets.token_hex(22_000)}))
    live.poll(1)
    blocks_of_a1 = [backlog.block(seq, seq) for seq in range(1, 41)]
    assert sum(map(len, blocks_of_a1)) > 2 * ROOM
    for payload in blocks_of_a1:
        collector.intake.receive(backlog.topic, payload, lambda: None)
    collector.intake.receive(live.topic, live.block(1, 1), lambda: None)
    collector.intake.turn(0)
    marks = {agent: mark.upto for (agent, _), mark in collector.journal.marks().items()}
    assert marks["a2"] == 1
    assert 1 <= marks["a1"] < 40, "the rest waits for its next turn"
    told = {ack.agent: ack.upto for ack in (peek_ack(payload) for _, payload, _ in collector.payloads)}
    assert told == marks
    while collector.intake.turn(0):
        pass
    assert [seq for _, seq in collector.committed()].count(40) == 1
    assert collector.counters("a1").gaps == 0, "its own blocks keep their order"
    databases.close()
