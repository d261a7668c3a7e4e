"""What every page shares: the bar with the ways, the language and the appearance, headings, facts, badges, notices."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote

from fastapi import Request
from nicegui import ui

from collector.console.style import SHEET
from collector.console.visit import THEMES, Unanswered, Visit
from collector.console.words import LANGUAGES

T = TypeVar("T")
WAYS = (("fleet", "/"), ("tickets", "/tickets"), ("ingest", "/ingest"), ("rules", "/rules"))
TONES = {
    "critical": "bad",
    "warning": "warn",
    "down": "bad",
    "silent": "bad",
    "up": "good",
    "ok": "good",
    "open": "calm",
}
_COLOURS = {
    "primary": "#1f5fa8",
    "secondary": "#5a6877",
    "accent": "#1f5fa8",
    "dark": "#1a2129",
    "dark_page": "#12171d",
}
_ZONE = "document.cookie='forewarn_zone='+Intl.DateTimeFormat().resolvedOptions().timeZone+';path=/;max-age=31536000;samesite=lax'"
_QUASAR_DARK = {"auto": None, "light": False, "dark": True}


def visit_of(request: Request) -> Visit:
    """The visit that the door made of this request."""
    visit: Visit = request.state.visit
    return visit


def path(*parts: str) -> str:
    """A path of ours; every part is one piece of it, whatever stands in it."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@contextmanager
def framed(visit: Visit, title: str, *, here: str = "") -> Iterator[None]:
    """A page: what is added inside stands below the bar. `here` is the way it belongs to."""
    ui.page_title(f"{title} · forewarn")
    ui.add_css(SHEET)
    ui.colors(**_COLOURS)
    ui.dark_mode(_QUASAR_DARK[visit.theme])
    ui.add_head_html(f"<script>document.documentElement.lang={json.dumps(visit.say.tag)};{_ZONE}</script>")
    with ui.header(elevated=False).classes("fw-bar"):
        _bar(visit, here)
    yield


def _bar(visit: Visit, here: str) -> None:
    say = visit.say
    with (
        ui.button(icon="menu", color=None).props(f'flat round dense aria-label="{say("menu")}"').classes("fw-narrow"),
        ui.menu(),
    ):
        for word, to in (*WAYS, ("new_ticket", "/tickets/new")):
            ui.menu_item(say(word), on_click=lambda to=to: ui.navigate.to(to)).props("role=menuitem")
    ui.link("forewarn", "/").classes("fw-brand")
    for word, to in WAYS:
        ui.link(say(word), to).classes("fw-wide" + (" fw-here" if word == here else ""))
    ui.space()
    ui.link(f"+ {say('new_ticket')}", "/tickets/new").classes("fw-wide" + (" fw-here" if here == "new_ticket" else ""))
    with ui.button(icon="contrast", color=None).props(f'flat round dense aria-label="{say("theme")}"'), ui.menu():
        for theme in THEMES:
            _choice(say(f"theme_{theme}"), "forewarn_theme", theme, chosen=theme == visit.theme)
    with ui.button(icon="translate", color=None).props(f'flat round dense aria-label="{say("language")}"'), ui.menu():
        for language, name in LANGUAGES.items():
            _choice(name, "forewarn_language", language, chosen=language == say.language)
    with (
        ui.button(icon="person", color=None).props(f'flat round dense aria-label="{say("signed_in_as")}"'),
        # Not a menu for who has it read out: it says a name, and has a form.
        ui.menu().props(f'role="dialog" aria-label="{say("signed_in_as")}"'),
        ui.column().classes("fw-who"),
    ):
        ui.label(f"{say('signed_in_as')}: {visit.actor}")
        with ui.element("form").props('method="post" action="/logout"'):
            ui.html(f'<button type="submit" class="fw-logout">{say("logout")}</button>', sanitize=False)


