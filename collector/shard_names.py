"""The fixed shards as people name them in settings and logs: `auto`, or hexadecimal like `00-1f,3c`."""

from __future__ import annotations

from collections.abc import Iterable

from forewarn.wire import SHARDS


def parsed(text: str) -> frozenset[int] | None:
    """The shards that `auto` (None) or a list like `00-1f,3c` names.

    Raises:
        ValueError: it names none; the text says what is wrong.
    """
    if text.strip() == "auto":
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, to, last = part.strip().partition("-")
        try:
            begin, end = int(first, 16), int(last if to else first, 16)
        except ValueError:
            begin, end = 1, 0
        if not 0 <= begin <= end < SHARDS:
            raise ValueError(f"`{part.strip()}` names no shards: `auto`, or hexadecimal like `00-1f,3c` up to 3f")
        found.update(range(begin, end + 1))
    return frozenset(found)


def shown(shards: Iterable[int]) -> str:
    """Shards as the settings name them: `00-1f,3c`."""
    runs: list[list[int]] = []
    for shard in sorted(shards):
        if runs and runs[-1][-1] == shard - 1:
            runs[-1][1:] = [shard]
        else:
            runs.append([shard])
    return ",".join("-".join(f"{end:02x}" for end in run) for run in runs)
