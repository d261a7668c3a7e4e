"""Answers of devices as trees: what attacks are made of, or nobody can read, is refused in words."""

from __future__ import annotations

import pytest

from agent.web.xmltext import DEEPEST, MOST, Unreadable, read


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares a document type"),
        (b"<a>" * (DEEPEST + 1), "larger than any we know"),
        (b"<a>" + b"<b/>" * MOST + b"</a>", "larger than any we know"),
        (b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), "larger than any we know"),
        (b"[1" + b",1" * MOST + b"]", "larger than any we know"),
        (b'<?xml version="1.0" encoding="GB2312"?><a/>', "in an encoding that cannot be read"),
        (b'<?xml version="1.0" encoding="rot13"?><a/>', "in an encoding that cannot be read"),
        (b"<a>", "is no XML"),
        (b"{", "is no JSON"),
    ],
)
def test_what_no_device_needs_is_refused(body, why):
    with pytest.raises(Unreadable, match=why):
        read(body)


def test_names_are_plain_and_in_lower_case_in_xml_and_json_alike():
    assert read(b'<n:A xmlns:n="x"><n:B>1</n:B></n:A>').find("b").text == "1"
    assert read(b'{"A": {"B": 1}}').find("a/b").text == "1"
