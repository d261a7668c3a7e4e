"""A condition that would exhaust the stack is refused like any other mistake, with its place."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language import Unreadable, condition

WORDS = ["x", "1", "72h", "(", ")", "+", "-", "*", "/", "<", "==", "and", "or", "not", "for", ",", ".", "avg", "?", " "]


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("(" * 50 + "x" + ")" * 50, 15, "parentheses deeper than 15"),
        ("not " * 5000 + "x > 1", 800, "longer than 200 words"),
        ("x" + "+x" * 5000 + " > 1", 200, "longer than 200 words"),
    ],
)
def test_an_endless_condition_is_refused_where_it_gets_too_much(text: str, offset: int, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as caught:
        condition(text)
    assert caught.value.offset == offset


@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from(["", " "]))
def test_any_words_are_a_condition_or_unreadable(words: list[str], between: str) -> None:
    text = between.join(words)
    with contextlib.suppress(Unreadable):
        assert condition(text).held_for >= 0
