"""Commands of this machine that are asked: bounded in time, never waited for longer, never two of one at once.

Errors: none; an answer carries why there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

_ENDS_WITHIN = 1.0
_ALSO = "/usr/sbin:/sbin:/usr/local/sbin"
"""Where commands of the system lie that the path of an ordinary account leaves out."""


class Answer(NamedTuple):
    """What a command said. `code` is None when it did not come to an end, and `why` then says it in words."""

    code: int | None
    text: str = ""
    errors: str = ""
    why: str = ""


class Asking(Protocol):
    """Whom commands are given to; `agent.host.told` has one for tests."""

    def find(self, name: str) -> str | None:
        """Where a command lies; None when it is not installed."""

    def ask(self, command: Sequence[str], seconds: float) -> Answer:
        """Runs a command to its end, or for so long at most. Blocks."""


class Children:
    """Real commands, as child processes without input and with the plain locale."""

    def __init__(self) -> None:
        self._stuck: dict[tuple[str, ...], subprocess.Popen[str]] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        """Where a command lies, also where only root looks."""
        return shutil.which(name) or shutil.which(name, path=_ALSO)

    def ask(self, command: Sequence[str], seconds: float) -> Answer:
        """Runs a command; one that does not end is killed, and not started again while it still hangs in the kernel."""
        key = tuple(command)
        if self._hangs(key):
            return Answer(None, why="its last call still hangs")
        try:
            child = subprocess.Popen(  # noqa: S603 - commands of our own making, never through a shell
                key,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as wrong:
            return Answer(None, why=wrong.strerror or str(wrong))
        try:
            text, errors = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._give_up(key, child)
            return Answer(None, why=f"did not end within {seconds:g} s")
        return Answer(child.returncode, text, errors)

    def _give_up(self, key: tuple[str, ...], child: subprocess.Popen[str]) -> None:
        # A child in an uninterruptible sleep, or one of root's behind sudo, outlives this.
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        with suppress(OSError):
            os.killpg(child.pid, 9) if hasattr(os, "killpg") else child.kill()
        try:
            child.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            with self._lock:
                self._stuck[key] = child

    def _hangs(self, key: tuple[str, ...]) -> bool:
        with self._lock:
            if key in self._stuck and self._stuck[key].poll() is not None:
                del self._stuck[key]
            return key in self._stuck
