"""Whether a condition makes sense for a table: fields and functions exist, arguments fit, units can be compared."""

from __future__ import annotations

from typing import NamedTuple

from forewarn.vocabulary import misnamed, nearest
from rules.functions import FUNCTIONS, Takes, unit_of
from rules.language import Arithmetic, Call, Comparison, Field, Logic, Negative, Node, Not, Number

TRUTH = "truth"
ANY = "?"
"""A unit we do not follow (a product, say): it compares with everything."""


class Mistake(NamedTuple):
    """What is wrong, and how many characters into the text."""

    offset: int
    what: str


class Checked(NamedTuple):
    """A sound tree's needs: its fields, and its calls without part, inner ones first."""

    fields: tuple[str, ...]
    calls: tuple[Call, ...]
    mistakes: list[Mistake]
    unit: str


def check(tree: Node, table: str, *, truth: bool = True) -> Checked:
    """Checks a tree against the vocabulary of `table`.

    Args:
        tree: of a condition, or of an expression in a text.
        table: whose fields may be named.
        truth: whether it must be something that holds or not, rather than a number.
    """
    checker = _Checker(table)
    unit = checker.unit(tree)
    if truth and unit != TRUTH and not checker.mistakes:
        checker.mistakes.append(Mistake(tree.at, _uncompared(tree)))
    if not truth and unit == TRUTH:
        checker.mistakes.append(Mistake(tree.at, "a number is expected, not a condition"))
    return Checked(tuple(checker.fields), tuple(checker.calls), checker.mistakes, unit)


def operator_key(call: Call) -> Call:
    """The call that an operator is kept under: whatever part of it is asked for."""
    return call if not call.part else Call(call.at, call.text, call.name, call.arguments)


def _uncompared(tree: Node) -> str:
    return f"`{tree.text}` is a number: compare it, like `{tree.text} > 0`"


class _Checker:
    def __init__(self, table: str) -> None:
        self.table = table
        self.mistakes: list[Mistake] = []
        self.fields: dict[str, None] = {}
        self.calls: dict[Call, None] = {}

    def wrong(self, at: int, what: str) -> str:
        self.mistakes.append(Mistake(at, what))
        return ANY

    def unit(self, node: Node) -> str:  # noqa: PLR0911 - one line a kind of node
        """The unit of a number, TRUTH for a condition."""
        match node:
            case Number(unit=unit):
                return unit
            case Field():
                return self.field(node)
            case Call():
                return self.call(node)
            case Negative(of=inner):
                return self.number(inner)
            case Arithmetic():
                return self.arithmetic(node)
            case Comparison():
                return self.comparison(node)
            case Not(of=inner):
                return self.truth(inner)
            case Logic(parts=parts):
                for part in parts:
                    self.truth(part)
        return TRUTH

    def field(self, node: Field) -> str:
        wrong = misnamed(self.table, node.name)
        if wrong:
            if node.name in FUNCTIONS:
                return self.wrong(node.at, f"`{node.name}` is a function: write `{node.name}(...)`")
            return self.wrong(node.at, wrong)
        self.fields[node.name] = None
        return unit_of(node.name)

    def number(self, node: Node) -> str:
        unit = self.unit(node)
        return self.wrong(node.at, "a number is expected, not a condition") if unit == TRUTH else unit

    def truth(self, node: Node) -> str:
        if self.unit(node) != TRUTH and not self.mistakes:
            self.wrong(node.at, _uncompared(node))
        return TRUTH

    def call(self, node: Call) -> str:
        function = FUNCTIONS.get(node.name)
        if function is None:
            return self.wrong(node.at, f"unknown function `{node.name}`{nearest(node.name, FUNCTIONS)}")
        count = len(node.arguments)
        if not function.required <= count <= len(function.takes):
            takes = ", ".join(kind.value for kind in function.takes) or "nothing"
            return self.wrong(node.at, f"`{node.name}` takes {takes}; {count} given")
        if node.part and node.part not in function.parts:
            has = f"`{node.name}` has no part `{node.part}`{nearest(node.part, function.parts)}"
            return self.wrong(node.at + len(node.text) - len(node.part), has)
        series = ""
        for argument, kind in zip(node.arguments, function.takes, strict=False):
            if kind is Takes.SERIES:
                series = self.number(argument)
            else:
                self.constant(argument, kind, series)
        self.calls[operator_key(node)] = None
        return function.unit(series)

    def constant(self, node: Node, takes: Takes, series: str) -> None:
        if takes is Takes.UP_OR_DOWN:
            if not isinstance(node, Field) or node.name not in ("up", "down"):
                self.wrong(node.at, "which way? `up` or `down`")
            return
        number = node.of if isinstance(node, Negative) else node
        if not isinstance(number, Number):
            self.wrong(node.at, f"{takes.value} is expected here, not `{node.text}`")
        elif takes is Takes.DURATION:
            if number.unit != "s" or number.value <= 0:
                self.wrong(node.at, f"{takes.value} is expected here, not `{node.text}`")
        else:
            self.compatible(node, series, number.unit, number)

    def arithmetic(self, node: Arithmetic) -> str:
        left, right = self.number(node.left), self.number(node.right)
        if node.sign in "+-":
            if left and right and left != right and ANY not in (left, right):
                return self.wrong(node.at, f"`{node.text}`: {_named(left)} and {_named(right)} do not add up")
            return left or right
        if not right:
            return left
        if node.sign == "/" and left == right:
            return ""
        return right if node.sign == "*" and not left else ANY

    def comparison(self, node: Comparison) -> str:
        left, right = self.number(node.left), self.number(node.right)
        self.compatible(node, left, right, node.right)
        return TRUTH

    def compatible(self, node: Node, left: str, right: str, other: Node) -> None:
        if left == right or ANY in (left, right) or "/" in left or "/" in right:
            return
        if left and right:
            self.wrong(node.at, f"`{node.text}` compares {_named(left)} with {_named(right)}")
        elif "s" in (left, right) and not (isinstance(other, Number) and other.value == 0):
            plain = isinstance(other, Number) and not right
            hint = f": write it with its unit, like {other.text}s or 5m" if plain else ""
            self.wrong(node.at, f"`{node.text}` compares {_named(left)} with {_named(right)}{hint}")


_NAMES = {"": "a plain number", "s": "a duration", "B": "a size", "%": "a percentage", "°C": "a temperature"}


def _named(unit: str) -> str:
    return _NAMES.get(unit, f"a quantity in {unit}")
