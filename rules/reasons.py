"""What a finding says: the evidence of each comparison, the values, and the texts with values filled in."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rules.checking import operator_key
from rules.evaluating import Evaluation
from rules.finding import Evidence, Finding, Reason, Turn
from rules.functions import FUNCTIONS, unit_of
from rules.language import Arithmetic, Call, Comparison, Field, Logic, Negative, Node, Not, Number
from rules.ruleset import Text
from rules.samples import Device
from rules.turns import Turned
from rules.wording import PLAIN_WORDS, worded

_PREVENTED = {"<": "at least", "<=": "above", ">": "at most", ">=": "below", "==": "other than", "!=": "equal to"}


def finding(evaluation: Evaluation, turned: Turned, device: Device) -> Finding:
    """Makes the complete finding of one turn."""
    frame, rule = evaluation.frame, evaluation.rule
    row, column = turned.row, turned.column
    reason = Reason(
        rule=rule.id,
        source=rule.source,
        version=rule.version,
        severity=turned.severity,
        since=turned.since,
        evidence=list(_evidence(evaluation, turned)),
        values={name: _plain(float(frame.column(name)[row, column])) for name in rule.fields},
    )
    return Finding(
        turn=turned.turn,
        site=device.site,
        agent=device.agent,
        device=device.device,
        rule=rule.id,
        table=rule.table,
        instance=frame.instances[column],
        severity=turned.severity,
        t=int(frame.t[row]),
        arrived=int(frame.arrived[row]),
        position=int(frame.position[row]),
        reason=reason,
        title=_texts(evaluation, turned, device, "title"),
        advice=_texts(evaluation, turned, device, "advice"),
    )


def _evidence(evaluation: Evaluation, turned: Turned) -> Iterator[Evidence]:
    rule = evaluation.rule
    if turned.turn is Turn.RECOVERED:
        assert rule.recover is not None, "only what can recover does"
        trees = [rule.recover.tree]
    else:
        trees = [rule.when[turned.severity].tree]
    trees += [tree for tree in (rule.where, rule.unless) if tree is not None]
    # A comparison that a condition names in several places is told once.
    for comparison in dict.fromkeys(found for tree in trees for found in _comparisons(tree)):
        yield _one(evaluation, comparison, turned)


def _one(evaluation: Evaluation, node: Comparison, turned: Turned) -> Evidence:
    row, column = turned.row, turned.column
    value = evaluation.at(node.left, row, column)
    threshold = evaluation.at(node.right, row, column)
    true = bool(evaluation.true(node)[row, column])
    held = True if true else False if bool(evaluation.false(node)[row, column]) else None
    detail: dict[str, float] = {}
    for call in _calls(node):
        told = evaluation.operators[operator_key(call)].detail(evaluation.frame, row, column)
        detail |= {name: number for name, number in told.items() if math.isfinite(number)}
    if math.isinf(value):
        detail["endless"] = 1.0
    unit = unit_in(node.left) or unit_in(node.right)
    spare = f"{node.left.text} {_PREVENTED[node.sign]} {worded(threshold, unit)}" if true else ""
    return Evidence(node.text, _plain(value), _plain(threshold), held, unit, detail, spare)


def unit_in(node: Node) -> str:
    """The unit of a checked number, as far as it can be told in words."""
    match node:
        case Number(unit=unit):
            return unit
        case Field(name=name):
            return unit_of(name)
        case Negative(of=inner):
            return unit_in(inner)
        case Call(name=name, arguments=arguments):
            return FUNCTIONS[name].unit(unit_in(arguments[0]) if arguments else "")
        case Arithmetic(sign="+" | "-", left=left, right=right):
            return unit_in(left) or unit_in(right)
    return ""


def _comparisons(tree: Node) -> Iterator[Comparison]:
    match tree:
        case Comparison():
            yield tree
        case Logic(parts=parts):
            for part in parts:
                yield from _comparisons(part)
        case Not(of=inner):
            yield from _comparisons(inner)


def _calls(tree: Node) -> Iterator[Call]:
    match tree:
        case Call(arguments=arguments):
            yield tree
            for argument in arguments:
                yield from _calls(argument)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            yield from _calls(left)
            yield from _calls(right)
        case Negative(of=inner):
            yield from _calls(inner)


def _texts(evaluation: Evaluation, turned: Turned, device: Device, which: str) -> dict[str, str]:
    words = {
        "site": device.site,
        "agent": device.agent,
        "device": device.device,
        "instance": evaluation.frame.instances[turned.column],
        "severity": turned.severity,
        "rule": evaluation.rule.id,
    }
    assert set(words) == set(PLAIN_WORDS), "every word that a text may name has its value"
    return {
        language: "".join(_filled(evaluation, turned, piece, words, language) for piece in pieces)
        for (kind, language), pieces in evaluation.rule.texts.items()
        if kind == which
    }


def _filled(evaluation: Evaluation, turned: Turned, piece: Text, words: dict[str, str], language: str) -> str:
    if piece.value is None:
        return piece.words
    if piece.words:
        return words[piece.words]
    return worded(evaluation.at(piece.value, turned.row, turned.column), piece.unit, language)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
