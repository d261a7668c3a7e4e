"""`forewarn agent status`: how the agent stands, in sentences for the customer on whose site it runs.

It reads what the agent last wrote into its folder and asks nobody. Like `log` it needs the folder alone.

Exit codes: 0 all is well; 1 something is to be looked at, or the agent does not run; 2 the command line is wrong.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typer

from agent import checking, lately, spoken
from agent.app import SystemClock
from agent.checking import Seen
from agent.commands.log import CONFIG, AsJson, Config, Folder
from agent.devices.health import Standing
from agent.guard import WITHDRAWN, withdrawn_at
from agent.itself import STATUS, Status
from agent.lately import Lately, Polled
from agent.logbook import pages, wording
from agent.logbook.lines import LOST, Story, still_waiting
from agent.logbook.pages import CONFIRMED, LEFT
from agent.logbook.reader import Reader
from agent.logbook.waiting import waiting
from agent.polling.poller import Trouble
from agent.settings import CONSENT, load
from agent.traps.gate import Why
from agent.traps.state import State
from forewarn import consent as consents
from forewarn import wire
from forewarn.consent import Consent, ConsentError
from forewarn.wire import Malformed, Record

WEEK = 7 * 86_400_000
"""Milliseconds over which losses are told."""
_DAY = 86_400_000
_MOST_NAMED = 3


class Departed(NamedTuple):
    """What the log book says of the last week: when something left, was confirmed, and what was declared lost."""

    left: int
    confirmed: int
    lost: list[Record]


class Found(NamedTuple):
    """All that `status` looks at."""

    status: Status
    age: float
    consent: Consent | None
    withdrawn: dict[str, str]
    lately: Lately | None
    departed: Departed
    now: int

    @property
    def runs(self) -> bool:
        """Whether the agent runs, here and now."""
        return checking.fresh(self.age)

    @property
    def well(self) -> bool:
        """Whether nothing needs to be looked at."""
        said = self.status
        return self.runs and said.connected and not (said.forbidden or said.held or said.stuck)


def status(config: Config = CONFIG, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show what is polled and how it went, what left and what waits, under which consent, what was refused and lost."""
    home, document = _places(config, folder)
    seen = checking.last_status(home)
    if seen is None:
        with contextlib.suppress(FileNotFoundError):
            (home / STATUS).open("rb").close()
        print(f"no status in {home}: does the agent run on this host?", file=sys.stderr)
        raise typer.Exit(1)
    found = _look(home, document, seen)
    if as_json:
        print(msgspec.json.encode(_plain(found)).decode())
    else:
        for line in _shown(found):
            print(line)
    raise typer.Exit(0 if found.well else 1)


def _places(config: Path, folder: Path | None) -> tuple[Path, Path]:
    """The agent's folder and the signed consent."""
    if folder is not None:
        return folder, folder / CONSENT
    settings = load(config)
    return settings.folder, settings.consent_file


def _look(home: Path, document: Path, seen: Seen) -> Found:
    now = SystemClock().now()
    try:
        consent = consents.parse(document.read_bytes())
    except (OSError, ConsentError):
        consent = None
    try:
        withdrawn = withdrawn_at(home / WITHDRAWN)
    except ConsentError:
        withdrawn = {}
    return Found(seen.status, seen.age, consent, withdrawn, lately.last(home), _departed(home, now - WEEK), now)


def _departed(home: Path, since: int) -> Departed:
    left = confirmed = 0
    lost: dict[tuple[str, int], Record] = {}
    for stored in Reader(home / pages.FOLDER, since).more():
        entry = stored.entry
        if entry.kind == CONFIRMED:
            confirmed = entry.at
        elif entry.kind == LEFT:
            left = entry.at
            if entry.lost and entry.at >= since:
                lost |= {(entry.epoch, record.begins): record for record in _losses(stored.payload)}
    spool = waiting(home / "spool", most=16 * 1024 * 1024)
    for line in still_waiting(spool, Story()):
        if line.kind == LOST and line.record is not None:
            lost[spool.epoch, line.record.begins] = line.record
    return Departed(left, confirmed, list(lost.values()))


