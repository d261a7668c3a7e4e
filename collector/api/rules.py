"""The rules in force: what each says, what it costs, and how often people found it right."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from fastapi import APIRouter
from pydantic import BaseModel

from collector.api.parts import After, Limit, Name, Page, Parts, Use
from collector.api.problems import NotFound, described
from collector.evaluation.costs import RuleCost, kept, shares
from collector.tickets.precision import Precision, Tally, precisions
from rules import ruleset
from rules.engine import Engine
from rules.language import Condition

router = APIRouter(tags=["rules"])


class Share(BaseModel):
    """Of `judged` tickets (ended by a person, or marked as a false alarm) `right` were not marked.

    `low` and `high` are the 95 % interval of `share` (Wilson); all three are null where nothing was judged. `few`:
    there are too few cases to rely on.
    """

    judged: int
    right: int
    share: float | None
    low: float | None
    high: float | None
    few: bool


class Judged(BaseModel):
    """The tickets a rule has made; `recent` are those judged within the last 90 days, `ever` all."""

    tickets: int
    open: int
    false: int
    recent: Share
    ever: Share


class Version(Judged):
    """The tickets of one version of a rule: the one that spoke last of them."""

    version: str


class RuleSpent(BaseModel):
    """What a rule costs, as measured at `at` in the process that evaluates, which began to count at `since`.

    `series` are in its state, with `bytes` in all. `evaluations` (one rule, one poll of one series) count since
    `since`; `evaluations_per_second` and `time_share`, of the time that all rules took, are of the last minute.
    """

    series: int
    bytes: int
    evaluations: int
    evaluations_per_second: float
    time_share: float | None
    since: int
    at: int


class Rule(BaseModel):
    """A rule. `when` has a condition by severity, `version` changes when, and only when, its decisions may.

    `cost` is null until the process that evaluates has measured this version. `judged` counts the tickets of this
    version, `versions` those of each that ever made one.
    """

    id: str
    version: str
    source: str
    table: str
    devices: list[str]
    where: str | None
    when: dict[str, str]
    unless: str | None
    recover: str | None
    title: dict[str, str]
    advice: dict[str, str]
    state_bytes: int
    cost: RuleSpent | None
    judged: Judged
    versions: list[Version]


class Line(NamedTuple):
    """All that is known of a rule; `share` is its part of the time that all rules took, None without a measure."""

    rule: ruleset.Rule
    state_bytes: int
    cost: RuleCost | None
    share: float | None
    versions: dict[str, Tally]

    @property
    def current(self) -> Tally:
        """The tickets of the version in force."""
        return self.versions.get(self.rule.version, Tally())

    @property
    def total(self) -> Tally:
        """The tickets of all versions."""
        return sum(self.versions.values(), Tally())


def lines(parts: Parts) -> list[Line]:
    """All that is known of every rule in force, by id."""
    judged = precisions(parts.service, parts.now())
    costs = kept(parts.service)
    spent = shares(costs)
    sizes = _sizes(parts.rules)
    found = []
    for rule in parts.rules.rules:
        cost = costs.get(rule.id)
        if cost is not None and cost.version != rule.version:
            cost = None  # The process that evaluates has not been restarted with this version.
        share = spent.get(rule.id) if cost is not None else None
        found.append(Line(rule, sizes[rule.id], cost, share, judged.get(rule.id, {})))
    return found


def bare(rules: ruleset.Ruleset) -> list[Line]:
    """The rules without what the database knows of them."""
    sizes = _sizes(rules)
    return [Line(rule, sizes[rule.id], None, None, {}) for rule in rules.rules]


@lru_cache(maxsize=4)
def _sizes(rules: ruleset.Ruleset) -> dict[str, int]:
    return Engine(rules).state_bytes


@router.get("/rules")
def list_rules(parts: Use, limit: Limit = 100, after: After = "") -> Page[Rule]:
    """All rules in force, by id."""
    rows = [line for line in lines(parts) if line.rule.id > after]
    items = [_rule(line) for line in rows[:limit]]
    return Page(items=items, next=items[-1].id if len(rows) > limit else None)


@router.get("/rules/{rule}", responses=described(404))
def get_rule(parts: Use, rule: Name) -> Rule:
    """One rule."""
    found = next((line for line in lines(parts) if line.rule.id == rule), None)
    if found is None:
        raise NotFound(f"there is no rule `{rule}` in force")
    return _rule(found)


def _rule(line: Line) -> Rule:
    rule, cost = line.rule, line.cost
    texts = {
        what: {language: ruleset.text_of(rule.texts[what, language]) for language in ("zh", "en")} for what in _TEXTS
    }
    return Rule(
        id=rule.id,
        version=rule.version,
        source=rule.source,
        table=rule.table,
        devices=sorted(rule.devices),
        where=None if rule.where is None else rule.where.text,
        when={severity: condition_text(condition) for severity, condition in rule.when.items()},
        unless=None if rule.unless is None else rule.unless.text,
        recover=None if rule.recover is None else condition_text(rule.recover),
        title=texts["title"],
        advice=texts["advice"],
        state_bytes=line.state_bytes,
        cost=None if cost is None else _spent(cost, line.share),
        judged=_judged(line.current),
        versions=[Version(version=version, **dict(_judged(tally))) for version, tally in sorted(line.versions.items())],
    )


_TEXTS = ("title", "advice")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


def condition_text(condition: Condition) -> str:
    """A condition as it is written in a rule: `used_percent >= 98 for 10m`."""
    return condition.tree.text + (f" for {_span(condition.held_for)}" if condition.held_for else "")


def _span(milliseconds: int) -> str:
    unit, size = next(((unit, size) for unit, size in _UNITS if milliseconds % size == 0), ("ms", 1))
    return f"{milliseconds // size}{unit}"


def _spent(cost: RuleCost, share: float | None) -> RuleSpent:
    return RuleSpent(
        series=cost.series,
        bytes=cost.bytes,
        evaluations=cost.evaluations,
        evaluations_per_second=cost.evaluations_per_second,
        time_share=share,
        since=cost.since,
        at=cost.at,
    )


def _judged(tally: Tally) -> Judged:
    return Judged(
        tickets=tally.tickets,
        open=tally.open,
        false=tally.false,
        recent=_share(tally.recent),
        ever=_share(tally.ever),
    )


def _share(precision: Precision) -> Share:
    low, high = precision.interval or (None, None)
    return Share(
        judged=precision.judged, right=precision.right, share=precision.share, low=low, high=high, few=precision.few
    )
