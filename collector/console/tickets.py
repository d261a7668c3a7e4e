"""Tickets: find them by state, severity, site and words, or only one's own; and make one by hand."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from collector.console import reads
from collector.console.choosing import Choice
from collector.console.frame import TONES, card, drawn, framed, heading, notice, path, visit_of
from collector.console.judging import reason_told
from collector.console.listing import Cell, Column, Listing, Row, listed
from collector.console.visit import LoggedOut, Unanswered, Visit
from collector.tickets.lifecycle import SEVERITIES, State
from collector.tickets.ticket import Page, Search, Ticket

_AGAIN_SECONDS = 30
_PAGE = 100
_LONGEST_TITLE = 200
_HELD = "held"
"""Stands among the states of the filter, though it is none: what a maintenance holds."""
_MARKS = {"yes": True, "no": False}


@ui.page("/tickets")
async def tickets_page(request: Request) -> None:
    """Tickets, newest first; the filters stand in the address, so that a view can be kept and sent."""
    visit, asked = visit_of(request), request.query_params
    wanted, after = _wanted(visit, asked), asked.get("after", "")
    with framed(visit, visit.say("tickets"), here="tickets"):
        with heading(visit.say("tickets")):
            tools = ui.row()
        await drawn(
            visit, visit.ask(lambda: reads.site_names(visit.parts)), lambda names: _filters(visit, wanted, names)
        )

        def find() -> Page:
            return visit.parts.tickets.search(wanted, limit=_PAGE, after=after or None)

        def draw(found: Page) -> None:
            listing = Listing(visit, ticket_columns(visit), _rows(visit, found), "tickets", pages=False)
            with tools:
                listing.export_button()
            _turns(visit, wanted, found, after)

            async def again() -> None:
                try:
                    listing.change(_rows(visit, await visit.ask(find)))
                except Unanswered:
                    return  # What stands there is thirty seconds old; the next look says more.

            ui.timer(_AGAIN_SECONDS, again, immediate=False)

        await drawn(visit, visit.ask(find), draw)


def _wanted(visit: Visit, asked: Mapping[str, str]) -> Search:
    """The search that an address asks for; what it asks for in vain does not matter."""
    state, severity = asked.get("state", State.OPEN), asked.get("severity", "")
    return Search(
        states=(State(state),) if state in list(State) else (),
        held={State.OPEN: False, _HELD: True}.get(state),
        severity=severity if severity in SEVERITIES else None,
        site=asked.get("site") or None,
        text=asked.get("text", "")[:_LONGEST_TITLE].strip() or None,
        assignee=visit.actor if asked.get("mine") else None,
        rule=asked.get("rule") or None,
        false_alarm=_MARKS.get(asked.get("false", "")),
    )


def _filters(visit: Visit, wanted: Search, names: dict[str, str]) -> None:
    say = visit.say
    states = {one.value: say(one.value) for one in State} | {_HELD: say("ticket_held"), "any": say("any_state")}
    severities = {"": say("any_severity")} | {one: say(one) for one in SEVERITIES}
    marks = {"": say("any_mark"), "yes": say("marked_false"), "no": say("not_marked_false")}
    with ui.row().classes("fw-tools"):
        chosen = {
            "state": ui.select(states, value=_state(wanted)).props(f'aria-label="{say("state")}"'),
            "severity": ui.select(severities, value=wanted.severity or "").props(f'aria-label="{say("severity")}"'),
            "site": Choice(names, value=wanted.site if wanted.site in names else "", first=("", say("any_site"))),
            "false": ui.select(marks, value=_mark(wanted)).props(f'aria-label="{say("false_alarm")}"'),
            "text": ui.input(placeholder=say("search_tickets"), value=wanted.text or "").classes("grow fw-find"),
        }
        for field in chosen.values():
            field.props("outlined dense options-dense")
        if wanted.rule:
            ui.link(f"{say('rule')}: {wanted.rule} ✕", "/tickets?state=any").classes("fw-nowrap")
        mine = ui.checkbox(say("mine"), value=wanted.assignee is not None).props("dense")

    def go() -> None:
        given = {name: field.value or "" for name, field in chosen.items()} | {"mine": "1" if mine.value else ""}
        given["rule"] = wanted.rule or ""
        ui.navigate.to("/tickets?" + _query(given))

    for name in ("state", "severity", "site", "false"):
        chosen[name].on_value_change(go)
    mine.on_value_change(go)
    chosen["text"].props("clearable").on("keydown.enter", go).on("clear", go)


def _state(wanted: Search) -> str:
    return wanted.states[0].value if wanted.states else _HELD if wanted.held else "any"


def _mark(wanted: Search) -> str:
    return next((word for word, marked in _MARKS.items() if marked is wanted.false_alarm), "")


def _query(given: dict[str, str]) -> str:
    return urlencode({name: value for name, value in given.items() if value})


def _turns(visit: Visit, wanted: Search, found: Page, after: str) -> None:
    """Ways to older tickets and back to the newest."""
    here = {
        "state": _state(wanted),
        "severity": wanted.severity or "",
        "site": wanted.site or "",
        "text": wanted.text or "",
        "mine": "1" if wanted.assignee is not None else "",
        "rule": wanted.rule or "",
        "false": _mark(wanted),
    }
    with ui.row().classes("gap-4"):
        if after:
            ui.link(f"← {visit.say('newest')}", "/tickets?" + _query(here))
        if found.after:
            ui.link(f"{visit.say('more')} →", "/tickets?" + _query({**here, "after": found.after}))


def _rows(visit: Visit, found: Page) -> list[Row]:
    return [ticket_row(visit, ticket) for ticket in found.tickets]


def brief(visit: Visit, title: str, tickets: list[Ticket], file: str) -> None:
    """A narrow table of tickets below its title, for where the rest is known; its export has the rest too."""
    narrow = ("title", "occurred")
    columns = [column._replace(saved=column.key not in narrow) for column in ticket_columns(visit)]
    rows = [ticket_row(visit, ticket) for ticket in tickets]
    for row in rows:
        row["title"] = row["title"]._replace(under=f"{row['severity'].shown} · {row['state'].shown}")
    listed(visit, title, columns, rows, file)


def ticket_columns(visit: Visit, *, site: bool = True) -> list[Column]:
    """The columns of a table of tickets."""
    say = visit.say
    columns = [
        Column("severity", say("severity")),
        Column("title", say("title"), "long"),
        Column("state", say("state"), wide=True),
        Column("site", say("site"), wide=True),
        Column("device", say("device"), wide=True),
        Column("assignee", say("assignee"), wide=True),
        Column("occurred", say("occurred"), "time"),
        Column("false", say("false_why"), saved=True),
    ]
    return [column for column in columns if site or column.key != "site"]


def ticket_row(visit: Visit, ticket: Ticket) -> Row:
    """A ticket as a row; a row has more cells than a table may show."""
    say = visit.say
    state = say(ticket.state.value)
    if ticket.state is State.OPEN and ticket.rule and ticket.recovered is not None:
        state += f" · {say('recovered')}"
    if ticket.held is not None:
        state += f" · {say('ticket_held')}"
    if ticket.false_at is not None:
        state += f" · {say('false_alarm')}"
    taken = ticket.assignee or ticket.acknowledged_by
    return {
        "severity": Cell(
            say(ticket.severity), -SEVERITIES.index(ticket.severity), tone=TONES[ticket.severity], badge=True
        ),
        "title": Cell(visit.text(ticket.title), None, path("tickets", ticket.id)),
        "state": Cell(state),
        "site": Cell(ticket.site, None, path("sites", ticket.site)),
        "device": Cell(ticket.device, None, path("sites", ticket.site, ticket.device) if ticket.device else ""),
        "assignee": Cell(taken or "—", tone="" if taken else "soft"),
        "occurred": Cell(visit.ago(ticket.occurred_at), ticket.occurred_at, saved=visit.at(ticket.occurred_at)),
        "false": Cell(reason_told(ticket.false_why, say)),
    }


@ui.page("/tickets/new")
async def new_ticket_page(request: Request, site: str = "", device: str = "") -> None:
    """A ticket made by hand."""
    visit = visit_of(request)
    say = visit.say
    with framed(visit, say("new_ticket"), here="new_ticket"):
        heading(say("new_ticket"), way=[(say("tickets"), "/tickets")])
        with card() as made:
            made.classes("fw-form")
            await drawn(
                visit,
                visit.ask(lambda: reads.site_names(visit.parts)),
                lambda names: _form(visit, names, site if site in names else None, device),
            )


def _form(visit: Visit, names: dict[str, str], site: str | None, device: str) -> None:
    say = visit.say
    sites = {id_: f"{name} ({id_})" for id_, name in names.items()}
    where = Choice(sites, label=say("site"), value=site).classes("w-full")
    what = ui.select({"": say("no_device")}, label=say("device"), value="").classes("w-full")
    severity = ui.radio({one: say(one) for one in SEVERITIES}, value="warning").props("inline dense")
    title = ui.input(say("what_is_wrong")).props(f"maxlength={_LONGEST_TITLE}").classes("w-full")
    text = ui.textarea(say("details")).props("maxlength=8000 autogrow").classes("w-full")
    for field in (where, what, title, text):
        field.props("outlined dense")
    wrong = ui.column().classes("w-full")

    async def devices(first: str = "") -> None:
        names = await visit.ask(lambda: reads.device_names(visit.parts, where.value)) if where.value else []
        what.set_options({"": say("no_device")} | {name: name for name in names}, value=first if first in names else "")

    async def make() -> None:
        wrong.clear()
        if not where.value or not (title.value or "").strip():
            ui.notify(say("needs_site" if not where.value else "needs_title"), type="warning")
            return
        try:
            made = await _made(
                visit, where.value, what.value or "", severity.value, title.value.strip(), text.value or ""
            )
        except LoggedOut:
            ui.notify(say("logged_out"), type="negative")
        except Unanswered as trouble:
            with wrong:
                notice(visit, str(trouble))
        else:
            ui.navigate.to(path("tickets", made.id))

    where.on_value_change(lambda: devices(""))
    ui.button(say("make"), on_click=make).props("no-caps unelevated").classes("self-start")
    if site:
        ui.timer(0.01, lambda: devices(device), once=True)


async def _made(visit: Visit, site: str, device: str, severity: str, title: str, text: str) -> Ticket:
    actor = await visit.acting()
    advice = dict.fromkeys(("zh", "en"), text.strip()) if text.strip() else {}
    titles = dict.fromkeys(("zh", "en"), title)
    return await visit.ask(
        lambda: visit.parts.tickets.create(
            actor, site=site, device=device, severity=severity, title=titles, advice=advice
        )
    )
