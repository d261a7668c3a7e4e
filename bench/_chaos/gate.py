"""Moments at which a program can be stopped from outside: it says that it is there, and waits to go on or to die.

A `Gate` lives in the program, put there by the bench's own runner; the director's `Gates` arm one moment at a time.
Where none is armed, a gate lets everything through at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

PUBLISHING = "while publishing"
PUBACK = "after the broker's ack"
COMMITTED = "between commit and ack"
WRITTEN = "between store write and cursor"
IDLE = "idle"
AT = {PUBLISHING: "agent", PUBACK: "agent", COMMITTED: "collector", WRITTEN: "collector"}
"""Moment → the program that reaches it."""
LONGEST = 30.0
"""Seconds after which a program goes on by itself, should the director be gone."""


class Gate:
    """In the program. `heard` is called with every word that is not ours."""

    def __init__(self, address: Path, role: str, heard: Callable[[str], None] = lambda _: None) -> None:
        self._link: Connection = Client(str(address), family="AF_UNIX")
        self._heard = heard
        self._armed = ""
        self._one = threading.Lock()
        self._go = threading.Event()
        self._link.send(f"hello {role}")
        threading.Thread(target=self._listen, name="gate", daemon=True).start()

    def reach(self, moment: str) -> None:
        """Says that this moment is here and waits, when it is the one that is armed."""
        if self._armed != moment:
            return
        with self._one:
            if self._armed != moment:
                return
            self._armed = ""
            self._go.clear()
            self._link.send(f"at {moment}")
            self._go.wait(LONGEST)

    def _listen(self) -> None:
        while True:
            try:
                word = str(self._link.recv())
            except (EOFError, OSError):
                return
            if word == "go":
                self._armed = ""
                self._go.set()
            elif word.startswith("arm "):
                self._armed = word.removeprefix("arm ")
            else:
                self._heard(word)


class Gates:
    """At the director: which programs are there, and the moment that one of them reached."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._listener = Listener(str(address), family="AF_UNIX")
        self._links: dict[str, Connection] = {}
        self._changed = threading.Condition()
        self._at = ""
        threading.Thread(target=self._accept, name="gates", daemon=True).start()

    def tell(self, role: str, word: str) -> None:
        """Sends a word to a program as soon as it is there.

        Raises:
            SystemExit: it never comes.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: role in self._links, 60):
                raise SystemExit(f"the {role} never came to its gate")
            try:
                self._links[role].send(word)
            except OSError:  # Killed this moment: whoever starts it again tells it again.
                self._links.pop(role, None)

    def arm(self, moment: str) -> None:
        """The next time a program reaches this moment it waits there."""
        self._at = ""
        self.tell(AT[moment], f"arm {moment}")

    def reached(self, moment: str, seconds: float) -> bool:
        """Whether the moment is reached in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._at == moment, seconds)

    def go(self, moment: str) -> None:
        """Lets the program that waits go on, when it lives."""
        role = AT[moment]
        if role in self._links:
            self.tell(role, "go")

    def gone(self, role: str) -> None:
        """Forgets a program that was killed."""
        with self._changed:
            self._links.pop(role, None)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                link = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(link,), daemon=True).start()

    def _read(self, link: Connection) -> None:
        try:
            while True:
                word = str(link.recv())
                with self._changed:
                    if word.startswith("hello "):
                        self._links[word.removeprefix("hello ")] = link
                    else:
                        self._at = word.removeprefix("at ")
                    self._changed.notify_all()
        except (EOFError, OSError):
            return


def until(true: Callable[[], object], what: Callable[[], str], seconds: float) -> None:
    """Waits for a condition.

    Raises:
        SystemExit: it never came true; the text says what.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"never came true: {what()}")
        time.sleep(0.02)
