"""Values as people say them: the words of the vocabulary with their units. In English, as all of the command line.

A field's name carries its unit (`free_bytes`, `temperature_celsius`); what is left of the name is what it is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from forewarn.vocabulary import Status
from forewarn.wire import Shape

MOST = 4
"""Values said of one record; the others are counted."""
FLAGS = frozenset(
    {"up", "on_battery", "read_only", "overwrite", "recording", "video_loss", "running", "battery_replace"}
)
_NAMES = {"rtt": "round trip", "load1": "load", "power_on": "powered on for"}
_UNITS = (
    ("_bits_per_second", "bit/s", 1000),
    ("_bytes_per_second", "B/s", 1024),
    ("_per_second", "/s", 0),
    ("_bytes", "B", 1024),
    ("_percent", "%", 0),
    ("_celsius", "°C", 0),
    ("_volts", "V", 0),
    ("_watts", "W", 0),
    ("_rpm", "rpm", 0),
    ("_hours", "h", 0),
)
_WHOLE = {"volts": "V", "amperes": "A", "hertz": "Hz", "watts": "W", "restarts": "", "alarms": ""}
_SCALES = {1000: ("", "k", "M", "G", "T"), 1024: ("", "Ki", "Mi", "Gi", "Ti", "Pi")}
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_ALONE = frozenset({"", "device", "host", "agent", "ups"})
"""Tables whose name adds nothing to the field's."""
_DULL = ("status_code", "poll_seconds", "uptime_seconds")


def value(field: str, amount: float) -> str:
    """A value with the name of what it is: `free 1.2 TiB`, `on battery: no`."""
    if field in FLAGS or field.endswith("_up"):
        return f"{field.replace('_', ' ')}: {'yes' if amount else 'no'}"
    if field == "status" or field.endswith("_status"):
        return f"{field.replace('_', ' ')} {_status(amount)}"
    if field.endswith("_seconds"):
        return f"{_called(field.removesuffix('_seconds'))} {span(amount)}"
    for tail, unit, scale in _UNITS:
        if field.endswith(tail):
            return f"{_called(field.removesuffix(tail))} {_scaled(amount, unit, scale)}"
    return f"{_called(field)} {_number(amount)} {_WHOLE.get(field, '')}".rstrip()


def values(shape: Shape, given: Sequence[float | None], most: int = MOST) -> str:
    """A record's values in a line: the first of each table, and how many more there are."""
    known = [(place, amount) for place, amount in zip(shape.columns(), given, strict=True) if amount is not None]
    chosen: list[str] = []
    taken: dict[str, int] = {}
    for (table, instance, field), amount in sorted(known, key=lambda found: found[0][0] == "device"):
        if len(chosen) < most and taken.get(table, 0) < 2 and field not in _DULL:  # noqa: PLR2004 - a taste of each
            taken[table] = taken.get(table, 0) + 1
            chosen.append(" ".join([*_subject(table, instance), value(field, amount)]))
    more = len(known) - len(chosen)
    return ", ".join(chosen) + (f", and {more} more" if chosen and more else f"{more} values" if more else "")


def _subject(table: str, instance: str) -> Iterator[str]:
    if table not in _ALONE:
        yield table.replace("_", " ")
    if instance:
        yield instance


def _called(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def _status(amount: float) -> str:
    try:
        return Status(int(amount)).name.lower()
    except ValueError:
        return _number(amount)


def _scaled(amount: float, unit: str, scale: int) -> str:
    if not scale:
        return f"{_number(amount)} {unit}"
    steps = _SCALES[scale]
    at = 0
    while abs(amount) >= scale and at < len(steps) - 1:
        amount, at = amount / scale, at + 1
    return f"{_number(amount)} {steps[at]}{unit}"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) or abs(amount) >= 100 else f"{amount:.3g}"  # noqa: PLR2004 - digits


def size(amount: float) -> str:
    """Bytes: `12 KiB`."""
    return _scaled(amount, "B", 1024)


def span(seconds: float) -> str:
    """A time in its largest unit: `12 ms`, `41 s`, `3.2 h`."""
    if abs(seconds) < 1:
        return f"{_number(seconds * 1000)} ms" if seconds else "0 s"
    for length, unit in _SPANS:
        if abs(seconds) >= length:
            return f"{_number(seconds / length)} {unit}"
    return f"{_number(seconds)} s"


def instant(at: int) -> str:
    """Unix milliseconds as `2026-03-01 12:29:58`, by this machine's time zone."""
    return _local(at).strftime("%Y-%m-%d %H:%M:%S")


def hour(at: int, beside: int) -> str:
    """Unix milliseconds as `12:29:58`, with the date in front when it is another than that of `beside`."""
    form = "%H:%M:%S" if _local(at).date() == _local(beside).date() else "%Y-%m-%d %H:%M:%S"
    return _local(at).strftime(form)


def zone() -> str:
    """The time zone that instants are said in."""
    return datetime.now().astimezone().strftime("%Z (UTC%z)")


def _local(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000).astimezone()


def short(consent: str) -> str:
    """A consent's id, as short as people can tell it by."""
    return consent if len(consent) <= 10 else f"…{consent[-6:]}"  # noqa: PLR2004 - a ULID has 26 and its prefix
