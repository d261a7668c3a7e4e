"""A device's value into a float of the vocabulary, as its column in the profile says; what does not fit is None."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable

from agent.profiles.clockface import moment
from agent.profiles.language import BIT_KINDS, COUNTERS, Column, Meaning
from agent.snmp.session import Value
from forewarn.vocabulary import Status

Converter = Callable[[Value], float | None]

_MEANINGS: dict[Meaning, float] = {
    "ok": float(Status.OK),
    "warning": float(Status.WARNING),
    "critical": float(Status.CRITICAL),
    "unknown": float(Status.UNKNOWN),
}
_NEARLY = 1e-9
_QUANTITY = re.compile(r"\s*([-+]?[0-9]+(?:[.,][0-9]+)?)\s*([^\s0-9.,:/-]*)\s*")
_UNCLEAR = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")
"""Twelve thousand here, twelve and a bit there: nobody can tell."""
_CHINESE = re.compile(r"[\x00-\x7f\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef\u00b7\u2010-\u2026]*")
"""ASCII, Chinese characters and their punctuation: what else GB18030 holds is octets that look like it."""
_OPAQUE = {b"\x9f\x78\x04": ">f", b"\x9f\x79\x08": ">d"}
"""Float and double wrapped in an Opaque (draft-perkins-opaque), as net-snmp tells them: their first octets."""
_ENDS = "\0 \t\r\n"
_MAC = 6
_BETWEEN = re.compile(r"[-:. ]")
_TWELVE = re.compile(r"[0-9a-f]{12}")
_FACTORS = {
    "": 1.0,
    **dict.fromkeys(("b", "byte", "bytes", "percent", "%", "c", "°c", "℃", "celsius", "v", "vac", "vdc", "w"), 1.0),
    **dict.fromkeys(("a", "hz", "rpm", "s", "sec", "second", "seconds", "bps", "va"), 1.0),
    **dict.fromkeys(("k", "kb", "kib", "kbyte", "kbytes"), 1024.0),
    **dict.fromkeys(("m", "mb", "mib", "mbyte", "mbytes"), 1024.0**2),
    **dict.fromkeys(("g", "gb", "gib", "gbyte", "gbytes"), 1024.0**3),
    **dict.fromkeys(("t", "tb", "tib", "tbyte", "tbytes"), 1024.0**4),
    **dict.fromkeys(("mw", "mv", "ma", "ms"), 0.001),
    **dict.fromkeys(("kw", "khz", "kbps", "kbit/s"), 1000.0),
    **dict.fromkeys(("mhz", "mbps", "mbit/s"), 1.0e6),
    **dict.fromkeys(("ghz", "gbps"), 1.0e9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
"""Units in texts, to base units. Devices mean powers of two by KB, MB and GB."""


class Scales:
    """The scales a column may have, and the one that its device means: found once, then kept.

    A device that answers in tenths does so today and tomorrow: a value that fits no scale but another than the one it
    was found to have is a wrong value, not another scale.
    """

    def __init__(self, column: Column) -> None:
        self.kept: int | None = None if column.alt_scale else 0
        """The place of the scale that fits, None as long as no value has shown it."""
        self._times = [_times(factor) for factor in (column.scale, *column.alt_scale)]
        self._low, self._high = column.range or (-math.inf, math.inf)

    def settle(self, plains: Iterable[float]) -> None:
        """Keeps the scale that fits most values; of equal ones the first. Nothing changes when none fits."""
        given = list(plains)
        fits = [sum(self._fits(times(plain)) for plain in given) for times in self._times]
        if max(fits) and self.kept is None:
            self.kept = fits.index(max(fits))

    def scaled(self, plain: float) -> float | None:
        """A value in its field's unit; None out of range."""
        if self.kept is None:
            self.settle([plain])
        if self.kept is None:
            return None
        value = self._times[self.kept](plain)
        return value if self._fits(value) else None

    def _fits(self, value: float) -> bool:
        return self._low <= value <= self._high


def converter(column: Column, scales: Scales | None = None) -> Converter:
    """The function from a column's raw value to its field; for a counter, to the bare count.

    Args:
        column: what the profile says.
        scales: of this column and this device; left out, they begin anew.
    """
    if column.type == "status":
        meanings = {code: _MEANINGS[meaning] for code, meaning in column.codes.items()}
        default = _MEANINGS[column.default or "unknown"]
        return lambda value: meanings.get(written(value), default)
    if column.type == "flag":
        return _flag(column)
    if column.type in BIT_KINDS:
        return _bits(column)
    if column.type == "clock":
        zone, form = column.zone or "local", column.format
        return lambda value: moment(value, zone, form)
    if column.type in COUNTERS:
        return number
    return _scaled(plain_of(column), column, scales)


def plain_of(column: Column) -> Converter:
    """The function from a column's raw value to a number without its scale."""
    if column.type == "timeticks":
        return _ticks
    return quantity if column.type == "text" else number


def code(value: Value) -> float | None:
    """The device's own code behind a status."""
    return number(value)


def number(value: Value) -> float | None:
    """A number of the SMI, or written in digits."""
    if isinstance(value, str):
        return None
    plain = _in_digits(value) if isinstance(value, bytes) else value
    return float(plain) if math.isfinite(plain) else None


