"""A reason as a person would read it."""

from __future__ import annotations

from rules.finding import Evidence, Reason
from rules.wording import worded

_DETAIL_UNITS = {"low": "s", "high": "s", "history_seconds": "s"}
_HELD = {True: "held", False: "did not hold", None: "unknown"}


def explained(reason: Reason) -> str:
    """The reason in lines of text: the rule, each comparison with its value and what would have prevented it."""
    lines = [f"{reason.rule} ({reason.severity}), {reason.source}, version {reason.version}"]
    for evidence in reason.evidence:
        lines += _told(evidence)
    if reason.values:
        known = ", ".join(
            f"{name} = {'unknown' if value is None else f'{value:g}'}" for name, value in reason.values.items()
        )
        lines.append(f"values: {known}")
    return "\n".join(lines)


def _told(evidence: Evidence) -> list[str]:
    value = float("inf") if "endless" in evidence.detail else evidence.value
    at = "" if value is None else f", at {worded(value, evidence.unit)}"
    lines = [f"- {evidence.text}: {_HELD[evidence.held]}{at}"]
    detail = {name: number for name, number in evidence.detail.items() if name != "endless"}
    if detail:
        told = (f"{name.removesuffix('_seconds')} {_number(name, number)}" for name, number in detail.items())
        lines.append(f"    {', '.join(told)}")
    if evidence.spare:
        lines.append(f"    it would not have held with {evidence.spare}")
    return lines


def _number(name: str, number: float) -> str:
    return worded(number, _DETAIL_UNITS[name]) if name in _DETAIL_UNITS else f"{number:.3g}"
