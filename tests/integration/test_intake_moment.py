"""Who was registered a moment ago is known at once, at little cost."""

from __future__ import annotations

import pytest

from collector.register import Register
from collector.storage.database import Databases
from forewarn.consent import document
from tests import blocks
from tests.blocks import Script
from tests.integration.test_intake import Collector, script

__all__ = ["script"]


class Still(Collector):
    """A collector whose clock stands until the test moves it."""

    def look(self) -> float:
        return self.clock


def test_who_was_registered_a_moment_ago_is_taken_at_once_and_strangers_cost_little(
    databases: Databases, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks.enrolled(databases, "a1")
    collector = Still(databases)
    collector.send(script.topic, script.block(1, 3))
    Register(databases).add_agent("s1", "a2")
    Register(databases).add_consent(document(blocks.consent(id="c-2")))
    collector.clock += 0.2
    newcomer = Script(agent="a2", consent="c-2").poll(3)
    ack = collector.send(newcomer.topic, newcomer.block(1, 3))
    assert ack is not None
    assert (ack.held, ack.upto) == ("", 3)
    looks: list[Register] = []

    def refresh(self: Register) -> None:
        looks.append(self)

    monkeypatch.setattr(Register, "_refresh", refresh)
    for stranger in (Script(agent=f"x{n}", shard=1).poll(1) for n in range(20)):
        collector.clock += 0.01
        collector.send(stranger.topic, stranger.block(1, 1))
    assert 1 <= len(looks) <= 2