def _in_digits(value: bytes) -> float:
    """The number in digits or in an Opaque; not a number where there is none."""
    try:
        return math.nan if b"_" in value else float(value)
    except ValueError:
        pass
    form = _OPAQUE.get(value[:3], "")
    return float(struct.unpack(form, value[3:])[0]) if form and len(value) == 3 + value[2] else math.nan


def quantity(value: Value) -> float | None:
    """A number with a unit in a text: `15 PERCENT`, `512 MB` (bytes), `12,5 %`; a date or `N/A` is None."""
    if not isinstance(value, bytes):
        return number(value)
    text = (_decoded(value) or value.decode("latin-1")).strip(_ENDS)
    found = _QUANTITY.fullmatch(text)
    if found is None or _UNCLEAR.fullmatch(found[1]):
        return None
    factor = _FACTORS.get(found[2].lower())
    return float(found[1].replace(",", ".")) * factor if factor is not None else None


def written(value: Value) -> str:
    """A value as profiles write codes: digits of a whole number, else the text."""
    if isinstance(value, bytes):
        text = _decoded(value)
        return (value.decode("utf-8", "replace") if text is None else text).strip("\0 \r\n")
    return str(value)


def words(value: Value) -> str:
    """A value as people read it: text where it is text, hexadecimal digits where it is octets."""
    if not isinstance(value, bytes):
        return str(value)
    text = _decoded(value)
    if text is None or not all(character.isprintable() or character.isspace() for character in text.strip(_ENDS)):
        return value.hex(":")
    return " ".join(text.strip(_ENDS).split())


def mac(value: Value) -> str:
    """A MAC address as `94:e1:ac:e4:6e:c7`: six octets are one whatever text they could be, and so is a text of them.

    Anything else is as in `words`. Devices write dashes, dots or nothing between the digits; written in one way, an
    address is found in the bridge tables of a switch.
    """
    if isinstance(value, bytes) and len(value) == _MAC:
        return value.hex(":")
    text = words(value)
    digits = _BETWEEN.sub("", text).lower()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2)) if _TWELVE.fullmatch(digits) else text


def _ticks(value: Value) -> float | None:
    plain = number(value)
    return None if plain is None else plain / 100


def _decoded(value: bytes) -> str | None:
    """UTF-8, else GB18030 (which holds GBK and GB2312) of nothing but Chinese and ASCII: devices made for China."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = value.decode("gb18030")
    except UnicodeDecodeError:
        return None
    return text if _CHINESE.fullmatch(text) else None


def _flag(column: Column) -> Converter:
    on, off = frozenset(column.on), frozenset(column.off)

    def flag(value: Value) -> float | None:
        shown = written(value)
        if shown in on:
            return 1.0
        return 0.0 if not off or shown in off else None

    return flag


def _bits(column: Column) -> Converter:
    is_set = _READ_BITS[str(column.type)]
    meanings = {int(bit): _MEANINGS[meaning] for bit, meaning in column.codes.items()}
    on = [int(bit) for bit in column.on]

    def flag(value: Value) -> float | None:
        shown = [is_set(value, bit) for bit in on]
        return None if None in shown else float(any(shown))

    def status(value: Value) -> float | None:
        shown = {bit: is_set(value, bit) for bit in meanings}
        if None in shown.values():
            return None
        return max((meanings[bit] for bit, there in shown.items() if there), default=float(Status.OK))

    return flag if on else status


def _octet_bit(value: Value, bit: int) -> bool | None:
    """BITS of RFC 2578 section 7.1.4: bit 0 is the highest of the first octet; what is cut off is not set."""
    if not isinstance(value, bytes):
        return None
    return bit // 8 < len(value) and bool(value[bit // 8] & 0x80 >> bit % 8)


def _mask_bit(value: Value, bit: int) -> bool | None:
    plain = number(value)
    return None if plain is None else bool(int(plain) >> bit & 1)


def _text_bit(value: Value, bit: int) -> bool | None:
    """Ones and zeros as text, the first is bit 0."""
    text = written(value)
    if not text or text.strip("01"):
        return None
    return text[bit : bit + 1] == "1"


_READ_BITS: dict[str, Callable[[Value, int], bool | None]] = {
    "bits": _octet_bit,
    "mask": _mask_bit,
    "bit_text": _text_bit,
}


def _scaled(read: Converter, column: Column, scales: Scales | None) -> Converter:
    if column.range:
        scaled = (scales or Scales(column)).scaled

        def ranged(value: Value) -> float | None:
            plain = read(value)
            return None if plain is None else scaled(plain)

        return ranged
    if column.scale == 1.0:
        return read
    scale = _times(column.scale)
    return lambda value: None if (plain := read(value)) is None else scale(plain)


def _times(factor: float) -> Callable[[float], float]:
    """Multiplies; by a tenth it divides by ten, so that 314 becomes 31.4 and not 31.400000000000002."""
    if factor == 1.0:
        return float
    inverse = 1.0 / factor
    if abs(factor) < 1 and abs(inverse - round(inverse)) < _NEARLY:
        whole = float(round(inverse))
        return lambda plain: plain / whole
    return lambda plain: plain * factor
