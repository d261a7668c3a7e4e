"""What an agent states once an hour about its spool, so that a collector can prove that it has all of it.

A manifest is a record of kind `manifest` in the spool, numbered and chained like any other: record `last + 1` of its
epoch. It covers the numbers `first` to `last`, which end right before it; the next one begins with this one's own
number, so that every number of an epoch but the newest belongs to one manifest. The newest also stands in the agent's
presence, which reaches the collector by another way than the records.

Errors:
    wire.Malformed   WRONG_FIELD, a text that is no manifest
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

import msgspec

from forewarn.wire import Malformed, Number, Reason

MANIFEST = "manifest"
"""The kind of the record."""
MOST_RANGES = 50
"""Lost ranges named in one manifest; the older of more are only counted in `lost`."""

_HASH = re.compile("[0-9a-f]{32}").fullmatch
_RANGE = re.compile(r"(\d{1,16})-(\d{1,16})").fullmatch


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the spool of `epoch` has numbered from `first` to `last` since the time `since` (Unix milliseconds).

    `hash` is the chained hash of record `last`: whoever computes the chain over the records he has and comes to it has
    exactly what was spooled. `count` is how many of the numbers were sealed here as records (others declare losses
    carried over from an older epoch). `lost` counts the numbers dropped since the manifest before, wherever in
    the epoch; `ranges` names them, oldest first, the newest MOST_RANGES of them. A number in them may have
    been committed nevertheless, where its acknowledgement came too late.
    """

    epoch: str
    first: Number
    last: Number
    count: Number
    hash: str
    since: Number
    lost: Number = 0
    ranges: list[tuple[Number, Number]] = []

    @property
    def width(self) -> int:
        """How many numbers it covers."""
        return self.last - self.first + 1

    def as_text(self) -> dict[str, str]:
        """The manifest as the text of its record; whole numbers as decimal digits, ranges as `3-7 12-12`."""
        told = {name: str(getattr(self, name)) for name in _PLAIN}
        return {**told, "ranges": " ".join(f"{begin}-{end}" for begin, end in self.ranges)}

    @classmethod
    def read(cls, text: Mapping[str, str]) -> Self:
        """Reads the text of a manifest's record.

        Raises:
            Malformed: it is none, or makes no sense; says what.
        """
        told: dict[str, object] = {name: value for name, value in text.items() if name in _PLAIN}
        try:
            ranges = [_range(one) for one in text.get("ranges", "").split()]
            manifest = msgspec.convert({**told, "ranges": ranges}, cls, strict=False)
        except (msgspec.ValidationError, ValueError) as wrong:
            raise Malformed(Reason.WRONG_FIELD, f"no manifest: {wrong}") from wrong
        if not (0 < manifest.first <= manifest.last and 0 <= manifest.count <= manifest.width):
            numbers = f"{manifest.count} records from {manifest.first} to {manifest.last}"
            raise Malformed(Reason.WRONG_FIELD, f"a manifest of {numbers}")
        if not _HASH(manifest.hash):
            raise Malformed(Reason.WRONG_FIELD, f"a manifest with `{manifest.hash[:40]}` for a hash")
        return manifest


_PLAIN = ("epoch", "first", "last", "count", "hash", "since", "lost")


def _range(text: str) -> tuple[int, int]:
    found = _RANGE(text)
    if not found or int(found[1]) > int(found[2]):
        raise ValueError(f"`{text[:40]}` is no range of numbers like 3-7")
    return int(found[1]), int(found[2])
