"""The log book as lines, one a record or act: what leaving, leaving again and confirmation say of it, put together.

Lines come in the order in which things left, each when nothing more will be said of it. A record that left twice is one
line with two times.

Errors: none; a page or a block that cannot be read is a line that says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.logbook.pages import AGAIN, BOOK, CONFIRMED, CONSENT, LEFT, LOOKED, REFUSED, RUN, UNWRITTEN, Entry, Stored
from agent.logbook.waiting import Waiting
from forewarn import wire
from forewarn.manifest import MANIFEST
from forewarn.wire import Malformed, Record, Shape

POLL, EVENT, INVENTORY, LOST, RESULT = "poll", "event", "inventory", "lost", "result"
KINDS = (POLL, EVENT, INVENTORY, LOST, RESULT, CONSENT, REFUSED, MANIFEST, "agent", "log", "discovery")
"""What a line may be about; `agent` says when it started, `log` speaks of the log book itself, `discovery` of looking for devices."""
_ACTS = {CONSENT: CONSENT, REFUSED: REFUSED, RUN: "agent", UNWRITTEN: "log", BOOK: "log", LOOKED: "discovery"}


@dataclass(slots=True, kw_only=True)
class Line:
    """One line. For a record, `body` are its bytes as they left; for an act, `entry` is what was noted.

    `at` is when it left or happened, 0 while it waits; `left` has each time it left; all are Unix milliseconds.
    `replaced` says that it left and was declared lost afterwards, `moved` that it left and was then numbered anew.
    """

    kind: str
    at: int
    consent: str = ""
    entry: Entry | None = None
    epoch: str = ""
    record: Record | None = None
    shape: Shape | None = None
    body: bytes = b""
    left: list[int] = field(default_factory=list)
    confirmed: int = 0
    replaced: bool = False
    moved: bool = False

    @property
    def state(self) -> str:
        """Where it stands, in a word or two."""
        if self.record is None:
            return "noted"
        if self.confirmed:
            return "confirmed"
        if self.replaced:
            return "declared lost"
        if self.moved:
            return "numbered anew"
        return "left" if self.left else "waiting"


Key = tuple[str, int, int]


class Story:
    """Puts entries together; `add` gives the lines that are complete, `rest` those that are not yet."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._flying: dict[Key, Line] = {}
        self._done: dict[str, int] = {}
        self._reach: dict[str, int] = {}

    def add(self, stored: Stored) -> list[Line]:
        """Takes the next entry; returns the lines that nothing more will be said of, in order."""
        entry = stored.entry
        if entry.kind == LEFT:
            self.depart(stored)
        elif entry.kind == AGAIN:
            for (epoch, _, seq), line in self._flying.items():
                if epoch == entry.epoch and entry.first <= seq <= entry.last:
                    line.left.append(entry.at)
        elif entry.kind == CONFIRMED:
            self._confirm(entry)
        elif entry.kind in _ACTS and "restated" not in entry.text:
            self._lines.append(Line(kind=_ACTS[entry.kind], at=entry.at, consent=entry.consent, entry=entry))
        return list(self._settled())

    def rest(self) -> list[Line]:
        """The lines that left and are not confirmed, with what happened since."""
        lines, self._lines = list(self._lines), deque()
        return lines

    def reach(self, epoch: str) -> int:
        """The last number of an epoch that left."""
        return self._reach.get(epoch, 0)

    def depart(self, stored: Stored) -> list[Line]:
        """Takes a block that left; returns the lines of the records that left with it for the first time."""
        entry = stored.entry
        for key, line in list(self._flying.items()):
            if key[0] != entry.epoch:
                line.moved = True
                del self._flying[key]
        self._reach[entry.epoch] = max(entry.last, self.reach(entry.epoch))
        try:
            block, bodies = wire.unpack(stored.payload)
        except Malformed as wrong:
            text = {"state": f"holds a block that cannot be read: {wrong}"}
            self._lines.append(Line(kind="log", at=entry.at, entry=Entry(at=entry.at, kind=BOOK, text=text)))
            return []
        new: list[Line] = []
        for record, body in zip(block.records, bodies, strict=True):
            first = self._record(entry, record, block.shapes.get(record.shape), body)
            if first is not None:
                new.append(first)
        return new

    def _record(self, entry: Entry, record: Record, shape: Shape | None, body: bytes) -> Line | None:
        if record.seq <= self._done.get(entry.epoch, 0):
            return None
        key = entry.epoch, record.begins, record.seq
        known = self._flying.get(key)
        if known is not None and known.body == body:
            known.left.append(entry.at)
            return None
        if record.kind == LOST:
            for (_, _, seq), line in self._flying.items():
                line.replaced = line.replaced or record.begins <= seq <= record.seq
        line = line_of(record, shape, body, epoch=entry.epoch, consent=entry.consent)
        line.at, line.left = entry.at, [entry.at]
        self._flying[key] = line
        self._lines.append(line)
        return line

    def _confirm(self, entry: Entry) -> None:
        for key, line in list(self._flying.items()):
            if key[0] == entry.epoch and key[2] <= entry.last:
                line.confirmed = 0 if line.replaced else entry.at
                del self._flying[key]
        self._done[entry.epoch] = max(entry.last, self._done.get(entry.epoch, 0))

    def _settled(self) -> Iterator[Line]:
        while self._lines and not self._flies(self._lines[0]):
            yield self._lines.popleft()

    def _flies(self, line: Line) -> bool:
        if line.record is None:
            return False
        return self._flying.get((line.epoch, line.record.begins, line.record.seq)) is line