def _choice(name: str, cookie: str, value: str, *, chosen: bool) -> None:
    keep = f"document.cookie='{cookie}={value};path=/;max-age=31536000;samesite=lax';location.reload()"
    # A list's item, as Quasar has it, has no place in a menu.
    props = f'role="menuitemradio" aria-checked="{str(chosen).lower()}"' + (" active" if chosen else "")
    ui.menu_item(name).props(props).on("click", js_handler=f"() => {{{keep}}}")


def heading(title: str, *, way: Iterable[tuple[str, str]] = ()) -> ui.row:
    """The page's title with the way that led to it ((name, path) each); gives the row at its right for acts."""
    with ui.row().classes("fw-head"):
        with ui.column().classes("gap-0"):
            with ui.row().classes("fw-path gap-1"):
                for name, to in way:
                    ui.link(name, to)
                    ui.label("/")
            _h("h1", title)
        return ui.row().classes("gap-2 items-center")


def _h(tag: str, text: str) -> None:
    with ui.element(tag):
        ui.label(text)


@contextmanager
def card(title: str = "") -> Iterator[ui.column]:
    """A framed part of a page with a title."""
    with ui.column().classes("fw-card") as made:
        if title:
            _h("h2", title)
        yield made


def badge(text: str, tone: str = "") -> None:
    """A small coloured word; tone is bad, warn, good or nothing."""
    ui.label(text).classes(f"fw-badge fw-{tone}")


def tiles(figures: Iterable[tuple[str, int, str]]) -> None:
    """Large figures: (what, how many, tone if there are any)."""
    with ui.element("div").classes("fw-tiles"):
        for what, count, tone in figures:
            with ui.element("div").classes("fw-tile"):
                with ui.element("b").classes(f"fw-{tone}" if count and tone else ""):
                    ui.label(str(count))
                with ui.element("span"):
                    ui.label(what)


def facts(pairs: Iterable[tuple[str, str, str]]) -> None:
    """Names with their values: (name, value, path it leads to or empty); empty values are left out."""
    with ui.element("dl").classes("fw-facts"):
        for name, value, to in pairs:
            if not value:
                continue
            with ui.element("dt"):
                ui.label(name)
            with ui.element("dd"):
                if to:
                    ui.link(value, to)
                else:
                    ui.label(value)


def notice(visit: Visit, text: str) -> None:
    """Says what is wrong where it is wrong, with a way to try again."""
    with ui.row().classes("fw-notice").props('role="alert"'):
        ui.label(text)
        ui.button(visit.say("try_again"), on_click=ui.navigate.reload, color=None).props("flat dense no-caps")


def missing(visit: Visit, what: str) -> None:
    """Says that there is no such thing, with a way back."""
    with framed(visit, visit.say("not_found")), card():
        _h("h1", visit.say("not_found"))
        ui.label(what).classes("fw-mono")
        ui.link(visit.say("back_to_fleet"), "/")


async def drawn(visit: Visit, asked: Awaitable[T], draw: Callable[[T], None]) -> None:
    """Draws what was asked for, or says in its place why there is no answer."""
    try:
        answer = await asked
    except Unanswered as wrong:
        notice(visit, str(wrong))
    else:
        draw(answer)


async def paged(visit: Visit, asked: Awaitable[T], draw: Callable[[T], None]) -> None:
    """Draws a whole page from what was asked for, or a page that says why there is no answer."""
    try:
        answer = await asked
    except Unanswered as wrong:
        with framed(visit, "forewarn"):
            notice(visit, str(wrong))
    else:
        draw(answer)


def later(visit: Visit, ask: Callable[[], Awaitable[T]], draw: Callable[[T], None]) -> Callable[[], Awaitable[None]]:
    """A place that is filled once the page is shown, so that what is slow holds up nothing; gives what fills it anew."""
    place = ui.column().classes("w-full gap-4")
    with place, ui.row().classes("fw-soft items-center gap-2"):
        ui.spinner(size="1.2em")
        ui.label(visit.say("loading"))

    async def fill() -> None:
        try:
            answer = await ask()
        except Unanswered as wrong:
            place.clear()
            with place:
                notice(visit, str(wrong))
            return
        place.clear()
        with place:
            draw(answer)

    ui.timer(0.01, fill, once=True)
    return fill
