"""Temperatures, fans and voltages as the machine's management controller has them: asked through `ipmitool`.

Only `sdr list full` is ever run, which reads. Sources: ipmitool(1); IPMI 2.0, states of threshold sensors.

Errors: none; without `ipmitool` or a controller there is nothing, and what may not be asked is told under `unread`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.host.aside import Aside
from agent.host.children import Asking
from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Tables, Unread
from forewarn.vocabulary import Status

_EVERY = 60.0
_WITHIN = 30.0
"""Some controllers take a second for each of their sensors."""
_CONTROLLERS = "/sys/class/ipmi"
_STATES = {"ok": Status.OK, "nc": Status.WARNING, "cr": Status.CRITICAL, "nr": Status.CRITICAL}
_UNITS = {
    "degrees C": ("sensor", "temperature_celsius"),
    "Volts": ("sensor", "volts"),
    "RPM": ("fan", "speed_rpm"),
}
_LEAST = 4
"""Fields of a line: name, value, unit, state."""


class _Survey(NamedTuple):
    tables: Tables
    unread: list[Unread]


class Controller(Part):
    """What `sensor` and `fan` have of the management controller."""

    def __init__(self, asking: Asking, files: Files, monotonic: Callable[[], float]) -> None:
        self._asking = asking
        self._there = asking.find("ipmitool") is not None and bool(files.names(_CONTROLLERS))
        self._survey = Aside(self._asked, every=_EVERY, monotonic=monotonic, name="ask ipmitool")

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """What its sensors showed last; nothing where there is none."""
        survey = self._survey.latest() if self._there else None
        return (
            {table: {at: dict(row) for at, row in rows.items()} for table, rows in survey.tables.items()}
            if survey
            else {}
        )

    def unread(self) -> Sequence[Unread]:
        """Why it does not answer."""
        survey = self._survey.latest() if self._there else None
        return survey.unread if survey else ()

    def settle(self, seconds: float) -> None:
        """Waits for ipmitool."""
        self._survey.settle(seconds)

    def _asked(self) -> _Survey:
        command = self._asking.find("ipmitool")
        if command is None:
            return _Survey({}, [])
        answer = self._asking.ask([command, "-c", "sdr", "list", "full"], _WITHIN)
        if answer.code == 0:
            return _Survey(sensors(answer.text), [])
        said = answer.why or answer.errors.strip() or answer.text.strip() or f"ipmitool ended with {answer.code}"
        remedy = 'let this account read /dev/ipmi0 (a udev rule: KERNEL=="ipmi*", GROUP="forewarn"), or remove ipmitool'
        return _Survey({}, [Unread("management controller", said.splitlines()[-1][:300], remedy)])


def sensors(text: str) -> Tables:
    """The rows of `ipmitool -c sdr list full`: name, value, unit, state a line; what has no reading has no row."""
    found: Tables = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < _LEAST or parts[2] not in _UNITS or not parts[0]:
            continue
        table, field = _UNITS[parts[2]]
        value, state = _number(parts[1]), _STATES.get(parts[-1])
        rows = found.setdefault(table, {})
        if value is not None and len(rows) < MOST_ROWS:
            rows[f"bmc {parts[0]}"] = {field: value, "status": float(state) if state is not None else None}
    return {table: rows for table, rows in found.items() if rows}


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
