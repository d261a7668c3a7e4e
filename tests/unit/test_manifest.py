"""A manifest reads back as it was written, and what is none is refused with what is wrong; late wills are known."""

from __future__ import annotations

import pytest

from forewarn.manifest import Manifest
from forewarn.signals import Presence, is_later, open_presence, seal_presence
from forewarn.wire import Malformed

ONE = Manifest(epoch="E1", first=5, last=90, count=80, hash="ab" * 16, since=7, lost=3, ranges=[(6, 7), (9, 9)])


def test_a_manifest_travels_as_text_and_reads_back() -> None:
    text = ONE.as_text()
    assert text["ranges"] == "6-7 9-9"
    assert text["last"] == "90"
    assert Manifest.read(text) == ONE
    assert Manifest.read({**text, "something": "a later version adds"}) == ONE


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"first": "91"}, "80 records from 91 to 90"),
        ({"count": "87"}, "87 records from 5 to 90"),
        ({"hash": "zz" * 16}, "for a hash"),
        ({"ranges": "7-6"}, "`7-6` is no range"),
        ({"last": "many"}, "Expected `int`"),
    ],
)
def test_what_is_no_manifest_is_refused_with_what_is_wrong(changed: dict[str, str], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        Manifest.read({**ONE.as_text(), **changed})


def test_the_presence_carries_the_newest_manifest() -> None:
    presence = Presence(state="online", epoch="E1", boot="B1", conn=3, manifest=ONE)
    assert open_presence(seal_presence(presence)) == presence


@pytest.mark.parametrize(
    ("new", "later"),
    [
        (("offline", "B1", 2), True),
        (("offline", "B1", 3), True),
        (("offline", "B1", 1), False),
        (("offline", "B0", 1), False),
        (("online", "B2", 1), True),
        (("offline", "B2", 1), False),
        (("online", "B2", 3), True),
    ],
)
def test_a_late_will_of_an_older_connection_takes_no_newer_births_place(new: tuple[str, str, int], later: bool) -> None:
    state, boot, conn = new
    birth = Presence(state="online", epoch="E", boot="B1", conn=2)
    assert is_later(Presence(state=state, epoch="E", boot=boot, conn=conn), birth) is later
    assert is_later(birth, None)
