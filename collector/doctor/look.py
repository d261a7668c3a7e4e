"""The look at a collector, one thing after the other, in the order a beginner has to put them right.

Errors:
    SettingError   the settings are wrong, so that nothing can be looked at
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from collector.doctor import broker, databases, door, fleet, notices, rulebook, store
from collector.doctor.running import Answer, asked
from collector.settings import load
from forewarn.doctor import machine
from forewarn.doctor.diagnosis import Diagnosis, Progress, fail, ok, warn
from forewarn.settings import Size

_ROOM = Size.parse("2GiB")
"""What a collector writes in a busy week, about; with less free somebody should know."""


def look(file: Path, progress: Progress) -> Iterator[Diagnosis]:
    """Looks at the collector of a settings file.

    Args:
        file: collector.yaml.
        progress: told how far the rules' tests are.

    Raises:
        SettingError: see above.
    """
    settings = load(file)
    now = time.time_ns() // 1_000_000
    yield machine.program()
    yield ok("settings", f"role {settings.role}, series in {settings.series.store}")
    yield from machine.secrets_kept(file, settings)
    yield machine.folder(settings.folder)
    less = "set `journal.keep` or `series.keep` lower"
    yield machine.room(settings.folder, needs=_ROOM, what="journal and series", remedy=less)
    yield machine.clock()
    answer = asked(settings.api)
    yield from _runs(answer)
    yield from door.look(settings, answer)
    opened = yield from databases.look(settings)
    try:
        yield from store.look(settings, answer)
        yield from broker.look(settings, answer, databases.works(opened, now))
        yield from rulebook.look(settings, opened, progress)
        yield from notices.look(settings, opened, now)
        yield from fleet.look(opened, now)
    finally:
        opened.close()


def _runs(answer: Answer) -> Iterator[Diagnosis]:
    if answer.checks is None:
        what = f"does not answer at {answer.address} ({answer.why})"
        yield warn("collector", what, "`forewarn collector run` starts it")
        return
    yield ok("collector", f"runs, and answers at {answer.address}")
    for said in answer.checks:
        if not said.ok and said.name not in ("bus", "store"):  # Those have their own place.
            yield fail("collector", f"{said.name}: {said.detail}", _REMEDIES.get(said.name, _LOG))


_LOG = "its log says since when, and more"
_REMEDIES = {
    "journal": "see `database` below; it goes on by itself",
    "service": "see `database` below; it goes on by itself",
    "intake": "see the disk above and `database` below; agents keep what is not taken",
}
