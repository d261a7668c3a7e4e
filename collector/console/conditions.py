"""A rule told in words: its conditions as sentences, and its texts with the names of what will stand in them."""

from __future__ import annotations

from collections.abc import Iterable

from collector.console.sentences import SIGNS, described
from collector.console.units import is_state, lasting, measured, shown, unit
from collector.console.words import Say
from rules.language import Call, Comparison, Condition, Field, Logic, Node, Not, Number
from rules.ruleset import Text


def in_words(condition: Condition, say: Say) -> str:
    """A condition with how long it must hold: "space used at least 98 %, for 10 min"."""
    told = _told(condition.tree, say)
    if not condition.held_for:
        return told
    return say("and_lasts", what=told, span=say("for_time", span=lasting(condition.held_for / 1000, say)))


def told(node: Node, say: Say) -> str:
    """A condition, or a part of one, in words."""
    return _told(node, say)


def _told(node: Node, say: Say, *, inside: bool = False) -> str:
    match node:
        case Logic(word=word, parts=parts):
            first, *rest = (_told(part, say, inside=True) for part in parts)
            whole = say(f"joined_by_{word}").join([first, *map(_onward, rest)])
            return f"({whole})" if inside else whole
        case Not(of=of):
            return say("is_not_so", what=_told(of, say, inside=True))
        case Comparison():
            return _compared(node, say)
    return described(node, say)


def _onward(text: str) -> str:
    """A part that does not begin a sentence."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _compared(node: Comparison, say: Say) -> str:
    left, right = node.left, node.right
    if isinstance(left, Field) and isinstance(right, Number) and is_state(left.name) and node.sign in _IS:
        what = say("state") if left.name == "up" else described(left, say)
        return say(_IS[node.sign], what=what, value=shown(left.name, right.value, say))
    limit = _limit(left, right, say) if isinstance(right, Number) else described(right, say)
    return f"{described(left, say)} {say(SIGNS[node.sign], limit=limit)}"


_IS = {"==": "is_so", "!=": "is_other"}


def _limit(left: Node, right: Number, say: Say) -> str:
    if right.unit == "s":
        return lasting(right.value, say)
    return measured(right.value, right.unit or _unit(left), say)


def _unit(node: Node) -> str:
    """The unit of what is compared, as far as a field of it tells."""
    match node:
        case Field(name=name):
            return unit(name)
        case Call(name=name, arguments=(of, *_)) if name not in ("ttt", "rate"):
            return _unit(of)
    return ""


def text_in_words(pieces: Iterable[Text], say: Say) -> str:
    """A text of a ticket, with the names of the values that will stand in it: "«Device» is too hot: «Temperature»"."""
    return "".join(piece.words if piece.value is None else f"«{_value(piece.value, say)}»" for piece in pieces)


def _value(node: Node, say: Say) -> str:
    if type(node) is Node:
        return say(node.text)
    if isinstance(node, Call) and node.name == "ttt" and node.part in _PARTS:
        return say(_PARTS[node.part])
    return f"{described(node, say)} ({node.part})" if isinstance(node, Call) and node.part else described(node, say)


_PARTS = {"": "time_left", "low": "earliest", "high": "latest"}
