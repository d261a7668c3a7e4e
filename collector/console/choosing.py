"""Choosing one of many: the collector keeps them all, the browser is given those that fit what is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

MOST_OFFERED = 50
_TYPED = 8
"""From so many on one types to find one."""


class Choice(ui.select):
    """A field whose value is one of `names` (by key); at most MOST_OFFERED of their labels are offered at a time.

    Args:
        names: every key with its label.
        value: the key chosen at first, None for none.
        first: a key that is always offered first, with its label.
        label: what stands over the field.
    """

    def __init__(
        self, names: Mapping[str, str], *, value: str | None, first: tuple[str, str] | None = None, label: str = ""
    ) -> None:
        same: dict[str, int] = {}
        for name in names.values():
            same[name] = same.get(name, 0) + 1
        self._first = dict([first]) if first is not None else {}
        self._names = self._first | {key: name if same[name] == 1 else f"{name} ({key})" for key, name in names.items()}
        self._keys = {name: key for key, name in self._names.items()}
        super().__init__(self._offered("", value), value=value, label=label or None, with_input=len(names) > _TYPED)
        if len(names) > MOST_OFFERED:
            self.on("input-value", self._typed, throttle=0.2, leading_events=False)

    def _offered(self, words: str, value: str | None) -> dict[str, str]:
        offered = dict(self._first)
        if value in self._names:
            offered[value] = self._names[value]
        wanted = words.strip().lower()
        for key, name in self._names.items():
            if len(offered) >= MOST_OFFERED:
                break
            if wanted in name.lower():
                offered[key] = name
        return offered

    def _typed(self, event: GenericEventArguments) -> None:
        self.set_options(self._offered(event.args if isinstance(event.args, str) else "", self.value))

    def _event_args_to_value(self, e: GenericEventArguments) -> Any:
        """What was chosen, by its label: its place may be that of another list, which left while this one arrived."""
        if not isinstance(e.args, dict):
            return None
        key = self._keys.get(str(e.args.get("label", "")))
        if key is not None and key not in self.options:
            self.set_options(self._offered("", key))
        return key
