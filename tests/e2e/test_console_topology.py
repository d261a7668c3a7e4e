"""What hangs on what, as an engineer sees it in a browser: on the site, on a device, on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.console_site import Shown
from tests.e2e.browser import Browser, browser

WORDS = {
    "en": ("Dark behind a healthy port", "no such device", "By recorder", "By UPS", "No UPS given", "Only trouble"),
    "zh": ("端口正常，设备无应答", "没有此设备", "按录像机", "按 UPS", "未说明供电 UPS", "仅显示异常"),
}


def tree(of: Browser) -> list[str]:
    """The rows of the tree as a person sees them, each as one line."""
    script = "return [...document.querySelectorAll('.fw-tree tbody tr')]"
    script += ".map(row => [...row.children].filter(one => one.offsetParent).map(one => one.innerText.trim().replace(/\\s+/g, ' ')).join(' | '))"
    found: list[str] = of.driver.execute_script(script)
    return found


def names(of: Browser) -> list[str]:
    return [row.partition(" | ")[0] for row in tree(of)]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_site_shows_what_hangs_on_what_in_three_ways(engineer: Browser, language: str) -> None:
    dark, stranger, by_recorder, by_ups, apart, trouble = WORDS[language]
    engineer.prefer(language)
    engineer.open("/sites/harbour")
    engineer.until(lambda: names(engineer)[:2] == ["a-harbour", "sw-1"], "the tree by switch")
    assert names(engineer)[2:5] == ["cam-gate", "nvr-1", "cam-01"]
    gate = next(row for row in tree(engineer) if row.startswith("cam-gate"))
    assert dark in gate
    assert gate.split(" | ")[1].startswith("Gi1/0/7 ")
    assert next(row for row in tree(engineer) if stranger in row).startswith("sw-2")
    engineer.press(by_recorder)
    engineer.until(lambda: names(engineer)[:2] == ["nvr-1", "cam-01"], "the tree by recorder")
    assert [row.split(" | ")[1] for row in tree(engineer)[1:6]] == ["1", "2", "3", "4", "5"]
    engineer.press(by_ups)
    engineer.until(lambda: names(engineer)[:4] == ["ups-1", "nvr-1", "sw-1", apart], "the tree by UPS")
    assert trouble in engineer.text()
    engineer.find(".fw-tree .q-checkbox").click()
    engineer.until(lambda: names(engineer) == ["ups-1", "nvr-1", apart, "cam-gate"], "only what is in trouble")
    assert engineer.complaints == []


@pytest.mark.parametrize(("language", "recorded"), [("zh", "通道 7"), ("en", "channel 7")])
def test_a_device_shows_its_own_place_and_leads_to_what_it_hangs_on(
    engineer: Browser, language: str, recorded: str
) -> None:
    engineer.prefer(language)
    engineer.open("/sites/harbour/cam-gate")
    text = engineer.text()
    assert f"nvr-1 · {recorded}" in text
    assert WORDS[language][0] in text
    assert engineer.texts("dd a[href='/sites/harbour/sw-1']") == ["sw-1 · Gi1/0/7"]
    engineer.open("/sites/harbour/sw-1")
    loads = "td a[href^='/sites/harbour/']"
    expected = ["cam-gate", "nvr-1", "cam-01", "cam-02", "cam-03", "cam-04", "cam-05"]
    engineer.until(lambda: engineer.texts(loads) == expected, "what hangs on the switch")
    engineer.open("/sites/harbour/cam-06")
    assert f"sw-2 · 1 ({WORDS[language][1]})" in engineer.text()


def test_the_tree_is_exported_with_the_way_to_each_device(engineer: Browser, tmp_path: Path) -> None:
    engineer.prefer("en")
    engineer.driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    engineer.open("/sites/harbour")
    file = tmp_path / "topology-harbour.csv"
    within = "//div[contains(@class,'fw-tree')]"
    engineer.press_until("Export CSV", file.is_file, "the file is there", within)
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Device,Port or channel,State,Kind,Open tickets"
    gate = "a-harbour / sw-1 / cam-gate,Gi1/0/7 (link up),critical: Dark behind a healthy port,camera,1"
    assert lines[3] == gate


def test_on_a_phone_the_tree_keeps_ports_and_states(shown: Shown, tmp_path: Path) -> None:
    with browser(shown.address, tmp_path, width=500, height=850) as phone:
        size = {"width": 390, "height": 850, "deviceScaleFactor": 1, "mobile": True}
        phone.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        phone.log_in(shown.token)
        phone.prefer("en")
        for path in ("/sites/harbour", "/sites/harbour/sw-1"):
            phone.open(path)
            assert phone.driver.execute_script("return document.documentElement.scrollWidth") <= 390, path
        phone.open("/sites/harbour")
        gate = phone.until(lambda: [row for row in tree(phone) if row.startswith("cam-gate")], "the tree")[0]
        assert re.fullmatch(r"cam-gate \| Gi1/0/7 link up \| critical Dark behind a healthy port", gate), gate
