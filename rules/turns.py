"""From "it holds now" to "it opened": how long a condition must hold, changes of severity, recovery.

Per rule and series: ok → pending → firing (warning or critical) → recovering → ok. Times are event times.

- A severity opens when its condition was true since `for` ago without having been false. Unknown neither counts nor
  breaks: nothing turns on a row where the condition is unknown.
- Critical replaces warning when it holds. It goes back to warning only when critical has been false, and warning
  true, for as long as recovery takes: a value at the edge does not make a change a minute.
- Recovery needs its condition true, and no severity's condition true, for as long as it says.

Only series whose condition is true or that are not at rest are looked at one by one, and of those only the rows at
which something changes. The rest is one comparison of arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from rules.evaluating import Codes
from rules.finding import Turn
from rules.frames import NEVER, UNSEEN, Booleans, Frame
from rules.ruleset import Rule
from rules.samples import Integers

OK, WARNING, CRITICAL = 0, 1, 2
_TRUE = 1
_NAMES = {WARNING: "warning", CRITICAL: "critical"}


class Clock(msgspec.Struct, array_like=True):
    """One series that is not at rest: since when (event time, UNSEEN: not) each thing has been so."""

    phase: int = OK
    warning: int = UNSEEN
    critical: int = UNSEEN
    calm: int = UNSEEN
    """Critical has been false, while firing as critical."""
    recovering: int = UNSEEN

    @property
    def at_rest(self) -> bool:
        """Whether nothing is pending or firing."""
        return self.phase == OK and self.warning == UNSEEN and self.critical == UNSEEN


class Turned(NamedTuple):
    """A turn at one cell of a frame; `since` is when what led to it began."""

    row: int
    column: int
    turn: Turn
    severity: str
    since: int


class _Act(NamedTuple):
    due: int
    urgency: int
    turn: Turn
    phase: int
    since: int


class Turns:
    """The state machines of one rule over all its series. State 10 B a series, and a Clock where not at rest."""

    def __init__(self, rule: Rule) -> None:
        self.clocks: dict[int, Clock] = {}
        self.state: dict[str, npt.NDArray[Any]] = {
            "active": np.zeros(0, np.bool_),
            "code": np.zeros(0, np.uint8),
            "deadline": np.zeros(0, np.int64),
        }
        self._for = {name: condition.held_for for name, condition in rule.when.items()}
        self._recovery = rule.recover.held_for if rule.recover else None

    def grow(self, slots: int) -> None:
        """Makes room for `slots` series, new ones at rest."""
        for name, old in self.state.items():
            new = np.zeros(slots, old.dtype)
            new[: len(old)] = old
            self.state[name] = new

    def quiet(self, frame: Frame, hot: Booleans) -> bool:
        """Whether nothing can turn: nothing is `hot` (a severity true) and all series are at rest."""
        return not hot.any() and not (self.clocks and self.state["active"][frame.slots].any())

    def advance(self, frame: Frame, hot: Booleans, codes: Codes) -> Iterator[Turned]:
        """Takes the rows; yields what turned, series by series.

        Args:
            frame: the rows.
            hot: where a severity's condition is true, bool[N, k].
            codes: as `Evaluation.codes` gives them.
        """
        slots = frame.slots
        active, before = self.state["active"][slots], self.state["code"][slots]
        if frame.runs.single:
            differs = codes != before
        else:
            starts = frame.runs.starts
            hot = np.logical_or.reduceat(hot, starts, axis=0)
            differs = np.logical_or.reduceat(codes != before[frame.runs.owner], starts, axis=0)
        due = self.state["deadline"][slots] <= frame.t[frame.runs.lasts][:, None]
        for device, column in np.argwhere(np.where(active, differs | due, hot)).tolist():
            first = int(frame.runs.starts[device])
            rows = slice(first, first + int(frame.runs.lengths[device]))
            for row, act in self._one(int(slots[device, column]), codes[rows, column], frame.t[rows]):
                severity = _NAMES[act.phase if act.turn is not Turn.RECOVERED else act.urgency]
                yield Turned(first + row, column, act.turn, severity, act.since)

    def _one(self, slot: int, codes: Codes, t: Integers) -> Iterator[tuple[int, _Act]]:
        clock = self.clocks.get(slot) or Clock()
        changes = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
        deadline = NEVER
        for first, end in pairwise(changes):
            code = int(codes[first])
            self._note(clock, code, int(t[first]))
            deadline = NEVER
            row = first
            while acts := self._acts(clock, code):
                deadline = min(act.due for act in acts)
                row += int(np.searchsorted(t[row:end], deadline))
                if row >= end:
                    break
                act = min((act for act in acts if act.due <= t[row]), key=lambda act: -act.urgency)
                yield row, self._taken(clock, act)
                deadline = NEVER
        self._keep(slot, clock, int(codes[-1]), deadline)

    def _keep(self, slot: int, clock: Clock, code: int, deadline: int) -> None:
        resting = clock.at_rest
        if resting:
            self.clocks.pop(slot, None)
        else:
            self.clocks[slot] = clock
        self.state["active"][slot] = not resting
        self.state["code"][slot] = 0 if resting else code
        self.state["deadline"][slot] = 0 if resting else deadline

    @staticmethod
    def _note(clock: Clock, code: int, t: int) -> None:
        """Sets and clears the times for a row with this code; unknown leaves them."""
        warning, critical, recover = code % 3, code // 3 % 3, code // 9
        clock.warning = _since(clock.warning, warning, t)
        clock.critical = _since(clock.critical, critical, t)
        calm = {0: 1, 1: 0}.get(critical, 2) if clock.phase == CRITICAL else 0
        clock.calm = _since(clock.calm, calm, t)
        if clock.phase == OK or _TRUE in (warning, critical):
            recover = 0
        clock.recovering = _since(clock.recovering, recover, t)

    def _acts(self, clock: Clock, code: int) -> list[_Act]:
        """What may turn while the code stays, each with when it is due."""
        warning, critical, recover = code % 3, code // 3 % 3, code // 9
        acts: list[_Act] = []
        if critical == _TRUE and clock.phase != CRITICAL:
            turn = Turn.OPENED if clock.phase == OK else Turn.CHANGED
            acts.append(_Act(clock.critical + self._for["critical"], 9, turn, CRITICAL, clock.critical))
        if warning == _TRUE and clock.phase == OK:
            acts.append(_Act(clock.warning + self._for["warning"], 1, Turn.OPENED, WARNING, clock.warning))
        if self._recovery is None or clock.phase == OK:
            return acts
        if clock.phase == CRITICAL and warning == _TRUE and critical == 0:
            due = max(clock.calm + self._recovery, clock.warning + self._for["warning"])
            acts.append(_Act(due, 1, Turn.CHANGED, WARNING, clock.calm))
        if recover == _TRUE and _TRUE not in (warning, critical):
            acts.append(_Act(clock.recovering + self._recovery, clock.phase, Turn.RECOVERED, OK, clock.recovering))
        return acts

    @staticmethod
    def _taken(clock: Clock, act: _Act) -> _Act:
        clock.phase = act.phase
        clock.calm = clock.recovering = UNSEEN
        if act.turn is Turn.RECOVERED:
            clock.warning = clock.critical = UNSEEN
        return act


def _since(before: int, truth: int, t: int) -> int:
    if truth == _TRUE:
        return t if before == UNSEEN else before
    return UNSEEN if truth == 0 else before
