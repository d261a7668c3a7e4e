"""Entries become arrays: grouped by shape, in order, cut at ticks."""

from __future__ import annotations

import math

from collector.journal.batching import FUTURE, to_batches
from collector.journal.entry import Entry
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Block, Received, Record, Shape, TableShape
from rules.samples import Device

NOW = 1_763_800_000_000
CAMERA = Shape(DeviceKind.CAMERA, "cam", Source.SNMP, [TableShape("device", [""], ["up", "rtt_seconds"])])
UPS = Shape(DeviceKind.UPS, "ups", Source.SNMP, [TableShape("ups", [""], ["charge_percent"])])


def poll(seq: int, device: str, shape: Shape, *values: float | None, t: int = NOW) -> Record:
    return Record(seq=seq, t=t, device=device, shape=shape.digest, values=list(values))


def entry(position: int, agent: str, *records: Record, first: int = 0, last: int = 2**53) -> Entry:
    block = Block(
        site="s",
        agent=agent,
        epoch="e",
        boot="b",
        oldest=1,
        head=9,
        consent="c",
        sent=NOW,
        shapes={shape.digest: shape for shape in (CAMERA, UPS)},
        records=list(records),
    )
    first = first or records[0].seq
    return Entry(position, NOW + position, "s", agent, "e", first, min(last, records[-1].seq), Received(block, []))


def tick(position: int) -> Entry:
    return Entry(position, NOW + position, "", "", "", 0, 0, None)


def test_polls_of_two_agents_with_one_shape_form_one_array() -> None:
    (batch,) = to_batches(
        [entry(1, "a", poll(1, "cam1", CAMERA, 1.0, 0.5)), entry(2, "b", poll(7, "cam1", CAMERA, 0.0, None))]
    )
    (rows,) = batch.rows
    assert rows.devices == [Device("s", "a", "cam1"), Device("s", "b", "cam1")]
    assert rows.values[0].tolist() == [1.0, 0.5]
    assert rows.values[1][0] == 0.0
    assert math.isnan(rows.values[1][1])
    assert rows.position.tolist() == [1, 2]
    assert rows.arrived.tolist() == [NOW + 1, NOW + 2]
    assert rows.rank.tolist() == [0, 0]
    assert (batch.first, batch.last, batch.tick) == (1, 2, None)


def test_rank_counts_a_device_over_all_its_shapes() -> None:
    (batch,) = to_batches(
        [entry(1, "a", poll(1, "x", CAMERA, 1, 1), poll(2, "x", UPS, 99.0), poll(3, "x", CAMERA, 1, 1))]
    )
    assert [rows.rank.tolist() for rows in batch.rows] == [[0, 2], [1]]


def test_a_tick_ends_its_batch_and_its_time_is_told() -> None:
    batches = list(to_batches([tick(1), entry(2, "a", poll(1, "x", UPS, 1.0)), tick(3), tick(4)]))
    assert [(batch.first, batch.last, batch.tick) for batch in batches] == [
        (1, 1, NOW + 1),
        (2, 3, NOW + 3),
        (4, 4, NOW + 4),
    ]


def test_records_below_the_watermark_are_left_out() -> None:
    records = [poll(seq, "x", UPS, float(seq)) for seq in range(1, 6)]
    (batch,) = to_batches([entry(1, "a", *records, first=3, last=4)])
    assert batch.rows[0].values[:, 0].tolist() == [3.0, 4.0]


def test_a_record_from_the_future_is_flagged() -> None:
    (batch,) = to_batches(
        [entry(1, "a", poll(1, "x", UPS, 1.0, t=NOW + FUTURE + 1), poll(2, "x", UPS, 1.0, t=NOW + FUTURE + 2))]
    )
    assert batch.rows[0].future.tolist() == [False, True]


def test_text_travels_beside_the_arrays_with_its_reason() -> None:
    lost = Record(seq=4, t=NOW, kind="lost", why="spool full", first=1)
    (batch,) = to_batches([entry(1, "a", lost, poll(5, "x", UPS, 1.0))])
    (happened,) = batch.happened
    assert (happened.kind, happened.text, happened.position) == ("lost", {"why": "spool full"}, 1)
    assert [arrival.agent for arrival in batch.arrivals] == ["a"]


def test_an_agent_that_only_declared_a_loss_was_heard_at_its_last_block() -> None:
    lost = [Record(seq=seq, t=NOW, kind="lost", first=seq) for seq in (1, 2)]
    (batch,) = to_batches([entry(1, "a", lost[0]), entry(5, "a", lost[1])])
    assert [(arrival.arrived, arrival.position) for arrival in batch.arrivals] == [(NOW + 5, 5)]
    assert batch.rows == []


def test_nothing_makes_no_batch() -> None:
    assert list(to_batches([])) == []
