"""`python -m bench` prints a table people read and one object that programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench
from bench import __main__ as face
from bench import soak
from bench._taken import missing

PART = """
TARGETS = {"cost_ns": "<= 100", "share": "0.85..0.95", "rate": ">= 10", "noted": "seen"}
def run(*, quick):
    return {"cost_ns": 120.0 if quick else 90.0, "share": 0.9, "rate": 10.0, "noted": 3.0, "free": 1.0}
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"part_{tmp_path.name.replace('-', '_')}".lower()
    (tmp_path / f"{name}.py").write_text(PART)
    monkeypatch.setattr(bench, "__path__", [*bench.__path__, str(tmp_path)])
    return name


def test_the_last_line_is_one_object_with_figures_targets_and_machine(
    part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert face.main([part, "--quick", "--json"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    said = json.loads(last)
    assert sorted(said) == ["bench", "figures", "machine", "targets"]
    assert said["figures"] == {"cost_ns": 120.0, "share": 0.9, "rate": 10.0, "noted": 3.0, "free": 1.0}
    assert sorted(said["machine"]) == ["cores", "cpu", "load", "python", "system"]
    assert [line.split()[-1] for line in table] == ["met", "met", "met", "seen", "1"]
    assert table[0].endswith("NOT met")


def test_without_json_it_prints_the_table_alone(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert face.main([part]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["cost_ns", "90", "<=", "100", "met"]


def test_a_benchmark_takes_the_numbers_it_asks_for_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "part_with_options.py").write_text(
        "TARGETS = {}\nOPTIONS = {'devices': 1000}\ndef run(*, quick, devices):\n    return {'devices': float(devices)}\n"
    )
    monkeypatch.setattr(bench, "__path__", [*bench.__path__, str(tmp_path)])
    assert face.main(["part_with_options"]) == 0
    assert face.main(["part_with_options", "--devices", "30"]) == 0
    assert capsys.readouterr().out.split() == ["devices", "1,000", "devices", "30"]
    with pytest.raises(SystemExit) as ended:
        face.main(["part_with_options", "--dead", "3"])
    assert ended.value.code == 2
    assert "--dead" in capsys.readouterr().err


def test_memory_that_grows_has_a_slope_above_its_error_and_memory_that_sways_has_none() -> None:
    sway = [3.0, -2.0, 1.0, -3.0, 2.0]
    flat, error = soak.slope_of([(float(at), 100.0 + sway[at // 10 % 5]) for at in range(100)])
    assert flat - error < 0 < flat + error
    grown, error = soak.slope_of([(float(at), 100.0 + 0.5 * at + sway[at // 10 % 5]) for at in range(100)])
    assert 0 < grown - error < 0.5 < grown + error


def test_a_name_that_is_no_benchmark_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        face.main(["speed"])
    assert ended.value.code == 2
    assert "invalid choice: 'speed'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (10, "<= 10", True),
        (10.1, "<= 10", False),
        (10, "< 10", False),
        (9, ">= 10", False),
        (11, "> 10", True),
        (0.84, "0.85..0.95", False),
        (0.95, "0.85..0.95", True),
        (5, 10.0, None),
        (5, "", None),
    ],
)
def test_a_figure_meets_its_target_or_not(value: float, target: str | float, met: bool | None) -> None:
    assert face.is_met(value, target) is met


@pytest.mark.parametrize(
    ("polls", "lost"),
    [
        ([102, 107, 112, 117], 0),
        ([102, 109, 112, 117], 0),
        ([102, 112, 117], 1),
        ([112, 117], 1),
        ([102, 107], 2),
        ([], 3),
    ],
)
def test_a_soak_counts_the_polls_that_are_missing_in_a_device_s_slots(polls: list[float], lost: int) -> None:
    assert missing(polls, 100, 120, 5) == lost
