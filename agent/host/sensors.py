"""Temperatures, fans, the battery, and memory that errs.

Sources: the kernel's hwmon interface by way of psutil; the kernel's EDAC interface, counts since its driver was loaded.
Windows tells neither temperatures nor fans, and most virtual machines none of all.

Errors: none; what the hardware does not tell is null or has no row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Row, Tables
from agent.host.system import Fan, System, Warmth
from forewarn.vocabulary import Status

T = TypeVar("T")

_LOOK_AGAIN = 600.0
_PACKAGE = ("coretemp", "k10temp", "cpu_thermal", "zenpower", "acpitz")
"""Whose temperature is that of the machine: the processor's, best first."""
_COLDEST, _HOTTEST = -40.0, 125.0
"""What lies beyond is an input that nothing is wired to."""
_MEMORY_CONTROLLERS = "/sys/devices/system/edac/mc"


class Sensors(Part):
    """The tables `sensor`, `fan` and `ups`, and what `host` has of them."""

    def __init__(self, system: System, files: Files, monotonic: Callable[[], float]) -> None:
        self._system = system
        self._files = files
        self._monotonic = monotonic
        self._looked: dict[str, float] = {}

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """What each shows now."""
        warmths = self._if_there("warmths", self._system.warmths) or []
        host: Row = {"temperature_celsius": _package(warmths), **self._memory_errors()}
        tables: Tables = {"host": {"": host}}
        if warmths:
            tables["sensor"] = dict(zip(_named(warmths), map(_warmth, warmths[:MOST_ROWS]), strict=False))
        fans = self._if_there("fans", self._system.fans)
        if fans:
            speeds: list[Row] = [{"speed_rpm": fan.rpm} for fan in fans[:MOST_ROWS]]
            tables["fan"] = dict(zip(_named(fans), speeds, strict=False))
        battery = self._if_there("battery", self._system.battery)
        if battery:
            on = float(battery.on_battery) if battery.on_battery is not None else None
            row: Row = {"on_battery": on, "charge_percent": battery.charge_percent}
            tables["ups"] = {"": {**row, "runtime_seconds": battery.runtime_seconds}}
        return tables

    def _if_there(self, what: str, ask: Callable[[], T | None]) -> T | None:
        """Asks in every reading for what a machine has, and for what it lacks only now and then: a search costs."""
        now = self._monotonic()
        if now - self._looked.get(what, -math.inf) < _LOOK_AGAIN:
            return None
        found = ask()
        if not found:
            self._looked[what] = now
        return found

    def _memory_errors(self) -> Row:
        names = self._if_there("edac", lambda: self._files.names(_MEMORY_CONTROLLERS)) or []
        controllers = [name for name in names if name.startswith("mc")]
        row: Row = {}
        for field, file in (("memory_corrected_errors", "ce_count"), ("memory_uncorrected_errors", "ue_count")):
            counts = [self._files.number(f"{_MEMORY_CONTROLLERS}/{name}/{file}") for name in controllers]
            known = [count for count in counts if count is not None]
            row[field] = sum(known) if known else None
        return row


def _sane(celsius: float | None) -> float | None:
    return float(celsius) if celsius and _COLDEST < celsius < _HOTTEST else None


def _package(warmths: Iterable[Warmth]) -> float | None:
    for chip in _PACKAGE:
        found = [celsius for each in warmths if each.chip == chip and (celsius := _sane(each.celsius)) is not None]
        if found:
            return max(found)
    return None


def _warmth(warmth: Warmth) -> Row:
    """A sensor with its status by its own limits; no status where the hardware names none."""
    celsius, high, critical = _sane(warmth.celsius), _sane(warmth.high), _sane(warmth.critical)
    status = None
    if celsius is not None and (high is not None or critical is not None):
        status = Status.OK
        if high is not None and celsius >= high:
            status = Status.WARNING
        if critical is not None and celsius >= critical:
            status = Status.CRITICAL
    return {"temperature_celsius": celsius, "status": float(status) if status is not None else None}


def _named(sensors: Iterable[Warmth | Fan]) -> list[str]:
    """A name for each: its chip and label, numbered where two are alike."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for each in sensors:
        name = f"{each.chip} {each.label}".strip()
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names
