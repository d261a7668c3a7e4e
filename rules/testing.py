"""Tests that stand beside rules, run by the engine that runs live.

A series is written as what one value does, a step (`every`, a minute unless said) at a time:

    1x10 0x10                                ten polls of 1, then ten of 0
    _x5                                      five polls in which the value is missing
    .x5                                      five times no poll at all
    linear(70, 0.5/h, noise 0.2, 60h)        from 70, half a unit more an hour, Gaussian noise, for 60 hours

under the name `DEVICE TABLE [INSTANCE] FIELD`, or `AGENT heard`: 1 where a block of the agent arrives, 0 where none
does (collectors tick all the while). Noise is the same in every run. `expect` says which tickets stand open at a time
since the beginning: exactly these.

Errors:
    SettingError   a series that cannot be read, with its place
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from forewarn.settings import UNITS, Duration, Marked, SettingError, Wrong
from forewarn.vocabulary import TABLES, DeviceKind, Source, misnamed
from forewarn.wire import Shape, TableShape
from rules.engine import Engine
from rules.finding import Finding, Turn
from rules.ruleset import Expected, Opened, Rule, Ruleset, Test
from rules.samples import Arrival, Batch, Device, Floats, Rows

BEGIN = 1_700_000_000_000
"""Event time of the first step: any, but always the same."""
TICK = 10_000
_SITE, _AGENT = "site", "agent"
_ABSENT = np.inf
"""Stands for "no poll" while a series is laid out; no device can say it."""

_PIECE = re.compile(
    r"\s*(?:linear\(\s*(?P<start>-?[\d.]+)\s*,\s*(?P<slope>-?[\d.]+)/(?P<per>ms|s|m|h|d)\s*"
    r"(?:,\s*noise\s+(?P<noise>[\d.]+)\s*)?,\s*(?P<span>[\d.]+\s*[a-z]+)\s*\)"
    r"|(?P<value>-?\d+(?:\.\d+)?|_|\.)(?:x(?P<count>\d+))?)(?=\s|$)"
)


@dataclass
class Outcome:
    """How one test went: `problems` is empty when it passed."""

    rule: str
    test: str
    problems: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all expectations held."""
        return not self.problems


def run_tests(rules: Ruleset) -> Iterator[Outcome]:
    """Runs the tests of all rules, each alone.

    Raises:
        SettingError: a test that cannot be read.
    """
    for rule in rules.rules:
        for test in rule.tests:
            yield run_test(rule, test)


def run_test(rule: Rule, test: Test) -> Outcome:
    """Runs one test of one rule.

    Raises:
        SettingError: the test cannot be read.
    """
    timeline = _Timeline(rule, test)
    outcome = Outcome(rule.id, str(test.name))
    engine = Engine(Ruleset((rule,)))
    for batch in timeline.batches():
        outcome.findings += engine.apply(batch)
    for expected in test.expect:
        outcome.problems += _problems(expected, outcome.findings)
    return outcome


def _problems(expected: Expected, findings: Sequence[Finding]) -> Iterator[str]:
    now = BEGIN + round(expected.at * 1000)
    standing: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        if finding.t <= now:
            key = finding.device, finding.instance
            if finding.turn is Turn.RECOVERED:
                standing.pop(key, None)
            else:
                standing[key] = finding
    left = list(standing.values())
    for wanted in expected.open:
        match = next((one for one in left if _matches(wanted, one)), None)
        if match is None:
            yield f"at {_at(expected.at)}: expected {_described(wanted)}, found {_listed(left)}"
        else:
            left.remove(match)
    if left:
        yield f"at {_at(expected.at)}: not expected, but open: {_listed(left)}"


def _matches(wanted: Opened, found: Finding) -> bool:
    return (
        wanted.device in (None, found.device)
        and wanted.instance in (None, found.instance)
        and wanted.severity in (None, found.severity)
        and (wanted.says is None or wanted.says in found.title["en"])
    )


def _described(wanted: Opened) -> str:
    told = [wanted.severity or "a ticket", wanted.device and f"for {wanted.device}", wanted.instance]
    says = f' saying "{wanted.says}"' if wanted.says else ""
    return " ".join(word for word in told if word) + says


def _listed(findings: Sequence[Finding]) -> str:
    told = [f"{one.severity} for {one.device} {one.instance}".rstrip() + f' "{one.title["en"]}"' for one in findings]
    return ", ".join(told) or "nothing"


def _at(seconds: float) -> str:
    for unit, size in sorted(UNITS.items(), key=lambda pair: -pair[1]):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