def _losses(payload: bytes) -> list[Record]:
    try:
        return [record for record in wire.unpack(payload).block.records if record.kind == LOST]
    except Malformed:
        return []


def _shown(found: Found) -> Iterator[str]:
    seen = found.lately
    who = f"Agent {seen.agent} of site {seen.site}" if seen is not None else "The agent"
    if found.runs:
        yield f"{who} runs. Times are {spoken.zone()}."
    else:
        yield f"{who} does not run, or not here: its last word is {spoken.span(found.age)} old."
        yield f"What follows is how it stood then. Times are {spoken.zone()}."
        if Path(f"/proc/{found.status.pid}").exists():
            yield f"Process {found.status.pid} is there all the same: if it is the agent, its folder cannot be written."
    yield ""
    yield from _consent(found)
    yield ""
    yield from _delivery(found)
    if seen is not None:
        yield ""
        yield from _devices(seen, found.now, found.status.troubled)
        yield from _refused(seen)
    yield from _lost(found.departed)
    yield ""
    yield "`forewarn agent log` shows each record that left; `forewarn agent consent withdraw` ends it all."


def _consent(found: Found) -> Iterator[str]:
    said, consent = found.status, found.consent
    if said.forbidden:
        yield f"consent    NOTHING IS READ AND NOTHING LEAVES: {said.forbidden}"
    elif said.consent:
        yield f"consent    {said.consent} {'is' if found.runs else 'was'} in force"
    else:
        yield "consent    none in force"
    if consent is None:
        return
    left = (consent.ends - found.now) / _DAY
    until = f"in {left:,.0f} days" if left >= 2 else f"in {spoken.span(left * 86400)}" if left > 0 else "past"  # noqa: PLR2004 - singular
    named = "" if consent.id == said.consent and not said.forbidden else f"{consent.id}, "
    yield f"           {named}signed by {consent.signed_by} for {consent.customer}"
    yield f"           from {consent.valid_from} until {consent.valid_until} ({until})"
    yield f"           for {' and '.join(wording.source(scope) for scope in consent.scopes)}, reading only"
    yield f"           devices in {', '.join(consent.networks) or 'no network'} and nowhere else"
    if consent.id in found.withdrawn:
        yield f"           withdrawn by the customer on {found.withdrawn[consent.id]}"


def _delivery(found: Found) -> Iterator[str]:
    said, departed = found.status, found.departed
    remedy = checking.held_remedy(said.held)
    held = f"{said.held}; {remedy}" if remedy else said.held
    connected = "connected" if found.runs else "was connected"
    yield f"broker     {connected if said.connected else said.why.removeprefix('broker ')}"
    if said.held:
        yield f"collector  does not take our records, which wait here: {held}"
    else:
        confirmed = f"everything up to record {said.acked:,}" if said.acked else "nothing yet"
        yield f"collector  {'takes our records; ' if found.runs and said.connected else ''}has confirmed {confirmed}"
    count = "1 record" if said.records == 1 else f"{said.records:,} records"
    numbers = f"{said.oldest:,} to {said.head:,}" if said.records > 1 else f"{said.head:,}"
    yield f"waiting    {f'{count} ({spoken.size(said.bytes)}), number {numbers}' if said.records else 'nothing'}"
    if said.manifest is not None:
        manifest = said.manifest
        dropped = f", {manifest.lost:,} dropped" if manifest.lost else ""
        yield f"proof      of records {manifest.first:,} to {manifest.last:,} is sent with them{dropped}"
    if departed.left:
        confirmed = spoken.hour(departed.confirmed, departed.left) if departed.confirmed else "never"
        yield f"last left  {spoken.instant(departed.left)}, last confirmed {confirmed}"
    else:
        yield "last left  nothing has left within what the log holds"
    yield f"disk       {said.stuck or ('takes our records' if found.runs else 'took our records')}"
    if said.traps is not None:
        yield from _traps(said.traps)
    if found.lately is not None:
        book = found.lately
        paused = f"; NOT WRITTEN NOW: {book.log_paused}; delivery goes on" if book.log_paused else ""
        yield f"log        {spoken.size(book.log_bytes)} of what left is kept here{paused}"
    if said.forged:
        yield f"forged     {said.forged:,} acknowledgements that the collector did not make were ignored"


