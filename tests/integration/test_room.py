"""The journal at its limit: agents are held with a reason, go on by themselves, and nothing is lost or silent meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.journal.room import Room, Used, measure_of
from collector.storage.database import Databases
from tests import blocks
from tests.blocks import Script
from tests.intakes import Collector

MIB = 1024**2


class Disk:
    """What a journal takes, as a test says."""

    def __init__(self, taken: int = 0, free: int | None = 10_000 * MIB) -> None:
        self.taken, self.free, self.time, self.looks = taken, free, 0.0, 0

    def measure(self) -> Used:
        self.looks += 1
        return Used(self.taken, self.free)

    def room(self, limit: int = 100 * MIB, floor: int = 50 * MIB) -> Room:
        return Room(self.measure, limit=limit, floor=floor, monotonic=self.later)

    def later(self) -> float:
        self.time += 10
        return self.time


@pytest.mark.parametrize(
    ("taken", "free", "says"),
    [
        (99 * MIB, 51 * MIB, ""),
        (100 * MIB, 51 * MIB, "the journal takes 100 MiB of 100 MiB (`journal.limit`)"),
        (0, 49 * MIB, "49 MiB are left on the disk of the journal, `journal.floor` keeps 50 MiB free"),
        (0, None, ""),
    ],
)
def test_the_sentence_says_which_limit_and_what_to_set(taken: int, free: int | None, says: str) -> None:
    told = Disk(taken, free).room().full()
    assert told.startswith(says)
    assert bool(told) == bool(says)


def test_agents_go_on_only_when_there_is_room_for_a_while() -> None:
    disk = Disk(100 * MIB)
    room = disk.room()
    assert room.full()
    disk.taken = 97 * MIB
    assert room.full()
    disk.taken = 94 * MIB
    assert not room.full()
    disk.taken = 97 * MIB
    assert not room.full()


def test_near_the_limit_the_journal_gives_up_what_nobody_needs() -> None:
    assert [Disk(taken * MIB).room().near() for taken in (89, 90, 100)] == [False, True, True]
    assert [Disk(0, free * MIB).room().near() for free in (56, 55)] == [False, True]
    assert not Disk(10**15, None).room(limit=0).near()


def test_it_looks_every_few_seconds_at_most() -> None:
    disk = Disk()
    room = Room(disk.measure, limit=1, floor=0, monotonic=lambda: 0.0)
    assert [room.full() for _ in range(100)] == [""] * 100
    assert disk.looks == 1


def test_what_the_journal_takes_grows_with_blocks_and_falls_with_pruning(databases: Databases, tmp_path: Path) -> None:
    blocks.enrolled(databases, "a1")
    collector = Collector(databases)
    measure = measure_of(databases.journal, tmp_path, lambda: collector.clock, limit=1)
    before = measure().taken
    script = Script().poll(4000)
    for first in range(1, 4000, 200):
        collector.send(script.topic, script.block(first, first + 199))
    collector.clock += 100
    filled = measure().taken
    assert filled > before + 50_000
    head = collector.journal.head()
    while collector.journal.prune(head, 2**62):
        pass
    collector.clock += 100
    assert measure().taken < filled - 50_000


def test_at_the_limit_agents_are_held_with_a_reason_and_go_on_by_themselves(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    blocks.enrolled(databases, "a1")
    collector = Collector(databases)
    full = [""]
    collector.intake._full = lambda: full[0]
    script = Script().poll(10)
    collector.send(script.topic, script.block(1, 3))
    full[0] = "the journal takes 5 MiB of 5 MiB (`journal.limit`)"
    head = collector.journal.head()
    for first in (4, 7):
        ack = collector.send(script.topic, script.block(first, first + 2))
        assert ack is None or (ack.held, ack.upto) == ("no_room", 3)
    assert collector.journal.head() == head
    assert collector.committed() == [("E1", seq) for seq in range(1, 4)]
    assert collector.intake.trouble() == full[0]
    assert collector.counters().held_reason == f"no_room: {full[0]}"
    ack = collector.send(script.topic, script.block(1, 3))
    assert collector.counters().duplicates == 3, "what was committed before is known all the same"
    ack = collector.send(script.topic, script.block(4, 6))
    collector.intake._next_tick = 0.0
    collector.intake.turn(0)
    assert collector.journal.head() == head, "no tick attests a silence that we made ourselves"
    full[0] = ""
    assert collector.turned() == ("", 3), "the agent is told at once that it may go on"
    ack = collector.send(script.topic, script.block(4, 10))
    assert ack is not None
    assert (ack.held, ack.upto) == ("", 10)
    assert collector.counters().held_reason == ""
    assert collector.intake.trouble() == ""
    told = [record.message for record in caplog.records if record.name == "collector.intake.intake"]
    assert told == ["agents are held for want of room", "there is room again, agents go on"]
