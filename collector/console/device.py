"""A device: what it said last, its curves over a chosen range, what it is, and its tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fastapi import Request
from nicegui import ui

from collector.console import events, reads
from collector.console.charts import MOST_LINES, Lines, chart
from collector.console.frame import (
    TONES,
    badge,
    card,
    facts,
    framed,
    heading,
    later,
    missing,
    notice,
    paged,
    path,
    visit_of,
)
from collector.console.labels import field_label, inventory_label, inventory_rank, inventory_text, table_label
from collector.console.listing import Cell, Column, listed
from collector.console.maintenance import bands, begin_button, working
from collector.console.standing import Newest
from collector.console.tickets import brief
from collector.console.topology import Picture, picture, place
from collector.console.units import is_state, tone, unit
from collector.console.visit import Unanswered, Visit
from collector.series.store import Points, SeriesKey
from collector.tickets.ticket import Page, Search
from forewarn.vocabulary import LINKS

RANGES = {"1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400}
_FIRST = (
    "volume.used_percent",
    "ups.runtime_seconds",
    "ups.charge_percent",
    "host.cpu_percent",
    "host.memory_used_percent",
    "disk.temperature_celsius",
    "poe.power_watts",
    "interface.in_bits_per_second",
    "agent.spool_records",
    "device.rtt_seconds",
    "device.up",
)
"""What is charted without being asked, in this order, as far as a device has it."""
_ELSEWHERE = {"kind", "profile", *LINKS, *LINKS.values()}
"""Texts of an inventory that stand elsewhere on the page."""
_CHARTS = 4
_POINTS = 600


@ui.page("/sites/{site}/{device}")
async def device_page(request: Request, site: str, device: str) -> None:
    """One device."""
    visit = visit_of(request)

    def draw(row: Any) -> None:
        if row is None:
            missing(visit, f"{site} / {device}")
            return
        with framed(visit, device, here="fleet"):
            _draw(visit, row)

    await paged(visit, visit.ask(lambda: reads.device(visit.parts, site, device)), draw)


def _draw(visit: Visit, row: Mapping[str, Any]) -> None:
    say, site, device = visit.say, row["site"], row["device"]
    with heading(device, way=[(say("fleet"), "/"), (site, path("sites", site))]):
        state = ui.row()
        begin_button(visit, site, device)
        ui.link(f"+ {say('new_ticket')}", f"/tickets/new?site={path(site)[1:]}&device={path(device)[1:]}")
    later(visit, lambda: visit.ask(lambda: working(visit, site)), lambda shown: bands(visit, shown))
    store = visit.parts.store
    with ui.element("div").classes("fw-main"):
        with ui.element("div").classes("fw-col"):
            later(visit, lambda: _curves(visit, site, device), lambda found: found[0].show(found[1]))
        with ui.element("div").classes("fw-col"):
            later(visit, lambda: _shown(visit, site), lambda shown: _standing(visit, shown, device, state))
            _about(visit, row)
            _tickets(visit, site, device)
            later(
                visit,
                lambda: visit.ask(lambda: reads.happened(visit.parts, site, device)),
                lambda rows: events.card_of(visit, device, rows),
            )
    later(
        visit,
        lambda: visit.ask_store(lambda: store.last(site, device)),
        lambda newest: _values(visit, device, newest),
    )


async def _shown(visit: Visit, site: str) -> Picture:
    """The picture of a whole site; without the store that of the register alone, for the values' place says why."""
    devices, opened = await visit.ask(lambda: reads.devices(visit.parts, site))
    newest: Newest = {}
    with suppress(Unanswered):
        newest = await visit.ask_store(lambda: visit.parts.store.last(site))
    return picture(site, devices, opened, newest, visit.now)


def _standing(visit: Visit, shown: Picture, device: str, state: ui.row) -> None:
    """How the device is, beside its name, and its place on the site."""
    how = shown.seen(device).state
    with state:
        badge(visit.say(how), TONES.get(how, ""))
    place(visit, shown, device)


def _about(visit: Visit, row: Mapping[str, Any]) -> None:
    say = visit.say
    with card(say("inventory")):
        pairs = [(say("kind"), say(f"kind_{row['kind']}"), ""), (say("profile"), row["profile"], "")]
        given = {name: str(value) for name, value in row["inventory"].items() if name not in _ELSEWHERE}
        texts = {name: inventory_text(name, text) for name, text in given.items()}
        pairs += [(inventory_label(name, say), texts[name], "") for name in sorted(texts, key=inventory_rank)]
        pairs += [(say("agent"), row["agent"], "")]
        pairs += [
            (say("first_seen"), visit.at(row["first_seen"]), ""),
            (say("changed"), visit.at(row["last_seen"]), ""),
        ]
        facts(pairs)
        if not row["inventory"]:
            ui.label(say("no_inventory")).classes("fw-soft fw-small")


def _tickets(visit: Visit, site: str, device: str) -> None:
    def draw(page: Page) -> None:
        brief(visit, visit.say("tickets"), page.tickets, f"tickets-{device}")

    wanted = Search(site=site, device=device)
    later(visit, lambda: visit.ask(lambda: visit.parts.tickets.search(wanted, limit=50)), draw)


