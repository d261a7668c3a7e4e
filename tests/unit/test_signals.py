"""Only the collector's own word lets an agent delete, and a topic says whose block it is or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn import signals
from forewarn.signals import Ack, Forged, Presence
from forewarn.wire import Malformed

KEY = signals.derive("secret", "ack")
ACK = Ack(agent="a1", epoch="e1", upto=42, boot="b1")


def test_an_acknowledgement_made_with_the_key_is_believed() -> None:
    assert signals.open_ack(signals.seal_ack(ACK, KEY), KEY) == ACK


@given(st.data())
def test_an_acknowledgement_with_any_changed_byte_is_not_believed(data: st.DataObject) -> None:
    payload = bytearray(signals.seal_ack(ACK, KEY))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Forged, Malformed)):
        signals.open_ack(bytes(payload), KEY)


@pytest.mark.parametrize(
    "payload",
    [
        signals.seal_ack(ACK, None),
        signals.seal_ack(ACK, signals.derive("another", "ack")),
        signals.seal_ack(ACK, signals.derive("secret", "mqtt")),
        signals.seal_ack(ACK, KEY).replace(b'"upto":42', b'"upto":43'),
        b'{"agent":"a1","epoch":"e1","upto":42,"boot":"b1"}',
        b'{"mac":"00","agent":"a1","epoch":"e1","upto":42,"boot":"b1"}',
    ],
)
def test_a_forged_acknowledgement_says_what_it_claimed(payload: bytes) -> None:
    with pytest.raises(Forged, match=r"up to 4\d of epoch e1 carries a wrong MAC"):
        signals.open_ack(payload, KEY)


def test_an_acknowledgement_without_proof_can_be_shown() -> None:
    held = Ack(agent="a1", epoch="e1", upto=0, boot="b1", held="unknown_agent")
    assert signals.peek_ack(signals.seal_ack(held, None)) == held


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_no_signal(payload: bytes) -> None:
    for read in (signals.peek_ack, signals.open_presence, lambda given: signals.open_ack(given, KEY)):
        with pytest.raises((Malformed, Forged)):
            read(payload)


def test_a_signal_that_nests_without_end_is_malformed_and_ends_no_program() -> None:
    deep = b',"more":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    ack = signals.seal_ack(Ack(agent="a1", epoch="e1", upto=0, boot="b1"), KEY)
    for read, payload in ((lambda given: signals.open_ack(given, KEY), ack), (signals.peek_ack, ack)):
        with pytest.raises(Malformed, match="not an acknowledgement"):
            read(payload[:-1] + deep)
    with pytest.raises(Malformed, match="not a presence message"):
        signals.open_presence(b'{"state":"online","epoch":"e1","boot":"b1","conn":1' + deep)


@pytest.mark.parametrize("payload", [b'{"state":"\xff"}', b"[" * 50_000, b'{"state":1}', b""])
def test_what_is_no_presence_is_named(payload: bytes) -> None:
    with pytest.raises(Malformed, match="not a presence message"):
        signals.open_presence(payload)


def test_presence_comes_back_as_it_was() -> None:
    presence = Presence(state="online", epoch="e1", boot="b1", conn=7)
    assert signals.open_presence(signals.seal_presence(presence)) == presence


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {signals.derive(secret, purpose) for secret in ("s1", "s2") for purpose in ("mqtt", "ack")}
    assert len(keys) == 4
    assert all(len(bytes.fromhex(key)) == 32 for key in keys)


@given(st.integers(0, 63), st.text(st.characters(whitelist_categories=["L", "N"]), min_size=1, max_size=20))
def test_a_block_topic_says_shard_and_agent(shard: int, agent: str) -> None:
    assert signals.agent_of(signals.block_topic(shard, agent)) == (shard, agent)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fw/1/t",
        "fw/1/t/00",
        "fw/1/t/00/",
        "fw/1/t/00/a/b",
        "fw/2/t/00/a",
        "fw/1/k/00/a",
        "fw/1/t/-1/a",
        "fw/1/t/40/a",
        "fw/1/t/0x/a",
        "fw/1/t/1_1/a",
        "fw/1/t/0/a",
        "fw/1/t/0A/a",
    ],
)
def test_a_topic_no_block_comes_on_is_refused(topic: str) -> None:
    with pytest.raises(Malformed, match="wrong_topic"):
        signals.agent_of(topic)


def test_a_collector_subscribes_to_all_shards_or_to_its_own() -> None:
    assert signals.block_filter() == ["fw/1/t/+/+"]
    assert signals.block_filter([1, 63]) == ["fw/1/t/01/+", "fw/1/t/3f/+"]


def test_an_agent_s_topics() -> None:
    assert (signals.ack_topic("a1"), signals.presence_topic("a1")) == ("fw/1/k/a1", "fw/1/p/a1")
