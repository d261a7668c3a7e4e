"""What becomes of blocks, good and bad: each outcome as the agent, the journal and the people see it."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.intake.intake import Pace
from collector.register import Register
from collector.storage.database import Databases, open_sqlite
from forewarn.consent import document
from forewarn.signals import ack_topic, block_topic, derive, open_ack, peek_ack
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import MAX_INFLATED, MAX_PACKED, Record, Shape, TableShape
from tests import blocks
from tests.blocks import HOST, NOW, Script
from tests.intakes import Collector


@pytest.fixture
def collector(databases: Databases) -> Collector:
    blocks.enrolled(databases, "a1")
    return Collector(databases)


@pytest.fixture
def script() -> Script:
    return Script().poll(10)


def seqs(first: int, last: int, epoch: str = "E1") -> list[tuple[str, int]]:
    return [(epoch, seq) for seq in range(first, last + 1)]


def test_a_block_is_committed_and_then_acknowledged(collector: Collector, script: Script) -> None:
    ack = collector.send(script.topic, script.block(1, 10))
    assert collector.committed() == seqs(1, 10)
    assert ack is not None
    assert (ack.epoch, ack.upto, ack.held, ack.rewind) == ("E1", 10, "", False)
    assert ack.hash == script.chain.hex()
    topic, payload, retained = collector.payloads[-1]
    secret = Register(collector.databases).known().agents["a1"].secret
    assert topic == ack_topic("a1")
    assert retained
    assert open_ack(payload, derive(secret, "ack")) == ack
    counters = collector.counters()
    assert (counters.epoch, counters.oldest, counters.head, counters.heard) == ("E1", 1, 10, NOW)
    assert (counters.blocks, counters.records) == (1, 10)


def test_blocks_of_one_turn_continue_from_each_other(collector: Collector, script: Script) -> None:
    ack = collector.send(script.topic, *(script.block(seq, seq) for seq in range(1, 11)))
    assert ack is not None
    assert ack.upto == 10
    assert collector.committed() == seqs(1, 10)


def test_a_duplicate_is_counted_and_acknowledged_again(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(1, 5))
    collector.clock += 1
    ack = collector.send(script.topic, script.block(1, 5))
    assert ack is not None
    assert ack.upto == 5
    assert collector.committed() == seqs(1, 5)
    assert collector.counters().duplicates == 5


def test_an_overlap_is_trimmed_record_by_record(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(1, 5))
    collector.send(script.topic, script.block(3, 8))
    assert collector.committed() == seqs(1, 8)
    assert (collector.counters().records, collector.counters().duplicates) == (8, 3)


def test_a_gap_asks_the_agent_at_once_to_send_again(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(1, 3))
    ack = collector.send(script.topic, script.block(6, 8))
    assert ack is not None
    assert (ack.upto, ack.rewind) == (3, True)
    assert collector.committed() == seqs(1, 3)
    assert collector.counters().gaps == 1
    ack = collector.send(script.topic, script.block(4, 10))
    assert ack is not None
    assert (ack.upto, ack.rewind) == (10, False)
    assert collector.committed() == seqs(1, 10)


def test_a_gap_is_told_once_not_for_every_block_behind_it(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(3, 3))
    before = len(collector.payloads)
    collector.intake._acks._monotonic = lambda: collector.clock
    collector.send(script.topic, *(script.block(seq, seq) for seq in range(4, 11)))
    assert collector.counters().gaps == 8
    assert len(collector.payloads) - before <= 1


def test_a_declared_loss_closes_the_gap_and_is_counted(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(1, 2))
    ack = collector.send(script.topic, script.block(7, 10, lost=script.lose(3, 6)))
    assert ack is not None
    assert ack.upto == 10
    assert collector.counters().lost == 4
    assert collector.counters().records == 6
    lost = [entry for entry in collector.journal.read(0, 10) if entry.received][-1]
    assert lost.first == 3
    assert (collector.counters().gaps, collector.counters().held) == (0, 0)


def test_a_declared_loss_that_reaches_below_the_watermark_counts_the_rest_only(
    collector: Collector, script: Script
) -> None:
    collector.send(script.topic, script.block(1, 4))
    ack = collector.send(script.topic, script.block(7, 8, lost=script.lose(1, 6)))
    assert ack is not None
    assert ack.upto == 8
    assert collector.counters().lost == 2


def test_records_that_exist_nowhere_any_more_are_named_and_do_not_stop_the_agent(
    collector: Collector, script: Script
) -> None:
    collector.send(script.topic, script.block(1, 3))
    script.oldest = 6
    ack = collector.send(script.topic, script.block(6, 10))
    assert ack is not None
    assert ack.upto == 10
    assert collector.counters().lost == 2
    assert [(aside.reason, aside.payload) for aside in collector.asides()] == [("missing", None)]


def test_a_new_epoch_begins_at_one_and_the_old_one_goes_on_by_its_own_watermark(
    collector: Collector, script: Script
) -> None:
    newer = Script(epoch="E2").poll(4)
    collector.send(script.topic, script.block(1, 3))
    collector.now += 1
    collector.send(script.topic, newer.block(1, 2))
    assert collector.counters().epoch == "E2"
    ack = collector.send(script.topic, script.block(4, 10))
    assert ack is not None
    assert (ack.epoch, ack.upto) == ("E1", 10)
    assert collector.counters().epoch == "E2"
    ack = collector.send(script.topic, newer.block(3, 4))
    assert ack is not None
    assert (ack.epoch, ack.upto) == ("E2", 4)
    assert collector.committed() == [*seqs(1, 3), *seqs(1, 2, "E2"), *seqs(4, 10), *seqs(3, 4, "E2")]


def test_an_epoch_that_begins_later_is_a_gap(collector: Collector, script: Script) -> None:
    ack = collector.send(script.topic, script.block(2, 3))
    assert ack is not None
    assert (ack.epoch, ack.upto, ack.rewind) == ("E1", 0, True)
    assert collector.committed() == []


@pytest.mark.parametrize(("again", "until"), [(4, 6), (5, 5), (1, 3), (6, 8)])
def test_a_cloned_agent_is_named_and_nothing_of_it_is_taken(
    collector: Collector, script: Script, again: int, until: int
) -> None:
    clone = Script().poll(10, device="cam2")
    collector.send(script.topic, script.block(1, 2))
    collector.send(script.topic, script.block(3, 5))
    ack = collector.send(script.topic, clone.block(again, until))
    assert ack is not None
    assert (ack.held, ack.upto) == ("forked", 0)  # nothing of the clone's may be deleted
    assert collector.committed() == seqs(1, 5)
    told = len(collector.payloads)
    collector.intake._greet = True
    collector.intake.turn(0)
    assert len(collector.payloads) == told
    assert "two agents share this spool" in collector.counters().held_reason
    ack = collector.send(script.topic, script.block(6, 10))
    assert ack is not None
    assert (ack.held, ack.upto) == ("", 10)
    assert collector.counters().held_reason == ""


def test_a_clone_in_the_same_turn_is_named_too(collector: Collector, script: Script) -> None:
    clone = Script().poll(10, device="cam2")
    ack = collector.send(script.topic, script.block(1, 5), clone.block(1, 3))
    assert ack is not None
    assert ack.held == "forked"
    assert collector.committed() == seqs(1, 5)


def test_an_agent_nobody_registered_is_held_and_told_without_a_trace_in_the_broker(
    collector: Collector, script: Script
) -> None:
    ack = collector.send(block_topic(0, "stranger"), script.block(1, 3, agent="stranger"))
    assert ack is not None
    assert (ack.agent, ack.held, ack.upto) == ("stranger", "unknown_agent", 0)
    assert not collector.payloads[-1][2]
    assert collector.payloads[-1][1].endswith(b'"mac":""}')
    assert collector.intake.standing.strangers == {"stranger": 1}
    assert collector.committed() == []
    assert collector.asides() == []


def test_made_up_names_do_not_fill_the_memory(collector: Collector) -> None:
    for number in range(1500):
        collector.intake.receive(block_topic(0, f"x{number}"), b"{}", lambda: None)
        if number % 300 == 0:
            collector.intake.turn(0)
    for _ in range(5):
        collector.intake.turn(0)
    assert len(collector.intake.standing.strangers) == 1000


def test_an_agent_registered_while_the_collector_runs_is_taken_from_then_on(
    collector: Collector, script: Script
) -> None:
    newcomer = Script(agent="a2").poll(3)
    ack = collector.send(newcomer.topic, newcomer.block(1, 3))
    assert ack is not None
    assert ack.held == "unknown_agent"
    Register(collector.databases).add_agent("s1", "a2")
    ack = collector.send(newcomer.topic, newcomer.block(1, 3))
    assert ack is not None
    assert (ack.held, ack.upto) == ("", 3)


def test_an_unknown_consent_holds_the_block_until_it_is_registered(collector: Collector, script: Script) -> None:
    script.consent = "c-2"
    ack = collector.send(script.topic, script.block(1, 3))
    assert ack is not None
    assert (ack.held, ack.upto) == ("unknown_consent", 0)
    assert "consent `c-2` is not registered" in collector.counters().held_reason
    Register(collector.databases).add_consent(document(blocks.consent(id="c-2")))
    assert collector.turned() == ("", 0), "the agent is told to try again at once"
    assert collector.turned() is None
    assert collector.send(script.topic, script.block(1, 3)) is not None
    assert collector.committed() == seqs(1, 3)


def test_a_withdrawn_consent_holds_everything_under_it(collector: Collector, script: Script) -> None:
    collector.send(script.topic, script.block(1, 3))
    Register(collector.databases).withdraw_consent("c-1")
    ack = collector.send(script.topic, script.block(4, 5))
    assert ack is not None
    assert (ack.held, ack.upto) == ("withdrawn", 3)
    assert collector.committed() == seqs(1, 3)


def outside_time(script: Script) -> Script:
    return script.poll(1, t=blocks.milliseconds("2027-01-01T00:00:00Z"))


def outside_scope(script: Script) -> Script:
    return script.poll(1, HOST)


@pytest.mark.parametrize(
    ("spoil", "why"), [(outside_time, "expired"), (outside_scope, "host, t .*: scope not granted")]
)
def test_records_outside_the_consent_are_named_but_not_stored(
    collector: Collector, script: Script, spoil: Callable[[Script], Script], why: str
) -> None:
    spoil(script).poll(2)
    ack = collector.send(script.topic, script.block(1, 11))
    assert ack is not None
    assert ack.upto == 11
    assert collector.committed() == []
    (aside,) = collector.asides()
    assert (aside.reason, aside.payload) == ("outside_consent", None)
    assert "records[10] (seq 11, " in aside.detail
    assert re.search(why, aside.detail)
    collector.send(script.topic, script.block(12, 13))
    assert collector.committed() == seqs(12, 13)
    assert collector.counters().set_aside == 1


def test_a_record_made_in_the_consents_time_may_arrive_after_its_end(collector: Collector, script: Script) -> None:
    collector.now = blocks.milliseconds("2028-01-01T00:00:00Z")
    ack = collector.send(script.topic, script.block(1, 10))
    assert ack is not None
    assert ack.upto == 10


def test_a_block_of_another_agent_is_set_aside(collector: Collector, script: Script) -> None:
    ack = collector.send(script.topic, script.block(1, 3, agent="a9"))
    assert ack is None
    assert [(aside.reason, aside.agent) for aside in collector.asides()] == [("wrong_topic", "a1")]
    assert collector.committed() == []


@pytest.mark.parametrize("changes", [{"shard": 5}, {"site": "s2"}])
def test_a_wrong_shard_or_site_is_held_with_what_to_correct(collector: Collector, changes: dict[str, object]) -> None:
    script = Script(**changes).poll(3)  # type: ignore[arg-type]
    ack = collector.send(script.topic, script.block(1, 3))
    assert ack is not None
    assert ack.held == "wrong_topic"
    assert "correct its settings" in collector.counters().held_reason


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(payload: bytes) -> bytes:
        plain = zlib.decompress(payload) if payload[:1] == b"\x78" else payload
        assert old in plain
        return plain.replace(old, new)

    return change


BAD: dict[str, tuple[Callable[[bytes], bytes], str, int]] = {
    "not JSON": (lambda _: b"garbage", "not_json", 0),
    "JSON cut short": (lambda payload: replaced(b"", b"")(payload)[:-5], "not_json", 0),
    "not zlib": (lambda _: b"\x78\x01garbage", "not_zlib", 0),
    "zlib cut short": (lambda payload: zlib.compress(payload)[:-9], "not_zlib", 0),
    "too large packed": (lambda _: b"{" + b" " * MAX_PACKED, "too_large_packed", 0),
    "too large inflated": (lambda _: zlib.compress(b"{" + b" " * MAX_INFLATED), "too_large_inflated", 0),
    "NaN": (replaced(b"[2.0,2.0]", b"[NaN,2.0]"), "not_json", 0),
    "infinity": (replaced(b"[2.0,2.0]", b"[1e999,2.0]"), "wrong_field", 3),
    "a value too few": (replaced(b"[2.0,2.0]", b"[2.0]"), "wrong_shape", 3),
    "a shape not sent": (replaced(b'"shapes":{', b'"shapes":{},"was":{'), "wrong_shape", 3),
    "a text for a number": (replaced(b"[2.0,2.0]", b'["2",2.0]'), "wrong_field", 3),
    "a record changed": (replaced(b"[2.0,2.0]", b"[2.5,2.0]"), "wrong_hash", 3),
    "a seq beyond all": (replaced(b'"seq":3', b'"seq":99999999999999999999'), "wrong_field", 0),
    "a NUL in the epoch": (replaced(b'"epoch":"E1"', b'"epoch":"E\\u00001"'), "wrong_field", 0),
    "an epoch without end": (replaced(b'"epoch":"E1"', b'"epoch":"' + b"E" * 5000 + b'"'), "wrong_field", 0),
    "a NUL in a name": (replaced(b'"device":"cam1"', b'"device":"cam\\u0000"'), "wrong_field", 3),
    "a hole within": (replaced(b'"seq":3', b'"seq":4'), "wrong_field", 0),
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_block_is_kept_and_named_and_the_next_one_is_taken(
    collector: Collector, script: Script, what: str
) -> None:
    spoil, reason, upto = BAD[what]
    bad = spoil(script.block(1, 3))
    ack = collector.send(script.topic, bad)
    (aside,) = collector.asides()
    assert (aside.reason, aside.agent, aside.size) == (reason, "a1", len(bad))
    assert aside.payload == bad[:MAX_PACKED]
    assert aside.detail
    assert (ack.upto if ack else 0) == upto
    assert collector.counters().set_aside == 1
    collector.send(script.topic, script.block(upto + 1, 10))
    assert collector.committed() == seqs(upto + 1, 10)


def test_nothing_unreadable_is_kept_of_a_site_without_consent(collector: Collector) -> None:
    Register(collector.databases).withdraw_consent("c-1")
    collector.send(block_topic(0, "a1"), b"garbage")
    assert [(aside.reason, aside.payload) for aside in collector.asides()] == [("not_json", None)]


@pytest.mark.parametrize(
    "shape",
    [
        Shape(DeviceKind.CAMERA, "x", Source.SNMP, [TableShape("disc", ["1"], ["status"])]),
        Shape(DeviceKind.CAMERA, "x", Source.SNMP, [TableShape("disk", ["1"], ["colour"])]),
        Shape(DeviceKind.CAMERA, "x", Source.SNMP, [TableShape("disk", ["1", "1"], ["status"])]),
        Shape(DeviceKind.CAMERA, "x", Source.SNMP, [TableShape("disk", ["a\nb"], ["status"])]),
    ],
)
def test_a_word_outside_the_vocabulary_is_set_aside_every_time(collector: Collector, shape: Shape) -> None:
    script = Script(shapes={shape.digest: shape}).poll(4, shape)
    for first in (1, 3):
        ack = collector.send(script.topic, script.block(first, first + 1))
        assert ack is not None
        assert ack.upto == first + 1
    assert [aside.reason for aside in collector.asides()] == ["wrong_shape"] * 2
    assert collector.committed() == []


def test_a_device_name_with_control_characters_is_set_aside(collector: Collector) -> None:
    script = Script().poll(1, device="cam\x1b[2J")
    collector.send(script.topic, script.block(1, 1))
    assert [(aside.reason, aside.detail[:6]) for aside in collector.asides()] == [("wrong_field", "device")]


def test_a_newer_version_is_held_for_a_newer_collector(collector: Collector, script: Script) -> None:
    newer = replaced(b'{"v":1,', b'{"v":2,"more":true,')(script.block(1, 3))
    ack = collector.send(script.topic, newer)
    assert ack is not None
    assert (ack.held, ack.upto) == ("newer_version", 0)
    assert "version 2, this collector reads 1" in collector.counters().held_reason
    assert collector.asides() == []


def test_a_message_on_a_strange_topic_is_counted(collector: Collector) -> None:
    collector.send("fw/1/t/zz/a1", b"{}")
    assert collector.intake.standing.strays == 1


def test_set_aside_is_bounded_for_each_agent(collector: Collector) -> None:
    for _ in range(11):
        collector.send(block_topic(0, "a1"), *[b"garbage"] * 10)
    assert len(collector.asides()) == 100
    assert collector.counters().set_aside == 110


def test_text_records_need_no_scope(collector: Collector) -> None:
    script = Script().add(Record(seq=1, t=NOW, kind="event", text={"event": "spool rolled"}))
    ack = collector.send(script.topic, script.block(1, 1))
    assert ack is not None
    assert ack.upto == 1


def test_after_a_restart_each_agent_is_told_how_far_it_is_under_a_new_boot(
    databases: Databases, script: Script
) -> None:
    blocks.enrolled(databases, "a1", "a2")
    first = Collector(databases)
    first.send(script.topic, script.block(1, 4))
    other = Script(agent="a2").poll(2)
    first.send(other.topic, other.block(1, 2))
    second = Collector(databases)
    second.intake._greet = True
    second.intake.turn(0)
    told = {topic: peek_ack(payload) for topic, payload, _ in second.payloads}
    assert {topic: (ack.epoch, ack.upto) for topic, ack in told.items()} == {
        "fw/1/k/a1": ("E1", 4),
        "fw/1/k/a2": ("E1", 2),
    }
    assert {ack.boot for ack in told.values()} == {second.intake.boot}
    assert second.intake.boot != first.intake.boot
    second.send(script.topic, script.block(3, 10))
    assert second.committed() == [*seqs(1, 4), *seqs(1, 2), *seqs(5, 10)]


def test_two_collectors_on_one_database_do_not_take_a_record_twice(databases: Databases, script: Script) -> None:
    blocks.enrolled(databases, "a1")
    first, second = Collector(databases), Collector(databases)
    first.send(script.topic, script.block(1, 4))
    second.send(script.topic, script.block(1, 6))
    first.send(script.topic, script.block(5, 10))
    assert Collector(databases).committed() == seqs(1, 10)
    positions = [entry.position for entry in Collector(databases).journal.read(0, 100)]
    assert positions == list(range(1, len(positions) + 1))


@pytest.mark.parametrize("between", ["a block of another agent", "a tick"])
def test_what_another_collector_took_is_noticed_later_too(databases: Databases, script: Script, between: str) -> None:
    blocks.enrolled(databases, "a1", "a2")
    first, second = Collector(databases), Collector(databases)
    second.send(script.topic, script.block(1, 5))
    if between == "a tick":
        first.journal.tick(NOW)
    else:
        other = Script(agent="a2", epoch="E2").poll(3)
        first.send(other.topic, other.block(1, 3))
    ack = first.send(script.topic, script.block(1, 5))
    assert ack is not None
    assert ack.upto == 5
    assert [each for each in Collector(databases).committed() if each[0] == "E1"] == seqs(1, 5)


def test_a_full_disk_stops_the_acknowledgements_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = open_sqlite(tmp_path, journal_pages=64)
    small.migrate()
    blocks.enrolled(small, "a1")
    collector = Collector(small, Pace(linger=0.0, tick=1e9, retry=0.01, inbox_bytes=150_000))
    big = Script().poll(2000)
    pubacks: list[int] = []
    for first in range(1, 2000, 10):
        payload = big.block(first, first + 9)
        collector.intake.receive(big.topic, payload, lambda first=first: pubacks.append(first))
    collector.intake.start()
    wait(lambda: bool(collector.intake.trouble()))
    assert "no room" in collector.intake.trouble()
    assert 0 < len(pubacks) < 200
    told = [peek_ack(payload).upto for _, payload, _ in collector.payloads]
    assert max(told, default=0) <= len(collector.committed())
    small.journal.dispose()
    sa.event.listen(small.journal, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 100000"))
    wait(lambda: not collector.intake.trouble() and len(collector.committed()) == 2000)
    collector.intake.stop()
    small.close()
    assert collector.committed() == seqs(1, 2000)
    assert peek_ack(collector.payloads[-1][1]).upto == 2000
    assert len(pubacks) == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["nothing is taken in"]


def wait(true: Callable[[], bool], timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
