"""The spool: whether its file is sound, what waits in it and since when, and whether its disk has the room it may take.

A running agent holds the file alone; its status speaks then. Else a copy is looked at, so that an agent that starts
meanwhile finds nobody before it.

Errors: none; a spool that cannot be looked at is told.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent.checking import fresh, last_status
from agent.delivery.epochs import AWAY
from agent.delivery.layout import CHECKED_BELOW, SUFFIX, FileUnusable
from agent.delivery.spoolfile import SpoolFile
from agent.settings import Settings
from forewarn.doctor import machine
from forewarn.doctor.diagnosis import Diagnosis, amount, fail, ok, span, warn

_FULL_FROM = 0.8
"""Share of the limit from which on a spool is soon full."""
_LOOK_AT = "see why nothing leaves: broker, consent and collector below"


def look(settings: Settings) -> Iterator[Diagnosis]:
    """Disk, damage and content."""
    folder = settings.folder / "spool"
    files = sorted(folder.glob(f"*{SUFFIX}")) if machine.there(folder) else []
    taken = sum(file.stat().st_size for file in files)
    needs, limit = max(0, settings.spool.limit - taken), amount(settings.spool.limit)
    remedy = f"set `spool.limit` (now {limit}) below what is free"
    yield machine.room(folder, needs=needs, what="the spool", remedy=remedy)
    for away in sorted(folder.glob(f"*{SUFFIX}{AWAY}")) if machine.there(folder) else ():
        what = f"{away} was damaged and set aside"
        yield warn(
            "spool", what, "see that the disk is sound (`smartctl -a`), then keep the file elsewhere or delete it"
        )
    seen = last_status(settings.folder)
    if seen is not None and fresh(seen.age):
        if seen.status.stuck:
            yield fail("spool", seen.status.stuck, "make room on its disk; the agent goes on by itself")
        yield _filled(seen.status.records, seen.status.bytes, settings.spool.limit, "")
    elif files:
        yield _copied(files[-1], settings.spool.limit)
    else:
        yield ok("spool", "is not there yet; the first start makes it")


def _filled(records: int, size: int, limit: int, since: str) -> Diagnosis:
    count = "1 record waits" if records == 1 else f"{records} records wait"
    what = f"{count}, {amount(size)} of {amount(limit)}{since}" if records else "is empty"
    if size > limit * _FULL_FROM:
        return warn("spool", f"{what}: soon the oldest are dropped", f"{_LOOK_AT}; or raise `spool.limit`")
    return ok("spool", what)


def _copied(file: Path, limit: int) -> Diagnosis:
    size = file.stat().st_size
    if size > CHECKED_BELOW:
        return _filled(0, size, limit, "") if size > limit * _FULL_FROM else ok("spool", f"{amount(size)} on disk")
    try:
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / file.name
            before = _stamp(file)
            for tail in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{file}{tail}", f"{copy}{tail}")
            if _stamp(file) != before:
                return ok("spool", "an agent has begun to work on it; look again")
            return _looked(copy, limit)
    except (sqlite3.DatabaseError, FileUnusable) as wrong:
        remedy = (
            "start the agent: it sets the file aside, declares what is lost and goes on; see that the disk is sound"
        )
        return fail("spool", f"{file} is damaged ({wrong})", remedy)
    except OSError as wrong:
        return warn("spool", f"{file} could not be looked at ({wrong.strerror})", "run this as the agent's account")


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def _looked(copy: Path, limit: int) -> Diagnosis:
    with contextlib.closing(SpoolFile(copy)) as opened:
        oldest = next((record.t for record, *_ in opened.rows() if record.t), 0)
        since = f", since {span(time.time() - oldest / 1000)}" if oldest else ""
        return _filled(opened.count, opened.size, limit, since)
