"""What travels: every block that is sound comes back as it was, everything else is named and never stops a program."""

from __future__ import annotations

import contextlib
import json
import math
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forewarn import wire
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Header, Malformed, Reason, Record, Shape, TableShape, TooLarge

SHAPE = Shape(
    DeviceKind.CAMERA,
    "hikvision.camera",
    Source.SNMP,
    [TableShape("device", [""], ["up", "rtt_seconds"]), TableShape("disk", ["1", "2"], ["temperature_celsius"])],
)
HEADER = Header(site="s1", agent="a1", epoch="e1", boot="b1", oldest=1, head=9, consent="c-1", sent=1_700_000_000_000)

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
polls = st.builds(
    Record,
    seq=st.just(0),
    t=st.integers(0, 2**53),
    device=texts,
    ok=st.booleans(),
    why=texts,
    shape=st.just(SHAPE.digest),
    values=st.lists(numbers, min_size=4, max_size=4),
)
events = st.builds(
    Record,
    seq=st.just(0),
    t=st.integers(0, 2**53),
    device=texts,
    kind=st.sampled_from(["event", "inventory", "result"]),
    text=st.dictionaries(texts, texts, max_size=3),
)


def poll(seq: int, *values: float | None, **more: Any) -> Record:
    return Record(seq=seq, t=1_700_000_000_000 + seq, device="cam1", shape=SHAPE.digest, values=list(values), **more)


def sealed(records: list[Record], previous: bytes = GENESIS) -> list[bytes]:
    bodies = []
    for record in records:
        body, previous = wire.seal(record, previous)
        bodies.append(body)
    return bodies


def block(*records: Record) -> bytes:
    return wire.pack(HEADER, [SHAPE], sealed(list(records)))


def changed(payload: bytes, **parts: Any) -> bytes:
    """A block with some members of its JSON replaced, and nothing else."""
    return json.dumps(json.loads(wire.inflate(payload)) | parts).encode()


