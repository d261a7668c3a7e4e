"""The form of a diagnosis: one thing looked at, what was found, what to do about it; and how a whole look is told.

A look yields diagnoses one by one, in the order a beginner has to put them right, and each is printed as it comes.

Errors: none of its own; a settings file that is wrong ends the look at its side and is told as its diagnoses
(forewarn.settings.SettingError is caught here).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TextIO

import msgspec

from forewarn.quantities import SIZES, UNITS
from forewarn.settings import SettingError

WELL, UNWELL, WRONG = 0, 1, 2
"""Exit codes: nothing fails; something fails; a settings file is wrong, so that its side could not be looked at."""


class Level(StrEnum):
    """How bad it is: `fail` keeps something from working now, `warn` will or may."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Diagnosis(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` is a sentence that can be followed; empty when there is nothing to do."""

    level: Level
    subject: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """As a person reads it: the remedy in a line of its own."""
        line = f"{f'[{self.level}]':<6} {self.subject}: {self.what}"
        return f"{line}\n       -> {self.remedy}" if self.remedy else line


Progress = Callable[[str, int, int], None]
"""Told what is being worked through, how many are done, and of how many."""
Look = Callable[[Progress], Iterator[Diagnosis]]


class Side(NamedTuple):
    """One program on this machine: its name, its settings file, and how it is looked at (may raise SettingError)."""

    name: str
    file: Path
    look: Look


def ok(subject: str, what: str) -> Diagnosis:
    """As it should be."""
    return Diagnosis(Level.OK, subject, what)


def warn(subject: str, what: str, remedy: str) -> Diagnosis:
    """It works, and somebody should do something."""
    return Diagnosis(Level.WARN, subject, what, remedy)


def fail(subject: str, what: str, remedy: str) -> Diagnosis:
    """It does not work until somebody does something."""
    return Diagnosis(Level.FAIL, subject, what, remedy)


def examine(sides: Sequence[Side], *, as_json: bool, out: TextIO | None = None) -> int:
    """Looks at each side and tells what is found; returns the exit code.

    Args:
        sides: in the order to look at them.
        as_json: one object at the end, `{ok, warn, fail, sides: {NAME: {file, diagnoses: [...]}}}`, in place of lines.
        out: standard output when left out.
    """
    out = sys.stdout if out is None else out
    counts = dict.fromkeys(Level, 0)
    told: dict[str, object] = {}
    wrong = False
    for side in sides:
        if not as_json and len(sides) > 1:
            out.write(f"{side.name} ({side.file})\n")
        found: list[Diagnosis] = []
        told[side.name] = {"file": str(side.file), "diagnoses": found}
        for diagnosis in _looked(side):
            wrong = wrong or diagnosis is None
            if diagnosis is None:
                continue
            found.append(diagnosis)
            counts[diagnosis.level] += 1
            if not as_json:
                out.write(f"{diagnosis}\n")
                out.flush()
    if as_json:
        out.write(msgspec.json.encode({**counts, "sides": told}).decode() + "\n")
    else:
        out.write(", ".join(f"{count} {level}" for level, count in counts.items()) + "\n")
    return WRONG if wrong else UNWELL if counts[Level.FAIL] else WELL


def _looked(side: Side) -> Iterator[Diagnosis | None]:
    """What is found on a side; None behind the mistakes of its settings file."""
    try:
        yield from side.look(on_terminal)
    except SettingError as wrong:
        yield from mistakes("settings", wrong)
        yield None


def mistakes(subject: str, wrong: SettingError) -> Iterator[Diagnosis]:
    """One diagnosis for each mistake in a file that a person wrote."""
    for each in wrong.wrongs:
        yield fail(subject, str(each), f"correct line {each.mark.line} of {each.mark.source}")


def on_terminal(what: str, done: int, of: int) -> None:
    """Progress on standard error, where a person watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}: {done} of {of}" if done < of else "\r\x1b[K")
        sys.stderr.flush()


def amount(count: float) -> str:
    """Bytes as a person reads them: `1.9 GiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= SIZES[unit]:
            return f"{count / SIZES[unit]:.1f} {unit}"
    return f"{count:.0f} bytes"


def span(seconds: float) -> str:
    """A length of time as a person reads it, two digits or so: `40 s`, `3 h`, `12 d`."""
    for unit in ("d", "h", "m"):
        if seconds >= 2 * UNITS[unit]:
            return f"{seconds / UNITS[unit]:.0f} {'min' if unit == 'm' else unit}"
    return f"{seconds:.0f} s"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Some names: `a, b, c and 4 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
