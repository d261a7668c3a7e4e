"""An engineer at the console, in a real browser: every page in both languages, and what is done to a ticket there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from collector.register import Register
from collector.storage.database import open_sqlite
from tests.console_site import Shown
from tests.e2e.browser import Browser, browser

PAGES = {
    "/": ("站点", "Sites"),
    "/sites/harbour": ("港口北仓", "Harbour North"),
    "/sites/harbour/nvr-1": ("设备信息", "Inventory"),
    "/sites/harbour/sw-1": ("网络接口", "Interface"),
    "/tickets": ("工单", "Tickets"),
    "/tickets/new": ("新建工单", "New ticket"),
    "/ingest": ("运行状况", "Health"),
    "/rules": ("工单内容", "What the ticket says"),
    "/sites/nowhere": ("没有这一项", "There is no such thing"),
}
DIALOG = "//div[contains(@class,'q-dialog')]"


# Where a table must be pushed aside to be read to its end, and titles that are larger than a title is.
OUT_OF_SIZE = """
const cut = [...document.querySelectorAll('.q-table__middle')].filter(one => one.scrollWidth > one.clientWidth + 1)
const large = [...document.querySelectorAll('h1, h2')].filter(one => parseFloat(getComputedStyle(one).fontSize) > 24)
return [...cut.map(one => one.innerText.split('\\n', 12).join(' ')), ...large.map(one => one.innerText)]
"""


def ticket_of(shown: Shown, rule: str) -> str:
    found: str = shown.get(f"/tickets?rule={rule}")["items"][0]["id"]
    return found


@pytest.mark.parametrize(("language", "theme"), [("zh", "dark"), ("en", "light")])
def test_every_page_is_read_in_either_language_without_a_request_to_anybody_else(
    engineer: Browser, shown: Shown, language: str, theme: str
) -> None:
    tickets = {
        f"/tickets/{ticket_of(shown, rule)}": ("判断依据", "Why") for rule in ("recorder.filling", "ups.on_battery")
    }
    engineer.prefer(language, theme)
    for path, said in (PAGES | tickets).items():
        engineer.open(path)
        assert said[language == "en"] in engineer.text(), path
        assert engineer.driver.execute_script("return document.documentElement.lang").startswith(language)
        dark = engineer.driver.find_elements(By.CSS_SELECTOR, "body.body--dark")
        assert bool(dark) == (theme == "dark"), path
        if language == "en" and path in ("/tickets/new", "/sites/harbour/nvr-1", "/sites/nowhere"):
            assert not re.search(r"[\u4e00-\u9fff]", engineer.text()), path
    assert engineer.strangers() == []
    assert engineer.complaints == []


def test_nothing_is_wider_than_a_phone(shown: Shown, engineer: Browser, tmp_path: Path) -> None:
    paths = [*PAGES, f"/tickets/{ticket_of(shown, 'recorder.filling')}"]
    with browser(shown.address, tmp_path, width=500, height=850) as phone:
        phone.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 390, "height": 850, "deviceScaleFactor": 1, "mobile": True},
        )
        phone.log_in(shown.token)
        for path in paths:
            phone.open(path)
            assert phone.driver.execute_script("return document.documentElement.scrollWidth") <= 390, path
        phone.find("button[aria-label]").click()
        phone.until(lambda: "Delivery" in phone.texts(".q-menu")[0], "the menu")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_table_hides_a_column_and_no_heading_is_out_of_size(shown: Shown, engineer: Browser, language: str) -> None:
    engineer.prefer(language)
    wrong = []
    try:
        for path in PAGES:
            engineer.open(path)
            for width in (1280, 390):
                metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
                engineer.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                wrong += [(path, width, what) for what in engineer.driver.execute_script(OUT_OF_SIZE)]
    finally:
        engineer.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wrong == []


def test_a_forecast_is_told_in_a_sentence_with_its_curve_and_band(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    engineer.open(f"/tickets/{ticket_of(shown, 'recorder.filling')}")
    text = engineer.text()
    assert re.search(r"Time until space used reaches 98 %\s+[\d.]+ h", text), text
    assert re.search(r"90 % interval [\d.]+ h to [\d.]+ h · Trend: \+[\d.]+ % a day", text)
    assert "Volume 1 · Space used" in text
    drawn = "return [...document.querySelectorAll('.fw-chart canvas')].length"
    engineer.until(lambda: engineer.driver.execute_script(drawn) == 1, "the curve is drawn")


def test_a_ticket_is_worked_on_in_the_name_of_who_is_logged_in(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    id_ = ticket_of(shown, "device.unreachable")
    engineer.open(f"/tickets/{id_}")

    def after(kind: str) -> dict:
        events = engineer.until(
            lambda: [one for one in shown.get(f"/tickets/{id_}")["events"] if one["kind"] == kind], f"{kind} is noted"
        )
        found: dict = events[-1]
        return found

    def noted(kind: str) -> bool:
        return any(one["kind"] == kind for one in shown.get(f"/tickets/{id_}")["events"])

    def dialog(label: str, words: str, kind: str) -> None:
        field = ".q-dialog textarea, .q-dialog input"
        engineer.press_until(label, lambda: engineer.has(field), "its dialog is there")
        engineer.fill(field, words)
        with engineer.renewed():
            engineer.press_until(label, lambda: noted(kind), f"{kind} is noted", DIALOG)

    with engineer.renewed():
        engineer.press_until("Acknowledge", lambda: noted("acknowledged"), "it is noted")
    assert after("acknowledged")["actor"] == "Mei"
    for label, words, kind, detail in (
        ("Assign", "Wei", "assigned", {"assignee": "Wei"}),
        ("Comment", "摄像机已断电", "commented", {"note": "摄像机已断电"}),
        ("Resolve", "PoE port dead, moved", "resolved", {"cause": "PoE port dead, moved"}),
        ("Close", "", "closed", {}),
        ("Reopen", "dark again", "reopened", {"note": "dark again"}),
    ):
        dialog(label, words, kind)
        event = after(kind)
        assert event["actor"] == "Mei"
        assert detail.items() <= event["detail"].items()
    assert re.search(r"Mei · resolved\s+PoE port dead, moved", engineer.text()), engineer.text()


def test_closing_while_the_fault_holds_asks_for_a_reason(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    id_ = ticket_of(shown, "ups.on_battery")
    engineer.open(f"/tickets/{id_}")
    engineer.press_until("Close", lambda: engineer.has(".q-dialog textarea"), "its dialog is there")
    refusal = "say why it is closed all the same"
    engineer.press_until("Close", lambda: refusal in engineer.text(), "the refusal is told", DIALOG)
    assert shown.get(f"/tickets/{id_}")["state"] == "open"


def test_a_ticket_is_made_by_hand_and_found_by_its_words(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    engineer.open("/tickets/new?site=harbour&device=nvr-1")
    engineer.until(lambda: "nvr-1" in engineer.text(), "the device is chosen")
    engineer.fill("input[maxlength='200']", "机柜门打不开")
    with engineer.renewed():
        engineer.press("Make it")
    assert re.search(r"/tickets/0\w{25}$", engineer.driver.current_url)
    assert "Mei · opened" in engineer.text()
    made = shown.get("/tickets?state=open")["items"][0]
    assert (made["title"]["en"], made["site"], made["device"]) == ("机柜门打不开", "harbour", "nvr-1")
    engineer.open("/tickets?text=柜门")
    titles = "tbody td a[href^='/tickets/']"
    assert engineer.texts(titles) == ["机柜门打不开"]
    engineer.open("/tickets")
    search = "input[placeholder='Title, device or id']"
    engineer.fill(search, "UPS-1")
    with engineer.renewed():
        engineer.find(search).send_keys(Keys.ENTER)
    assert "text=UPS-1" in engineer.driver.current_url
    assert len(engineer.texts(titles)) == 1


def test_a_table_is_exported_as_it_is_shown(engineer: Browser, tmp_path: Path) -> None:
    engineer.prefer("en")
    engineer.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    engineer.open("/sites/harbour")
    file = tmp_path / "devices-harbour.csv"
    beside = "//div[contains(@class,'justify-between')][contains(.,'Devices')]"
    engineer.press_until("Export CSV", file.is_file, "the file is there", beside)
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "State,Device,Kind,Model,Open tickets,Profile,Last poll"
    assert len(lines) == 11
    assert any(re.match(r"up,cam-01,camera,DS-2CD2T47G2-L,0,hikvision.camera,20\d\d-", line) for line in lines)


def test_the_range_of_a_devices_curves_is_chosen(engineer: Browser) -> None:
    engineer.prefer("en")
    engineer.open("/sites/harbour/nvr-1")
    begins = "return Math.min(...[...document.querySelectorAll('.fw-chart')].map(c => getElement(c.id.slice(1)).chart.getOption().xAxis[0].min))"
    day: int = engineer.until(lambda: engineer.driver.execute_script(begins), "curves are drawn")
    week = 5 * 86_400_000
    engineer.press_until("7 d", lambda: day - (engineer.driver.execute_script(begins) or day) > week, "a week is drawn")


def test_a_revoked_token_ends_its_session(shown: Shown, tmp_path: Path) -> None:
    with browser(shown.address, tmp_path) as other:
        other.log_in(shown.revocable)
        other.open("/tickets")
        databases = open_sqlite(shown.folder / "data")
        Register(databases).revoke_token(shown.revocable)
        databases.close()
        other.until(
            lambda: other.driver.get(f"{shown.address}/tickets") or "/login" in other.driver.current_url, "the login"
        )


def test_the_api_stays_what_it_is(shown: Shown) -> None:
    with httpx.Client(base_url=shown.address, trust_env=False) as anybody:
        assert anybody.get("/livez").text == "alive\n"
        assert anybody.get("/readyz").status_code == 503
        assert anybody.get("/api/v1/sites").status_code == 401
        known = {"Authorization": f"Bearer {shown.token}"}
        assert anybody.get("/api/v1/nothing", headers=known).json()["detail"] == "there is nothing at /api/v1/nothing"
        assert anybody.delete("/api/v1/tickets", headers=known).headers["allow"] == "GET, POST"
