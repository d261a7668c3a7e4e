"""False alarms and the rules that raise them, in a real browser and in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console_site import Shown
from tests.e2e.browser import Browser, browser

DIALOG = "//div[contains(@class,'q-dialog')]"
WORDS = ".q-dialog textarea"


@pytest.fixture(scope="module")
def engineer(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Mei, logged in."""
    with browser(shown.address, tmp_path_factory.mktemp("downloads"), width=1500) as opened:
        opened.log_in(shown.token)
        yield opened


def ticket_of(shown: Shown, rule: str) -> str:
    found: str = shown.get(f"/tickets?rule={rule}")["items"][0]["id"]
    return found


def kinds(shown: Shown, id_: str) -> list[str]:
    return [event["kind"] for event in shown.get(f"/tickets/{id_}")["events"]]


def row(engineer: Browser, rule: str) -> list[str]:
    """What the table of rules says of one, cell by cell."""
    script = (
        "return [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(one => one.innerText.trim()))"
    )
    found: list[str] = next(cells for cells in engineer.driver.execute_script(script) if cells[0] == rule)
    return found


def test_a_ticket_is_marked_with_a_common_reason_found_by_its_mark_and_unmarked(
    engineer: Browser, shown: Shown
) -> None:
    id_ = ticket_of(shown, "ups.on_battery")
    engineer.prefer("zh")
    engineer.open(f"/tickets/{id_}")
    engineer.press_until("标记为误报", lambda: engineer.has(WORDS), "its dialog is there")
    engineer.press_until("标记为误报", lambda: "请填写内容" in engineer.text(), "a reason is asked for", DIALOG)
    assert kinds(shown, id_) == ["opened"]
    chosen = f"{DIALOG}//div[contains(@class,'q-radio') and contains(., '现场作业')]"
    engineer.until(lambda: engineer.driver.find_elements("xpath", chosen), "the common reasons")[0].click()
    engineer.fill(WORDS, "UPS 换电池")
    engineer.press_until("标记为误报", lambda: "marked_false" in kinds(shown, id_), "it is marked", DIALOG)
    marked = shown.get(f"/tickets/{id_}")
    assert (marked["state"], marked["false_by"], marked["false_why"]) == (
        "resolved",
        "Mei",
        "现场作业 - UPS 换电池",
    )
    engineer.prefer("en")
    engineer.open(f"/tickets/{id_}")
    said = engineer.text()
    assert re.search(r"Mei · marked as a false alarm\s+Maintenance on site - UPS 换电池", said), said
    assert "Mei · resolved (false alarm)" in said
    assert "false alarm" in engineer.texts(".fw-badge")
    engineer.open("/tickets?state=any&false=yes")
    assert engineer.texts("tbody td a[href^='/tickets/']") == [marked["title"]["en"]]
    assert "resolved · false alarm" in engineer.text()
    engineer.open(f"/tickets/{id_}")
    engineer.press_until("Not a false alarm", lambda: engineer.has(WORDS), "its dialog is there")
    engineer.press_until("Not a false alarm", lambda: kinds(shown, id_)[-1] == "unmarked_false", "it is not", DIALOG)
    assert shown.get(f"/tickets/{id_}")["state"] == "resolved"


def test_a_ticket_made_by_hand_is_nobodys_false_alarm(engineer: Browser, shown: Shown) -> None:
    by_hand = next(one["id"] for one in shown.get("/tickets")["items"] if not one["rule"])
    engineer.prefer("en")
    engineer.open(f"/tickets/{by_hand}")
    assert engineer.has(".q-btn")
    assert "False alarm" not in engineer.text()


def test_the_reason_stands_in_the_export_of_tickets(engineer: Browser, shown: Shown, tmp_path: Path) -> None:
    id_ = ticket_of(shown, "device.unreachable")
    engineer.prefer("en")
    engineer.open(f"/tickets/{id_}")
    engineer.press_until("False alarm", lambda: engineer.has(WORDS), "its dialog is there")
    engineer.fill(WORDS, "switched off for the night")
    engineer.press_until("False alarm", lambda: "marked_false" in kinds(shown, id_), "it is marked", DIALOG)
    engineer.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    engineer.open("/tickets?state=any")
    file = tmp_path / "tickets.csv"
    engineer.press_until("Export CSV", file.is_file, "the file is there")
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].endswith(",Why it was false")
    assert [line for line in lines if line.endswith(",switched off for the night")]


def test_a_rule_says_what_it_does_what_it_costs_and_how_often_it_was_right(
    engineer: Browser, shown: Shown, tmp_path: Path
) -> None:
    cost = engineer.until(lambda: shown.get("/rules/recorder.filling")["cost"], "what rules cost is measured", 40)
    engineer.prefer("en")
    engineer.open("/rules")
    text = engineer.text()
    assert "«Device»: disk «Instance» is full in about «time left»" in text
    assert re.search(r"critical\s+Time until space used reaches 98 % below 24 h and space used below 98 %", text)
    assert re.search(rf"Cost\s+{cost['series']} series of [\d.]+ B: [\d.]+ \w*B", text)
    assert re.search(r"Evaluated\s+[\d,]+ times since 20\d\d-\S+ \S+ · [\d.]+ /s", text)
    found = row(engineer, "device.unreachable")
    assert found[2:5] == ["0", "1", "1"]
    assert re.fullmatch(r"0 %\s+0 of 1 · few cases", found[5]), found
    assert re.search(r"1 tickets, 1 false alarms · in 90 days 0 % \(0 of 1 judged; 0 to 79 %, few cases\)", text)
    engineer.prefer("zh")
    engineer.open("/rules")
    assert re.fullmatch(r"0 %\s+0 / 1 · 样本少", row(engineer, "device.unreachable")[5])
    assert "空间使用率达到 98 % 还需 低于 24 小时 且 空间使用率 低于 98 %" in engineer.text()
    engineer.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    file = tmp_path / "rules.csv"
    engineer.press_until("导出 CSV", file.is_file, "the file is there")
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith(
        "规则,工单内容,处理中,总计,误报,准确率（90 天）,准确率（全部）,序列数,每序列状态,状态合计"
    )
    assert len(lines) == 1 + len(shown.get("/rules")["items"])
    assert engineer.complaints == []
