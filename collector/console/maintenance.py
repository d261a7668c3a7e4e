"""Maintenance on screens: "I am working here", the band that says so while it runs, and what each one held.

Every act is done in the name behind the session, looked up again at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import Request
from nicegui import ui

from collector.console.frame import TONES, badge, card, facts, framed, heading, missing, paged, path, visit_of
from collector.console.listing import Cell, Column, Row, listed
from collector.console.visit import LoggedOut, Unanswered, Visit
from collector.tickets.maintenance import Counts, HeldTicket, Maintenance, MaintenanceError, Refused, Unknown

HOUR = 3600 * 1000
MOST_BANDS = 3
_HOURS = {"work_1h": 1, "work_2h": 2, "work_4h": 4, "work_8h": 8}
_UNTIL = "work_until"
_FIRST = "work_2h"


def begin_button(visit: Visit, site: str, device: str = "") -> None:
    """A button that begins a maintenance of a site or of one device, after asking for how long."""
    say = visit.say
    title = say("work_here")
    with (
        ui.dialog().props(f'aria-label="{title}"') as dialog,
        ui.card().classes("fw-card").style("width:min(32rem,92vw)"),
    ):
        ui.label(f"{title}: {device or site}").classes("fw-title")
        ui.label(say("work_what")).classes("fw-soft fw-small")
        ui.label(say("work_how_long"))
        choice = ui.radio({word: say(word) for word in (*_HOURS, _UNTIL)}, value=_FIRST).props("dense inline")
        time = ui.input(say("work_time")).props("outlined dense type=datetime-local stack-label").classes("w-full")
        time.bind_visibility_from(choice, "value", lambda chosen: chosen == _UNTIL)
        note = ui.input(say("work_note")).props("outlined dense maxlength=2000").classes("w-full")

        async def confirmed() -> None:
            lasts = _lasts(visit, choice.value, time.value or "")
            if lasts is None:
                ui.notify(say("work_needs_time"), type="warning")
                return
            actor = await _actor(visit)
            if actor is not None:
                words = note.value or ""
                begun = visit.parts.maintenances.start
                await _done(visit, lambda: begun(actor, site=site, lasts=lasts, device=device, note=words), "done")

        with ui.row().classes("w-full justify-end gap-2"):
            ui.button(say("cancel"), on_click=dialog.close, color=None).props("flat no-caps dense")
            ui.button(say("work_begin"), on_click=confirmed).props("unelevated no-caps dense").classes("px-3")
    button = ui.button(title, icon="construction", on_click=dialog.open, color=None)
    button.props("outline no-caps dense").classes("px-3 fw-deed")


def _lasts(visit: Visit, choice: str, time: str) -> int | None:
    """Milliseconds that are asked for; None without a time where one is to be given."""
    if choice != _UNTIL:
        return _HOURS[choice] * HOUR
    try:
        until = datetime.fromisoformat(time).replace(tzinfo=visit.zone)
    except ValueError:
        return None
    return int(until.timestamp() * 1000) - visit.now


async def _actor(visit: Visit) -> str | None:
    try:
        return await visit.acting()
    except LoggedOut:
        ui.notify(visit.say("logged_out"), type="negative")
    except Unanswered as wrong:
        ui.notify(str(wrong), type="negative")
    return None


async def _done(visit: Visit, act: Callable[[], Maintenance], word: str) -> None:
    """Does an act and shows the page anew; says why where it cannot be done."""
    say = visit.say
    try:
        await visit.ask(act)
    except Refused as wrong:
        ui.notify(say(f"work_refused_{wrong.refusal.name.lower()}"), type="warning")
    except (MaintenanceError, Unanswered) as wrong:
        ui.notify(str(wrong), type="negative")
    else:
        ui.notify(say(word), type="positive")
        ui.navigate.reload()


class Working:
    """What runs now, with what it holds."""

    def __init__(self, running: Sequence[Maintenance], held: Mapping[str, Counts]) -> None:
        self.running = running
        self._held = held

    def held(self, one: Maintenance) -> int:
        """How many tickets it holds now."""
        return self._held[one.id].now


def working(visit: Visit, site: str | None = None) -> Working:
    """What runs at a site, or anywhere; it blocks."""
    running = visit.parts.maintenances.running(site)
    return Working(running, visit.parts.maintenances.counts([one.id for one in running[:MOST_BANDS]]))


def bands(visit: Visit, shown: Working) -> None:
    """A band for each that runs, at most `MOST_BANDS` of them: who, until when, what is held, and to end it."""
    for one in shown.running[:MOST_BANDS]:
        _band(visit, one, shown.held(one))
    more = len(shown.running) - MOST_BANDS
    if more > 0:
        with ui.row().classes("fw-notice").props('role="status"'):
            ui.label(visit.say("work_more", n=more))


def _band(visit: Visit, one: Maintenance, held: int) -> None:
    say = visit.say

    async def end() -> None:
        actor = await _actor(visit)
        if actor is not None:
            await _done(visit, lambda: visit.parts.maintenances.end(one.id, actor), "work_done")

    async def longer() -> None:
        actor = await _actor(visit)
        if actor is not None:
            await _done(visit, lambda: visit.parts.maintenances.extend(one.id, one.ends + HOUR, actor), "done")

    with ui.row().classes("fw-notice fw-work").props('role="status"'):
        with ui.column().classes("gap-0"):
            ui.label(_sentence(visit, one)).classes("text-weight-bold")
            if one.note:
                ui.label(one.note).classes("fw-small")
            ui.link(say("work_held", n=held), path("maintenance", one.id)).classes("fw-small")
        with ui.row().classes("gap-2"):
            ui.button(say("work_longer"), on_click=longer, color=None).props("flat dense no-caps")
            ui.button(say("work_end"), on_click=end, color=None).props("outline dense no-caps").classes("px-3")


def _sentence(visit: Visit, one: Maintenance) -> str:
    about = {"who": one.actor, "site": one.site, "until": visit.at(one.ends)[:16]}
    if one.device:
        return visit.say("work_at_device", device=one.device, **about)
    return visit.say("work_at_site", **about)


def held_notice(visit: Visit, one: Maintenance) -> None:
    """Says on a ticket's page for whose maintenance it is held, and until when."""
    word = "ticket_held_for" if one.runs(visit.now) else "ticket_held_past"
    until = {"until": visit.at(one.ends)[:16]} if one.runs(visit.now) else {}
    with ui.row().classes("fw-notice").props('role="status"'):
        ui.label(visit.say(word, who=one.actor, **until))
        ui.link(visit.say("maintenance"), path("maintenance", one.id))


