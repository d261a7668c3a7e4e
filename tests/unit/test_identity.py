"""Who answers under a name: another device and another firmware are events, a new address and silence are not."""

from __future__ import annotations

import pytest

from agent.devices.identity import changes, identity, merged

CAMERA = {"serial": "A1", "mac": "02:00:00:00:00:01", "engine": "8000", "firmware": "1.0"}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (CAMERA, []),
        (CAMERA | {"firmware": "1.1"}, [("firmware changed", "firmware", "1.0", "1.1")]),
        (CAMERA | {"serial": "B2", "firmware": "1.1"}, [("device replaced", "serial", "A1", "B2")]),
        (CAMERA | {"mac": "02:00:00:00:00:09"}, []),
        (CAMERA | {"serial": "a1"}, []),
        ({"mac": "02:00:00:00:00:09", "firmware": "1.0"}, [("device replaced", "mac", CAMERA["mac"], "02:00:00:00:00:09")]),
        ({"engine": "8001"}, [("device replaced", "engine", "8000", "8001")]),
        ({}, []),
    ],
    ids=["same", "firmware", "serial", "serial is surer", "case", "mac", "engine", "says nothing"],
)  # fmt: skip
def test_the_surest_word_that_both_have_decides(now, expected):
    found = [(one["event"], one["what"], one["before"], one["after"]) for one in changes(CAMERA, now)]
    assert found == expected


def test_what_a_device_keeps_to_itself_today_is_not_forgotten():
    kept = merged(CAMERA, {"mac": CAMERA["mac"]})
    assert kept == CAMERA
    assert merged(CAMERA, {"serial": "B2"}) == {"serial": "B2"}, "the other one's words are not this one's"


def test_an_engine_that_was_named_at_random_identifies_nobody():
    assert identity({"serial": " A1 ", "mac": ""}, bytes.fromhex("80001f8880e5a1fa621439036b00000000")) == {
        "serial": "A1"
    }
    assert identity({}, bytes.fromhex("8000138803020000000001")) == {"engine": "8000138803020000000001"}
    assert identity({}, None) == {}
