"""A device's value into a float of the vocabulary, as its column in the profile says; what does not fit is None."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from agent.profile import Column
from agent.snmp.session import Value
from forewarn.vocabulary import Status

Converter = Callable[[Value], float | None]

_MEANINGS = {status.name.lower(): float(status) for status in Status}
_NEARLY = 1e-9
_QUANTITY = re.compile(r"\s*([-+]?[0-9]+(?:[.,][0-9]+)?)\s*([^\s0-9]*)")
_CHINESE = re.compile(r"[\x00-\x7f\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef\u00b7\u2010-\u2026]*")
"""ASCII, Chinese characters and their punctuation: what else GB18030 holds is octets that look like it."""
_ENDS = "\0 \t\r\n"
_MAC = 6
_FACTORS = {
    "": 1.0,
    "b": 1.0,
    "byte": 1.0,
    "bytes": 1.0,
    "kb": 1024.0,
    "mb": 1024.0**2,
    "gb": 1024.0**3,
    "tb": 1024.0**4,
    "percent": 1.0,
    "%": 1.0,
    "c": 1.0,
    "v": 1.0,
    "w": 1.0,
    "mw": 0.001,
    "mv": 0.001,
}
"""Units in texts. Devices mean powers of two by KB, MB and GB."""


def converter(column: Column) -> Converter:
    """The function from a column's raw value to its field; for a counter, to the bare count."""
    if column.type == "status":
        meanings = {code: _MEANINGS[meaning] for code, meaning in column.codes.items()}
        return lambda value: meanings.get(written(value), float(Status.UNKNOWN))
    if column.type == "flag":
        return _flag(column)
    read = quantity if column.type == "text" else number
    if column.type in ("counter32", "counter64"):
        return number
    return _scaled(read, column)


def code(value: Value) -> float | None:
    """The device's own code behind a status."""
    return number(value)


def number(value: Value) -> float | None:
    """A number of the SMI, or written in digits."""
    if isinstance(value, bytes):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, str):
        return None
    return float(value) if math.isfinite(value) else None


def quantity(value: Value) -> float | None:
    """A number with a unit in a text: `15 PERCENT`, `512 MB` (bytes), `0.0 GB`."""
    if not isinstance(value, bytes):
        return number(value)
    found = _QUANTITY.match(value.decode("latin-1"))
    factor = _FACTORS.get(found[2].lower()) if found else None
    return float(found[1].replace(",", ".")) * factor if found and factor is not None else None


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
    """A MAC address: six octets are one whatever text they could be, anything else is as in `words`."""
    return value.hex(":") if isinstance(value, bytes) and len(value) == _MAC else words(value)


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


def _scaled(read: Converter, column: Column) -> Converter:
    scale = _times(column.scale)
    if not column.range:
        return lambda value: None if (plain := read(value)) is None else scale(plain)
    low, high = column.range
    scales = (scale, *map(_times, column.alt_scale))

    def ranged(value: Value) -> float | None:
        plain = read(value)
        if plain is None:
            return None
        return next((scaled for times in scales if low <= (scaled := times(plain)) <= high), None)

    return ranged


def _times(factor: float) -> Callable[[float], float]:
    """Multiplies; by a tenth it divides by ten, so that 314 becomes 31.4 and not 31.400000000000002."""
    if factor == 1.0:
        return float
    inverse = 1.0 / factor
    if abs(factor) < 1 and abs(inverse - round(inverse)) < _NEARLY:
        whole = float(round(inverse))
        return lambda plain: plain / whole
    return lambda plain: plain * factor