def _traps(hears: State) -> Iterator[str]:
    tally = hears.tally
    said = f"heard on port {hears.port}" if hears.port else f"NOT HEARD: {hears.why}"
    again = f", {tally.repeated:,} of them the very same again" if tally.repeated else ""
    yield f"traps      {said}; {tally.heard:,} read{again}"
    for why, dropped in tally.dropped.items():
        sources = {Why.STRANGER: tally.strangers, Why.TOO_MANY: {}, Why.BUSY: {}}.get(Why(why), tally.refused)
        most = sorted(sources, key=lambda address: -sources[address])[:_MOST_NAMED]
        named = f" ({', '.join(most)})" if most else ""
        yield f"           {dropped:,} dropped: {why}{named}"


def _devices(seen: Lately, now: int, troubled: Mapping[str, Trouble]) -> Iterator[str]:
    rows = [("DEVICE", "ADDRESS", "EVERY", "READ AS", "LAST READ", "HOW IT WENT")]
    for device in seen.devices:
        at = spoken.hour(device.at, now) if device.at else "never"
        rows.append(
            (
                device.name,
                device.address,
                spoken.span(device.every),
                device.profile,
                at,
                outcome(device, troubled.get(device.name)),
            )
        )
    widths = [max(wording.width(row[at]) for row in rows) for at in range(5)]
    for row in rows:
        padded = [wording.padded_to(text, width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*padded, row[-1]]).rstrip()


def outcome(device: Polled, trouble: Trouble | None) -> str:
    """How the last poll of a device went, in words."""
    if device.refused:
        return f"not read: {device.refused}"
    if not device.at:
        return "not read yet"
    if not device.ok:
        down = f"DOWN since {spoken.instant(trouble.since)}" if trouble and trouble.standing == Standing.DOWN else ""
        return f"{down or 'could not be read'}: {device.why}"
    if device.kind == "agent":
        return f"reports on itself, {device.values} values"
    what = "1 value" if device.values == 1 else f"{device.values} values"
    return f"answered, {what}" + (f"; {device.why}" if device.why else "")


def _refused(seen: Lately) -> Iterator[str]:
    if seen.refused or seen.withheld:
        yield ""
        yield "Refused, because the consent does not cover it:"
    for one in seen.refused:
        times = "once" if one.times == 1 else f"{one.times:,} times"
        subject = one.address or wording.source(one.source)
        yield f"  {subject}: {one.why}, {times} since {spoken.instant(one.since)}"
    if seen.withheld:
        count = "1 reading" if seen.withheld == 1 else f"{seen.withheld:,} readings"
        yield f"  {count} under way as the consent ended: thrown away"


def _lost(departed: Departed) -> Iterator[str]:
    if departed.lost:
        yield ""
        yield "Dropped within the last 7 days, and declared lost to the service company:"
    for record in departed.lost:
        yield f"  {spoken.instant(record.t)}  {wording.loss(record)}"


def _plain(found: Found) -> dict[str, Any]:
    return {
        "runs": found.runs,
        "well": found.well,
        "age_seconds": found.age,
        "status": found.status,
        "consent": consents.shown(found.consent) if found.consent else None,
        "withdrawn": found.withdrawn,
        "lately": found.lately,
        "last_left": found.departed.left or None,
        "last_confirmed": found.departed.confirmed or None,
        "lost": [msgspec.to_builtins(record) for record in found.departed.lost],
    }