def refusal(payload: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        wire.unpack(payload)
    return caught.value


@given(st.lists(polls | events, min_size=1, max_size=30), st.integers(1, 2**40))
def test_what_was_sealed_and_packed_comes_back_as_it_was(records: list[Record], first: int) -> None:
    for at, record in enumerate(records):
        record.seq = first + at
    bodies = sealed(records)
    received = wire.unpack(wire.pack(HEADER, [SHAPE], bodies))
    assert received.bodies == bodies
    assert received.block.records == [wire.open_record(body) for body in bodies]
    for sent, got in zip(records, received.block.records, strict=True):
        sent.hash = got.hash
        assert got == sent
    assert received.block.shapes == {SHAPE.digest: SHAPE}
    assert {name: getattr(received.block, name) for name in HEADER.__struct_fields__} == msgspec.to_builtins(HEADER)


@given(st.lists(polls, min_size=2, max_size=6), st.data())
def test_any_changed_byte_breaks_the_hash_chain(records: list[Record], data: st.DataObject) -> None:
    for at, record in enumerate(records):
        record.seq = at + 1
    bodies = sealed(records)
    victim = data.draw(st.integers(0, len(bodies) - 1))
    at = data.draw(st.integers(0, len(bodies[victim]) - 1))
    spoilt = bytearray(bodies[victim])
    spoilt[at] ^= data.draw(st.integers(1, 255))
    bodies[victim] = bytes(spoilt)
    chain, whole = GENESIS, True
    for body in bodies:
        chain = wire.chained_body(body, chain)
        whole = whole and body.endswith(b',"hash":"' + chain.hex().encode() + b'"}')
    assert not whole


def test_a_hole_in_the_records_breaks_the_hash_chain() -> None:
    first, _, third = sealed([poll(1, 1, 2, 3, 4), poll(2, 1, 2, 3, 4), poll(3, 1, 2, 3, 4)])
    behind_first = wire.chained_body(first, GENESIS)
    assert wire.open_record(third).hash != wire.chained_body(third, behind_first).hex()


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_with_a_reason(payload: bytes) -> None:
    assert refusal(payload).reason in Reason


@settings(max_examples=300)
@given(st.data())
def test_a_block_with_changed_bytes_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    payload = block(poll(1, 1, None, 3, 4), Record(seq=2, t=1, kind="event", text={"what": "STOP"}))
    if data.draw(st.booleans()):
        payload = zlib.compress(payload)
    spoilt = bytearray(payload)
    for at in data.draw(st.lists(st.integers(0, len(payload) - 1), min_size=1, max_size=4)):
        spoilt[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        wire.unpack(bytes(spoilt))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(anything)
def test_any_json_in_any_place_is_read_or_refused(value: Any) -> None:
    whole = json.loads(block(poll(1, 1, 2, 3, 4)))
    for name in whole:
        with contextlib.suppress(Malformed):
            wire.unpack(json.dumps(whole | {name: value}).encode())


@pytest.mark.parametrize(
    ("payload", "reason", "says"),
    [
        (b"", Reason.NOT_JSON, "begins with b''"),
        (b"hello", Reason.NOT_JSON, "a block begins with '{' or 0x78"),
        (b"{", Reason.NOT_JSON, "truncated"),
        (b'{"v":1,"site":"\xff"}', Reason.NOT_JSON, "utf-8"),
        (b"\x78\x9cgarbage", Reason.NOT_ZLIB, ""),
        (zlib.compress(b"{}" * 5000)[:-4], Reason.NOT_ZLIB, "cut short"),
        (zlib.compress(b"{}") + b"more", Reason.NOT_ZLIB, "4 bytes after the end"),
        (zlib.compress(b'{"v":1,"x":' + b"[" * 500_000), Reason.NOT_JSON, ""),
        (b"{" + b" " * wire.MAX_PACKED, Reason.TOO_LARGE_PACKED, "65537 bytes, the limit is 65536"),
        (zlib.compress(b"{" + b" " * wire.MAX_INFLATED), Reason.TOO_LARGE_INFLATED, "more than 1048576"),
        (b"{}", Reason.WRONG_FIELD, "missing required field"),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else "",
)
def test_a_payload_that_is_no_block_is_named(payload: bytes, reason: Reason, says: str) -> None:
    refused = refusal(payload)
    assert (refused.reason, says in refused.detail) == (reason, True), refused


@pytest.mark.parametrize(
    ("parts", "reason", "says"),
    [
        ({"v": 2}, Reason.NEWER_VERSION, "version 2, this collector reads 1"),
        ({"v": 2, "records": "in another form"}, Reason.NEWER_VERSION, "version 2"),
        ({"v": 0}, Reason.WRONG_FIELD, "version 0 never was"),
        ({"v": "1"}, Reason.WRONG_FIELD, "$.v"),
        ({"site": None}, Reason.WRONG_FIELD, "$.site"),
        ({"agent": "a\0"}, Reason.WRONG_FIELD, "NUL"),
        ({"head": 10**30}, Reason.WRONG_FIELD, "$.head"),
        ({"sent": 2**60}, Reason.WRONG_FIELD, "$.sent"),
        ({"records": []}, Reason.WRONG_FIELD, "without records"),
        ({"shapes": {}}, Reason.WRONG_SHAPE, f"names shape `{SHAPE.digest}`, which was not sent"),
        ({"shapes": {"0" * 16: msgspec.to_builtins(SHAPE)}}, Reason.WRONG_SHAPE, "has the digest"),
        ({"shapes": {SHAPE.digest: {"kind": "toaster"}}}, Reason.WRONG_FIELD, "toaster"),
    ],
    ids=str,
)
def test_a_block_that_says_something_wrong_is_named(parts: dict[str, Any], reason: Reason, says: str) -> None:
    refused = refusal(changed(block(poll(1, 1, 2, 3, 4)), **parts))
    assert (refused.reason, says in refused.detail) == (reason, True), refused


@pytest.mark.parametrize(
    ("record", "reason", "says"),
    [
        ({"seq": 0}, Reason.WRONG_FIELD, "seq 0: numbering begins at 1"),
        ({"seq": 10**30}, Reason.WRONG_FIELD, "$.records[0].seq"),
        ({"seq": 1.5}, Reason.WRONG_FIELD, "$.records[0].seq"),
        ({"t": -(10**18)}, Reason.WRONG_FIELD, "$.records[0].t"),
        ({"values": [1, 2, 3]}, Reason.WRONG_SHAPE, "records[0] has 3 values where its shape has 4"),
        ({"values": [1, 2, 3, math.nan]}, Reason.NOT_JSON, "invalid character"),
        ({"values": [1, 2, 3, math.inf]}, Reason.NOT_JSON, "invalid character"),
        ({"values": [1, 2, 3, "4"]}, Reason.WRONG_FIELD, "Expected `float | null`, got `str`"),
        ({"values": [1, 2, 3, 10**400]}, Reason.WRONG_FIELD, "out of range"),
        ({"shape": "elsewhere"}, Reason.WRONG_SHAPE, "names shape `elsewhere`"),
        ({"device": "cam\0"}, Reason.WRONG_FIELD, "NUL"),
        ({"kind": "lost", "first": 5}, Reason.WRONG_FIELD, "records[0] has seq 1 where 5 follows"),
        ({"kind": "lost", "first": 1, "hash": "no hash"}, Reason.WRONG_FIELD, "carries `no hash` for a hash"),
    ],
    ids=str,
)
def test_a_record_that_says_something_wrong_is_named(record: dict[str, Any], reason: Reason, says: str) -> None:
    payload = block(poll(1, 1, 2, 3, 4))
    whole = json.loads(payload)["records"][0] | record
    refused = refusal(changed(payload, records=[whole]))
    assert (refused.reason, says in refused.detail) == (reason, True), refused


@pytest.mark.parametrize("seqs", [(1, 3), (1, 1), (2, 1)])
def test_records_that_do_not_follow_each_other_are_refused(seqs: tuple[int, int]) -> None:
    refused = refusal(wire.pack(HEADER, [SHAPE], sealed([poll(seq, 1, 2, 3, 4) for seq in seqs])))
    assert refused.detail == f"records[1] has seq {seqs[1]} where {seqs[0] + 1} follows"


def test_a_lost_record_stands_for_its_whole_range_and_the_chain_goes_on_behind_it() -> None:
    bodies = sealed([poll(seq, 1, 2, 3, 4) for seq in range(1, 6)])
    chain = bytes.fromhex(wire.open_record(bodies[3]).hash)
    gap = wire.resealed_lost(Record(seq=4, first=2, t=1, kind="lost", why="overflow"), chain)
    received = wire.unpack(wire.pack(HEADER, [SHAPE], [bodies[0], gap, bodies[4]]))
    lost = received.block.records[1]
    assert (lost.begins, lost.seq, lost.why) == (2, 4, "overflow")
    assert wire.chained_body(bodies[4], bytes.fromhex(lost.hash)).hex() == received.block.records[2].hash


def test_a_lost_record_of_an_older_epoch_takes_one_number_of_its_own() -> None:
    older = Record(seq=1, first=900, t=1, kind="lost", why="corrupt spool", text={"epoch": "e0"})
    assert wire.unpack(block(older, poll(2, 1, 2, 3, 4))).block.records[0].begins == 1


def test_a_large_block_is_deflated_and_a_small_one_is_readable() -> None:
    small, large = block(poll(1, 1, 2, 3, 4)), block(*[poll(seq, 1, 2, 3, 4) for seq in range(1, 100)])
    assert small.startswith(b'{"v":1,"site":"s1"')
    assert large[:1] == b"\x78"
    assert len(large) < len(wire.inflate(large)) / 4


def test_a_payload_of_exactly_the_limit_is_taken() -> None:
    plain = b"{" + b" " * (wire.MAX_INFLATED - 1)
    assert wire.inflate(zlib.compress(plain)) == plain


def test_a_record_that_could_never_travel_is_refused_when_it_is_sealed() -> None:
    with pytest.raises(TooLarge, match=r"device `cam1` has \d+ bytes, the limit is 49152: split"):
        wire.seal(poll(1, *[1.23456789] * 5000), GENESIS)


def test_the_largest_record_travels_alone() -> None:
    body, _ = wire.seal(Record(seq=1, t=1, kind="event", text={"x": "y" * (wire.MAX_RECORD - 100)}), GENESIS)
    assert wire.unpack(wire.pack(HEADER, [], [body])).bodies == [body]


def test_a_block_that_would_not_fit_asks_for_fewer_records() -> None:
    bodies = sealed([Record(seq=seq, t=1, kind="event", text={"x": "y" * 40_000}) for seq in range(1, 40)])
    with pytest.raises(TooLarge, match="the limit is 1048576"):
        wire.pack(HEADER, [], bodies)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_travels_as_null(value: float) -> None:
    assert wire.unpack(block(poll(1, value, 2, 3, 4))).block.records[0].values[0] is None


def test_what_no_database_could_take_is_cut_from_a_device_s_words() -> None:
    body, _ = wire.seal(Record(seq=1, t=1, device="nvr\0", why="a\0b", kind="event", text={"n\0": "\udc80x"}), GENESIS)
    record = wire.open_record(body)
    assert (record.device, record.why, record.text) == ("nvr", "ab", {"n": "?x"})
    assert wire.unpack(wire.pack(HEADER, [], [body])).bodies == [body]


def test_words_that_only_look_like_a_nul_are_kept() -> None:
    record = Record(seq=1, t=1, kind="event", text={"path": "c:\\u0000"})
    assert wire.unpack(block(record)).block.records[0].text == {"path": "c:\\u0000"}


def test_shapes_of_the_same_content_have_the_same_digest_whoever_made_them() -> None:
    again = msgspec.json.decode(SHAPE.encoded, type=Shape)
    assert (again.digest, again.width) == (SHAPE.digest, 4)
    other = msgspec.structs.replace(SHAPE, profile="hikvision.recorder")
    assert other.digest != SHAPE.digest


def test_columns_follow_instance_by_instance() -> None:
    assert list(SHAPE.columns()) == [
        ("device", "", "up"),
        ("device", "", "rtt_seconds"),
        ("disk", "1", "temperature_celsius"),
        ("disk", "2", "temperature_celsius"),
    ]


def test_a_body_that_is_no_record_is_named() -> None:
    with pytest.raises(Malformed, match="wrong_field"):
        wire.open_record(b'{"seq": "x"}')
    with pytest.raises(Malformed, match="wrong_field"):
        wire.open_record(b'{"seq":1,"t":1,"device":"\xff"}')
