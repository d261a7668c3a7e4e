"""A ticket: what is wrong in a sentence, why the rule says so, its curve, its history, and what one may do about it."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request
from nicegui import ui

from collector.console import reads
from collector.console.acts import buttons
from collector.console.charts import Forecast, Lines, chart
from collector.console.frame import TONES, badge, card, facts, framed, heading, later, missing, paged, path, visit_of
from collector.console.judging import reason_told
from collector.console.labels import field_label, table_label
from collector.console.maintenance import held_notice
from collector.console.sentences import Focus, Sentence, focus, plain_fields, told
from collector.console.tickets import brief
from collector.console.units import is_state, unit
from collector.console.visit import Visit
from collector.series.store import Points, SeriesKey
from collector.tickets.lifecycle import SYSTEM, Kind, State
from collector.tickets.maintenance import Maintenance
from collector.tickets.ticket import Event, Ticket, Unknown
from forewarn.vocabulary import TABLES
from rules.finding import Reason

_HOUR = 3600 * 1000
_BEFORE, _AFTER = 24 * _HOUR, 6 * _HOUR
_MOST_HISTORY = 14 * 24 * _HOUR
_MARKS = {True: "●", False: "○", None: "?"}
_SAYING = (Kind.OPENED, Kind.CHANGED, Kind.OCCURRENCE, Kind.REOPENED)
"""The system's turns that bring a reason of their own."""


class Whole(NamedTuple):
    """A ticket with its history and the older ones of the same fault."""

    ticket: Ticket
    events: list[Event]
    earlier: list[Ticket]
    held: Maintenance | None


@ui.page("/tickets/{ticket}")
async def ticket_page(request: Request, ticket: str) -> None:
    """One ticket."""
    visit = visit_of(request)

    def draw(whole: Whole | None) -> None:
        if whole is None:
            missing(visit, ticket)
            return
        with framed(visit, visit.text(whole.ticket.title), here="tickets"):
            _draw(visit, whole)

    await paged(visit, visit.ask(lambda: _whole(visit, ticket)), draw)


def _whole(visit: Visit, id_: str) -> Whole | None:
    book = visit.parts.tickets
    try:
        ticket = book.get(id_)
    except Unknown:
        return None
    held = visit.parts.maintenances.get(ticket.held) if ticket.held is not None else None
    return Whole(ticket, book.history(id_), reads.earlier(visit.parts, ticket), held)


def _draw(visit: Visit, whole: Whole) -> None:
    ticket, say = whole.ticket, visit.say
    with heading(visit.text(ticket.title), way=[(say("tickets"), "/tickets")]):
        badge(say(ticket.severity), TONES[ticket.severity])
        badge(say(ticket.state.value), "good" if ticket.state is not State.OPEN else "")
        if ticket.false_at is not None:
            badge(say("false_alarm"), "warn")
        if ticket.held is not None:
            badge(say("ticket_held"), "warn")
        if ticket.rule:
            badge(say("holds" if ticket.holds else "recovered"), "bad" if ticket.holds else "good")
    if whole.held is not None:
        held_notice(visit, whole.held)
    with ui.row().classes("fw-tools"):
        buttons(visit, ticket)
    with ui.element("div").classes("fw-main"):
        with ui.element("div").classes("fw-col"):
            _advice(visit, ticket)
            if ticket.reason is not None:
                _why(visit, ticket.reason)
                _curve(visit, whole, ticket.reason)
        with ui.element("div").classes("fw-col"):
            _about(visit, ticket)
            _history(visit, whole.events)
            if ticket.rule:
                _earlier(visit, whole.earlier)


def _advice(visit: Visit, ticket: Ticket) -> None:
    advice = visit.text(ticket.advice)
    if advice:
        with card(visit.say("advice" if ticket.rule else "details")):
            ui.label(advice).classes("fw-pre")


def _about(visit: Visit, ticket: Ticket) -> None:
    say = visit.say
    where = path("sites", ticket.site)
    with card(say("ticket")):
        table = f"{table_label(ticket.table, say)} {ticket.instance}" if ticket.instance else ""
        facts(
            [
                (say("site"), ticket.site, where),
                (say("device"), ticket.device, path("sites", ticket.site, ticket.device)),
                (say("instance"), table, ""),
                (say("occurred"), f"{visit.at(ticket.occurred_at)} ({visit.ago(ticket.occurred_at)})", ""),
                (say("recovered"), visit.at(ticket.recovered) if ticket.recovered is not None else "", ""),
                (say("closed"), visit.at(ticket.closed_at) if ticket.closed_at is not None else "", ""),
                (say("acknowledged_by"), ticket.acknowledged_by or say("nobody"), ""),
                (say("assignee"), ticket.assignee or say("nobody"), ""),
                (say("marked_by"), ticket.false_by, ""),
                (say("false_why"), reason_told(ticket.false_why, say), ""),
                (say("rule"), ticket.rule or say("by_hand"), f"/rules#{ticket.rule}" if ticket.rule else ""),
                ("ID", ticket.id, ""),
            ]
        )


def _why(visit: Visit, reason: Reason) -> None:
    say = visit.say
    with card(say("why")):
        ui.label(say("holds_since", at=visit.at(reason.since))).classes("fw-soft fw-small")
        with ui.element("div").classes("fw-evidence"):
            for sentence in told(reason, say):
                _evidence(visit, sentence)
        said = plain_fields(reason)
        others = ((name, value) for name, value in reason.values.items() if name not in said)
        known = [f"{field_label(name, say)} {visit.value(name, value)}" for name, value in others]
        if known:
            ui.label(" · ".join(known)).classes("fw-soft fw-small")
        ui.label(f"{reason.source} · {reason.rule} · {reason.version}").classes("fw-soft fw-mono")


