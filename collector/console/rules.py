"""The rules in force: what each says and looks at, what it costs, its tickets, and how often people found it right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import Request
from nicegui import ui

from collector.api.rules import Line, bare, condition_text, lines
from collector.console.conditions import in_words, text_in_words, told
from collector.console.frame import TONES, badge, card, facts, framed, heading, notice, visit_of
from collector.console.labels import table_label
from collector.console.listing import Cell, Column, Listing, Row
from collector.console.units import measured
from collector.console.visit import Unanswered, Visit
from collector.evaluation.costs import STALE_MS
from collector.tickets.precision import Precision, Standing, Tally
from forewarn.vocabulary import DeviceKind
from rules.ruleset import Rule

_TONES = {Standing.BAD: "bad", Standing.DOUBTFUL: "warn", Standing.GOOD: "good", Standing.UNJUDGED: "soft"}
_POLLED = frozenset(DeviceKind) - {DeviceKind.AGENT}
_LAST = 2.0
"""Where what nobody has judged is sorted: behind every share."""


@ui.page("/rules")
async def rules_page(request: Request) -> None:
    """All rules."""
    visit = visit_of(request)
    say = visit.say
    with framed(visit, say("rules"), here="rules"):
        with heading(say("rules")):
            tools = ui.row()
        try:
            found = await visit.ask(lambda: lines(visit.parts))
        except Unanswered as wrong:
            notice(visit, str(wrong))
            found = bare(visit.rules)
        else:
            _measured(visit, found)
            listing = Listing(visit, _columns(visit), [_row(visit, line) for line in found], "rules")
            with tools:
                listing.export_button()
            ui.label(say("judged_how")).classes("fw-soft fw-small")
        for line in found:
            _rule(visit, line)


def _measured(visit: Visit, found: Sequence[Line]) -> None:
    """Says where what rules cost is not known, or is of long ago."""
    at = max((line.cost.at for line in found if line.cost is not None), default=None)
    if at is None:
        ui.label(visit.say("cost_unknown")).classes("fw-soft")
    elif visit.now - at > STALE_MS:
        ui.label(visit.say("cost_old", ago=visit.ago(at))).classes("fw-warn")


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("rule", say("rule"), "name"),
        Column("says", say("texts"), "long", wide=True),
        Column("open", say("open"), "number"),
        Column("total", say("total"), "number", wide=True),
        Column("false", say("false_marks"), "number"),
        Column("recent", say("precision"), "number"),
        Column("ever", say("precision_ever"), saved=True),
        Column("series", say("series_held"), "number", wide=True),
        Column("each", say("bytes_each"), "number", saved=True),
        Column("bytes", say("bytes_all"), "number", wide=True),
        Column("rate", say("evaluations_second"), "number", wide=True),
        Column("share", say("time_share"), "number", wide=True),
        Column("table", say("looks_at"), saved=True),
        Column("version", say("as_written"), saved=True),
    ]


def _row(visit: Visit, line: Line) -> Row:
    rule, total, cost = line.rule, line.total, line.cost
    return {
        "rule": Cell(rule.id, None, f"#{rule.id}"),
        "says": Cell(text_in_words(rule.texts["title", visit.say.language], visit.say)),
        "open": _tickets(rule, total.open, "state=open", "bad"),
        "total": _tickets(rule, total.tickets, "state=any"),
        "false": _tickets(rule, total.false, "state=any&false=yes", "warn"),
        "recent": _precision(visit, line.current.recent),
        "ever": _precision(visit, line.current.ever),
        "series": _figure(cost and cost.series, "{:,}".format),
        "each": Cell(str(line.state_bytes), line.state_bytes),
        "bytes": _figure(cost and cost.bytes, lambda size: measured(size, "B", visit.say)),
        "rate": _figure(cost and cost.evaluations_per_second, rate_in_words),
        "share": _figure(line.share, percent),
        "table": Cell(f"{table_label(rule.table, visit.say)} ({_kinds(visit, rule)})"),
        "version": Cell(f"{rule.source} {rule.version}"),
    }


def _tickets(rule: Rule, count: int, which: str, tone: str = "") -> Cell:
    """A count that leads to the tickets it counts."""
    return Cell(str(count), count, f"/tickets?rule={rule.id}&{which}" if count else "", tone if count else "soft")


def _figure(value: float | None, words: Callable[[float], str]) -> Cell:
    return Cell("—", -1, tone="soft") if value is None else Cell(words(value), value, saved=f"{value:g}")


def rate_in_words(rate: float) -> str:
    """A rate with the digits that count: "0", "0.25", "12,300"."""
    return f"{rate:,.0f}" if rate >= _WHOLE or not rate else f"{rate:.2g}"


_WHOLE = 10


def _precision(visit: Visit, precision: Precision) -> Cell:
    if precision.share is None:
        return Cell("—", _LAST, tone="soft")
    tone = _TONES[precision.standing]
    under = visit.say("n_of_m", n=precision.right, m=precision.judged)
    few = f" · {visit.say('few_cases')}" if precision.few else ""
    saved = f"{percent(precision.share)} ({under})"
    return Cell(percent(precision.share), precision.share, tone=tone, badge=True, under=under + few, saved=saved)


def percent(share: float) -> str:
    """A share as people read it: "85 %"."""
    return f"{100 * share:.0f} %"


def _kinds(visit: Visit, rule: Rule) -> str:
    if not rule.devices or rule.devices >= _POLLED:
        return visit.say("any_device")
    return ", ".join(sorted(visit.say(f"kind_{kind.value}") for kind in rule.devices))


def _rule(visit: Visit, line: Line) -> None:
    say, rule = visit.say, line.rule
    with card() as made:
        made.props(f'id="{rule.id}"')
        with ui.row().classes("items-baseline gap-2"):
            ui.label(rule.id).classes("fw-title")
            recent = line.current.recent
            if recent.share is not None and recent.standing is Standing.BAD:
                badge(f"{say('precision')} {percent(recent.share)}", "bad")
        ui.label(text_in_words(rule.texts["title", say.language], say)).classes("fw-lead")
        ui.label(text_in_words(rule.texts["advice", say.language], say)).classes("fw-soft fw-small")
        with ui.element("dl").classes("fw-facts"):
            for severity, condition in rule.when.items():
                with ui.element("dt"):
                    badge(say(severity), TONES[severity])
                with ui.element("dd"):
                    ui.label(in_words(condition, say))
        facts([*_conditions(visit, rule), *_judgement(visit, line), *_cost(visit, line)])
        written = [f"{say(severity)}: {condition_text(condition)}" for severity, condition in rule.when.items()]
        ui.label("\n".join([f"{rule.source} · {rule.version}", *written])).classes("fw-soft fw-mono fw-pre")


Facts = list[tuple[str, str, str]]


def _conditions(visit: Visit, rule: Rule) -> Facts:
    say = visit.say
    return [
        (say("recovers_when"), say("recovers_never") if rule.recover is None else in_words(rule.recover, say), ""),
        (say("where"), "" if rule.where is None else told(rule.where, say), ""),
        (say("unless"), "" if rule.unless is None else told(rule.unless, say), ""),
        (say("looks_at"), f"{table_label(rule.table, say)} ({_kinds(visit, rule)})", ""),
    ]


def _judgement(visit: Visit, line: Line) -> Facts:
    """How often each version was right; the version in force first."""
    others = sorted(version for version in line.versions if version != line.rule.version)
    found = [(visit.say("version_now", version=line.rule.version), _judged(visit, line.current), "")]
    return found + [
        (visit.say("version_old", version=name), _judged(visit, line.versions[name]), "") for name in others
    ]


def _judged(visit: Visit, tally: Tally) -> str:
    say = visit.say
    parts = [say("tally", n=tally.tickets, m=tally.false)]
    for word, precision in (("ninety_days", tally.recent), ("ever", tally.ever)):
        if precision.share is not None and precision.interval is not None:
            low, high = precision.interval
            between = say("between", low=f"{100 * low:.0f}", high=f"{100 * high:.0f}")
            few = f", {say('few_cases')}" if precision.few else ""
            of = say("of_judged", n=precision.right, m=precision.judged)
            parts.append(f"{say(word)} {percent(precision.share)} ({of}; {between}{few})")
    return " · ".join(parts)


def _cost(visit: Visit, line: Line) -> Facts:
    say, cost = visit.say, line.cost
    each = measured(line.state_bytes, "B", say)
    if cost is None:
        return [(say("bytes_each"), each, "")]
    state = say("cost_is", n=f"{cost.series:,}", each=each, all=measured(cost.bytes, "B", say))
    second = f"{rate_in_words(cost.evaluations_per_second)} /s"
    since = say("evaluated_since", at=visit.at(cost.since), n=f"{cost.evaluations:,}")
    share = "" if line.share is None else f" · {say('time_share')} {percent(line.share)}"
    return [(say("cost"), state, ""), (say("evaluated"), f"{since} · {second}{share}", "")]
