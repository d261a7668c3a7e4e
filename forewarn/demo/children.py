"""The programs of a demonstration: broker, collector and agent, each an ordinary process that ends with the demo.

Errors:
    Ended   one of them ended by itself: `str()` names it and has the last thing it said
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

_PATIENCE = 30.0


class Ended(Exception):
    """A program of the demo ended without having been asked to."""


class Child:
    """One running program; its output goes to a log."""

    def __init__(self, name: str, words: list[str], log: Path) -> None:
        self.name = name
        self._log = log
        # What a person set for a real agent or collector is not meant for these.
        env = {key: value for key, value in os.environ.items() if not key.startswith("FOREWARN_")}
        command = [sys.executable, "-m", "forewarn.demo.tied", *words]
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Sees that it runs.

        Raises:
            Ended: it does not.
        """
        code = self._process.poll()
        if code is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise Ended(f"the {self.name} ended with exit code {code}: {said or 'it said nothing'}")

    def end(self) -> None:
        """Asks it to end in order, and waits; one that does not is killed."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Children:
    """All programs, ended in the opposite order of their start."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Child] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        while self._running:
            self._running.pop().end()

    def start(self, name: str, *words: str) -> Child:
        """Starts a program."""
        child = Child(name, list(words), self._logs / f"{name}.log")
        self._running.append(child)
        return child

    def end(self, name: str) -> None:
        """Ends one of them."""
        for child in [each for each in self._running if each.name == name]:
            self._running.remove(child)
            child.end()

    def check(self) -> None:
        """Sees that all of them run.

        Raises:
            Ended: one does not.
        """
        for child in self._running:
            child.check()

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Waits until something is so.

        Raises:
            Ended: a program ended, or it takes too long; `what` says what did not come.
        """
        end = time.monotonic() + _PATIENCE
        while not until():
            self.check()
            if time.monotonic() > end:
                raise Ended(f"{what} did not come about within {_PATIENCE:g} s: see {self._logs}")
            time.sleep(0.02)
