"""A site: its devices by how they are, its agents and how their records arrive, and the consent it all rests on."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from nicegui import ui

from collector.api.ingest import Ingest
from collector.console import reads, unwatched
from collector.console.frame import TONES, badge, card, facts, framed, heading, later, missing, paged, path, visit_of
from collector.console.listing import Cell, Column, Row, listed
from collector.console.maintenance import bands, begin_button, past, working
from collector.console.reads import AgentLine, ConsentLine, Open, Site
from collector.console.standing import RANK, Newest
from collector.console.tickets import ticket_columns, ticket_row
from collector.console.topology import Picture, Tree, picture
from collector.console.troubles import refusal_told
from collector.console.visit import Visit
from collector.tickets.lifecycle import State
from collector.tickets.maintenance import Maintenance
from collector.tickets.ticket import Search

_CONSENT_TONES = {"in_force": "good", "future": "", "over": "warn", "withdrawn": "bad"}


@ui.page("/sites/{site}")
async def site_page(request: Request, site: str) -> None:
    """One site."""
    visit = visit_of(request)

    def draw(found: Site | None) -> None:
        if found is None:
            missing(visit, site)
            return
        with framed(visit, found.name, here="fleet"):
            _draw(visit, found)

    await paged(visit, visit.ask(lambda: reads.site(visit.parts, site)), draw)


def _draw(visit: Visit, site: Site) -> None:
    say = visit.say
    with heading(site.name, way=[(say("fleet"), "/")]):
        begin_button(visit, site.id)
        ui.link(f"+ {say('new_ticket')}", f"/tickets/new?site={path(site.id)[1:]}")
    later(visit, lambda: visit.ask(lambda: working(visit, site.id)), lambda shown: bands(visit, shown))
    if not any(line.word == "in_force" for line in site.consents):
        with ui.row().classes("fw-notice").props('role="alert"'):
            ui.label(say("consent_none"))
    with ui.element("div").classes("fw-two"):
        with card(say("delivery")):
            for agent in site.agents:
                _agent(visit, agent)
            if not site.agents:
                ui.label(say("nothing")).classes("fw-soft")
        with card(say("consent")):
            for line in site.consents[:3]:
                _consent(visit, line)
    wanted = Search(site=site.id, states=(State.OPEN,), held=False)
    _tickets(visit, wanted)
    later(
        visit,
        lambda: visit.ask_store(lambda: visit.parts.store.last(site.id)),
        lambda newest: _devices(visit, site, newest),
    )
    later(
        visit,
        lambda: visit.ask(lambda: reads.nobody_watches(visit.parts, site.id)),
        lambda found: unwatched.table_of(visit, site.id, found),
    )
    later(visit, lambda: visit.ask(lambda: _maintenances(visit, site.id)), lambda found: past(visit, found, site.id))


def _maintenances(visit: Visit, site: str) -> list[tuple[Maintenance, int]]:
    found = visit.parts.maintenances.of_site(site)
    held = visit.parts.maintenances.counts([one.id for one in found])
    return [(one, held[one.id].ever) for one in found]


def _tickets(visit: Visit, wanted: Search) -> None:
    say = visit.say

    def draw(page: Any) -> None:
        if page.tickets:
            rows = [ticket_row(visit, ticket) for ticket in page.tickets]
            listed(visit, say("open_tickets"), ticket_columns(visit, site=False), rows, f"tickets-{wanted.site}")

    later(visit, lambda: visit.ask(lambda: visit.parts.tickets.search(wanted, limit=50)), draw)


def _devices(visit: Visit, site: Site, newest: Newest) -> None:
    shown = picture(site.id, site.devices, site.open, newest, visit.now)
    lines = [_device(visit, shown, row) for row in site.devices]
    lines.sort(key=lambda row: row["state"].sort or 0)
    listed(visit, f"{visit.say('devices')} · {len(lines)}", _columns(visit), lines, f"devices-{site.id}")
    Tree(visit, shown).show()


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("state", say("state")),
        Column("device", say("device"), "long"),
        Column("kind", say("kind")),
        Column("model", say("model"), wide=True),
        Column("open", say("open_tickets"), "number", wide=True),
        Column("profile", say("profile"), wide=True),
        Column("last", say("last_value"), "time"),
    ]


def _device(visit: Visit, shown: Picture, row: Any) -> Row:
    name, say = row["device"], visit.say
    mine, seen = shown.open.get(name, Open()), shown.seen(name)
    return {
        "state": Cell(say(seen.state), RANK[seen.state], tone=TONES.get(seen.state, ""), badge=True),
        "device": Cell(name, name.lower(), path("sites", shown.site, name)),
        "kind": Cell(say(f"kind_{row['kind']}")),
        "model": Cell(str(row["inventory"].get("model", ""))),
        "open": Cell(str(mine.critical + mine.warning), mine.critical + mine.warning),
        "profile": Cell(row["profile"], tone="mono"),
        "last": Cell(visit.ago(seen.last or None), seen.last, saved=visit.at(seen.last) if seen.last else ""),
    }


def delivery_facts(visit: Visit, one: Ingest) -> list[tuple[str, str, str]]:
    """What there is to say of an agent's delivery in a few lines."""
    say = visit.say
    return [
        (say("heard"), visit.ago(one.heard) if one.heard else say("never"), ""),
        (say("watermark"), f"{one.watermark:,} / {one.head:,}", ""),
        (say("lag"), f"{one.lag:,}", ""),
        (say("held_reason"), refusal_told(one.held_reason, say), ""),
        (say("declared_lost"), f"{one.lost:,}" if one.lost else "", ""),
        (say("set_aside"), f"{one.set_aside:,}" if one.set_aside else "", "/ingest"),
    ]


def _agent(visit: Visit, agent: AgentLine) -> None:
    one = agent.delivery
    silent = one.heard is None or visit.now - one.heard > reads.SILENT_MS
    with ui.row().classes("items-center gap-2"):
        ui.label(agent.id).classes("fw-title")
        if agent.retired is not None:
            badge(visit.say("retired"))
        elif one.held_reason:
            badge(visit.say("held_blocks"), "bad")
        else:
            badge(visit.say("silent" if silent else "ok"), "bad" if silent else "good")
    facts(delivery_facts(visit, one))


def _consent(visit: Visit, line: ConsentLine) -> None:
    say, consent = visit.say, line.consent
    with ui.row().classes("items-center gap-2"):
        ui.label(consent.customer).classes("fw-title")
        badge(say(f"consent_{line.word}"), _CONSENT_TONES[line.word])
    facts(
        [
            (say("signed_by"), consent.signed_by, ""),
            (say("valid"), say("from_to", begin=visit.at(consent.begins)[:10], end=visit.at(consent.ends)[:10]), ""),
            (say("scopes"), ", ".join(say(f"scope_{scope.value}") for scope in consent.scopes), ""),
            (say("networks"), ", ".join(consent.networks), ""),
        ]
    )
