"""`forewarn agent log`: what left the site and what waits to leave, for the customer to read, offline.

It reads the log book and a copy of the spool beside the running agent, and changes neither. It needs the right to read
the agent's folder, not its settings (`--folder`), which hold the secret.

Exit codes: 0 shown; 1 there is no log book here, or it cannot be read; 2 the command line is wrong.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from agent import spoken
from agent.app import SystemClock
from agent.logbook import pages, wording
from agent.logbook.lines import KINDS, Line, Story, plain, still_waiting, wanted
from agent.logbook.pages import CONFIRMED, LEFT, Entry
from agent.logbook.reader import Reader
from agent.logbook.waiting import waiting
from agent.settings import load
from forewarn.settings import Duration
from forewarn.vocabulary import nearest

CONFIG = Path("agent.yaml")
Config = Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="The agent's settings.")]
Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="The agent's folder: for who may read it, but not the settings with the secret."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines; times are Unix milliseconds.")]
_LOOK = 0.3
_USUAL = "1h"
_MOST_WAITING = 200
_FOREVER = 1 << 62


class Range(NamedTuple):
    """From when up to when, Unix milliseconds; `usual` when nobody asked for one."""

    since: int
    until: int
    usual: bool


def folder_of(config: Path, folder: Path | None) -> Path:
    """The agent's folder, as given or as its settings say.

    Raises:
        SettingError: the settings cannot be read.
    """
    return folder if folder is not None else load(config).folder


def log(  # noqa: PLR0913, PLR0917 - one for each option a person may type
    since: Annotated[str, typer.Option(help="What left within so long: 30m, 12h, 7d.")] = "",
    begin: Annotated[str, typer.Option("--from", help="From when: 2026-03-01, or 2026-03-01T12:30.")] = "",
    end: Annotated[str, typer.Option("--to", help="Up to when, likewise.")] = "",
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be given again.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help=f"Only this kind: {', '.join(KINDS)}; may be given again.")] = (
        None
    ),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as things happen, until Ctrl-C.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Each record exactly as it was sent.")] = False,
    as_json: AsJson = False,
    erase: Annotated[bool, typer.Option("--erase", help="Delete the log: it is the customer's own record.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --erase.")] = False,
    config: Config = CONFIG,
    folder: Folder = None,
) -> None:
    """Show what left this site, when, and under which consent; what waits; what was refused, dropped, withdrawn.

    A line a record, in the order in which they left; times are this machine's. READ is when the device was read,
    LEFT when the record was handed to the broker, CONFIRMED when the service company's collector had it for good.
    """
    home = folder_of(config, folder)
    if erase:
        _erase(home / pages.FOLDER, yes=yes)
        return
    asked = _range(since, begin, end)
    _check_kinds(kind or [])
    if not (home / pages.FOLDER).is_dir():
        _fail(f"there is no log in {home}: did the agent run here?", 1)
    shown = _Shown(as_json=as_json, full=full, fits=wanted(device or [], kind or []))
    story, reader = Story(), Reader(home / pages.FOLDER, asked.since)
    shown.head(asked)
    for line in _told(story, reader):
        if asked.since <= line.at < asked.until:
            shown.show(line)
    if asked.until == _FOREVER:
        _show_waiting(home, story, shown)
    shown.close(asked)
    if follow:
        _follow(reader, story, shown)


def _told(story: Story, reader: Reader) -> Iterator[Line]:
    for stored in reader.more():
        yield from story.add(stored)
    yield from story.rest()


class _Shown:
    """Writes lines to standard output in the form that was asked for."""

    def __init__(self, *, as_json: bool, full: bool, fits: Callable[[Line], bool]) -> None:
        self.as_json = as_json
        self._full = full
        self._fits = fits
        self._count = 0

    def head(self, asked: Range) -> None:
        if not self.as_json:
            span = f"since {spoken.instant(asked.since)}" if asked.since else "since the log begins"
            upto = "" if asked.until == _FOREVER else f" up to {spoken.instant(asked.until)}"
            print(f"What left this site {span}{upto}. Times are {spoken.zone()}.\n")
            print(wording.columns(*wording.HEAD))

    def show(self, line: Line) -> None:
        if not self._fits(line):
            return
        self._count += 1
        if self.as_json:
            print(msgspec.json.encode(_object(line, full=self._full)).decode(), flush=True)
        else:
            print(wording.full(line) if self._full else wording.row(line), flush=True)

    def confirmed(self, entry: Entry) -> None:
        if self.as_json:
            found = {"kind": CONFIRMED, "at": entry.at, "epoch": entry.epoch, "upto": entry.last}
            print(msgspec.json.encode(found).decode(), flush=True)
        else:
            at = spoken.instant(entry.at)
            print(f"{at}  confirmed by the service company: everything up to record {entry.last:,}", flush=True)

    def note(self, text: str) -> None:
        if not self.as_json:
            print(text, flush=True)

    def close(self, asked: Range) -> None:
        if not self._count:
            self.note("(nothing)")
        if asked.usual:
            self.note("\nThis was the last hour: --since 7d shows more, --full what was sent to the letter.")


def _object(line: Line, *, full: bool) -> dict[str, Any]:
    found = plain(line)
    if full and line.record is not None:
        found["record"] = msgspec.Raw(line.body)
        if line.shape is not None:
            found["shape"] = msgspec.Raw(line.shape.encoded)
    return found


def _show_waiting(home: Path, story: Story, shown: _Shown) -> None:
    spool = waiting(home / "spool")
    if spool.why:
        print(f"What waits to leave is not shown: {spool.why}.", file=sys.stderr)
    found = still_waiting(spool, story)
    if len(found) > _MOST_WAITING and not shown.as_json:
        shown.note(f"({len(found) - _MOST_WAITING:,} older records wait as well; --json shows all of them)")
        found = found[-_MOST_WAITING:]
    for line in found:
        shown.show(line)


def _follow(reader: Reader, story: Story, shown: _Shown) -> None:
    """Shows records as they leave, and confirmations as they come."""
    try:
        while True:
            for stored in reader.more():
                if stored.entry.kind == LEFT:
                    for line in story.depart(stored):
                        shown.show(line)
                    continue
                story.add(stored)
                if stored.entry.kind == CONFIRMED:
                    shown.confirmed(stored.entry)
            for line in story.rest():
                if line.record is None:
                    shown.show(line)
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        return


def _range(since: str, begin: str, end: str) -> Range:
    if since and begin:
        _fail("--since and --from say the same thing twice: give one of them", 2)
    until = _moment("--to", end) if end else _FOREVER
    begins = _moment("--from", begin) if begin else 0 if end and not since else _ago(since or _USUAL)
    if begins >= until:
        _fail(f"--to {end} lies before what is to be shown begins, {spoken.instant(begins)}", 2)
    return Range(begins, until, not (since or begin or end))


def _ago(since: str) -> int:
    """So long ago; the beginning of all times where that is longer than there are times."""
    try:
        return int(max(0.0, SystemClock().now() - Duration.parse(since) * 1000))
    except ValueError as wrong:
        _fail(f"--since {since}: {wrong}", 2)
    raise AssertionError


def _moment(option: str, text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        _fail(f"{option} {text}: a time is written like 2026-03-01 or 2026-03-01T12:30", 2)
    raise AssertionError


def _check_kinds(kinds: list[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            _fail(f"--kind {kind}: the kinds are {', '.join(KINDS)}{nearest(kind, KINDS)}", 2)


def _erase(folder: Path, *, yes: bool) -> None:
    found = pages.pages(folder)
    if not found:
        print("There is no log to erase.")
        return
    size, since = sum(path.stat().st_size for path in found), pages.began(found[0])
    what = f"the log of what left since {spoken.instant(since)}, {spoken.size(size)}"
    if not yes:
        typer.confirm(f"Erase {what}? What waits in the spool stays, and so does what left.", abort=True)
    for path in found:
        pages.remove(path)
    for name in (pages.BY_HAND, pages.BY_HAND + pages.OLDER):
        (folder / name).unlink(missing_ok=True)
    print(f"Erased {what}. A running agent begins a new one.")


def _fail(what: str, code: int) -> None:
    print(f"forewarn: {what}", file=sys.stderr)
    raise typer.Exit(code)
