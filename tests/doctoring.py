"""What the tests of the doctors share: one look, as lines a person reads."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forewarn.doctor.diagnosis import Diagnosis, Level, Progress

SMALL = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
"""A world of its own, in which a shell may mount."""
_NOBODY = 65534


class Told(list[Diagnosis]):
    """What one look told."""

    def about(self, subject: str) -> list[Diagnosis]:
        return [each for each in self if each.subject.startswith(subject)]

    def one(self, level: Level, subject: str, words: str) -> Diagnosis:
        """The one diagnosis of this level and subject that says these words."""
        found = [each for each in self.about(subject) if each.level is level and words in each.what]
        assert len(found) == 1, "\n".join(map(str, self))
        return found[0]

    def fails(self, subject: str, words: str, remedy: str) -> None:
        found = self.one(Level.FAIL, subject, words)
        assert remedy in found.remedy, str(found)

    def warns(self, subject: str, words: str, remedy: str) -> None:
        found = self.one(Level.WARN, subject, words)
        assert remedy in found.remedy, str(found)

    def well(self, subject: str, words: str) -> None:
        assert self.one(Level.OK, subject, words).remedy == ""

    def failing(self) -> list[str]:
        return [str(each) for each in self if each.level is Level.FAIL]


def told(
    look: Callable[[Path, Progress], Iterator[Diagnosis]], file: str, progress: Progress = lambda *_: None
) -> Told:
    return Told(look(Path(file), progress))


@contextlib.contextmanager
def another_account() -> Iterator[None]:
    """As root, nobody's rights for a moment: root itself may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def own_world() -> None:
    """Skips where a test cannot mount."""
    if subprocess.run([*SMALL, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
