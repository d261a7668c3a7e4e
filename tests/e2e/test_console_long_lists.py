"""A list of hundreds stands in the browser page by page, sorted and searched by the collector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.register import Register
from collector.storage.database import open_sqlite
from tests.console_site import Shown, running
from tests.e2e.browser import Browser

MANY = 260
SITES, AGENTS = "tbody td a[href^='/sites/']", "tbody td a[href='/sites/depot']"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with running(tmp_path_factory.mktemp("console")) as collector:
        databases = open_sqlite(collector.folder / "data")
        register = Register(databases)
        for number in range(MANY):
            register.add_site(f"z-{number:03}", f"Zone {number:03}")
            register.add_agent("depot", f"b-{number:03}")
        databases.close()
        yield collector


def heading(of: Browser, column: str) -> None:
    of.driver.execute_script(
        "[...document.querySelectorAll('th')].find(one => one.innerText.startsWith(arguments[0])).click()", column
    )


def test_sites_are_turned_page_by_page_sorted_as_a_whole_and_searched(engineer: Browser) -> None:
    engineer.prefer("en")
    engineer.open("/")
    engineer.until(lambda: len(engineer.texts(SITES)) == 50, "one page of sites")
    assert f"1 - 50 of {MANY + 3}" in engineer.text()
    assert "Rows a page" in engineer.text()
    first = engineer.texts(SITES)
    engineer.find("button[aria-label='Next page']").click()
    engineer.until(lambda: f"51 - 100 of {MANY + 3}" in engineer.text(), "the second page")
    assert set(engineer.texts(SITES)).isdisjoint(first)
    heading(engineer, "Site")
    engineer.until(lambda: engineer.texts(SITES)[-1:] == ["Zone 049"], "sorted upwards")
    heading(engineer, "Site")
    engineer.until(
        lambda: engineer.texts(SITES)[:2] == ["第三中学 School No. 3", "港口北仓 Harbour North"], "sorted downwards"
    )
    engineer.fill("input[aria-label='Search']", "z-25")
    expected = [f"Zone {number}" for number in range(250, 260)]
    engineer.until(lambda: sorted(engineer.texts(SITES)) == expected, "what was searched for")
    assert engineer.complaints == []


def test_a_site_is_chosen_among_hundreds_by_what_is_typed(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    engineer.open("/tickets/new")
    site, options = "input[aria-label='Site']", ".q-menu .q-item"
    engineer.find(site).click()
    engineer.until(lambda: len(engineer.texts(options)) > 3, "sites are offered")
    assert engineer.driver.page_source.count("Zone ") < 120
    engineer.find(site).send_keys("zone 257")
    engineer.until(lambda: engineer.texts(options) == ["Zone 257 (z-257)"], "the one that fits")
    engineer.find(options).click()
    engineer.fill("input[maxlength='200']", "Gate open")
    engineer.press("Make it")
    engineer.until(lambda: "/tickets/0" in engineer.driver.current_url, "the ticket is made")
    assert shown.get("/tickets?site=z-257")["items"][0]["title"]["en"] == "Gate open"
    engineer.open("/tickets?site=z-257")
    assert "Gate open" in engineer.text()
    assert engineer.find(".fw-tools input[type=search]").get_property("value") == "Zone 257"


def test_agents_are_found_among_hundreds_and_exported_whole(engineer: Browser, tmp_path: Path) -> None:
    engineer.prefer("zh")
    engineer.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    engineer.open("/ingest")
    engineer.until(lambda: f"显示 1 - 50 / {MANY + 2}" in engineer.text(), "one page of agents")
    file = tmp_path / "delivery.csv"
    engineer.press_until("导出 CSV", file.is_file, "the file is there")
    assert len(file.read_text(encoding="utf-8-sig").splitlines()) == MANY + 3
    engineer.fill("input[aria-label='搜索']", "b-259")
    engineer.until(lambda: len(engineer.texts(AGENTS)) == 1, "one agent is found")
