"""Reads a log book from some time on, and goes on as it grows, beside the agent that writes it.

Errors:
    OSError   the folder may not be read; what else cannot be read is an entry that says so
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from agent.logbook import pages
from agent.logbook.pages import BOOK, DAMAGED, Entry, Stored


class Reader:
    """Remembers how far it has read."""

    def __init__(self, folder: Path, since: int = 0) -> None:
        """Nothing is read yet.

        Args:
            folder: of the pages.
            since: what is older need not be read, Unix milliseconds; some of it is all the same.
        """
        self._folder = folder
        self._since = since
        self._page: Path | None = None
        self._at = 0
        self._noted = 0
        """When what was read last of the commands' notes happened."""

    def more(self) -> Iterator[Stored]:
        """Every entry that was not read before, in order; what commands noted stands between by its time.

        Raises:
            OSError: the folder may not be read.
        """
        found = pages.pages(self._folder)
        notes = deque(each for each in pages.noted(self._folder) if each.entry.at > self._noted)
        for stored in self._of(found):
            while notes and notes[0].entry.at <= stored.entry.at:
                yield self._note(notes.popleft())
            yield stored
        while notes:
            yield self._note(notes.popleft())

    def _note(self, stored: Stored) -> Stored:
        self._noted = max(self._noted, stored.entry.at)
        return stored

    def _of(self, found: list[Path]) -> Iterator[Stored]:
        if self._page is None:
            found = found[_first(found, self._since) :]
        for path in found:
            if self._page is not None and path < self._page:
                continue
            if path != self._page:
                self._page, self._at = path, 0
            yield from self._rest_of(path)

    def _rest_of(self, path: Path) -> Iterator[Stored]:
        try:
            got = pages.read(path, self._at)
        except FileNotFoundError:  # Dropped for its age, or erased, while we read.
            return
        except OSError as wrong:
            yield _said(f"page {path.name} cannot be read: {wrong.strerror}", 0)
            return
        if got.why == DAMAGED:  # Nothing behind it can be told apart; the agent cuts it off when it starts next.
            self._at = path.stat().st_size
            at = got.stored[-1].entry.at if got.stored else 0
            yield from got.stored
            yield _said(f"page {path.name} is damaged from byte {got.end} on", at)
            return
        self._at = got.end
        yield from got.stored


def _said(state: str, at: int) -> Stored:
    return Stored(Entry(at=at, kind=BOOK, text={"state": state}), b"", 0)


def _first(found: list[Path], since: int) -> int:
    """The place of the last page that begins before `since`."""
    first = 0
    for at, path in enumerate(found):
        try:
            if pages.began(path) <= since:
                first = at
        except OSError:
            continue
    return first
