"""Answers of devices, XML or JSON, as one tree of elements: lower-case names without namespaces, nothing but text.

Firmware versions differ in namespace and case, and mean the same. What XML can do beyond elements (entities, document
types) is what attacks are made of and no device needs: it is refused.

Errors:
    Unreadable   neither of the two, or more deeply nested or larger than any device's answer
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, TreeBuilder
from xml.parsers import expat

import msgspec

DEEPEST = 40
MOST = 50_000
"""Elements of one answer."""
_TOO_LARGE = "its answer is larger than any we know"


class Unreadable(ValueError):
    """Not what a device answers."""


def read(body: bytes) -> Element:
    """The root element of an answer; of JSON one called `json`, with each item of a list an element of its name.

    Raises:
        Unreadable: see above.
    """
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _from_json(body)
    built, depth, count = TreeBuilder(), 0, 0

    def started(name: str, _: Any) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEEPEST or count > MOST:
            raise Unreadable(_TOO_LARGE)
        built.start(_plain(name), {})

    def ended(name: str) -> None:
        nonlocal depth
        depth -= 1
        built.end(_plain(name))

    def refused(*_: Any) -> None:
        raise Unreadable("its answer declares a document type, which no device needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = started, ended
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = built.data, refused
    try:
        parser.Parse(body, True)
        root = built.close()
    except (expat.ExpatError, AssertionError) as wrong:
        raise Unreadable(f"its answer is no XML: {wrong}") from None
    except Unreadable:
        raise
    except (ValueError, LookupError) as wrong:
        raise Unreadable(f"its answer is in an encoding that cannot be read: {wrong}") from None
    assert isinstance(root, Element)
    return root


def _plain(name: str) -> str:
    return name.rpartition(":")[2].lower()


def _from_json(body: bytes) -> Element:
    # Before each value but the first stands one of these: a mebibyte of them would take a hundred in memory.
    if sum(map(body.count, (b",", b"[", b"{"))) >= MOST:
        raise Unreadable(_TOO_LARGE)
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Unreadable(f"its answer is no JSON: {wrong}") from None
    root = Element("json")
    _put(root, "item", found, 0)
    return root


def _put(parent: Element, name: str, value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise Unreadable(_TOO_LARGE)
    if isinstance(value, list):
        for item in value:
            _put(parent, name, item, depth + 1)
        return
    here = SubElement(parent, name) if depth or not isinstance(value, dict) else parent
    if isinstance(value, dict):
        for key, item in value.items():
            _put(here, str(key).strip().lower(), item, depth + 1)
    elif value is not None:
        here.text = str(value).lower() if isinstance(value, bool) else str(value)
