"""The console for who sees little, uses no mouse, or has the page read out: axe finds nothing serious, keys suffice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.console_site import Shown
from tests.e2e.browser import Browser, browser

SITE = ("/", "/sites/harbour", "/sites/harbour/nvr-1", "/sites/harbour/sw-1", "/sites/nowhere")
PATHS = (*SITE, "/tickets", "/tickets?state=any", "/tickets/new", "/ingest", "/rules")
GRAVE = ("serious", "critical")
JUDGE = """
const done = arguments[0]
axe.run(document, {resultTypes: ['violations']}).then(
  ({violations}) => done(violations.flatMap(({id, impact, nodes}) => nodes.map(one => [impact, id, one.html]))),
  wrong => done([['critical', 'axe', String(wrong)]]))
"""
# A field shows its focus by its frame, everything else by a ring around it.
FOCUSED = """
const one = document.activeElement, how = getComputedStyle(one), field = one.closest('.q-field--focused')
const frame = field && getComputedStyle(field.querySelector('.q-field__control'), '::after')
const ring = how.outlineStyle !== 'none' && parseFloat(how.outlineWidth) > 0
const framed = !!frame && parseFloat(frame.borderTopWidth) >= 2 && frame.borderTopColor !== 'rgba(0, 0, 0, 0)'
return ring || framed ? [one.innerText.trim(), one.getAttribute('href') || ''] : null
"""


@pytest.fixture(scope="module")
def opened(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(shown.address, tmp_path_factory.mktemp("downloads")) as page:
        yield page


@pytest.fixture
def visitor(opened: Browser) -> Browser:
    """At the login, known to nobody."""
    opened.driver.get(f"{opened.address}/login")
    opened.driver.delete_all_cookies()
    return opened


def ticket(shown: Shown, rule: str) -> str:
    return f"/tickets/{shown.get(f'/tickets?rule={rule}')['items'][0]['id']}"


def findings(page: Browser) -> list[str]:
    """What axe finds serious or critical on the page as it is now, once nothing fades in any more."""
    fading = "return document.querySelector('[class*=q-transition--]') === null"
    page.until(lambda: page.driver.execute_script(fading), "nothing fades in")
    page.driver.execute_script(AXE_SCRIPT)
    found: list[list[str]] = page.driver.execute_async_script(JUDGE)
    return [f"{impact} {rule}: {html[:200]}" for impact, rule, html in found if impact in GRAVE]


def shaped(page: Browser, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.mark.parametrize(("language", "theme"), [("zh", "dark"), ("en", "light")])
def test_the_login_has_nothing_serious_for_axe(shown: Shown, visitor: Browser, language: str, theme: str) -> None:
    visitor.prefer(language, theme)
    visitor.driver.get(f"{shown.address}/login")
    assert findings(visitor) == []
    assert visitor.driver.execute_script("return document.documentElement.lang").startswith(language)


@pytest.mark.parametrize(("language", "theme"), [("zh", "dark"), ("en", "light")])
def test_no_page_has_anything_serious_for_axe_on_a_desk_or_a_phone(
    shown: Shown, visitor: Browser, language: str, theme: str
) -> None:
    visitor.log_in(shown.token)
    visitor.prefer(language, theme)
    tickets = (ticket(shown, "recorder.filling"), ticket(shown, "ups.on_battery"))
    found: dict[str, list[str]] = {}
    for path in (*PATHS, *tickets):
        shaped(visitor, 1280)
        visitor.open(path)
        for width in (1280, 390):
            shaped(visitor, width)
            found[f"{path} at {width}"] = findings(visitor)
        assert visitor.driver.execute_script("return document.querySelectorAll('main, h1').length") == 2, path
    assert {where: what for where, what in found.items() if what} == {}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_opens_on_a_page_has_nothing_serious_for_axe_either(shown: Shown, visitor: Browser, theme: str) -> None:
    visitor.log_in(shown.token)
    visitor.prefer("en", theme)
    shaped(visitor, 1280)
    found: dict[str, Any] = {}
    for label in ("Appearance", "Language", "Signed in as"):
        visitor.open("/")
        visitor.find(f"button[aria-label='{label}']").click()
        visitor.until(lambda: visitor.has(".q-menu"), "the menu is open")
        found[label] = findings(visitor)
    for path, labels in (
        (ticket(shown, "recorder.filling"), ("Assign", "Comment", "Resolve", "Close", "False alarm")),
        ("/sites/harbour", ("I am working here",)),
    ):
        visitor.open(path)
        for label in labels:
            visitor.press_until(
                label, lambda: visitor.has(".q-dialog input, .q-dialog textarea"), "its dialog is there"
            )
            found[label] = findings(visitor)
            Keyboard(visitor).type(Keys.ESCAPE)
            visitor.until(lambda: not visitor.driver.find_elements(By.CSS_SELECTOR, ".q-dialog"), "the dialog is gone")
    assert {where: what for where, what in found.items() if what} == {}


class Keyboard:
    """Fingers on the keys of a page; no mouse."""

    def __init__(self, page: Browser) -> None:
        self.page = page

    def type(self, keys: str) -> None:
        ActionChains(self.page.driver).send_keys(keys).perform()

    def go_to(self, *, name: str = "", leads: str = "") -> None:
        """Presses Tab until what has the focus has this name, or leads there; every stop must be seen to have it."""
        stops = []
        for _ in range(60):
            self.type(Keys.TAB)
            what = f"the ring around the stop after {stops[-1:]}"
            said, to = self.page.until(lambda: self.page.driver.execute_script(FOCUSED), what, 5)
            stops.append((said, to))
            if (name and said.endswith(name)) or (leads and to.startswith(leads)):
                return
        raise AssertionError(f"60 tabs do not reach {name}{leads}: {stops}")


def test_with_keys_alone_one_logs_in_opens_a_ticket_and_acknowledges_it(shown: Shown, tmp_path: Path) -> None:
    wanted = ticket(shown, "device.unreachable")
    with browser(shown.address, tmp_path) as page:
        keys = Keyboard(page)
        page.driver.get(f"{shown.address}/login")
        page.prefer("en")
        page.driver.get(f"{shown.address}/login")
        keys.type(shown.token + Keys.ENTER)  # The field has the focus by itself.
        page.until(lambda: page.driver.current_url == f"{shown.address}/", "the sites are there")
        page.settled()
        keys.go_to(leads="/tickets")
        with page.renewed():
            keys.type(Keys.ENTER)
        keys.go_to(leads=wanted)
        with page.renewed():
            keys.type(Keys.ENTER)
        keys.go_to(name="Acknowledge")
        with page.renewed():
            keys.type(Keys.ENTER)
        assert "Mei · acknowledged" in page.text()
    assert shown.get(wanted)["acknowledged_by"] == "Mei"
