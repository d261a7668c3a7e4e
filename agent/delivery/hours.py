"""What a spool remembers of its hours: how long its agent ran, what it dropped, what it stated last.

Time is the time the agent ran, added up by the steady clock: a clock that is set, forward by an hour or from 1970 to
today, makes no record old and no hour short. A machine that is off does not age its records.
"""

from __future__ import annotations

import msgspec

from forewarn.manifest import MOST_RANGES, Manifest

Range = tuple[int, int]


class Hours(msgspec.Struct, frozen=True):
    """Kept with the records, in the same transactions.

    `lived`, `marked` and `attested` are seconds of running: now, when the head was last noted, when the last manifest
    was made. `since` is that moment by the clock (Unix milliseconds, 0 before the first). `carried` numbers were not
    sealed in this epoch but came declared lost from an older one; `lost` numbers were dropped, the newest in `ranges`:
    both since the last manifest.
    """

    lived: float = 0.0
    marked: float = 0.0
    attested: float = 0.0
    since: int = 0
    carried: int = 0
    lost: int = 0
    ranges: tuple[Range, ...] = ()
    manifest: Manifest | None = None

    def on(self, seconds: float) -> Hours:
        """So many seconds later."""
        return msgspec.structs.replace(self, lived=self.lived + seconds)

    def carrying(self, width: int) -> Hours:
        """With numbers that came declared lost."""
        return msgspec.structs.replace(self, carried=self.carried + width)

    def without(self, begin: int, end: int) -> Hours:
        """With a range dropped that was held until now."""
        ranges = _merged([*self.ranges, (begin, end)])[-MOST_RANGES:]
        return msgspec.structs.replace(self, lost=self.lost + end - begin + 1, ranges=tuple(ranges))

    def due(self, hour: float) -> bool:
        """Whether the last manifest is an hour old."""
        return self.lived - self.attested >= hour

    def stated(self, epoch: str, head: int, chain: bytes, t: int) -> Manifest | None:
        """What is to be said of the numbers up to `head`; None when there are none but the last manifest itself."""
        first = self.manifest.last + 1 if self.manifest is not None else 1
        if head < first or (self.manifest is not None and head == first):
            return None
        return Manifest(
            epoch=epoch,
            first=first,
            last=head,
            count=max(0, head - first + 1 - self.carried),
            hash=chain.hex(),
            since=self.since or max(0, t - int(self.lived * 1000)),
            lost=self.lost,
            ranges=list(self.ranges),
        )

    def after(self, manifest: Manifest, t: int) -> Hours:
        """When a manifest was made."""
        return Hours(lived=self.lived, marked=self.marked, attested=self.lived, since=t, manifest=manifest)


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
