"""What the collector can prove it has, and how a hole is named: on both kinds of database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from collector.intake.verify import Account, Stretch, verify
from collector.journal.proofs import newest
from collector.storage import tables
from collector.storage.database import Databases
from collector.storage.proof_tables import hole, proof
from forewarn.manifest import Manifest
from forewarn.wire import Record
from tests import blocks
from tests.blocks import NOW, Script
from tests.intakes import Collector

HOUR = 3_600_000


def manifest(script: Script, first: int, *, lost: int = 0, **changes: object) -> Script:
    """Adds the manifest of everything from `first` on."""
    last = len(script.records)
    of = {"epoch": script.epoch, "first": first, "last": last, "count": last - first + 1, "since": NOW, "lost": lost}
    stated = Manifest(**(of | {"hash": script.chain.hex()} | changes))  # type: ignore[arg-type]
    return script.add(Record(seq=last + 1, t=NOW + last * 1000, kind="manifest", text=stated.as_text()))


@pytest.fixture
def collector(databases: Databases) -> Collector:
    blocks.enrolled(databases, "a1")
    return Collector(databases)


def accounts(collector: Collector, stretch: Stretch | None = None) -> list[Account]:
    return list(verify(collector.databases, stretch=stretch))


def problems(collector: Collector, stretch: Stretch | None = None) -> list[tuple[str, int, int]]:
    return [(one.fault, one.first, one.last) for account in accounts(collector, stretch) for one in account.problems]


def execute(collector: Collector, statement: sa.Executable) -> None:
    with collector.databases.journal.begin() as connection:
        connection.execute(statement)


def test_what_was_spooled_and_committed_is_proven_by_the_manifest(collector: Collector) -> None:
    script = manifest(Script().poll(10), 1).poll(2)
    collector.send(script.topic, script.block(1, 6), script.block(7, 12))
    [account] = accounts(collector)
    assert (account.spool.spooled, account.spool.committed, account.waiting) == (13, 12, 1)
    assert (account.walked, account.holds_from, account.proofs, account.proven) == (12, 1, 1, 10)
    assert account.problems == []
    proven = newest(collector.databases.journal, ["a1"])["a1"]
    assert (proven.verdict, proven.first, proven.last, proven.committed, proven.missing) == ("whole", 1, 10, 10, 0)


@pytest.mark.parametrize("alone", [True, False])
def test_a_manifest_with_another_hash_differs(collector: Collector, alone: bool) -> None:
    script = manifest(Script().poll(4), 1, hash="ab" * 16).poll(1)
    if alone:
        collector.send(script.topic, script.block(1, 4))
        collector.send(script.topic, script.block(5, 6))
    else:
        collector.send(script.topic, script.block(1, 6))
    assert newest(collector.databases.journal, ["a1"])["a1"].verdict == "differs"
    assert ("differs", 1, 4) in problems(collector)


def test_a_manifest_that_makes_no_sense_is_named_and_the_flow_goes_on(collector: Collector) -> None:
    script = manifest(Script().poll(4), 1, epoch="E9").poll(1)
    ack = collector.send(script.topic, script.block(1, 6))
    assert ack is not None
    assert ack.upto == 6
    [aside] = collector.asides()
    assert aside.reason == "wrong_field"
    assert "not of its own epoch" in aside.detail
    assert problems(collector) == []


def test_records_that_exist_nowhere_are_an_unexplained_hole(collector: Collector) -> None:
    script = manifest(Script().poll(10), 1)
    collector.send(script.topic, script.block(1, 3))
    script.oldest = 6
    collector.send(script.topic, script.block(6, 11))
    assert problems(collector) == [("missing", 4, 5)]
    proven = newest(collector.databases.journal, ["a1"])["a1"]
    assert (proven.verdict, proven.committed, proven.missing) == ("missing", 8, 2)


def test_a_declared_loss_is_no_hole(collector: Collector) -> None:
    script = manifest(Script().poll(10), 1, lost=4)
    collector.send(script.topic, script.block(1, 2))
    collector.send(script.topic, script.block(7, 11, lost=script.lose(3, 6)))
    [account] = accounts(collector)
    assert account.problems == []
    assert [(one.cause, one.first, one.last, one.why) for one in account.holes] == [("lost", 3, 6, "spool full")]
    assert account.numbers(account.holes[0].cause) == 4  # type: ignore[arg-type]
    proven = newest(collector.databases.journal, ["a1"])["a1"]
    assert (proven.verdict, proven.committed, proven.lost) == ("whole", 6, 4)


def test_what_was_set_aside_is_told_and_is_no_hole(collector: Collector) -> None:
    script = manifest(Script().poll(10), 1)
    bad = script.block(4, 5).replace(b"[4.0,4.0]", b"[4.0]")
    collector.send(script.topic, script.block(1, 3), bad, script.block(6, 11))
    [account] = accounts(collector)
    assert account.problems == []
    assert [(one.cause, one.first, one.last) for one in account.holes] == [("set_aside", 4, 5)]
    assert newest(collector.databases.journal, ["a1"])["a1"].verdict == "set_aside"


def test_a_block_deleted_from_the_journal_is_named_with_its_range_and_time(collector: Collector) -> None:
    script = Script().poll(12)
    for first in (1, 4, 7, 10):
        collector.now += 1000
        collector.send(script.topic, script.block(first, first + 2))
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.first == 7))
    [account] = accounts(collector)
    [problem] = account.problems
    assert (problem.fault, problem.first, problem.last) == ("gone", 7, 9)
    assert (problem.since, problem.until) == (NOW + 2000, NOW + 4000)


def test_the_newest_block_deleted_is_named(collector: Collector) -> None:
    script = Script().poll(6)
    collector.send(script.topic, script.block(1, 3), script.block(4, 6))
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.first == 4))
    assert problems(collector) == [("gone", 4, 6)]


def test_a_record_changed_in_the_journal_is_named(collector: Collector) -> None:
    script = Script().poll(6)
    collector.send(script.topic, script.block(1, 3), script.block(4, 6))
    changed = script.block(4, 6).replace(b"[5.0,5.0]", b"[5.5,5.0]")
    execute(collector, sa.update(tables.entry).where(tables.entry.c.first == 4).values(payload=changed))
    assert problems(collector) == [("changed", 5, 5)]


def test_a_block_that_cannot_be_read_any_more_is_named(collector: Collector) -> None:
    script = Script().poll(6)
    collector.send(script.topic, script.block(1, 3), script.block(4, 6))
    execute(collector, sa.update(tables.entry).where(tables.entry.c.first == 1).values(payload=b"{"))
    assert problems(collector) == [("unreadable", 1, 3)]


def test_the_beginning_of_an_epoch_deleted_is_named_where_nothing_was_pruned(collector: Collector) -> None:
    script = Script().poll(9)
    for first in (1, 4, 7):
        collector.send(script.topic, script.block(first, first + 2))
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.first == 1))
    assert problems(collector) == [("gone", 1, 3)]


def test_a_last_block_replaced_by_another_that_follows_is_named(collector: Collector) -> None:
    script, other = Script().poll(3), Script().poll(2).poll(1, values=[7.0, 7.0])
    collector.send(script.topic, script.block(1, 3))
    execute(collector, sa.update(tables.entry).where(tables.entry.c.first == 1).values(payload=other.block(1, 3)))
    assert problems(collector) == [("changed", 3, 3)]


def test_a_manifest_of_missing_records_proves_nothing_and_outlives_the_line_that_names_them(
    collector: Collector,
) -> None:
    script = manifest(Script(oldest=4).poll(8), 1)
    collector.send(script.topic, script.block(4, 9))
    [account] = accounts(collector)
    assert ([(one.fault, one.first, one.last) for one in account.problems], account.proven) == ([("missing", 1, 3)], 0)
    execute(collector, sa.delete(hole))
    assert ("missing", 1, 8) in problems(collector)


def test_an_agent_whose_blocks_are_all_held_is_listed_with_what_is_to_come(collector: Collector) -> None:
    script = Script(consent="c-9").poll(5)
    collector.send(script.topic, script.block(1, 3))
    [account] = accounts(collector)
    assert (account.spool.epoch, account.spool.spooled, account.spool.committed, account.waiting) == ("E1", 5, 0, 5)
    assert account.problems == []


def test_what_was_pruned_stands_on_its_proofs(collector: Collector) -> None:
    script = manifest(manifest(Script().poll(5), 1).poll(5), 6).poll(1)
    for first, last in ((1, 6), (7, 9), (10, 13)):
        collector.now += HOUR
        collector.send(script.topic, script.block(first, last))
    collector.journal.tick(collector.now + 1)
    while collector.journal.prune(3, collector.now + 1):
        pass
    [account] = accounts(collector)
    assert account.problems == []
    assert (account.holds_from, account.proofs, account.proven) == (10, 2, 11)


def test_what_a_manifest_proves_and_the_journal_should_still_hold_is_named(collector: Collector) -> None:
    script = Script()
    other = Script(agent="a2").poll(1)
    collector.send(other.topic, other.block(1, 1))
    sent = 0
    for _ in range(3):
        begin = sent + 1
        manifest(script.poll(4), max(1, sent))
        collector.now += HOUR
        collector.send(script.topic, script.block(begin, len(script.records)))
        sent = len(script.records)
    collector.journal.tick(NOW)
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.last.in_([5, 10])))
    assert ("gone", 5, 9) in problems(collector)


def test_an_epoch_that_ended_short_is_a_hole_unless_the_next_one_declares_it(collector: Collector) -> None:
    script = Script().poll(10)
    collector.send(script.topic, script.block(1, 6))
    collector.now += 1
    silent = Script(epoch="E2").poll(1)
    collector.send(silent.topic, silent.block(1, 1))
    assert problems(collector) == [("tail", 7, 10)]
    declared = Record(seq=2, t=NOW, kind="lost", why="the spool file was damaged", first=5, text={"epoch": "E1"})
    silent.add(declared)
    collector.send(silent.topic, silent.block(2, 2))
    assert problems(collector) == []
    assert [(one.cause, one.first, one.why) for one in accounts(collector)[0].holes] == [
        ("lost", 7, "the spool file was damaged")
    ]


def test_an_epoch_that_was_moved_into_the_next_one_is_no_hole(collector: Collector) -> None:
    script = Script().poll(10)
    collector.send(script.topic, script.block(1, 6))
    collector.now += 1
    rolled = Record(seq=1, t=NOW, kind="event", text={"event": "epoch rolled", "from": "E1", "why": "cloned"})
    newer = Script(epoch="E2").add(rolled)
    collector.send(newer.topic, newer.block(1, 1))
    assert problems(collector) == []


@pytest.mark.parametrize(
    "ends",
    [
        Record(seq=1, t=NOW, kind="event", text={"event": "epoch rolled", "from": "E1", "why": "cloned"}),
        Record(seq=1, t=NOW, kind="lost", why="the spool file was damaged", first=1, text={"epoch": "E1"}),
    ],
)
def test_the_end_of_an_epoch_explains_no_hole_before_it(collector: Collector, ends: Record) -> None:
    script = Script(oldest=4).poll(8)
    collector.send(script.topic, script.block(4, 6))
    assert problems(collector) == [("missing", 1, 3)]
    collector.now += 1
    newer = Script(epoch="E2").add(ends)
    collector.send(newer.topic, newer.block(1, 1))
    assert problems(collector) == [("missing", 1, 3)]


def test_a_stretch_of_time_looks_at_what_arrived_within(collector: Collector) -> None:
    script = Script().poll(9)
    for first in (1, 4, 7):
        collector.send(script.topic, script.block(first, first + 2))
        collector.now += HOUR
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.first == 4))
    assert problems(collector, Stretch(NOW, NOW + 10 * HOUR)) == [("gone", 4, 6)]
    assert problems(collector, Stretch(NOW + 2 * HOUR)) == []
    assert [one.walked for one in accounts(collector, Stretch(NOW + 2 * HOUR))] == [3]


def test_proofs_outlive_a_forgotten_epoch(collector: Collector) -> None:
    script = manifest(Script().poll(2), 1)
    collector.send(script.topic, script.block(1, 3))
    execute(collector, sa.delete(tables.watermark))
    [account] = accounts(collector)
    assert (account.spool.epoch, account.spool.committed, account.proofs) == ("E1", 2, 1)


def test_a_proof_is_written_once_however_often_its_block_comes(collector: Collector) -> None:
    script = manifest(Script().poll(3), 1).poll(2)
    for block in (script.block(1, 4), script.block(1, 4), script.block(3, 6)):
        collector.send(script.topic, block)
    with collector.databases.journal.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(proof)).scalar() == 1


def test_an_agent_that_states_manifests_without_end_keeps_the_newest_proofs(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.journal.proofs.PROOFS_OF_AGENT", 5)
    script = Script()
    for first in range(1, 25, 2):
        manifest(script.poll(1), first)
        collector.now += 1
        collector.send(script.topic, script.block(first, first + 1))
    with collector.databases.journal.connect() as connection:
        kept = connection.execute(sa.select(proof.c.last).order_by(proof.c.last)).scalars().all()
    assert kept == [15, 17, 19, 21, 23]


def test_an_agent_that_invents_epochs_keeps_the_newest_marks(collector: Collector) -> None:
    made = []
    for number in range(70):
        collector.now += 1
        script = Script(epoch=f"E{number:03}").poll(2)
        collector.send(script.topic, script.block(1, 1))
        made.append(script)
    marks = collector.journal.marks()
    assert sorted(epoch for _, epoch in marks) == [f"E{number:03}" for number in range(6, 70)]
    assert marks == collector.intake.standing.marks
    ack = collector.send(made[69].topic, made[69].block(1, 2))
    assert ack is not None
    assert (ack.epoch, ack.upto) == ("E069", 2)
    made[0].oldest = 2
    ack = collector.send(made[0].topic, made[0].block(2, 2))
    assert ack is not None
    assert (ack.epoch, ack.upto) == ("E000", 2), "an epoch forgotten is taken as a new one"
    assert ("missing", 1, 1) in problems(collector)


def test_an_agent_that_invents_epochs_in_one_turn_is_bounded_too(collector: Collector) -> None:
    scripts = [Script(epoch=f"E{number:03}").poll(1) for number in range(200)]
    collector.send(scripts[0].topic, *(script.block(1, 1) for script in scripts))
    assert len(collector.journal.marks()) == 64
    assert len(collector.committed()) == 200


def test_an_epoch_whose_blocks_are_all_gone_is_named(collector: Collector) -> None:
    first, second = Script().poll(3), Script(epoch="E2").poll(3)
    collector.send(first.topic, first.block(1, 3))
    collector.now += HOUR
    collector.send(second.topic, second.block(1, 3))
    execute(collector, sa.delete(tables.entry).where(tables.entry.c.epoch == "E2"))
    assert problems(collector) == [("gone", 1, 3)]
