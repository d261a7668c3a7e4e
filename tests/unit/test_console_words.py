"""The console says everything in both languages, and says nothing that nobody can read."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.console.labels import FIELDS, INVENTORY, TABLES, inventory_text
from collector.console.troubles import refusal_told
from collector.console.words import LANGUAGES, WORDS, Say
from collector.tickets.lifecycle import SEVERITIES, Act, Kind, State
from forewarn import vocabulary
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Reason

PAGES = Path(__file__).parents[2] / "collector" / "console"


def values_in(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def literals() -> Iterator[str]:
    """Every text in the console's code but the dictionaries themselves."""
    for file in PAGES.glob("*.py"):
        if not file.name.endswith("words.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            yield from (
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            )


def said() -> set[str]:
    """The words that the code calls `say` with, as far as they are written out."""
    found = set()
    for file in PAGES.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            if name == "say" and isinstance(node, ast.Call) and node.args:
                found |= {
                    part.value
                    for part in ast.walk(node.args[0])
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


@pytest.mark.parametrize("word", WORDS)
def test_a_word_says_the_same_in_both_languages(word: str) -> None:
    chinese, english = WORDS[word]
    assert chinese.strip()
    assert english.strip()
    assert values_in(chinese) == values_in(english)


def test_every_word_that_is_said_is_in_the_dictionary() -> None:
    whole = {word for word in said() if not word.endswith("_")}
    stems = {word for word in said() if word.endswith("_")}
    assert whole - {*WORDS, "in_force", ""} == set()
    assert {stem for stem in stems if not any(word.startswith(stem) for word in WORDS)} == set()


def test_no_word_is_kept_that_nobody_says() -> None:
    texts = set(literals())
    stems = tuple(text for text in texts if text.endswith("_") and len(text) > 2)
    texts |= set(State) | set(SEVERITIES)
    assert [word for word in WORDS if word not in texts and not word.startswith(stems)] == []


def test_every_kind_state_and_act_has_its_word() -> None:
    needed = {f"kind_{kind}" for kind in DeviceKind} | {f"event_{kind}" for kind in Kind}
    needed |= {f"scope_{source}" for source in Source}
    needed |= {f"act_{act}" for act in Act} | set(State) | set(SEVERITIES)
    assert needed - set(WORDS) == set()


def test_every_refusal_and_every_part_of_the_collector_has_its_words() -> None:
    needed = {f"refusal_{reason}" for reason in Reason}
    parts = ("bus", "journal", "intake", "service", "store", "rules", "series")
    needed |= {f"{what}_{part}" for part in parts for what in ("part", "trouble")}
    assert needed - set(WORDS) == set()
    kept = "unknown_consent: consent `c-9` is not registered for site `depot` under a trusted key"
    assert refusal_told(kept, Say("zh")) == "授权未登记，或签名公钥不受信任：请登记授权 (c-9, depot)"
    assert refusal_told("forked", Say("en")) == "two agents share one spool: a machine was cloned or restored"
    assert [refusal_told(text, Say("zh")) for text in ("", "of another version: x")] == ["", "of another version: x"]


def test_every_table_and_field_of_the_vocabulary_has_a_name() -> None:
    fields = {field for table in vocabulary.TABLES.values() for field in table.fields}
    assert set(FIELDS) == fields
    assert set(TABLES) == set(vocabulary.TABLES)
    assert all(all(names) for labels in (FIELDS, TABLES, INVENTORY) for names in labels.values())


def test_a_language_is_chosen_by_its_name() -> None:
    assert [Say(language)("tickets") for language in LANGUAGES] == ["工单", "Tickets"]
    assert Say("en")("minutes_ago", n=5) == "5 min ago"


def test_a_switch_s_neighbours_are_told_by_port() -> None:
    given = (
        '[{"port":"gi1","mac":"00:00:5e:00:53:01"},{"port":"gi24","mac":"00:00:5e:00:53:02","name":"sw-2"},'
        '{"port":"gi1","mac":"00:00:5e:00:53:03"},{"port":"gi23","many":12}]'
    )
    assert inventory_text("neighbours", given) == ("gi1: 00:00:5e:00:53:01, 00:00:5e:00:53:03; gi24: sw-2; gi23: (12)")
    assert inventory_text("neighbours", "no list") == "no list"
    assert inventory_text("model", "[]") == "[]"
