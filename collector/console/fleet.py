"""The fleet: every site, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from nicegui import ui

from collector.console import reads
from collector.console.frame import TONES, drawn, framed, heading, later, path, tiles, visit_of
from collector.console.listing import Cell, Column, Listing, Row
from collector.console.maintenance import bands, working
from collector.console.reads import SiteLine
from collector.console.visit import Unanswered, Visit

_AGAIN_SECONDS = 30
_MOST = 2000
"""Rows are made on the thread that serves everybody: a search finds the rest."""
_RANK = ("critical", "warning", "silent", "ok", "no_agent")


@ui.page("/")
async def fleet_page(request: Request) -> None:
    """Sites by their worst open ticket."""
    visit = visit_of(request)
    with framed(visit, visit.say("fleet"), here="fleet"):
        await drawn(visit, visit.ask(lambda: reads.sites(visit.parts)), lambda sites: _draw(visit, sites))


def _draw(visit: Visit, sites: list[SiteLine]) -> None:
    say, wanted = visit.say, ""
    with heading(say("fleet")):
        search = ui.input(placeholder=say("search")).props(f'outlined dense clearable aria-label="{say("search")}"')
        tools = ui.row()
    work = later(visit, lambda: visit.ask(lambda: working(visit)), lambda shown: bands(visit, shown))
    place = ui.column().classes("w-full gap-4")
    with place:
        _figures(visit, sites)
    listing = Listing(visit, _columns(visit), [_row(visit, site) for site in sites[:_MOST]], "sites")
    rest = ui.label().classes("fw-soft fw-small")
    with tools:
        listing.export_button()

    def show() -> None:
        found = [site for site in sites if wanted in f"{site.id} {site.name}".lower()]
        listing.change([_row(visit, site) for site in found[:_MOST]])
        rest.text = say("shown_of", shown=_MOST, all=len(found)) if len(found) > _MOST else ""

    def filtered() -> None:
        nonlocal wanted
        wanted = (search.value or "").strip().lower()
        show()

    async def again() -> None:
        nonlocal sites
        try:
            sites = await visit.ask(lambda: reads.sites(visit.parts))
        except Unanswered:
            return  # The next look says more; what stands there is thirty seconds old.
        await work()
        place.clear()
        with place:
            _figures(visit, sites)
        show()

    search.on("update:model-value", filtered, throttle=0.3)
    ui.timer(_AGAIN_SECONDS, again, immediate=False)


def _figures(visit: Visit, sites: Sequence[SiteLine]) -> None:
    say = visit.say
    tiles(
        [
            (say("critical_open"), sum(site.open.critical for site in sites), "bad"),
            (say("warning_open"), sum(site.open.warning for site in sites), "warn"),
            (say("unacknowledged"), sum(site.open.new for site in sites), "warn"),
            (say("silent_agents"), sum(site.silent for site in sites), "bad"),
            (say("sites_count"), len(sites), ""),
            (say("devices"), sum(site.devices for site in sites), ""),
        ]
    )


def _columns(visit: Visit) -> list[Column]:
    say = visit.say
    return [
        Column("worst", say("worst")),
        Column("site", say("site"), "long"),
        Column("critical", say("critical_open"), "number", wide=True),
        Column("warning", say("warning_open"), "number", wide=True),
        Column("new", say("unacknowledged"), "number"),
        Column("devices", say("devices"), "number", wide=True),
        Column("agents", say("agents"), "number", wide=True),
        Column("heard", say("heard"), "time"),
    ]


def _row(visit: Visit, site: SiteLine) -> Row:
    word = site.open.worst or ("silent" if site.silent else "ok" if site.agents else "no_agent")
    here = path("sites", site.id)
    return {
        "worst": Cell(visit.say(word), _RANK.index(word), tone=TONES.get(word, ""), badge=True),
        "site": Cell(site.name, site.name.lower(), here, under=site.id),
        "critical": _count(site.open.critical, "bad"),
        "warning": _count(site.open.warning, "warn"),
        "new": _count(site.open.new, ""),
        "devices": _count(site.devices, ""),
        "agents": _count(site.agents, ""),
        "heard": Cell(
            visit.ago(site.heard) if site.heard else visit.say("never") if site.agents else "—",
            site.heard or 0,
            tone="bad" if site.silent else "",
            saved=visit.at(site.heard) if site.heard else "",
        ),
    }


def _count(count: int, tone: str) -> Cell:
    return Cell(str(count), count, tone=tone if count else "soft")
