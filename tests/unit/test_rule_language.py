from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn.settings import SettingError
from rules.language import Comparison, Condition, Number, Unreadable, condition
from rules.ruleset import ruleset
from tests.rule_batches import one_rule

RULE = """
- id: test.rule
  on:
    table: volume
  when:
    critical: {when}
  recover:
    when: {recover}
  ticket:
    title: {{zh: "{title}", en: "x"}}
    advice: {{zh: "x", en: "x"}}
"""


def complaint(when: str = "used_percent > 1", *, recover: str = "used_percent < 1", title: str = "x") -> str:
    with pytest.raises(SettingError) as refused:
        ruleset([("r.yaml", RULE.format(when=when, recover=recover, title=title))])
    return str(refused.value)


def test_numbers_carry_their_units() -> None:
    for text, value, unit in (
        ("72h", 259_200.0, "s"),
        ("10GiB", 10 * 2**30, "B"),
        ("1.5", 1.5, ""),
        ("250ms", 0.25, "s"),
    ):
        tree = condition(f"x < {text}").tree
        assert isinstance(tree, Comparison)
        assert tree.right == Number(0, "", float(value), unit)


def test_and_binds_closer_than_or_and_not_closer_than_and() -> None:
    assert condition("a > 1 or b > 1 and not c > 1") == condition("a > 1 or (b > 1 and (not c > 1))")
    assert condition("a > 1 or b > 1 and c > 1") != condition("(a > 1 or b > 1) and c > 1")


def test_arithmetic_goes_from_left_to_right_and_products_first() -> None:
    assert condition("a - b - c * 2 > 0") == condition("((a - b) - (c * 2)) > 0")


def test_for_ends_a_condition() -> None:
    assert condition("a > 1 for 3m").held_for == 180_000
    assert condition("a > 1").held_for == 0


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("used_percnt > 1", "r.yaml:6:15: table `volume` has no field `used_percnt`; did you mean `used_percent`?"),
        ("up == 0", "r.yaml:6:15: table `volume` has no field `up`"),
        ("avgg(used_percent, 1h) > 3", "r.yaml:6:15: unknown function `avgg`; did you mean `avg`?"),
        (
            "used_percent > 1 and avg(used_percent) > 3",
            "r.yaml:6:36: `avg` takes a field or an expression over fields, a duration",
        ),
        ("avg(used_percent, 15) > 3", "r.yaml:6:33: a duration, like 15m is expected here, not `15`"),
        (
            "ttt(used_percent, 98) < 72",
            "compares a duration with a plain number: write it with its unit, like 72s or 5m",
        ),
        ("used_percent > 5m", "`used_percent > 5m` compares a percentage with a duration"),
        ("free_bytes > 5m", "compares a size with a duration"),
        ("free_bytes + used_percent > 1", "a size and a percentage do not add up"),
        ("ttt(used_percent, 98).hi < 1h", "r.yaml:6:37: `ttt` has no part `hi`; did you mean `high`?"),
        ("ttt(used_percent, 98, 1h, sideways) < 1h", "which way? `up` or `down`"),
        ("used_percent", "`used_percent` is a number: compare it, like `used_percent > 0`"),
        ("not used_percent", "`used_percent` is a number: compare it"),
        ("used_percent > (1 < 2)", "a number is expected, not a condition"),
        ("used_percent = 1", "r.yaml:6:28: `=` means nothing here; did you mean `==`?"),
        ("used_percent > 1 for 3", "r.yaml:6:36: `for` takes a duration, like `for 3m`"),
        ("used_percent > 1 for 3m and overwrite == 0", "r.yaml:6:39: `for` ends a condition: put it last"),
        ("used_percent > 1 an overwrite == 0", "r.yaml:6:32: `an` cannot follow here; did you mean `and`?"),
        ("used_percent > 5parsec", "r.yaml:6:30: `parsec` is no unit"),
        ("(used_percent > 1", "r.yaml:6:15: `(` is not closed"),
        ("used_percent > 1)", "r.yaml:6:31: `)` closes nothing"),
        ("used_percent >", "r.yaml:6:29: a field, a number or a function is expected, not the end"),
        ("1 < used_percent < 3", "compare two things at a time"),
        ("absent() > 3m", "`absent()` judges agents at ticks"),
        ("avg > 3", "`avg` is a function: write `avg(...)`"),
    ],
)
def test_a_bad_condition_is_answered_with_place_and_remedy(when: str, said: str) -> None:
    assert said in complaint(when)


