"""What a mistake of ours costs: the block that shows it, and nothing else."""

from __future__ import annotations

import pytest

from collector.intake import sitting
from collector.intake.judgement import Case, Outcome
from collector.journal.disk import Mark
from collector.register import Register
from forewarn.signals import ack_topic
from forewarn.wire import Received
from tests.blocks import Script
from tests.integration.test_intake import Collector, collector, script, seqs, wait

__all__ = ["collector", "script"]


def test_a_mistake_of_ours_at_one_block_keeps_it_alone_from_being_taken(
    collector: Collector, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Register(collector.databases).add_agent("s1", "a2")
    other = Script(agent="a2").poll(3)
    rightly = sitting.judge

    def judge(received: Received, case: Case, mark: Mark) -> Outcome:
        if case.agent.id == "a1":
            raise ZeroDivisionError
        return rightly(received, case, mark)

    monkeypatch.setattr(sitting, "judge", judge)
    for each in (script, other):
        collector.intake.receive(each.topic, each.block(1, 3), lambda: None)
    collector.intake.turn(0)
    assert collector.committed() == seqs(1, 3)
    assert [topic for topic, _, _ in collector.payloads] == [ack_topic("a2")]
    assert collector.intake.failed == 1
    assert "blocks could not be dealt with" in caplog.text


def test_a_mistake_beside_the_blocks_does_not_end_the_intake(
    collector: Collector, script: Script, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def tick(now: int, _listened: int | None) -> None:
        raise ZeroDivisionError(now)

    monkeypatch.setattr(collector.journal, "tick", tick)
    collector.clock = 1e10
    collector.intake.start()
    wait(lambda: "no tick be made" in caplog.text)
    collector.intake.receive(script.topic, script.block(1, 3), lambda: None)
    wait(lambda: collector.committed() == seqs(1, 3))
    collector.intake.stop()