class _Timeline:
    """The batches that a test's series make."""

    def __init__(self, rule: Rule, test: Test) -> None:
        self.rule = rule
        self.test = test
        self.step = round(test.every * 1000)
        self.wrongs: list[Wrong] = []
        self.heard: dict[str, Floats] = {}
        self.values: dict[str, dict[tuple[str, str, str], Floats]] = {}
        for name, text in test.series.items():
            self._take(name, self._laid(text, str(test.name) + name))
        if self.wrongs:
            raise SettingError(self.wrongs)

    def _take(self, name: Marked, values: Floats) -> None:
        words = name.split()
        if len(words) == 2 and words[1] == "heard":  # noqa: PLR2004 - AGENT heard
            self.heard[words[0]] = values
            return
        if len(words) not in (3, 4):
            self.wrongs.append(name.wrong("a series is named `DEVICE TABLE [INSTANCE] FIELD` or `AGENT heard`"))
            return
        device, table, *instance, column = words
        wrong = misnamed(table, column)
        if wrong is None and bool(instance) != bool(TABLES[table].instance):
            named = TABLES[table].instance
            wrong = f"table `{table}` needs its {named} between" if named else f"table `{table}` has no instances"
        if wrong:
            self.wrongs.append(name.wrong(wrong))
        self.values.setdefault(device, {})[table, instance[0] if instance else "", column] = values

    def _laid(self, text: Marked, seed: str) -> Floats:
        pieces: list[Floats] = []
        at = 0
        while at < len(text.rstrip()):
            piece = _PIECE.match(text, at)
            if piece is None:
                how = "write `1x10 0x5`, `_x5`, `.x5` or `linear(70, 0.5/h, noise 0.2, 60h)`"
                word = text[at:].split()[0]
                self.wrongs.append(text.wrong(f"`{word}` is no values: {how}", text.index(word, at)))
                return np.zeros(1)
            at = piece.end()
            pieces.append(self._ramp(piece, seed) if piece["start"] else _held(piece))
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def _ramp(self, piece: re.Match[str], seed: str) -> Floats:
        steps = round(Duration.parse(piece["span"]) / self.test.every)
        slope = float(piece["slope"]) / UNITS[piece["per"]] * self.test.every
        noise = np.random.default_rng(zlib.crc32(seed.encode())).normal(0, float(piece["noise"] or 0), steps)
        return float(piece["start"]) + slope * np.arange(steps) + noise

    def batches(self) -> Iterator[Batch]:
        """One batch, or a batch a tick where the rule judges silence."""
        lengths = [len(values) for series in self.values.values() for values in series.values()]
        steps = max([*lengths, *(len(values) for values in self.heard.values())], default=0)
        if not self.rule.on_ticks:
            rows = [rows for device in self.values if (rows := self._rows(device, steps)) is not None]
            yield Batch(1, steps, rows=rows)
            return
        for position, at in enumerate(range(BEGIN, BEGIN + steps * self.step, TICK), 1):
            step, within = divmod(at - BEGIN, self.step)
            arrivals = [
                Arrival(_SITE, agent, at, position)
                for agent, values in self.heard.items()
                if within < TICK and step < len(values) and values[step] == 1
            ]
            yield Batch(position, position, arrivals=arrivals, tick=at)

    def _rows(self, device: str, steps: int) -> Rows | None:
        series = self.values[device]
        matrix = np.full((steps, len(series)), _ABSENT)
        for at, values in enumerate(series.values()):
            matrix[: len(values), at] = values
        polled = np.flatnonzero((matrix != _ABSENT).any(axis=1))
        if not len(polled):
            return None
        matrix = matrix[polled]
        matrix[matrix == _ABSENT] = np.nan
        tables = [TableShape(table, [instance], [column]) for table, instance, column in series]
        shape = Shape(kind=self._kind(device), profile="test", source=Source.SNMP, tables=tables)
        t = BEGIN + polled * self.step
        count = len(polled)
        return Rows(
            shape=shape,
            devices=[Device(_SITE, _AGENT, device)] * count,
            t=t,
            arrived=t,
            position=polled + 1,
            rank=np.arange(count),
            future=np.zeros(count, np.bool_),
            values=matrix,
        )

    def _kind(self, device: str) -> DeviceKind:
        given = self.test.devices.get(device)
        return given or min(self.rule.devices, default=DeviceKind.OTHER)


def _held(piece: re.Match[str]) -> Floats:
    value = {"_": np.nan, ".": _ABSENT}.get(piece["value"])
    return np.full(int(piece["count"] or 1), float(piece["value"]) if value is None else value)
