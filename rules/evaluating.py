"""A rule's conditions over a frame: numbers, and what is known to be true and known to be false.

A condition has three values. Unknown is what is neither true nor false, so that a missing value never decides: `and`
is true when all parts are, false when one is; `or` the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rules.checking import operator_key
from rules.foresight import TimeTo
from rules.frames import Booleans, Frame
from rules.language import Arithmetic, Call, Comparison, Field, Logic, Negative, Node, Not, Number
from rules.operators import Operator
from rules.ruleset import Rule
from rules.samples import Floats

Codes = npt.NDArray[np.uint8]
Operators = Mapping[Call, Operator]
Number2D = Floats | float

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
_COMPARING: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": lambda left, right: (left < right) | (left > right),
}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


class Evaluation:
    """One rule over one frame. Operators take the rows once, when this is made.

    What cannot be computed (0 / 0) is unknown: the caller silences numpy's warnings about it.
    """

    def __init__(self, rule: Rule, operators: Operators, frame: Frame) -> None:
        self.rule = rule
        self.frame = frame
        self.operators = operators
        self._numbers: dict[int, Number2D] = {}
        self._results: dict[Call, Floats] = {}
        for call in rule.calls:
            self._results[call] = operators[call].apply(frame, self._series(call))

    def _series(self, call: Call) -> Floats:
        if not call.arguments:
            return self.frame.unknown
        value = self.number(call.arguments[0])
        return value if isinstance(value, np.ndarray) else np.full(self.frame.shape, value)

    def number(self, node: Node) -> Number2D:
        """A number, float64[N, k] or one for all."""
        known = self._numbers.get(id(node))
        if known is None:
            known = self._numbers[id(node)] = self._number(node)
        return known

    def _number(self, node: Node) -> Number2D:
        match node:
            case Number(value=value):
                return value
            case Field(name=name):
                return self.frame.column(name)
            case Negative(of=inner):
                return -self.number(inner)
            case Arithmetic(sign=sign, left=left, right=right):
                return cast("Floats", _ARITHMETIC[sign](self.number(left), self.number(right)))
            case Call():
                key = operator_key(node)
                return self.operators[key].part(self.frame, node.part) if node.part else self._results[key]
        raise AssertionError(f"`{node.text}` was checked to be a number")

    def true(self, node: Node) -> Booleans:
        """Where a condition is known to be true."""
        match node:
            case Comparison():
                return self._compared(node, node.sign)
            case Not(of=inner):
                return self.false(inner)
            case Logic(word=word, parts=parts):
                return self._joined(np.logical_and if word == "and" else np.logical_or, [self.true(p) for p in parts])
        raise AssertionError(f"`{node.text}` was checked to be a condition")

    def false(self, node: Node) -> Booleans:
        """Where a condition is known to be false."""
        match node:
            case Comparison(left=left):
                if _foretells(node):
                    return ~self._compared(node, node.sign) & ~np.isnan(self.number(left))
                return self._compared(node, _OPPOSITE[node.sign])
            case Not(of=inner):
                return self.true(inner)
            case Logic(word=word, parts=parts):
                return self._joined(np.logical_or if word == "and" else np.logical_and, [self.false(p) for p in parts])
        raise AssertionError(f"`{node.text}` was checked to be a condition")

    def _joined(self, join: np.ufunc, parts: list[Booleans]) -> Booleans:
        joined = parts[0]
        for part in parts[1:]:
            joined = join(joined, part)
        return joined

    def _compared(self, node: Comparison, sign: str) -> Booleans:
        left, right = self.number(node.left), self.number(node.right)
        if _foretells(node):
            operator = self.operators[cast("Call", node.left)]
            assert isinstance(operator, TimeTo), "only ttt foretells"
            return operator.soon(self.frame, cast("Floats", left), cast("float", right))
        compared = _COMPARING[sign](left, right)
        if isinstance(compared, np.ndarray):
            return compared
        return np.full(self.frame.shape, compared)

    def codes(self, warning: Booleans | None, critical: Booleans | None) -> Codes:
        """Three trits a cell: warning + 3 · critical + 9 · recover, each 0 false, 1 true, 2 unknown; uint8[N, k].

        Args:
            warning: where the warning condition is true, as `holds` gave it; None: the rule has none.
            critical: likewise.
        """
        out = np.zeros(self.frame.shape, np.uint8)
        for severity, weight, true in (("warning", 1, warning), ("critical", 3, critical)):
            if true is not None:
                out += weight * _trit(true, self._fails(severity))
        if self.rule.recover is not None:
            tree = self.rule.recover.tree
            true, false = self.true(tree), self.false(tree)
            if self.rule.where is not None:
                outside = self.false(self.rule.where)
                true, false = true | outside, false & ~outside
            out += 9 * _trit(true, false)
        return out

    def holds(self, severity: str) -> Booleans | None:
        """Where the condition of a severity is true, inside `where` and not under `unless`; None: it has none."""
        condition = self.rule.when.get(severity)
        if condition is None:
            return None
        true = self.true(condition.tree)
        if self.rule.where is not None:
            true = true & ~self.false(self.rule.where)
        if self.rule.unless is not None:
            true = true & self.false(self.rule.unless)
        return true

    def _fails(self, severity: str) -> Booleans:
        false = self.false(self.rule.when[severity].tree)
        if self.rule.where is not None:
            false = false | self.false(self.rule.where)
        if self.rule.unless is not None:
            false = false | self.true(self.rule.unless)
        return false

    def at(self, node: Node, row: int, column: int) -> float:
        """One value of a number."""
        value = self.number(node)
        return float(value[row, column]) if isinstance(value, np.ndarray) else float(value)


def _foretells(node: Comparison) -> bool:
    """Whether this is `ttt(...) < DURATION`, which asks for evidence besides the estimate."""
    return (
        isinstance(node.left, Call)
        and node.left.name == "ttt"
        and not node.left.part
        and node.sign in ("<", "<=")
        and isinstance(node.right, Number)
    )


def _trit(true: Booleans, false: Booleans) -> Codes:
    return (2 - true.view(np.uint8) - 2 * false.view(np.uint8)).astype(np.uint8)
