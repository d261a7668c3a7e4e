"""The language of conditions: text to a tree, every mistake with its place.

    condition  := either ["for" DURATION]
    either     := both ("or" both)*
    both       := plain ("and" plain)*
    plain      := "not" plain | sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum]
    sum        := product (("+" | "-") product)*
    product    := signed (("*" | "/") signed)*
    signed     := "-" signed | atom
    atom       := NUMBER[UNIT] | NAME | NAME "(" [either ("," either)*] ")" ["." NAME] | "(" either ")"

A unit makes a number a duration (`90s`, `72h`, `30d`) or a size (`10GiB`). A tree says nothing about sense: whether
a field exists and a comparison fits is `rules.checking`'s to judge. Two trees are equal when they mean the same,
wherever they stand.

Errors:
    Unreadable   the text is no condition; has the offset of the mistake and a sentence
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from forewarn.settings import SIZES, UNITS
from forewarn.vocabulary import nearest


class Unreadable(Exception):
    """A text that is no condition."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition: `text` as written, `at` its offset; neither counts for equality."""

    at: int = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal in base units; `unit` is "s", "B" or "" for a plain number."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Field(Node):
    """A value of the rule's table, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of a series; `part` picks one of its results (`ttt(...).high`), "" the main one."""

    name: str
    arguments: tuple[Node, ...]
    part: str = ""
    known_hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known_hash", hash((self.name, self.arguments, self.part)))

    def __hash__(self) -> int:
        """Made once: a call is looked up several times a batch."""
        return self.known_hash


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-x`."""

    of: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left sign right` with one of + - * /."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """`left sign right` with one of < <= > >= == !=."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`and` or `or` over two or more parts."""

    word: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not x`."""

    of: Node


class Condition(NamedTuple):
    """What must hold, and for how many milliseconds of event time."""

    tree: Node
    held_for: int


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKENS = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?P<unit>[A-Za-z]*)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|[-+*/<>(),.]))"
)
_MOST_TOKENS = 200
_DEEPEST = 15
_COMPARING = ("<", "<=", ">", ">=", "==", "!=")
_WORDS = ("and", "or", "not", "for")


def condition(text: str) -> Condition:
    """Reads a condition with its optional `for`.

    Raises:
        Unreadable: with the offset of the first mistake.
    """
    reader = _Reader(text)
    tree = reader.either()
    held = 0
    if reader.here.text == "for" and reader.here.kind == "name":
        reader.take()
        duration = reader.atom()
        if not isinstance(duration, Number) or duration.unit != "s":
            raise Unreadable(duration.at, "`for` takes a duration, like `for 3m`")
        held = round(duration.value * 1000)
        if reader.here.text in ("and", "or"):
            raise Unreadable(reader.here.at, "`for` ends a condition: put it last, it holds for the whole")
    reader.end()
    return Condition(tree, held)


def expression(text: str) -> Node:
    """Reads one expression without `for`.

    Raises:
        Unreadable: with the offset of the first mistake.
    """
    reader = _Reader(text)
    tree = reader.either()
    reader.end()
    return tree


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.next = 0

    @property
    def here(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        token = self.here
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def upto_here(self, at: int) -> str:
        """The source from `at` to the end of the last token taken."""
        last = self.tokens[self.next - 1]
        return self.text[at : last.at + len(last.text)]

    def end(self) -> None:
        left = self.here
        if left.kind == "end":
            return
        if left.text == ")":
            raise Unreadable(left.at, "`)` closes nothing")
        if left.kind == "name":
            raise Unreadable(left.at, f"`{left.text}` cannot follow here{nearest(left.text, _WORDS)}")
        raise Unreadable(left.at, f"`{left.text}` cannot follow here")

    def either(self) -> Node:
        return self._joined("or", self.both)

    def both(self) -> Node:
        return self._joined("and", self.plain)

    def _joined(self, word: str, inner: Callable[[], Node]) -> Node:
        at = self.here.at
        parts = [inner()]
        while self.here.kind == "name" and self.here.text == word:
            self.take()
            parts.append(inner())
        return parts[0] if len(parts) == 1 else Logic(at, self.upto_here(at), word, tuple(parts))

    def plain(self) -> Node:
        at = self.here.at
        if self.here.kind == "name" and self.here.text == "not":
            self.take()
            inner = self.plain()
            return Not(at, self.upto_here(at), inner)
        left = self.sum()
        if self.here.text not in _COMPARING:
            return left
        sign = self.take().text
        right = self.sum()
        if self.here.text in _COMPARING:
            raise Unreadable(self.here.at, "compare two things at a time, and join comparisons with `and`")
        return Comparison(at, self.upto_here(at), sign, left, right)

    def sum(self) -> Node:
        return self._chain(("+", "-"), self.product)

    def product(self) -> Node:
        return self._chain(("*", "/"), self.signed)

    def _chain(self, signs: tuple[str, str], inner: Callable[[], Node]) -> Node:
        at = self.here.at
        left = inner()
        while self.here.text in signs:
            sign = self.take().text
            right = inner()
            left = Arithmetic(at, self.upto_here(at), sign, left, right)
        return left

    def signed(self) -> Node:
        at = self.here.at
        if self.here.text == "-":
            self.take()
            inner = self.signed()
            return Negative(at, self.upto_here(at), inner)
        return self.atom()

    def atom(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return _number(token)
        if token.text == "(":
            inner = self.either()
            self._close(token)
            return inner
        if token.kind == "name" and token.text not in _WORDS:
            return self._call(token) if self.here.text == "(" else Field(token.at, token.text, token.text)
        found = f"`{token.text}`" if token.text else "the end"
        raise Unreadable(token.at, f"a field, a number or a function is expected, not {found}")

    def _call(self, name: _Token) -> Node:
        opened = self.take()
        arguments: list[Node] = []
        if self.here.text != ")":
            arguments.append(self.either())
            while self.here.text == ",":
                self.take()
                arguments.append(self.either())
        self._close(opened)
        part = ""
        if self.here.text == ".":
            self.take()
            part = self.take().text
        return Call(name.at, self.upto_here(name.at), name.text, tuple(arguments), part)

    def _close(self, opened: _Token) -> None:
        if self.here.text != ")":
            hint = " (inside {...} YAML cuts at a comma: put the expression in quotes)" if self.here.text == "" else ""
            raise Unreadable(opened.at, f"`(` is not closed{hint}")
        self.take()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKENS.match(text, at)
        if not match:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise Unreadable(at, f"`{text[at]}` means nothing here{_confused(text[at:])}")
        kind = "number" if match["number"] else "name" if match["name"] else "sign"
        start = match.start("number" if kind == "number" else kind)
        found.append(_Token(kind, text[start : match.end()], start))
        at = match.end()
    found.append(_Token("end", "", end))
    _bounded(found)
    return found


def _bounded(tokens: list[_Token]) -> None:
    """Refuses what would exhaust the stack of whoever walks the tree."""
    if len(tokens) > _MOST_TOKENS:
        raise Unreadable(tokens[_MOST_TOKENS].at, f"longer than {_MOST_TOKENS} words and signs: make two rules of it")
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth > _DEEPEST:
            raise Unreadable(token.at, f"parentheses deeper than {_DEEPEST}")


def _confused(rest: str) -> str:
    known = {"=": "==", "&": "and", "|": "or", "!": "not", "%": "a plain number"}
    return f"; did you mean `{known[rest[0]]}`?" if rest[0] in known else ""


def _number(token: _Token) -> Number:
    parts = _TOKENS.match(token.text)
    assert parts is not None, "the tokenizer made it"
    value, unit = float(parts["number"]), parts["unit"]
    if not unit:
        return Number(token.at, token.text, value, "")
    if unit in UNITS:
        return Number(token.at, token.text, value * UNITS[unit], "s")
    if unit in SIZES:
        return Number(token.at, token.text, value * SIZES[unit], "B")
    words = [*UNITS, *SIZES]
    raise Unreadable(token.at, f"`{unit}` is no unit: {', '.join(words)}{nearest(unit, words)}")
