"""Traps as the device page tells them."""

from __future__ import annotations

from collector.console.events import told
from collector.console.words import Say

DOWN = {
    "event": "link down",
    "trap": "1.3.6.1.6.3.1.1.5.3",
    "zh": "端口断开",
    "severity": "warning",
    "instance": "Gi0/7",
    "ifIndex": "7",
    "ifName": "Gi0/7",
}


def test_a_trap_is_told_in_both_languages():
    assert told(DOWN, Say("en")) == "link down Gi0/7 · trap 1.3.6.1.6.3.1.1.5.3 · ifIndex 7"
    assert told(DOWN, Say("zh")) == "端口断开 Gi0/7 · trap 1.3.6.1.6.3.1.1.5.3 · ifIndex 7"


def test_a_repeated_and_an_unknown_trap_say_so():
    assert told({**DOWN, "repeated": "3"}, Say("zh")).startswith("端口断开 Gi0/7 · 5 秒内重复 3 次 · ")
    unknown = {"event": "unknown trap", "trap": "1.3.6.1.4.1.4242.0.1", "1.3.6.1.4.1.4242.1.0": "fan 2"}
    assert told(unknown, Say("zh")) == "未知陷阱 · trap 1.3.6.1.4.1.4242.0.1 · 1.3.6.1.4.1.4242.1.0 fan 2"
    dropped = {
        "event": "traps dropped",
        "zh": "陷阱过多,已丢弃",
        "severity": "warning",
        "count": "90",
        "why": "more than 10 a second",
    }
    assert told(dropped, Say("en")) == "traps dropped · count 90 · why more than 10 a second"


def test_two_devices_with_one_engine_are_both_named():
    text = {"event": "shared SNMP engine", "engine": "80001f88aa", "device": "sw-2", "other": "sw-1"}
    assert told(text, Say("en")).startswith("Has the same SNMP engine id as sw-1 (80001f88aa): SNMP v3 takes one")
    assert told(text, Say("zh")).startswith("与设备 sw-1 使用同一个 SNMP 引擎标识（80001f88aa）")