def line_of(record: Record, shape: Shape | None, body: bytes, *, epoch: str, consent: str) -> Line:
    """The line of one record that has not left."""
    kind = record.kind or POLL
    return Line(kind=kind, at=0, epoch=epoch, consent=consent, record=record, shape=shape, body=body)


def still_waiting(spool: Waiting, story: Story) -> list[Line]:
    """The lines of what is in the spool and has not left."""
    found: list[Line] = []
    for kept in spool.records:
        if kept.seq > story.reach(spool.epoch):
            try:
                record = wire.open_record(kept.body)
            except Malformed:  # Damaged on disk: the agent declares it when it meets it.
                continue
            found.append(line_of(record, kept.shape, kept.body, epoch=spool.epoch, consent=kept.consent))
    return found


def wanted(devices: list[str], kinds: list[str]) -> Callable[[Line], bool]:
    """Whether a line is about one of some devices and kinds; every one, where none is named."""

    def fits(line: Line) -> bool:
        device = line.record.device if line.record is not None else ""
        return (not devices or device in devices) and (not kinds or line.kind in kinds)

    return fits


def plain(line: Line) -> dict[str, Any]:
    """A line as plain values, for machines."""
    found: dict[str, Any] = {"kind": line.kind, "state": line.state, "consent": line.consent}
    if line.entry is not None:
        return found | {"at": line.at, **line.entry.text} | _range(line.entry)
    record = line.record
    assert record is not None
    found |= {"t": record.t, "device": record.device, "left": line.left, "confirmed": line.confirmed or None}
    found |= {"epoch": line.epoch, "seq": record.seq}
    if record.kind == LOST:
        found |= {"first": record.first, "why": record.why}
    if record.kind:
        return found | {"text": record.text}
    tables: dict[str, dict[str, dict[str, float | None]]] = {}
    if line.shape is not None:
        for (table, instance, name), value in zip(line.shape.columns(), record.values, strict=True):
            tables.setdefault(table, {}).setdefault(instance, {})[name] = value
    return found | {"ok": record.ok, "why": record.why, "values": tables}


def _range(entry: Entry) -> dict[str, Any]:
    return {"first": entry.first, "last": entry.last} if entry.kind == UNWRITTEN else {}
