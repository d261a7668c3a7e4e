"""A reason told in sentences: what each comparison of a rule means, in words, with the values it was judged by."""

from __future__ import annotations

from typing import NamedTuple

from collector.console.labels import field_label
from collector.console.units import is_state, lasting, measured, shown, unit
from collector.console.words import Say
from rules.finding import Evidence, Reason
from rules.language import Call, Comparison, Field, Logic, Negative, Node, Not, Number, Unreadable, condition

SIGNS = {"<": "ev_below", "<=": "ev_at_most", ">": "ev_above", ">=": "ev_at_least", "==": "ev_equal", "!=": "ev_other"}
_OVER = ("avg", "min", "max", "ewma")
_PLAIN = ("rate", "delta", "prev")


class Sentence(NamedTuple):
    """One comparison in words: what was looked at, at what it stood, against which limit, and what lies behind it."""

    what: str
    value: str
    limit: str
    held: bool | None
    more: list[str]
    source: str


class Focus(NamedTuple):
    """What a ticket's chart shows: a field, where its threshold lies, and the forecast's evidence if it is one."""

    field: str
    threshold: float | None
    foretold: Evidence | None = None


def told(reason: Reason, say: Say) -> list[Sentence]:
    """Every comparison of a reason in words."""
    return [_sentence(evidence, say) for evidence in reason.evidence]


def focus(reason: Reason) -> Focus | None:
    """The first field among the comparisons that held, forecasts first; None when there is none to draw."""
    found = [one for evidence in reason.evidence if evidence.held and (one := _focus(evidence)) is not None]
    found.sort(key=lambda one: (one.foretold is None, is_state(one.field), one.threshold is None))
    if found:
        return found[0]
    known = [name for name, value in reason.values.items() if value is not None]
    return Focus(known[0], None) if known else None


def plain_fields(reason: Reason) -> set[str]:
    """The fields that a reason compares as they are: their values stand in its sentences."""
    trees = (comparison(evidence.text) for evidence in reason.evidence)
    return {tree.left.name for tree in trees if tree is not None and isinstance(tree.left, Field)}


def _focus(evidence: Evidence) -> Focus | None:
    tree = comparison(evidence.text)
    if tree is None:
        return None
    match tree.left:
        case Field(name=name):
            return Focus(name, evidence.threshold)
        case Call(name="ttt", arguments=(Field(name=name), Number(value=level), *_)):
            return Focus(name, level, evidence if evidence.value is not None else None)
        case Call(name=word, arguments=(Field(name=name), *_)) if word in _OVER:
            return Focus(name, evidence.threshold)
    fields = _fields(tree.left)
    return Focus(fields[0], None) if fields else None


def comparison(text: str) -> Comparison | None:
    """The comparison that an evidence's text is; None when this version's language does not know it."""
    try:
        tree = condition(text).tree
    except Unreadable:
        return None
    return tree if isinstance(tree, Comparison) else None


def _fields(node: Node) -> list[str]:
    match node:
        case Field(name=name):
            return [name]
        case Call(arguments=arguments):
            return [name for argument in arguments for name in _fields(argument)]
        case Negative(of=inner) | Not(of=inner):
            return _fields(inner)
        case Logic(parts=parts):
            return [name for part in parts for name in _fields(part)]
    sides = (getattr(node, "left", None), getattr(node, "right", None))
    return [name for side in sides if side is not None for name in _fields(side)]


def _sentence(evidence: Evidence, say: Say) -> Sentence:
    tree = comparison(evidence.text)
    what = described(tree.left, say) if tree is not None else evidence.text
    sign = SIGNS[tree.sign] if tree is not None else "ev_limit"
    value = float("inf") if "endless" in evidence.detail else evidence.value
    if tree is not None and isinstance(tree.left, Field) and is_state(tree.left.name):
        return Sentence(what, shown(tree.left.name, value, say), "", evidence.held, [], evidence.text)
    if tree is not None and isinstance(tree.left, Field):
        stands = shown(tree.left.name, value, say)
        threshold = shown(tree.left.name, evidence.threshold, say)
    else:
        stands, threshold = (_worded(one, evidence.unit, say) for one in (value, evidence.threshold))
    return Sentence(what, stands, say(sign, limit=threshold), evidence.held, _more(evidence, tree, say), evidence.text)


def _more(evidence: Evidence, tree: Comparison | None, say: Say) -> list[str]:
    """What a forecast knows beside its middle: the interval, the slope, the history behind it."""
    detail = evidence.detail
    more: list[str] = []
    if evidence.value is None or "slope_per_day" not in detail:
        return more
    if "low" in detail and "high" in detail:
        more.append(say("interval", low=lasting(detail["low"], say), high=lasting(detail["high"], say)))
    fields = _fields(tree.left) if tree is not None else []
    of = unit(fields[0]) if fields else ""
    sign = "+" if detail["slope_per_day"] > 0 else ""
    more.append(say("trend", slope=sign + measured(detail["slope_per_day"], of, say)))
    if "history_seconds" in detail:
        more.append(say("history_of", span=lasting(detail["history_seconds"], say)))
    return more


def _worded(value: float | None, of: str, say: Say) -> str:
    return lasting(value, say) if value is not None and of == "s" else measured(value, of, say)


def _inside(field: str, say: Say) -> str:
    """A field's name within a sentence."""
    label = field_label(field, say)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def described(node: Node, say: Say) -> str:
    """A side of a comparison in words; what has no words stands as it is written."""
    sides = (getattr(node, "left", None), getattr(node, "right", None))
    if sides[0] is not None and sides[1] is not None:
        return f"{described(sides[0], say)} {getattr(node, 'sign', '')} {described(sides[1], say)}"
    return _one(node, say) or node.text


def _one(node: Node, say: Say) -> str:
    match node:
        case Field(name=name):
            return field_label(name, say)
        case Call(name="absent"):
            return say("ev_absent")
        case Call(name="ttt", arguments=(Field(name=name), Number(value=level), *_)):
            return say("ev_time_to", what=_inside(name, say), level=measured(level, unit(name), say))
        case Call(name=word, arguments=(of, Number(value=seconds))) if word in _OVER:
            return say(f"ev_{word}", what=_part(of, say), window=measured(seconds, "s", say))
        case Call(name=word, arguments=(of,)) if word in _PLAIN:
            return say(f"ev_{word}", what=_part(of, say))
    return ""


def _part(node: Node, say: Say) -> str:
    return _inside(node.name, say) if isinstance(node, Field) else described(node, say)
