"""The time that a device shows, as octets or as text, on the scale of our own clock; what is no time is None.

Sources: DateAndTime of SNMPv2-TC (RFC 2579); ISO 8601 and its kin that cameras and recorders write.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from agent.snmp.session import Value

Zone = Literal["local", "utc"]

_TEXT = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[T ,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(Z|[-+]\d{2}:?\d{2})?"
)
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})T?(\d{2})(\d{2})(\d{2})(Z?)")
_SHORT, _LONG = 8, 11
"""Octets of a DateAndTime without and with its zone."""
_YEARS = (7, 8)
"""The first octet of any year from 1792 to 2303; no text begins so."""


def moment(value: Value, zone: Zone = "local", form: str | None = None) -> float | None:
    """Seconds since 1970 in UTC.

    Args:
        value: DateAndTime, or a text: year, month, day and time in this order.
        zone: what a time without a zone is in; local is the zone of this machine, which stands beside the device.
        form: how the text is written otherwise, as of strptime.
    """
    if not isinstance(value, bytes):
        return None
    try:
        shown = _octets(value) if len(value) in (_SHORT, _LONG) and value[0] in _YEARS else _text(value, form)
        if shown is None:
            return None
        if shown.tzinfo is None:
            shown = shown.replace(tzinfo=UTC) if zone == "utc" else shown.astimezone()
        return shown.timestamp()
    except (ValueError, OverflowError, OSError):  # The 31st of February, and years no clock knows.
        return None


def _octets(value: bytes) -> datetime:
    year, rest = int.from_bytes(value[:2], "big"), value[2:]
    shown = datetime(year, rest[0], rest[1], rest[2], rest[3], min(rest[4], 59), min(rest[5], 9) * 100_000)  # noqa: DTZ001 - its zone follows
    if len(value) == _SHORT:
        return shown
    away = timedelta(hours=value[9], minutes=value[10])
    return shown.replace(tzinfo=timezone(-away if value[8:9] == b"-" else away))


def _text(value: bytes, form: str | None) -> datetime | None:
    text = value.decode("latin-1").strip("\0 \t\r\n")
    if form is not None:
        return datetime.strptime(text, form)  # noqa: DTZ007 - its caller knows the zone
    found = _TEXT.fullmatch(text) or _DIGITS.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    shown = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - as above
    if not found[7]:
        return shown
    if found[7] == "Z":
        return shown.replace(tzinfo=UTC)
    away = timedelta(hours=int(found[7][1:3]), minutes=int(found[7][-2:]))
    return shown.replace(tzinfo=timezone(-away if found[7][0] == "-" else away))
