"""What people read of values, of a rule's reason, and in an exported table."""

from __future__ import annotations

import pytest

from collector.console.listing import Cell, Column, as_csv
from collector.console.sentences import focus, told
from collector.console.units import lasting, scale, shown
from collector.console.words import Say
from rules.finding import Evidence, Reason

EN, ZH = Say("en"), Say("zh")


@pytest.mark.parametrize(
    ("field", "value", "english", "chinese"),
    [
        ("up", 0.0, "down", "无应答"),
        ("on_battery", 1.0, "yes", "是"),
        ("status", 2.0, "critical", "严重"),
        ("status", 7.0, "7", "7"),
        ("used_percent", 84.27, "84.3 %", "84.3 %"),
        ("in_bits_per_second", 3_950_000.0, "3.95 Mbit/s", "3.95 Mbit/s"),
        ("total_bytes", 8e12, "7.28 TiB", "7.28 TiB"),
        ("rtt_seconds", 0.0031, "3.1 ms", "3.1 毫秒"),
        ("runtime_seconds", 1500.0, "25 min", "25 分钟"),
        ("hertz", 50.0, "50 Hz", "50 Hz"),
        ("alarms", None, "unknown", "未知"),
    ],
)
def test_a_value_is_read_with_its_unit(field: str, value: float | None, english: str, chinese: str) -> None:
    assert (shown(field, value, EN), shown(field, value, ZH)) == (english, chinese)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "90 s"),
        (1500, "25 min"),
        (7199, "2 h"),
        (22_800, "6 h 20 min"),
        (258_840, "71.9 h"),
        (457_200, "5 d 7 h"),
        (2e6, "23 d"),
    ],
)
def test_a_span_that_is_read_closely_has_two_units(seconds: float, text: str) -> None:
    assert lasting(seconds, EN) == text


def test_an_axis_is_scaled_to_what_it_shows() -> None:
    assert scale("bit/s", [4e6, 12e6], EN).unit == "Mbit/s"
    assert scale("s", [0.003], EN).unit == "ms"
    assert scale("s", [400_000.0], ZH).unit == "天"
    assert scale("%", [80.0], EN) == (1.0, "%")


def reason(*evidence: Evidence) -> Reason:
    return Reason("volume.filling", "library/storage.yaml:3", "v", "warning", 5, list(evidence), {"used_percent": 83.9})


FORETOLD = Evidence(
    "ttt(used_percent, 98) < 72h",
    258_840.0,
    259_200.0,
    held=True,
    unit="s",
    detail={"slope_per_day": 4.83, "low": 243_360.0, "high": 275_400.0, "history_seconds": 500_400.0},
)


def test_a_forecast_is_told_with_its_interval_its_trend_and_what_it_rests_on() -> None:
    english = told(reason(FORETOLD), EN)[0]
    assert (english.what, english.value, english.limit) == (
        "Time until space used reaches 98 %",
        "71.9 h",
        "below 72 h",
    )
    assert english.more == ["90 % interval 67.6 h to 76.5 h", "Trend: +4.83 % a day", "from 5 d 19 h of history"]
    assert told(reason(FORETOLD), ZH)[0].what == "空间使用率达到 98 % 还需"


def test_states_and_windows_are_told_in_words() -> None:
    state = Evidence("on_battery == 1", 1.0, 1.0, held=True)
    window = Evidence("avg(memory_used_percent, 1h) > 95", 97.0, 95.0, held=True, unit="%")
    strange = Evidence("a new function of tomorrow", 3.0, 2.0, held=None)
    sentences = told(reason(state, window, strange), EN)
    assert [(one.what, one.value, one.limit) for one in sentences] == [
        ("On battery", "yes", ""),
        ("Mean of memory used over 60 min", "97 %", "above 95 %"),
        ("a new function of tomorrow", "3", "condition: 2"),
    ]


def test_the_chart_shows_what_the_rule_foretold_or_measured_first() -> None:
    held = Evidence("used_percent >= 60", 83.9, 60.0, held=True, unit="%")
    seen = focus(reason(held, FORETOLD))
    assert seen is not None
    assert (seen.field, seen.threshold, seen.foretold) == ("used_percent", 98.0, FORETOLD)
    assert focus(reason(held)) == ("used_percent", 60.0, None)


def test_an_export_is_what_the_table_says_and_never_a_formula() -> None:
    columns = [Column("name", "名称"), Column("at", "Time")]
    rows = [
        {
            "name": Cell('=HYPERLINK("x")'),
            "at": Cell("5 min ago", 1, saved="2026-11-22 16:50:57"),
            "other": Cell("not shown"),
        }
    ]
    rows += [{"name": Cell("a, b"), "at": Cell("-3")}]
    text = as_csv(columns, rows).decode("utf-8-sig").splitlines()
    assert text == ["名称,Time", '"\'=HYPERLINK(""x"")",2026-11-22 16:50:57', '"a, b",-3']
