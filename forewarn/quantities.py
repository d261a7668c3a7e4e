"""Values as people write them: a duration, a size, and a text that is never printed."""

from __future__ import annotations

import re
from collections.abc import Mapping

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


class Secret(str):
    """A string that is never printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return str.__str__(self)


class Duration(float):
    """Seconds, written `250ms`, `30s`, `5m`, `72h` or `30d`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Reads a duration.

        Raises:
            ValueError: says how a duration is written.
        """
        return cls(_quantity(text, UNITS, "a duration is written like 250ms, 30s, 5m, 72h or 30d"))


class Size(int):
    """Bytes, written `64KiB`, `500MiB`, `2GiB` (or kB, MB, GB for powers of ten)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Size:
        """Reads a size.

        Raises:
            ValueError: says how a size is written.
        """
        return cls(int(_quantity(text, SIZES, "a size is written like 64KiB, 500MiB or 2GiB")))


def _quantity(text: str, units: Mapping[str, float], how: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if not found or found[2] not in units:
        raise ValueError(how)
    return float(found[1]) * units[found[2]]
