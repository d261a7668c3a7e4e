"""The rules in force: what each looks at, when it holds and is over, what its ticket says, and how many it has made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastapi import Request
from nicegui import ui

from collector.console import reads
from collector.console.frame import TONES, badge, card, drawn, facts, framed, heading, visit_of
from collector.console.labels import table_label
from collector.console.listing import Cell, Column, Listing, Row
from collector.console.units import measured
from collector.console.visit import Visit
from collector.tickets.lifecycle import State
from rules.language import Condition
from rules.ruleset import Rule, Text


@ui.page("/rules")
async def rules_page(request: Request) -> None:
    """All rules."""
    visit = visit_of(request)
    say = visit.say
    with framed(visit, say("rules"), here="rules"):
        with heading(say("rules")):
            tools = ui.row()

        def draw(made: Mapping[str, Mapping[str, int]]) -> None:
            rows = [_row(visit, rule, made.get(rule.id, {})) for rule in visit.rules.rules]
            listing = Listing(visit, _columns(visit), rows, "rules")
            with tools:
                listing.export_button()

        await drawn(visit, visit.ask(lambda: reads.tickets_by_rule(visit.parts)), draw)
        for rule in visit.rules.rules:
            _rule(visit, rule)


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("rule", say("rule")),
        Column("says", say("texts"), "long"),
        Column("table", say("looks_at"), wide=True),
        Column("open", say("open"), "number"),
        Column("total", say("total"), "number", wide=True),
    ]


def _row(visit: Visit, rule: Rule, made: Mapping[str, int]) -> Row:
    still, total = made.get(State.OPEN, 0), sum(made.values())
    return {
        "rule": Cell(rule.id, None, f"#{rule.id}"),
        "says": Cell(text_of(rule.texts["title", visit.say.language])),
        "table": Cell(f"{table_label(rule.table, visit.say)} ({_kinds(visit, rule)})"),
        "open": Cell(str(still), still, tone="bad" if still else "soft"),
        "total": Cell(str(total), total, tone="" if total else "soft"),
    }


def _kinds(visit: Visit, rule: Rule) -> str:
    return ", ".join(sorted(visit.say(f"kind_{kind.value}") for kind in rule.devices)) or visit.say("any_device")


def _rule(visit: Visit, rule: Rule) -> None:
    say = visit.say
    with card() as made:
        made.props(f'id="{rule.id}"')
        with ui.row().classes("items-baseline gap-2"):
            ui.label(rule.id).classes("fw-title")
            ui.label(f"{rule.source} · {rule.version}").classes("fw-soft fw-mono")
        for language in (say.language, "en" if say.language == "zh" else "zh"):
            title = ui.label(text_of(rule.texts["title", language]))
            title.classes("fw-lead" if language == say.language else "fw-soft")
        ui.label(text_of(rule.texts["advice", say.language])).classes("fw-soft fw-small")
        with ui.element("dl").classes("fw-facts"):
            for severity, condition in rule.when.items():
                with ui.element("dt"):
                    badge(say(severity), TONES[severity])
                with ui.element("dd").classes("fw-mono"):
                    ui.label(_condition(visit, condition))
        recover = say("recovers_never") if rule.recover is None else _condition(visit, rule.recover)
        facts(
            [
                (say("recovers_when"), recover, ""),
                (say("where"), rule.where.text if rule.where is not None else "", ""),
                (say("unless"), rule.unless.text if rule.unless is not None else "", ""),
                (say("looks_at"), f"{table_label(rule.table, say)} ({_kinds(visit, rule)})", ""),
            ]
        )


def _condition(visit: Visit, condition: Condition) -> str:
    held = condition.held_for
    lasting = f"  {visit.say('for_time', span=measured(held / 1000, 's', visit.say))}" if held else ""
    return condition.tree.text + lasting


def text_of(pieces: Iterable[Text]) -> str:
    """A rule's text as it is written: values in braces."""
    return "".join(f"{{{piece.value.text}}}" if piece.value is not None else piece.words for piece in pieces)