def _evidence(visit: Visit, sentence: Sentence) -> None:
    mark = "bad" if sentence.held else "soft"
    with ui.element("div").classes("fw-line"):
        ui.label(_MARKS[sentence.held]).classes(f"fw-mark fw-{mark}")
        with ui.column().classes("gap-0"):
            with ui.row().classes("gap-2 items-baseline"):
                ui.label(sentence.what)
                ui.label(sentence.value).classes("text-weight-bold")
                outcome = {True: "held", False: "not_held", None: "unknown"}[sentence.held]
                ui.label(" · ".join(word for word in (sentence.limit, visit.say(outcome)) if word)).classes("fw-soft")
            if sentence.more:
                ui.label(" · ".join(sentence.more)).classes("fw-small")
            ui.label(sentence.source).classes("fw-soft fw-mono")


def _curve(visit: Visit, whole: Whole, reason: Reason) -> None:
    seen, ticket = focus(reason), whole.ticket
    if seen is None or ticket.table not in TABLES or seen.field not in TABLES[ticket.table].fields:
        return
    key = SeriesKey(ticket.site, ticket.device, ticket.table, ticket.instance, seen.field)
    at = next((event.occurred_at for event in reversed(whole.events) if _says(event)), ticket.occurred_at)
    span = _span(visit, ticket, seen, at)

    def draw(points: dict[SeriesKey, Points]) -> None:
        with card(f"{table_label(key.table, visit.say)} {key.instance} · {field_label(key.field, visit.say)}"):
            known = points.get(key)
            if known is None or not len(known.t):
                ui.label(visit.say("no_values")).classes("fw-soft")
                return
            lines = [(field_label(key.field, visit.say), known)]
            band = forecast(seen, at)
            limit = None if is_state(key.field) else seen.threshold
            steps = is_state(key.field)
            chart(Lines(unit(key.field), lines, limit, band, ticket.occurred_at, steps), span, visit.say)

    later(visit, lambda: visit.ask_store(lambda: visit.parts.store.read([key], *span, most=800)), draw)


def _says(event: Event) -> bool:
    return event.actor == SYSTEM and event.kind in _SAYING


def _span(visit: Visit, ticket: Ticket, seen: Focus, at: int) -> tuple[int, int]:
    """What of the series is shown: a day before the fault, or as much as a forecast rests on, to a while after it."""
    before = _BEFORE
    if seen.foretold is not None:
        history = int(seen.foretold.detail.get("history_seconds", 0) * 1000)
        before = min(max(history, _BEFORE), _MOST_HISTORY)
    end = visit.now if ticket.recovered is None and ticket.state is State.OPEN else (ticket.recovered or at) + _AFTER
    return min(ticket.occurred_at, at) - before, min(end, visit.now)


def forecast(seen: Focus, at: int) -> Forecast | None:
    """The forecast of a ticket's last word, made at `at`; None without one."""
    evidence = seen.foretold
    if evidence is None or evidence.value is None or not {"low", "high"} <= evidence.detail.keys():
        return None
    # Where its line stood, not the last value: that one has noise of its own.
    slope = evidence.detail.get("slope_per_day", 0.0)
    level = (seen.threshold or 0.0) - slope * evidence.value / 86_400
    low, high = (at + int(evidence.detail[name] * 1000) for name in ("low", "high"))
    return Forecast(at, level, low, at + int(evidence.value * 1000), high)


def _history(visit: Visit, events: list[Event]) -> None:
    say = visit.say
    with card(say("history")), ui.element("div").classes("fw-events"):
        for event in reversed(events):
            ui.label(visit.at(event.occurred_at)).classes("fw-when")
            with ui.element("div").classes("fw-what"):
                said = _said(visit, event)
                ui.label(f"{event.actor} · {say(f'event_{event.kind.value}')}" + (f" {said}" if said else ""))


def _said(visit: Visit, event: Event) -> str:
    """What an event adds to its kind: words of a person, or the severity the system saw."""
    detail, say = event.detail, visit.say
    if event.kind is Kind.ASSIGNED:
        return say("to_whom", who=detail.get("assignee") or say("nobody"))
    by_the_system = _said_by_system(visit, event)
    if by_the_system:
        return f"({by_the_system})"
    words = detail.get("cause") or detail.get("note") or reason_told(detail.get("why", ""), say)
    if words:
        return f"\n{words}"
    return ""


def _said_by_system(visit: Visit, event: Event) -> str:
    """Why the system did it, or the severity it saw."""
    detail, say = event.detail, visit.say
    if "successor" in detail:
        return say("succeeded_by")
    if "false_alarm" in detail:
        return say("false_alarm")
    if "maintenance" in detail:
        return say("event_over_in_work" if event.kind is Kind.CLOSED else "event_for_work", who=detail["by"])
    if event.actor == SYSTEM and "severity" in detail and event.kind is not Kind.RECOVERED:
        return say(detail["severity"])
    return ""


def _earlier(visit: Visit, tickets: list[Ticket]) -> None:
    if tickets:
        brief(visit, visit.say("earlier"), tickets, "earlier")
        return
    with ui.column().classes("w-full gap-1"):
        ui.label(visit.say("earlier")).classes("fw-title")
        ui.label(visit.say("no_earlier")).classes("fw-soft")
