"""What a program says while it runs: one event per line, an event's name and its facts.

On a terminal the lines are for people; anywhere else each is one JSON object, so that a log collector needs no
pattern. A fact that is a `settings.Secret` prints as `<secret>`. Figures belong in counters; a log tells changes.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

Level = Literal["debug", "info", "warning", "error"]

_ROOTS = ("forewarn", "agent", "collector", "rules")


class Log:
    """Says events in the name of one module: `log.info("connected", host=host, port=port)`.

    An event is a few words in the past or present tense; facts are values by name. `why` is the fact that explains.
    """

    __slots__ = ("_under",)

    def __init__(self, name: str) -> None:
        self._under = logging.getLogger(name)

    def debug(self, event: str, **facts: object) -> None:
        """What only someone who looks for a fault wants."""
        self._say(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        """A change that is as it should be."""
        self._say(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something is not as it should be, and the program goes on with it."""
        self._say(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Something does not work until a person does something."""
        self._say(logging.ERROR, event, facts)

    def exception(self, event: str, **facts: object) -> None:
        """A mistake of ours, with its traceback; to be called while an exception is handled."""
        self._say(logging.ERROR, event, facts, trace=True)

    def _say(self, level: int, event: str, facts: dict[str, object], *, trace: bool = False) -> None:
        if self._under.isEnabledFor(level):
            self._under.log(level, event, extra={"facts": facts}, exc_info=trace, stacklevel=3)


class _ForPeople(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f"  {name}={value}" for name, value in _facts(record).items())
        line = f"{at} {record.levelname.lower():<7} {record.name}: {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _ForMachines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "t": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "from": record.name,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts: dict[str, object] = getattr(record, "facts", {})
    return {name: value if isinstance(value, int | float | bool) else str(value) for name, value in facts.items()}


def start(level: Level = "info", stream: TextIO | None = None) -> None:
    """Sends what our modules say to `stream` (standard error): for people on a terminal, else as JSON lines."""
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(_ForPeople() if out.isatty() else _ForMachines())
    for name in _ROOTS:
        root = logging.getLogger(name)
        root.handlers[:] = [handler]
        root.setLevel(level.upper())
        root.propagate = False
    others = logging.getLogger()
    others.handlers[:] = [handler]
    others.setLevel(logging.WARNING)
