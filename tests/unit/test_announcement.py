"""What ONVIF devices say of themselves by WS-Discovery: read with bounds, and only from who was asked."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.onvif import announcement
from agent.onvif.announcement import Announcement, announced, question
from tests.announcing import SCOPES, TYPES, Announcing, match, number_in

CAMERA = Announcement(
    "Gate camera", "DS-2CD2143", "yard", "bc:ad:28:00:00:09", True, ("http://127.77.0.9/onvif/device_service",)
)


def read(datagram: bytes, sender: str = "127.77.0.9") -> Announcement | None:
    return announced(datagram, {"urn:uuid:7"}, sender)


def test_name_hardware_place_and_services_are_read_and_services_of_others_are_dropped() -> None:
    assert read(match("urn:uuid:7", "127.77.0.9")) == CAMERA


def test_a_question_asks_for_both_words_and_each_datagram_has_a_number_of_its_own() -> None:
    asked = question()
    assert {number_in(datagram) for datagram in asked.datagrams} == asked.numbers
    assert len(asked.numbers) == 2
    assert [word in asked.datagrams[at] for at, word in enumerate((b":NetworkVideoTransmitter<", b":Device<"))] == [
        True,
        True,
    ]
    assert asked.numbers.isdisjoint(question().numbers)


@pytest.mark.parametrize(
    "datagram",
    [
        match("urn:uuid:8", "127.77.0.9"),
        match("", "127.77.0.9"),
        b"",
        b"<a/>",
        b'{"probematch": 1}',
        b"\xff" * 100,
        match("urn:uuid:7", "127.77.0.9", scopes="x" * 20_000),
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + match("urn:uuid:7", "127.77.0.9").partition(b"?>")[2],
        match("urn:uuid:7", "127.77.0.9").replace(b"ProbeMatch>", b"Hello>"),
    ],
)
def test_what_is_no_answer_to_our_question_says_nothing(datagram: bytes) -> None:
    assert read(datagram) is None


def test_texts_and_services_are_bounded_and_a_recorder_is_no_camera() -> None:
    scopes = f"{SCOPES.partition(' ')[0]} onvif://www.onvif.org/name/{'n' * 9000}"
    many = (
        " ".join(f"http://127.77.0.9:{port}/onvif" for port in range(1, 60))
        + f" http://127.77.0.9/{'x' * 500} http:"
        + "//["
    )
    found = read(
        match("urn:uuid:7", "127.77.0.9", scopes=scopes, types=f"{TYPES} dn:NetworkVideoStorage", services=many)
    )
    assert found is not None
    assert len(found.name) == 128
    assert len(found.services) == 4
    assert not found.camera


@given(st.binary(max_size=600), st.integers(0, 1000), st.integers(0, 40))
@example(b"&#0;", 300, 0)
def test_no_datagram_breaks_the_reader(junk: bytes, at: int, cut: int) -> None:
    whole = match("urn:uuid:7", "127.77.0.9")
    found = read(whole[:at] + junk + whole[at + cut :])
    assert found is None or all(len(text) <= 128 for text in (found.name, found.hardware, found.location, found.mac))


def test_an_address_that_is_asked_answers_and_silence_is_none() -> None:
    with Announcing("127.77.6.1") as device:
        found = asyncio.run(announcement.ask("127.77.6.1", wait=5.0))
        assert asyncio.run(announcement.ask("127.77.6.2", wait=0.05)) is None
    assert found is not None
    assert found.services == ("http://127.77.6.1/onvif/device_service",)
    assert len(device.heard) == 2
