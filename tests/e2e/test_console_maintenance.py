"""An engineer who says that he works on a site: what is found meanwhile is held and unseen, and let go at the end."""

from __future__ import annotations

import re
import time

import msgspec
import pytest

from collector.storage.database import open_sqlite
from collector.tickets.book import Book
from rules.finding import Finding, Turn
from tests.console_site import Shown
from tests.e2e.browser import Browser
from tests.e2e.test_console_access import findings
from tests.findings import finding

DIALOG = "//div[contains(@class,'q-dialog')]"
TITLES = "tbody td a[href^='/tickets/']"
WORKING_ON = {
    "zh": (
        "我在现场作业",
        "至指定时间",
        "开始",
        "延长 1 小时",
        "立即结束",
        "Mei 正在处理 harbour 的 sw-1",
        "延长人",
    ),
    "en": (
        "I am working here",
        "until a time",
        "Begin",
        "1 h longer",
        "End now",
        "Mei is working on sw-1 at harbour",
        "Extended by",
    ),
}


def found(turn: Turn, device: str, rule: str, title: str) -> Finding:
    """A turn of now; silence of the agent needs no record of it."""
    t = int(time.time() * 1000)
    made = finding(turn, t=t, device=device, rule=rule, agent="a-harbour", instance="")
    return msgspec.structs.replace(made, site="harbour", title=dict.fromkeys(("zh", "en"), title))


def taken(shown: Shown, *some: Finding) -> None:
    """As the collector takes findings, beside it: its rules hear no agent here."""
    databases = open_sqlite(shown.folder / "data")
    book = Book(databases.service, now=lambda: int(time.time() * 1000))
    with databases.service.begin() as connection:
        position = book.cursor()
        placed = [msgspec.structs.replace(one, position=position + 1) for one in some]
        book.apply(placed, position + 1, connection)
    databases.close()


def running_now(shown: Shown) -> list[dict]:
    items: list[dict] = shown.get("/sites/harbour/maintenance")["items"]
    return [one for one in items if one["running"]]


def titles(engineer: Browser, path: str) -> list[str]:
    engineer.open(path)
    return engineer.texts(TITLES)


def test_what_is_found_while_somebody_works_is_held_and_let_go_when_he_ends_it(engineer: Browser, shown: Shown) -> None:
    engineer.prefer("en")
    engineer.open("/sites/harbour")
    engineer.press_until("I am working here", lambda: engineer.has(".q-dialog"), "its dialog is there")
    engineer.fill(".q-dialog input[maxlength='2000']", "New cabinet")
    engineer.press_until("Begin", lambda: running_now(shown), "it has begun", DIALOG)
    (begun,) = running_now(shown)
    assert (begun["actor"], begun["note"], begun["ends"] - begun["begins"]) == ("Mei", "New cabinet", 7_200_000)
    silent, dark = "The agent is silent", "Camera 3 is dark"
    taken(shown, found(Turn.OPENED, "a-harbour", "agent.silent", silent), found(Turn.OPENED, "cam-03", "x.dark", dark))
    taken(shown, found(Turn.RECOVERED, "cam-03", "x.dark", dark))
    for path in ("/tickets", "/sites/harbour"):
        assert {silent, dark} & set(titles(engineer, path)) == set(), path
    for path in ("/", "/sites/harbour", "/sites/harbour/nvr-1"):
        engineer.open(path)
        assert "Mei is working at harbour until" in engineer.text(), path
        assert "Tickets held: 2" in engineer.text(), path
    assert set(titles(engineer, "/tickets?state=held")) == {silent, dark}
    held = {one["title"]["en"]: one["id"] for one in shown.get("/tickets?held=true")["items"]}
    engineer.open(f"/tickets/{held[silent]}")
    assert "Found while Mei is working there, and held until" in engineer.text()
    assert "forewarn · held (maintenance of Mei)" in engineer.text()
    engineer.open("/sites/harbour")
    engineer.press_until("End now", lambda: not running_now(shown), "it is over")
    engineer.until(lambda: silent in titles(engineer, "/tickets"), "what still holds is listed", 40)
    assert dark not in engineer.texts(TITLES)
    engineer.open(f"/tickets/{held[dark]}")
    assert "forewarn · closed (recovered during the maintenance of Mei)" in engineer.text()
    engineer.open(f"/maintenance/{begun['id']}")
    text = engineer.text()
    for said in ("became an ordinary ticket", "recovered meanwhile and was closed", "Ended early by", "New cabinet"):
        assert said in text, said
    engineer.open("/sites/harbour")
    engineer.until(lambda: "over" in engineer.texts("tbody td"), "the past one is listed")
    assert engineer.complaints == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_one_device_is_worked_on_until_a_time_and_longer(engineer: Browser, shown: Shown, language: str) -> None:
    begin, until, confirm, longer, end, sentence, extended = WORKING_ON[language]
    engineer.prefer(language)
    engineer.open("/sites/harbour/sw-1")
    engineer.press_until(begin, lambda: engineer.has(".q-dialog"), "its dialog is there")
    engineer.driver.find_element("xpath", f"{DIALOG}//*[@role='radio'][contains(., '{until}')]").click()
    field = engineer.find(".q-dialog input[type='datetime-local']")
    tomorrow = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 86_400))
    fill = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    engineer.driver.execute_script(fill, field, tomorrow)
    engineer.press_until(confirm, lambda: running_now(shown), "it has begun", DIALOG)
    (begun,) = running_now(shown)
    assert begun["device"] == "sw-1"
    assert 12 * 3_600_000 < begun["ends"] - begun["begins"] < 36 * 3_600_000
    engineer.open("/sites/harbour/sw-1")
    assert sentence in engineer.text()
    assert findings(engineer) == []
    engineer.press_until(longer, lambda: running_now(shown)[0]["ends"] > begun["ends"], "it ends later")
    engineer.open(f"/maintenance/{begun['id']}")
    assert re.search(f"{extended}\\s+Mei", engineer.text())
    assert findings(engineer) == []
    engineer.press_until(end, lambda: not running_now(shown), "it is over")
