"""A consent is believed whole and as signed, or not at all; every refusal says which word of it stands in the way."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forewarn import consent
from forewarn.consent import Consent, ConsentError, Refusal
from forewarn.vocabulary import Source

PRIVATE, PUBLIC = consent.new_key()
BEGINS = consent.milliseconds("2026-01-01T00:00:00Z")
ENDS = consent.milliseconds("2027-01-01T00:00:00Z")


def draft(**parts: Any) -> Consent:
    given: dict[str, Any] = {
        "id": "c-1",
        "site": "north",
        "customer": "北方物流",
        "signed_by": "Li Wei",
        "scopes": [Source.SNMP],
        "networks": ["10.1.0.0/24", "fd00:1::/64"],
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
    }
    return Consent(**given | parts)


SIGNED = consent.sign(draft(), PRIVATE)


def refused(text: bytes) -> ConsentError:
    with pytest.raises(ConsentError) as caught:
        consent.verified(consent.parse(text), [PUBLIC], "north")
    return caught.value


def with_parts(**parts: Any) -> bytes:
    return json.dumps(json.loads(consent.document(SIGNED)) | parts).encode()


def test_a_signed_document_is_believed_after_being_stored_and_shown() -> None:
    again = consent.verified(consent.parse(consent.document(SIGNED)), [PUBLIC], "north")
    assert again == SIGNED
    assert consent.shown(again)["from"] == "2026-01-01T00:00:00Z"
    assert consent.shown(again)["scopes"] == ["snmp"]


def test_the_layout_of_the_document_is_no_part_of_what_was_signed() -> None:
    rearranged = dict(reversed(json.loads(consent.document(SIGNED)).items()))
    assert consent.verified(consent.parse(json.dumps(rearranged).encode()), [PUBLIC], "north") == SIGNED


@pytest.mark.parametrize(
    "parts",
    [
        {"id": "c-2"},
        {"customer": "somebody else"},
        {"signed_by": "nobody"},
        {"scopes": ["snmp", "host"]},
        {"networks": ["10.0.0.0/8"]},
        {"from": "2025-01-01T00:00:00Z"},
        {"until": "2099-01-01T00:00:00Z"},
        {"signature": "00" * 64},
        {"signature": "not hexadecimal"},
        {"signature": "00"},
        {"signature": ""},
    ],
    ids=str,
)
def test_a_document_widened_after_signing_is_refused(parts: dict[str, Any]) -> None:
    assert refused(with_parts(**parts)).refusal is Refusal.BAD_SIGNATURE


@settings(max_examples=200)
@given(st.data())
def test_any_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    document = bytearray(consent.document(SIGNED))
    document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = consent.verified(consent.parse(bytes(document)), [PUBLIC], "north")
    except ConsentError:
        return
    assert read.canonical() == SIGNED.canonical()


@pytest.mark.parametrize(
    ("parts", "refusal", "says"),
    [
        ({"site": "south"}, Refusal.WRONG_SITE, "for site `south`, this is `north`"),
        ({"key": "ab" * 32}, Refusal.UNTRUSTED_KEY, "key abababababababab"),
        ({"key": ""}, Refusal.UNTRUSTED_KEY, "key missing"),
        ({"v": 2}, Refusal.UNREADABLE, "version 2, this program reads 1"),
        ({"until": "2025-06-01T00:00:00Z"}, Refusal.UNREADABLE, "before it begins"),
        ({"until": "2026-01-01T00:00:00Z"}, Refusal.UNREADABLE, "before it begins"),
        ({"from": "2026-01-01T00:00:00"}, Refusal.UNREADABLE, "has no time zone, write it like"),
        ({"from": "yesterday"}, Refusal.UNREADABLE, "yesterday"),
        ({"networks": ["10.1.0.5/24"]}, Refusal.UNREADABLE, "has host bits set"),
        ({"networks": ["everything"]}, Refusal.UNREADABLE, "everything"),
        ({"scopes": ["mind_reading"]}, Refusal.UNREADABLE, "mind_reading"),
        ({"signd_by": "x"}, Refusal.UNREADABLE, "unknown field `signd_by`"),
        ({"customer": None}, Refusal.UNREADABLE, "$.customer"),
    ],
    ids=str,
)
def test_a_document_that_cannot_be_relied_on_says_why(parts: dict[str, Any], refusal: Refusal, says: str) -> None:
    error = refused(with_parts(**parts))
    assert (error.refusal, says in str(error)) == (refusal, True), error


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_an_unreadable_consent(text: bytes) -> None:
    assert refused(text).refusal is Refusal.UNREADABLE


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 50_000, b'{"id":"\xff"}', b"{}"])
def test_what_is_no_document_is_unreadable(text: bytes) -> None:
    assert refused(text).refusal is Refusal.UNREADABLE


@pytest.mark.parametrize(
    ("t", "refusal"),
    [(BEGINS - 1, Refusal.NOT_YET), (BEGINS, None), (ENDS - 1, None), (ENDS, Refusal.EXPIRED)],
)
def test_it_holds_from_its_first_instant_until_just_before_its_end(t: int, refusal: Refusal | None) -> None:
    assert SIGNED.refuses(Source.SNMP, t, "10.1.0.7") is refusal
    assert SIGNED.refuses(Source.AGENT, t) is refusal


@pytest.mark.parametrize(
    ("source", "address", "refusal"),
    [
        (Source.SNMP, "10.1.0.0", None),
        (Source.SNMP, "10.1.0.255", None),
        (Source.SNMP, "10.1.1.0", Refusal.ADDRESS),
        (Source.SNMP, "10.0.255.255", Refusal.ADDRESS),
        (Source.SNMP, "fd00:1::7", None),
        (Source.SNMP, "fd00:1:0:1::7", Refusal.ADDRESS),
        (Source.SNMP, "::ffff:10.1.0.7", Refusal.ADDRESS),
        (Source.SNMP, "camera.local", Refusal.ADDRESS),
        (Source.SNMP, "", Refusal.ADDRESS),
        (Source.HOST, None, Refusal.SCOPE),
        (Source.HOST, "10.1.0.7", Refusal.SCOPE),
        (Source.AGENT, None, None),
    ],
)
def test_only_granted_scopes_at_granted_addresses(source: Source, address: str | None, refusal: Refusal | None) -> None:
    assert SIGNED.refuses(source, BEGINS, address) is refusal


def test_without_a_network_no_address_may_be_polled() -> None:
    assert draft(networks=[]).refuses(Source.SNMP, BEGINS, "10.1.0.7") is Refusal.ADDRESS


def test_what_is_signed_is_canonical() -> None:
    """Keys sorted, no white space, UTF-8, and the key that signs within what is signed."""
    text = SIGNED.canonical()
    assert text.decode() == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(text)["key"] == PUBLIC
    assert msgspec.structs.replace(SIGNED, signature="").canonical() == text


def test_every_key_and_every_name_is_new() -> None:
    assert len({*consent.new_key(), *consent.new_key()}) == 4
    assert consent.new_id() != consent.new_id()


@given(st.integers(0, 253_402_300_799))
def test_an_instant_reads_back(seconds: int) -> None:
    assert consent.milliseconds(consent.instant(seconds * 1000)) == seconds * 1000
