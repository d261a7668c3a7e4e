"""Devices that nobody watches, as an engineer sees them on their site's page."""

from __future__ import annotations

import pytest

from tests.e2e.browser import Browser

WORDS = {
    "en": (
        "Devices nobody watches · 2",
        "IP address MAC address Maker Calls itself Model Answers First found Last told",
    ),
    "zh": ("未纳入监控的设备 · 2", "IP 地址 MAC 地址 厂商 自报名称 型号 应答方式 首次发现 最近更新"),
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_site_lists_what_answers_and_nobody_watches(engineer: Browser, language: str) -> None:
    title, head = WORDS[language]
    engineer.prefer(language)
    engineer.open("/sites/depot")
    engineer.until(lambda: title in engineer.text(), "the table")
    script = "return [...document.querySelectorAll('table')].map(one => one.innerText.replace(/arrow_upward|\\s+/g, ' ').replace(/ +/g, ' ').trim())"
    shown = engineer.driver.execute_script(script)
    [table] = [each for each in shown if "10.30.0.64" in each]
    assert table.startswith(head)
    assert "10.30.0.64 bc:ad:28:00:00:64 Hikvision 东门球机 DS-2DE4425 ping, TCP 554, TCP 80, ONVIF" in table
    assert engineer.complaints == []
    engineer.open("/sites/harbour")
    assert title.partition(" · ")[0] not in engineer.text(), "nothing where there are none"
