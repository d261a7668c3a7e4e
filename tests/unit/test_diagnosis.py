"""What a look prints, and the exit codes that a script may rely on."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forewarn.__main__ import main
from forewarn.doctor.diagnosis import (
    Diagnosis,
    Level,
    Progress,
    Side,
    amount,
    examine,
    fail,
    listed,
    ok,
    span,
    warn,
)
from forewarn.settings import Mark, SettingError, Wrong

WARM = warn("clock", "not kept", "keep it")
BAD = fail("broker", "gone", "start it")


def side(*found: Diagnosis, name: str = "agent", wrong: bool = False) -> Side:
    def look(_: Progress) -> Iterator[Diagnosis]:
        if wrong:
            raise SettingError([Wrong(Mark("agent.yaml", 3, 8), "`shard` is at most 63, not 77")])
        yield from found

    return Side(name, Path(f"{name}.yaml"), look)


def printed(*sides: Side, as_json: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return examine(sides, as_json=as_json, out=out), out.getvalue()


def test_a_line_has_its_level_and_what_was_found_and_the_remedy_stands_below() -> None:
    assert printed(side(ok("program", "forewarn 1"), WARM)) == (
        0,
        "[ok]   program: forewarn 1\n[warn] clock: not kept\n       -> keep it\n1 ok, 1 warn, 0 fail\n",
    )


def test_one_failure_makes_the_exit_code_1() -> None:
    assert printed(side(WARM, BAD))[0] == 1


def test_a_wrong_file_is_told_with_its_place_and_the_other_side_is_looked_at_all_the_same() -> None:
    code, text = printed(side(wrong=True), side(WARM, name="collector"))
    assert code == 2
    assert text.splitlines() == [
        "agent (agent.yaml)",
        "[fail] settings: agent.yaml:3:8: `shard` is at most 63, not 77",
        "       -> correct line 3 of agent.yaml",
        "collector (collector.yaml)",
        "[warn] clock: not kept",
        "       -> keep it",
        "0 ok, 1 warn, 1 fail",
    ]


def test_json_is_one_object_with_the_same() -> None:
    code, text = printed(side(BAD, ok("program", "forewarn 1")), as_json=True)
    assert code == 1
    diagnoses = [
        {"level": "fail", "subject": "broker", "what": "gone", "remedy": "start it"},
        {"level": "ok", "subject": "program", "what": "forewarn 1", "remedy": ""},
    ]
    sides = {"agent": {"file": "agent.yaml", "diagnoses": diagnoses}}
    assert json.loads(text) == {"ok": 1, "warn": 0, "fail": 1, "sides": sides}


def test_where_nothing_is_set_up_it_says_how_to_name_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 2
    assert "neither agent.yaml nor collector.yaml in this folder" in capsys.readouterr().err


def test_a_file_that_was_named_and_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREWARN_AGENT_CONFIG", "elsewhere.yaml")
    for words in (["doctor"], ["agent", "doctor"], ["doctor", "--agent", "elsewhere.yaml"]):
        assert main(words) == 2
        assert "[fail] settings: elsewhere.yaml:1:1: cannot be read" in capsys.readouterr().out


def test_amounts_times_and_lists_read_as_a_person_says_them() -> None:
    assert [amount(count) for count in (12, 2048, 1.5 * 1024**3)] == ["12 bytes", "2.0 KiB", "1.5 GiB"]
    assert [span(seconds) for seconds in (40, 600, 7200, 12 * 86400)] == ["40 s", "10 min", "2 h", "12 d"]
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert Level.WARN == "warn"
