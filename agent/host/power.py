"""The UPS that this machine itself is connected to, as Network UPS Tools know it: asked through `upsc`, which only reads.

Sources: upsc(8); the variables and words of status of NUT's developer guide (`ups.status`: OL, OB, LB, RB, CAL, BYPASS,
OFF, OVER, FSD, ALARM).

Errors: none; without `upsc` there is nothing, and what cannot be asked is told under `unread`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agent.host.aside import Aside
from agent.host.children import Answer, Asking
from agent.host.parts import Part, Row, Tables, Unread
from forewarn.vocabulary import Status

_EVERY = 30.0
_WITHIN = 5.0
_CRITICAL, _WARNING = ("LB", "OFF", "FSD"), ("OB", "BYPASS", "OVER", "RB", "ALARM", "CAL")
_NUMBERS: Mapping[str, tuple[str, str, str, float, float]] = {
    "battery.charge": ("ups", "", "charge_percent", 0, 100),
    "battery.runtime": ("ups", "", "runtime_seconds", 0, 1e7),
    "battery.voltage": ("ups", "", "battery_volts", 1, 800),
    "battery.temperature": ("ups", "", "battery_celsius", -20, 80),
    "input.voltage": ("ups_input", "1", "volts", 0, 600),
    "input.frequency": ("ups_input", "1", "hertz", 40, 70),
    "output.voltage": ("ups_output", "1", "volts", 0, 600),
    "ups.load": ("ups_output", "1", "load_percent", 0, 200),
}
"""Variable → table, instance, field, and what it lies within."""


class _Survey(NamedTuple):
    """What NUT said."""

    tables: Tables
    texts: dict[str, str]
    unread: list[Unread]


class Supply(Part):
    """The table `ups` and its lines."""

    def __init__(self, asking: Asking, monotonic: Callable[[], float]) -> None:
        self._asking = asking
        self._there = asking.find("upsc") is not None
        self._survey = Aside(self._asked, every=_EVERY, monotonic=monotonic, name="ask upsc")

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """What the UPS said last; nothing where there is none."""
        survey = self._survey.latest() if self._there else None
        return (
            {table: {at: dict(row) for at, row in rows.items()} for table, rows in survey.tables.items()}
            if survey
            else {}
        )

    def texts(self) -> Mapping[str, str]:
        """Which UPS it is."""
        survey = self._survey.latest() if self._there else None
        return survey.texts if survey else {}

    def unread(self) -> Sequence[Unread]:
        """Why NUT does not answer, and UPSs beside the first."""
        survey = self._survey.latest() if self._there else None
        return survey.unread if survey else ()

    def settle(self, seconds: float) -> None:
        """Waits for upsc."""
        self._survey.settle(seconds)

    def _asked(self) -> _Survey:
        listed = self._run("-l")
        names = listed.text.split() if listed.code == 0 else []
        if not names:
            why = _last(listed) or "it knows no UPS"
            return _Survey(
                {}, {}, [Unread("UPS", f"NUT: {why}", "start upsd (`upsdrvctl start`), or remove nut-client")]
            )
        said = self._run(names[0])
        if said.code != 0:
            return _Survey({}, {}, [Unread("UPS", f"NUT: {_last(said)}", f"`upsc {names[0]}` shows the same")])
        variables = told(said.text)
        more = ", ".join(names[1:])
        left = [Unread("UPS", f"only {names[0]} is read, not {more}", "poll the others over SNMP")] if more else []
        return _Survey(tables(variables), _texts(variables), left)

    def _run(self, what: str) -> Answer:
        command = self._asking.find("upsc")
        return self._asking.ask([command, what], _WITHIN) if command is not None else Answer(None, why="upsc is gone")


def told(text: str) -> dict[str, str]:
    """The variables that `upsc` prints, `name: value` a line."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def tables(variables: Mapping[str, str]) -> Tables:
    """The rows of one UPS; what it does not tell is null."""
    words = variables.get("ups.status", "").split()
    known = any(word in words for word in ("OL", "OB", *_CRITICAL, *_WARNING))
    testing = "CAL" in words or "progress" in variables.get("ups.test.result", "").lower()
    row: Row = {"status": None, "on_battery": None, "battery_replace": None}
    if known:
        bad, odd = any(word in _CRITICAL for word in words), any(word in _WARNING for word in words)
        row["status"] = float(Status.CRITICAL if bad else Status.WARNING if odd else Status.OK)
        # During a test of its own the load is on the battery and the mains are there.
        row["on_battery"] = float("OB" in words and not testing)
        row["battery_replace"] = float("RB" in words)
    found: Tables = {"ups": {"": row}}
    for name, (table, instance, field, low, high) in _NUMBERS.items():
        if name in variables:
            found.setdefault(table, {}).setdefault(instance, {})[field] = _number(variables[name], low, high)
    return found


def _texts(variables: Mapping[str, str]) -> dict[str, str]:
    names = [variables.get(name, "") for name in ("device.mfr", "device.model", "device.serial")]
    who = " ".join(name for name in names if name)
    return {"connected_ups": who[:256]} if who else {}


def _number(text: str, low: float, high: float) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def _last(answer: Answer) -> str:
    """What a command said last, in a line."""
    said = answer.why or answer.errors.strip() or answer.text.strip()
    return said.splitlines()[-1][:300] if said else f"upsc ended with {answer.code}"
