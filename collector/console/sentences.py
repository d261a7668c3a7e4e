"""A reason told in sentences: what each comparison of a rule means, in words, with the values it was judged by."""

from __future__ import annotations

from typing import NamedTuple

from collector.console.labels import field_label
from collector.console.units import measured, shown, unit
from collector.console.words import Say
from rules.finding import Evidence, Reason
from rules.language import Call, Comparison, Field, Logic, Negative, Node, Not, Number, Unreadable, condition

_SIGNS = {"<": "ev_below", "<=": "ev_at_most", ">": "ev_above", ">=": "ev_at_least", "==": "ev_equal", "!=": "ev_other"}
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
    found.sort(key=lambda one: one.foretold is None)
    if found:
        return found[0]
    known = [name for name, value in reason.values.items() if value is not None]
    return Focus(known[0], None) if known else None


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
    sign = _SIGNS[tree.sign] if tree is not None else "ev_limit"
    value = float("inf") if "endless" in evidence.detail else evidence.value
    if tree is not None and isinstance(tree.left, Field):
        stands = shown(tree.left.name, value, say)
        threshold = shown(tree.left.name, evidence.threshold, say)
    else:
        stands = measured(value, evidence.unit, say)
        threshold = measured(evidence.threshold, evidence.unit, say)
    return Sentence(what, stands, say(sign, limit=threshold), evidence.held, _more(evidence, tree, say), evidence.text)


def _more(evidence: Evidence, tree: Comparison | None, say: Say) -> list[str]:
    """What a forecast knows beside its middle: the interval, the slope, the history behind it."""
    detail, more = evidence.detail, []
    if evidence.value is None or "slope_per_day" not in detail:
        return more
    if "low" in detail and "high" in detail:
        more.append(say("interval", low=measured(detail["low"], "s", say), high=measured(detail["high"], "s", say)))
    fields = _fields(tree.left) if tree is not None else []
    of = unit(fields[0]) if fields else ""
    sign = "+" if detail["slope_per_day"] > 0 else ""
    more.append(say("trend", slope=sign + measured(detail["slope_per_day"], of, say)))
    if "history_seconds" in detail:
        more.append(say("history_of", span=measured(detail["history_seconds"], "s", say)))
    return more


def described(node: Node, say: Say) -> str:
    """A side of a comparison in words; what has no words stands as it is written."""
    match node:
        case Field(name=name):
            return field_label(name, say)
        case Call(name="absent"):
            return say("ev_absent")
        case Call(name="ttt", arguments=(Field(name=name), Number(value=level), *_)):
            return say("ev_time_to", what=field_label(name, say), level=measured(level, unit(name), say))
        case Call(name=word, arguments=(of, Number(value=seconds))) if word in _OVER:
            return say(f"ev_{word}", what=described(of, say), window=measured(seconds, "s", say))
        case Call(name=word, arguments=(of,)) if word in _PLAIN:
            return say(f"ev_{word}", what=described(of, say))
    sides = (getattr(node, "left", None), getattr(node, "right", None))
    if sides[0] is not None and sides[1] is not None:
        return f"{described(sides[0], say)} {getattr(node, 'sign', '')} {described(sides[1], say)}"
    return node.text
