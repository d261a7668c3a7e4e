"""`forewarn` says what it can do, and names what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forewarn import __main__ as command_line

ROOT = Path(__file__).parents[2]


def test_without_a_command_it_shows_them_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[0] == "Usage: forewarn COMMAND ..."
    assert [line.split()[0] for line in told.err.splitlines()[1:]] == ["agent", "collector", "rules", "doctor", "demo"]


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_asked_for_help_it_shows_the_commands(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([word]) == 0
    assert capsys.readouterr().out.startswith("Usage: forewarn COMMAND ...")


def test_a_word_that_is_no_command_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["colector", "run"]) == 2
    assert capsys.readouterr().err.startswith("forewarn: `colector` is not a command; did you mean `collector`?")


@pytest.mark.parametrize(
    ("face", "package", "extra"), [("collector", "sqlalchemy", "collector"), ("demo", "pwdlib", "collector,demo")]
)
def test_without_a_face_s_packages_it_says_what_to_install(face: str, package: str, extra: str) -> None:
    """As on a customer's machine, where only the agent's dependencies are."""
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{package}":
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Absent())
from forewarn.__main__ import main
sys.exit(main(["{face}", "--help"]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr == f"`forewarn {face}` needs the package `{package}`: install `forewarn[{extra}]`\n"