def past(visit: Visit, found: Sequence[tuple[Maintenance, int]], site: str) -> None:
    """A table of a site's maintenances, newest first, each with how many tickets it held."""
    say = visit.say
    columns = [
        Column("begins", say("maintenance_begins"), "time"),
        Column("ends", say("maintenance_ends"), "time"),
        Column("state", say("state")),
        Column("who", say("maintenance_of")),
        Column("scope", say("maintenance_scope"), wide=True),
        Column("note", say("maintenance_note"), "long", wide=True),
        Column("held", say("maintenance_held"), "number"),
    ]
    listed(visit, say("maintenance"), columns, [_row(visit, *one) for one in found], f"maintenance-{site}")


def _row(visit: Visit, one: Maintenance, held: int) -> Row:
    runs = one.runs(visit.now)
    return {
        "begins": Cell(visit.at(one.begins)[:16], one.begins, path("maintenance", one.id), saved=visit.at(one.begins)),
        "ends": Cell(visit.at(one.ends)[:16], one.ends, saved=visit.at(one.ends)),
        "state": Cell(_state(visit, one), tone="warn" if runs else "", badge=True),
        "who": Cell(one.actor),
        "scope": Cell(one.device or visit.say("no_device")),
        "note": Cell(one.note),
        "held": Cell(str(held), held),
    }


def _state(visit: Visit, one: Maintenance) -> str:
    return visit.say("maintenance_running" if one.runs(visit.now) else "maintenance_over")


@ui.page("/maintenance/{maintenance}")
async def maintenance_page(request: Request, maintenance: str) -> None:
    """One maintenance: who, until when, what was held, and what became of it."""
    visit = visit_of(request)

    def draw(found: tuple[Maintenance, list[HeldTicket]] | None) -> None:
        if found is None:
            missing(visit, maintenance)
            return
        with framed(visit, visit.say("maintenance"), here="fleet"):
            _draw(visit, *found)

    await paged(visit, visit.ask(lambda: _found(visit, maintenance)), draw)


def _found(visit: Visit, id_: str) -> tuple[Maintenance, list[HeldTicket]] | None:
    people = visit.parts.maintenances
    try:
        return people.get(id_), people.tickets([id_])[id_]
    except Unknown:
        return None


def _draw(visit: Visit, one: Maintenance, held: list[HeldTicket]) -> None:
    say = visit.say
    way = [(say("fleet"), "/"), (one.site, path("sites", one.site))]
    with heading(say("maintenance"), way=way):
        badge(_state(visit, one), "warn" if one.runs(visit.now) else "")
    if one.runs(visit.now):
        now = sum(ticket.became is None for ticket in held)
        bands(visit, Working([one], {one.id: Counts(now, len(held))}))
    with card():
        facts(_facts(visit, one))
    if held:
        listed(visit, say("maintenance_held"), _columns(visit), [_held_row(visit, one) for one in held], "held")
    else:
        ui.label(say("maintenance_none_held")).classes("fw-soft")


def _facts(visit: Visit, one: Maintenance) -> list[tuple[str, str, str]]:
    say = visit.say
    device = path("sites", one.site, one.device) if one.device else ""
    return [
        (say("maintenance_of"), one.actor, ""),
        (say("site"), one.site, path("sites", one.site)),
        (say("maintenance_scope"), one.device or say("no_device"), device),
        (say("maintenance_begins"), visit.at(one.begins), ""),
        (say("maintenance_ends"), visit.at(one.ends), ""),
        (say("maintenance_extended_by"), one.extended_by, ""),
        (say("maintenance_ended_by"), one.ended_by, ""),
        (say("maintenance_released"), visit.at(one.released) if one.released is not None else "", ""),
        (say("maintenance_note"), one.note, ""),
    ]


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("severity", say("severity")),
        Column("title", say("title"), "long"),
        Column("device", say("device"), wide=True),
        Column("occurred", say("occurred"), "time", wide=True),
        Column("became", say("became")),
        Column("state", say("state"), wide=True),
    ]


def _held_row(visit: Visit, one: HeldTicket) -> dict[str, Any]:
    say = visit.say
    fate = one.became.value if one.became is not None else "held"
    return {
        "severity": Cell(say(one.severity), tone=TONES[one.severity], badge=True),
        "title": Cell(visit.text(one.title), None, path("tickets", one.ticket)),
        "device": Cell(one.device),
        "occurred": Cell(visit.at(one.occurred_at), one.occurred_at),
        "became": Cell(say(f"fate_{fate}")),
        "state": Cell(say(one.state.value)),
    }
