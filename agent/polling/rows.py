"""When the rows of a device's tables have to be read anew, and until then not.

Between two meetings only values are asked for. A meeting is due after half an hour, when an object is gone that the
plan had, when the device restarted, and when one of a few objects changed that devices keep for this very purpose.

Sources: RFC 2863 (ifNumber, ifTableLastChange), RFC 6933 (entLastChangeTime).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.snmp.session import Runaway, Session, Value

SIGNS = ("1.3.6.1.2.1.2.1.0", "1.3.6.1.2.1.31.1.5.0", "1.3.6.1.2.1.47.1.4.1.0")
"""ifNumber, ifTableLastChange, entLastChangeTime."""
_FUTILE = 3
"""Meetings in a row that a sign asked for and that found nothing new: then it is not believed until the next one."""


class Signs:
    """What one device showed of `SIGNS` when its rows were read, and which of them are worth watching."""

    def __init__(self) -> None:
        self._shown: dict[str, Value] = {}
        self._futile: dict[str, int] = {}
        self._because: set[str] = set()

    def changed(self, got: Mapping[str, Value]) -> bool:
        """Whether a sign says that rows may have changed."""
        self._because = {
            sign
            for sign, shown in self._shown.items()
            if got.get(sign, shown) != shown and self._futile.get(sign, 0) < _FUTILE
        }
        return bool(self._because)

    def met(self, got: Mapping[str, Value], *, anew: bool) -> None:
        """The rows were read; `got` is what the device showed, `anew` whether they differ from before."""
        for sign in self._because:
            self._futile[sign] = 0 if anew else self._futile.get(sign, 0) + 1
        if not self._because:
            self._futile.clear()
        self._because = set()
        self._shown = {sign: got[sign] for sign in SIGNS if sign in got}


async def walked(
    session: Session, columns: Mapping[str, Sequence[str]], got: dict[str, Value], missing: list[str]
) -> bool:
    """Walks the columns that are taken as a whole, into `got`; whether they have the rows that they had.

    What came of one that has no end makes no sum: it is left out, and `missing` says so.

    Raises:
        SnmpError: as `Session.rows`, but for Runaway.
    """
    same = True
    for column, known in columns.items():
        try:
            found = await session.rows(column, expected=len(known))
        except Runaway as wrong:
            missing.append(str(wrong))
            continue
        same = same and tuple(found) == tuple(known)
        got.update({f"{column}.{row}": value for row, value in found.items()})
    return same


def gone(absent: frozenset[str], asked: Iterable[str], got: Mapping[str, Value]) -> list[str]:
    """The objects that were asked for and did not come, but for those that did not come when the rows were read."""
    return [oid for oid in asked if oid not in got and oid not in absent]