def _values(visit: Visit, device: str, newest: Mapping[SeriesKey, tuple[int, float]]) -> None:
    say = visit.say
    columns = [
        Column("table", say("table")),
        Column("instance", say("instance")),
        Column("field", say("field")),
        Column("value", say("value"), "number"),
        Column("time", say("time"), "time"),
    ]
    rows = [
        {
            "table": Cell(table_label(key.table, say)),
            "instance": Cell(key.instance or "—"),
            "field": Cell(field_label(key.field, say)),
            "value": Cell(visit.value(key.field, value), value, tone=tone(key.field, value)),
            "time": Cell(visit.ago(t), t, saved=visit.at(t)),
        }
        for key, (t, value) in sorted(newest.items())
        if key.field != "status_code"
    ]
    listed(visit, f"{say('values')} · {len(rows)}", columns, rows, f"values-{device}")


class _Read(NamedTuple):
    """What charts were asked for, and the answer."""

    wanted: dict[str, list[SeriesKey]]
    points: dict[SeriesKey, Points]
    span: tuple[int, int]


async def _curves(visit: Visit, site: str, device: str) -> tuple[_Charts, _Read]:
    """The charts with what they show first, in one go: the page is filled a round trip earlier."""
    charts = _Charts(visit, await visit.ask_store(lambda: visit.parts.store.series(site, device)))
    return charts, await charts.read()


class _Charts:
    """The charts of a device: what is shown and over which range is chosen on the page."""

    def __init__(self, visit: Visit, keys: Sequence[SeriesKey]) -> None:
        self._visit = visit
        self._kinds: dict[str, list[SeriesKey]] = {}
        for key in keys:
            self._kinds.setdefault(f"{key.table}.{key.field}", []).append(key)
        self._chosen = [kind for kind in _FIRST if kind in self._kinds][:_CHARTS] or list(self._kinds)[:_CHARTS]
        self._range = "24h"
        self._turn = 0

    def show(self, first: _Read) -> None:
        """Draws the choices and the charts."""
        say = self._visit.say
        if not self._kinds:
            with card(say("charts")):
                ui.label(say("no_values")).classes("fw-soft")
            return
        names = {kind: self._name(kind) for kind in self._kinds if not kind.endswith(".status_code")}
        with ui.row().classes("fw-tools"):
            spans = ui.toggle({span: say(f"range_{span}") for span in RANGES}, value=self._range)
            spans.props("dense no-caps unelevated toggle-color=primary").on_value_change(self._ranged)
            what = ui.select(names, value=self._chosen, multiple=True, label=say("what_to_chart"))
            what.props("outlined dense options-dense use-chips").classes("grow")
            what.on_value_change(self._selected)
        self._place = ui.element("div").classes("fw-charts")
        with self._place:
            self._draw(*first)

    async def _ranged(self, event: Any) -> None:
        self._range = event.value
        await self._again()

    async def _selected(self, event: Any) -> None:
        self._chosen = list(event.value or [])
        await self._again()

    async def _again(self) -> None:
        """Shows what is chosen now; an answer that comes after a later choice is not shown."""
        self._turn += 1
        turn = self._turn
        try:
            found: _Read | Unanswered = await self.read()
        except Unanswered as wrong:
            found = wrong
        if turn != self._turn:
            return
        self._place.clear()
        with self._place:
            if isinstance(found, Unanswered):
                notice(self._visit, str(found))
            else:
                self._draw(*found)

    async def read(self) -> _Read:
        """Asks for what is chosen. Unanswered: see `visit`."""
        wanted = {kind: self._kinds[kind][:MOST_LINES] for kind in self._chosen}
        keys = [key for some in wanted.values() for key in some]
        end = self._visit.now
        span = (end - RANGES[self._range] * 1000, end)
        store = self._visit.parts.store
        points = await self._visit.ask_store(lambda: store.read(keys, *span, most=_POINTS)) if keys else {}
        return _Read(wanted, points, span)

    def _draw(self, wanted: dict[str, list[SeriesKey]], points: dict[SeriesKey, Points], span: tuple[int, int]) -> None:
        for kind, keys in wanted.items():
            known = [(self._line(key), points[key]) for key in keys if key in points and len(points[key].t)]
            with card(self._name(kind)):
                if not known:
                    ui.label(self._visit.say("no_values")).classes("fw-soft")
                    continue
                field = keys[0].field
                chart(Lines(unit(field), known, steps=is_state(field)), span, self._visit.say)
                of = len(self._kinds[kind])
                if of > MOST_LINES:
                    ui.label(self._visit.say("first_of", shown=MOST_LINES, all=of)).classes("fw-soft fw-small")

    def _name(self, kind: str) -> str:
        table, _, field = kind.partition(".")
        return f"{table_label(table, self._visit.say)} · {field_label(field, self._visit.say)}"

    def _line(self, key: SeriesKey) -> str:
        return key.instance or field_label(key.field, self._visit.say)
