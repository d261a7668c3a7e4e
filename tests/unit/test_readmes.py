"""The two READMEs: the same commands, figures that were measured, pictures that are there and of their size."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from collector.console.trouble_words import TROUBLE
from tests.pictures import FOLDER, LARGEST, PICTURES, WIDTH, height

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    return re.findall(r"^```.*?^```$", text(name), re.MULTILINE | re.DOTALL)


def links(name: str) -> set[str]:
    """Where a README leads, but for what there is in each language."""
    found = re.findall(r"\]\(([^)]+)\)", text(name))
    return {to for to in found if not re.search(r"-(en|zh)\.png|README", to)}


def figures(name: str) -> dict[tuple[str, str], str]:
    """(benchmark, figure) and what a README says of it."""
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `(\w+)` `(\w+)` \|$", text(name), re.MULTILINE)
    return {(bench, figure): said for said, bench, figure in rows}


def measured() -> dict[tuple[str, str], str]:
    """(benchmark, figure) and what docs/figures.md says was reached; a row may hold several figures."""
    found = {}
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|[^|]*\| ([^|]+) \|$", text("docs/figures.md"), re.MULTILINE)
    for bench, named, reached in rows:
        values = re.split(r", (?=\d)", reached.strip())
        names = re.findall(r"`(\w+)`", named)[: len(values)]
        found |= {(bench, figure): value for figure, value in zip(names, values, strict=True)}
    return found


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name: str) -> None:
    assert len(text(name).splitlines()) <= 180


def test_both_readmes_have_the_same_commands_and_examples() -> None:
    english, chinese = map(blocks, READMES)
    assert len(english) >= 5
    assert english == chinese
    assert links(READMES[0]) == links(READMES[1])


def test_chinese_sentences_have_chinese_punctuation_and_the_words_of_the_console() -> None:
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", text("README.zh-CN.md"), flags=re.MULTILINE | re.DOTALL)
    demo = re.findall(r'"zh": "([^"]+)"', text("forewarn/demo/words.py"))
    assert len(demo) > 10
    said = [*prose.splitlines(), *demo]
    assert [line for line in said if re.search(r"[\u4e00-\u9fff] ?[,;:?!()](?! {2})", line)] == []
    assert "采集中心" in TROUBLE["refusal_newer_version"][0]
    assert "采集中心" in prose
    assert [line for line in said if "汇聚端" in line] == []


@pytest.mark.parametrize("name", READMES)
def test_every_figure_of_a_readme_is_the_one_that_was_measured(name: str) -> None:
    found, known = figures(name), measured()
    assert len(found) >= 5
    assert found == {wanted: known.get(wanted) for wanted in found}


def test_the_profile_lines_of_the_readme_are_those_of_the_demo_s_recorder() -> None:
    profile = (ROOT / "forewarn/demo/profiles/hikvision.recorder.keeps-all.yaml").read_text(encoding="utf-8")
    [shown] = [block for block in blocks("README.md") if block.startswith("```yaml")]
    lines = shown.splitlines()[1:-1]
    assert [line for line in lines if line not in profile.splitlines()] == []
    assert lines == [line for line in profile.splitlines() if line in lines][-len(lines) :]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_picture_is_a_png_of_its_size(name: str, language: str) -> None:
    content = (ROOT / FOLDER / f"{name}-{language}.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (WIDTH, height(name))
    assert len(content) <= LARGEST


def test_a_readme_shows_every_picture_of_its_language_and_no_other() -> None:
    for name, language in zip(READMES, ("en", "zh"), strict=True):
        shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text(name))
        assert sorted(shown) == sorted(f"{FOLDER}/{picture}-{language}.png" for picture in PICTURES)
