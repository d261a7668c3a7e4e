from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from collector.commands.rules import main
from rules.engine import Engine, operator
from rules.explain import explained
from rules.functions import FUNCTIONS
from rules.language import Call, expression
from rules.ruleset import ruleset
from rules.testing import run_tests
from rules.wording import worded
from tests.rule_batches import batch, one_rule, series, shape, told

GOOD = """
- id: test.gone
  on: {table: device}
  when: {critical: up == 0 for 2m}
  recover: {when: up == 1}
  ticket:
    title: {zh: "x", en: "{device} is gone"}
    advice: {zh: "x", en: "x"}
  tests:
    - name: gone
      series: {"cam device up": 1x5 0x5}
      expect: [{at: 8m, open: [{device: cam, says: is gone}]}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_the_shipped_rules_are_sound_and_each_has_a_test_that_fires_and_one_that_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["test"]) == 0
    said = capsys.readouterr().out
    assert "0 failed" in said
    assert "without tests" not in said
    shipped = {line.split(":")[0].removeprefix("ok").strip() for line in said.splitlines() if line.startswith("ok")}
    assert {
        "volume.filling",
        "disk.wear",
        "ups.on_battery",
        "ups.runtime_low",
        "interface.errors",
        "device.unreachable",
        "host.memory",
        "agent.silent",
    } <= shipped
    assert all(said.count(f" {rule}: ") >= 2 for rule in shipped)


def test_a_test_that_fails_says_what_was_expected_and_what_was_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.yaml").write_text(GOOD.replace("at: 8m", "at: 6m"), encoding="utf-8")
    assert main(["test", str(folder)]) == 1
    assert 'at 6m: expected a ticket for cam saying "is gone", found nothing' in capsys.readouterr().out
    (folder / "mine.yaml").write_text(GOOD.replace("[{device: cam, says: is gone}]", "[]"), encoding="utf-8")
    assert main(["test", str(folder / "mine.yaml")]) == 1
    assert 'at 8m: not expected, but open: critical for cam "cam is gone"' in capsys.readouterr().out


def test_rules_without_any_test_are_not_called_proven(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.yaml").write_text(GOOD.split("  tests:", maxsplit=1)[0], encoding="utf-8")
    assert main(["test", str(folder)]) == 1
    said = capsys.readouterr()
    assert "without tests: test.gone" in said.out
    assert "There is no test to run: write `tests` beside each rule" in said.err
    assert "0 failed" not in said.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1x5 0x5", "1x5 0y5", "mine.yaml:11:37: `0y5` is no values"),
        ("cam device up", "cam device upp", "mine.yaml:11:17: table `device` has no field `upp`"),
        ("cam device up", "cam device a up", "table `device` has no instances"),
        ("cam device up", "cam", "a series is named `DEVICE TABLE [INSTANCE] FIELD`"),
    ],
)
def test_a_test_that_cannot_be_read_is_answered_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    (folder / "mine.yaml").write_text(GOOD.replace(old, new), encoding="utf-8")
    assert main(["test", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_check_names_file_line_and_column(folder: Path) -> None:
    (folder / "mine.yaml").write_text(GOOD.replace("up == 0", "upp == 0"), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "forewarn", "rules", "check", str(folder)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "mine.yaml:4:20: table `device` has no field `upp`; did you mean `up`?" in run.stderr
    assert "Traceback" not in run.stderr


def test_check_list_and_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder)]) == 0
    assert "1 rules, nothing wrong" in capsys.readouterr().out
    assert main(["list", str(folder)]) == 0
    assert "test.gone  (device of any device; 10 bytes a series" in capsys.readouterr().out
    assert main(["check", str(folder / "none")]) == 2
    assert main(["nonsense"]) == 2


def test_explain_tells_a_finding_as_a_person_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [[65 + at * 0.5 / 12, 0.0] for at in range(12 * 36)]
    of = shape(("volume", ["a"], ["used_percent", "overwrite"]))
    polls = series(values, of, every=300_000)
    found = told(Engine(one_rule("ttt(used_percent, 98) < 72h and used_percent >= 60")), batch(polls))[0]
    file = tmp_path / "finding.json"
    file.write_bytes(msgspec.json.encode(found))
    assert main(["explain", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.strip() == explained(found.reason)
    assert "- ttt(used_percent, 98) < 72h: held, at 36 h" in said
    assert "it would not have held with used_percent below 60 %" in said
    assert "history 30 h" in said


def test_a_file_that_is_no_finding_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "finding.json"
    file.write_text("{}")
    assert main(["explain", str(file)]) == 2
    assert f"{file}: neither a finding nor a reason" in capsys.readouterr().err


def test_a_comparison_named_twice_is_told_once_and_an_unknown_one_without_a_value() -> None:
    when = "used_percent > 90 and overwrite == 0 or used_percent > 90 and overwrite == 1 or used_percent > 90"
    of = shape(("volume", ["a"], ["used_percent", "overwrite"]))
    reason = told(Engine(one_rule(when)), batch(series([[95, math.nan]], of)))[0].reason
    assert [one.text for one in reason.evidence] == ["used_percent > 90", "overwrite == 0", "overwrite == 1"]
    assert "- overwrite == 0: unknown\n" in explained(reason)


@pytest.mark.parametrize(
    ("value", "unit", "english", "chinese"),
    [
        (41 * 3600, "s", "41 h", "41 小时"),
        (75 * 3600, "s", "3 d", "3 天"),
        (300, "s", "5 min", "5 分钟"),
        (12, "s", "12 s", "12 秒"),
        (0.25, "s", "0.25 s", "0.25 秒"),
        (float("inf"), "s", "no end in sight", "无限期"),
        (61.234, "%", "61.2 %", "61.2 %"),
        (100, "%", "100 %", "100 %"),
        (1.5 * 2**30, "B", "1.5 GiB", "1.5 GiB"),
        (88, "°C", "88 °C", "88 °C"),
        (0, "", "0", "0"),
        (None, "s", "unknown", "未知"),
    ],
)
def test_values_are_worded_for_people(value: float | None, unit: str, english: str, chinese: str) -> None:
    assert worded(value, unit, "en") == english
    assert worded(value, unit, "zh") == chinese


def test_the_example_in_the_documentation_is_a_sound_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    assert [outcome.problems for outcome in run_tests(ruleset([("docs/rules.md", example)]))] == [[]]


def test_the_documentation_names_every_function_with_its_state() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, text in (("ewma", "ewma(x, 1h)"), ("avg", "avg(x, 1h)"), ("min", "min(x, 1h)"), ("ttt", "ttt(x, 98)")):
        call = expression(text)
        assert isinstance(call, Call)
        assert any(f"`{name}(" in row and f"{operator(call).state_bytes} B" in row for row in rows), name
    assert all(any(f"`{name}(" in row for row in rows) for name in FUNCTIONS)
