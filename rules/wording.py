"""Values as people read them, in Chinese and English: "41 h", "1.2 GiB", "61.2 %"."""

from __future__ import annotations

import math

PLAIN_WORDS = ("site", "agent", "device", "instance", "severity", "rule")
"""What a text may name besides values."""

_SPANS = ((86400.0, "d", "天"), (3600.0, "h", "小时"), (60.0, "min", "分钟"), (1.0, "s", "秒"))
_SIZES = ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))
_UNKNOWN = {"zh": "未知", "en": "unknown"}
_ENDLESS = {"zh": "无限期", "en": "no end in sight"}


def worded(value: float | None, unit: str, language: str = "en") -> str:
    """A value with its unit in words; `unit` as in `rules.functions`, language `zh` or `en`."""
    if value is None or math.isnan(value):
        return _UNKNOWN[language]
    if unit == "s":
        return _duration(value, language)
    if math.isinf(value):
        return _ENDLESS[language]
    if unit in ("B", "B/s"):
        return _size(value) + unit[1:]
    return f"{_short(value)} {unit}".rstrip()


def _duration(seconds: float, language: str) -> str:
    if math.isinf(seconds):
        return _ENDLESS[language]
    for size, english, chinese in _SPANS:
        # From two and a half of a unit on it is named in that unit: 41 h is not "1.7 d", 90 s not "1.5 min".
        if abs(seconds) >= 2.5 * size or size == 1.0:
            count = _short(seconds / size) if size == 1.0 else f"{seconds / size:.0f}"
            return f"{count} {chinese if language == 'zh' else english}"
    raise AssertionError("the smallest span takes all")


def _size(value: float) -> str:
    for size, name in _SIZES:
        if abs(value) >= size:
            return f"{_short(value / size)} {name}"
    return f"{_short(value)} B"


def _short(value: float) -> str:
    """Three significant digits, never an exponent below a billion, no trailing zeros."""
    if value == 0:
        return "0"
    if abs(value) >= 1e9:  # noqa: PLR2004 - a billion
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
