"""Small sums over the columns of one row: `100 * used / size`, `raw * pow10(scale)`. Unknown in, unknown out.

Errors:
    FormulaError   a text that is none, with the offset of what is wrong in it
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import NamedTuple

_Known = Mapping[str, float | None]
_Step = Callable[[_Known], float | None]
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class FormulaError(Exception):
    """Not a formula; `offset` counts characters from its start."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.offset = offset


class Formula(NamedTuple):
    """A formula and the columns it needs."""

    names: frozenset[str]
    evaluate: _Step
    """Columns by name → value; None when one of them is None, for a division by 0 and beyond a float."""


def parse(text: str) -> Formula:
    """Reads numbers, names, + - * /, brackets and pow10(x), which is ten to the power of x.

    Raises:
        FormulaError: anything else stands there.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as wrong:
        raise FormulaError(f"`{text}` is no formula", (getattr(wrong, "offset", None) or 1) - 1) from wrong
    step = _compiled(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)

    def evaluate(known: _Known) -> float | None:
        try:
            value = step(known)
        except (ZeroDivisionError, OverflowError):
            return None
        return value if value is not None and math.isfinite(value) else None

    return Formula(names, evaluate)


def _compiled(node: ast.expr) -> _Step:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        number = float(node.value)
        return lambda _: number
    if isinstance(node, ast.Name):
        name = node.id
        return lambda known: known.get(name)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _joined(_OPERATORS[type(node.op)], _compiled(node.left), _compiled(node.right))
    if isinstance(node, ast.Call) and _is_power(node):
        return _power(_compiled(node.args[0]))
    raise FormulaError("a formula has numbers, names, + - * / and brackets only, and pow10(x)", node.col_offset)


def _is_power(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "pow10" and len(node.args) == 1 and not node.keywords


def _power(exponent: _Step) -> _Step:
    def step(known: _Known) -> float | None:
        to = exponent(known)
        return None if to is None else math.pow(10.0, to)

    return step


def _joined(operate: Callable[[float, float], float], left: _Step, right: _Step) -> _Step:
    def step(known: _Known) -> float | None:
        a, b = left(known), right(known)
        return None if a is None or b is None else operate(a, b)

    return step
