"""Why a ticket was a false alarm: the common reasons, kept in the words of who chose one and told in everybody's."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from collector.console.words import WORDS, Say

COMMON = ("false_maintenance", "false_sensor", "false_threshold", "false_customer", "false_other")
"""What false alarms usually are; the last one wants words of one's own."""
_MORE = " - "
"""Between a common reason and what somebody adds to it."""


def reasons(say: Say) -> Callable[[str], str]:
    """A choice of common reasons; gives what makes the whole reason of the chosen one and of words beside it."""
    choice = ui.radio({word: say(word) for word in COMMON}, value=None)
    choice.props(f'dense aria-label="{say("false_why")}"').classes("fw-reasons")

    def whole(words: str) -> str:
        chosen = say(choice.value) if choice.value and choice.value != COMMON[-1] else ""
        return _MORE.join(part for part in (chosen, words.strip()) if part)

    return whole


def reason_told(why: str, say: Say) -> str:
    """A kept reason; a common one in the language of who reads it."""
    begin, more, rest = why.partition(_MORE)
    word = next((word for word in COMMON if begin in WORDS[word]), None)
    return why if word is None else say(word) + more + rest