def test_every_mistake_of_every_file_is_told_at_once() -> None:
    text = RULE.format(when="used > 1", recover="usd_percent < 1", title="{devic}")
    with pytest.raises(SettingError) as refused:
        ruleset([("a.yaml", text), ("b.yaml", text.replace("volume", "volumes").replace("test.", "other."))])
    assert [(wrong.mark.source, wrong.mark.line) for wrong in refused.value.wrongs] == [
        ("a.yaml", 6),
        ("a.yaml", 8),
        ("a.yaml", 10),
        ("b.yaml", 4),
    ]
    assert "did you mean `device`?" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  on:", "  onn: 1\n  on:", "r.yaml:3:3: unknown key `onn`; did you mean `on`?"),
        ("table: volume", "table: volum", "r.yaml:4:12: unknown table `volum`; did you mean `volume`?"),
        ("table: volume", "table: volume\n    device: camra", "did you mean `camera`?"),
        ("id: test.rule", "id: Test", "`Test` is no rule id"),
        ("    when: used_percent < 1", "    for: 3m", "`recover` needs `when: CONDITION`, or `never: true`"),
        ("    critical: used_percent > 1", "    {}", "`when` needs a `warning` or a `critical` condition"),
        ('"x"}\n    advice', '"{used_percent"}\n    advice', "`{` has no partner"),
        ('"x"}\n    advice', '"{ttt}"}\n    advice', "`ttt` is a function: write `ttt(...)`"),
        (
            '"x"}\n    advice',
            '"{avg(used_percent, 1h)}"}\n    advice',
            "`avg(used_percent, 1h)` is not part of the rule",
        ),
        (', en: "x"}\n    advice', "}\n    advice", "`en` is missing in `title`"),
    ],
)
def test_a_bad_rule_is_answered_with_place_and_remedy(old: str, new: str, said: str) -> None:
    text = RULE.format(when="used_percent > 1", recover="used_percent < 1", title="x")
    assert old in text
    with pytest.raises(SettingError) as refused:
        ruleset([("r.yaml", text.replace(old, new))])
    assert said in str(refused.value)


def test_a_rule_given_twice_is_refused() -> None:
    text = RULE.format(when="used_percent > 1", recover="used_percent < 1", title="x")
    with pytest.raises(SettingError, match=r"b.yaml:2:7: rule `test.rule` is given twice, first in a.yaml:2"):
        ruleset([("a.yaml", text), ("b.yaml", text)])


def test_the_version_follows_the_meaning_and_not_the_spelling() -> None:
    plain = one_rule("used_percent > 60 and overwrite == 0").rules[0]
    assert one_rule("(used_percent  >  60.0) and overwrite == 0").rules[0].version == plain.version
    assert one_rule("used_percent > 61 and overwrite == 0").rules[0].version != plain.version
    assert one_rule("used_percent > 60 and overwrite == 0 for 1m").rules[0].version != plain.version


@given(st.text(alphabet="ab1.(),<>=!+-*/ \tforandt0h%", max_size=40))
def test_any_text_is_a_condition_or_refused_with_a_place_inside_it(text: str) -> None:
    refused: Unreadable | None = None
    try:
        assert isinstance(condition(text), Condition)
    except Unreadable as wrong:
        refused = wrong
    assert refused is None or (0 <= refused.offset <= len(text) and refused.what)
