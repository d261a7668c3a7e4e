"""Rules as a person reads them: conditions in sentences, and texts with the names of what will stand in them."""

from __future__ import annotations

import re

import pytest

from collector.console.conditions import in_words, text_in_words, told
from collector.console.rules import percent, rate_in_words
from collector.console.words import Say
from collector.opening import rule_texts
from collector.settings import Rules
from rules.language import condition
from rules.ruleset import ruleset

ZH, EN = Say("zh"), Say("en")


@pytest.mark.parametrize(
    ("written", "chinese", "english"),
    [
        ("used_percent >= 98 for 10m", "空间使用率 不低于 98 %,持续 10 分钟", "Space used at least 98 %, for 10 min"),
        (
            "ttt(used_percent, 98) < 72h and used_percent >= 60",
            "空间使用率达到 98 % 还需 低于 72 小时 且 空间使用率 不低于 60 %",
            "Time until space used reaches 98 % below 72 h and space used at least 60 %",
        ),
        ("up == 0 for 3m", "状态为“无应答”,持续 3 分钟", "State is “down”, for 3 min"),
        (
            "on_battery == 1 and (charge_percent < 50 or runtime_seconds < 15m)",
            "电池供电为“是” 且 (电量 低于 50 % 或 续航时间 低于 15 分钟)",
            "On battery is “yes” and (Charge below 50 % or runtime left below 15 min)",
        ),
        ("status != 0", "状态不是“正常”", "Status is not “ok”"),
        ("not free_bytes > 10GiB", "并非 可用空间 高于 10 GiB", "not Free above 10 GiB"),
        ("used_percent > charge_percent", "空间使用率 高于 电量", "Space used above Charge"),
        (
            "avg(in_errors_per_second, 15m) > 1",
            "入错误在 15 分钟 内的平均值 高于 1 /s",
            "Mean of errors in over 15 min above 1 /s",
        ),
        ("absent() >= 3m", "代理失联时间 不低于 3 分钟", "Time without a word of the agent at least 3 min"),
    ],
)
def test_a_condition_is_told_in_a_sentence(written: str, chinese: str, english: str) -> None:
    assert (in_words(condition(written), ZH), in_words(condition(written), EN)) == (chinese, english)


def test_every_rule_that_ships_is_told_in_chinese_without_an_english_word() -> None:
    for rule in ruleset(rule_texts(Rules())).rules:
        conditions = [*rule.when.values(), *([rule.recover] if rule.recover else [])]
        parts = [in_words(one, ZH) for one in conditions] + [told(one, ZH) for one in (rule.where, rule.unless) if one]
        parts += [text_in_words(rule.texts[what, "zh"], ZH) for what in ("title", "advice")]
        assert [part for part in parts if re.search(r"\b(and|or|not|ttt|avg|min|max)\b|[{}_]", part)] == [], rule.id


def test_a_title_names_what_will_stand_in_it() -> None:
    rule = next(one for one in ruleset(rule_texts(Rules())).rules if one.id == "volume.filling")
    assert text_in_words(rule.texts["title", "en"], EN) == (
        "«Device»: «Instance» is full in about «time left» («earliest» to «latest»)"
    )


def test_figures_have_the_digits_that_count() -> None:
    assert [rate_in_words(rate) for rate in (0, 0.254, 3.14159, 12.4, 12345.6)] == ["0", "0.25", "3.1", "12", "12,346"]
    assert percent(0.8472) == "85 %"
