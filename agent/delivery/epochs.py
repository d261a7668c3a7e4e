"""The spool's folder: which file is the epoch in force, and how one epoch gives way to the next.

An epoch ends when its file is damaged (it is set aside, a lost record in the next one declares it) or when somebody
else numbers in it too (everything unacknowledged moves on, numbered anew). The new epoch is whole, under a draft's
name, before the old one is touched: whichever moment the program is killed at, the next start finds the old epoch, or
a draft and nothing else, which it brings in force.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from ulid import ULID

from agent.delivery.layout import SUFFIX, FileUnusable
from agent.delivery.soundness import DAMAGED, Damaged, is_broken
from agent.delivery.spoolfile import ANY_CONSENT, HOLE, NOTE, Piece, SpoolFile
from agent.reading import Clock
from forewarn.manifest import MANIFEST
from forewarn.telemetry import Log
from forewarn.wire import Record

ACKED = "acked"
"""A small file beside the spool, `epoch acked head`: it outlives a damaged spool and tells where its loss begins."""

DRAFT = ".new"
"""The end of the name of an epoch that is not in force yet."""
AWAY = ".damaged"
MOST_UNWRITTEN = 100_000
"""Lines of the ledger that wait for a disk with room; the oldest of more are given up."""

log = Log(__name__)


class Epochs:
    """The folder and its open file. One thread."""

    def __init__(self, folder: Path, *, clock: Clock, ledger: Path | None, max_pages: int | None) -> None:
        self.folder = folder
        self._clock = clock
        self._ledger = ledger
        self._max_pages = max_pages
        self._unwritten: deque[str] = deque(maxlen=MOST_UNWRITTEN)
        self._ledger_waits = False
        self._file: SpoolFile | None = None

    @property
    def file(self) -> SpoolFile:
        """The epoch in force."""
        if self._file is None:
            raise FileUnusable("no spool is open")
        return self._file

    def open(self) -> None:
        """Opens the newest epoch that is whole; begins one when there is none.

        Raises:
            OSError, sqlite3.Error: the folder cannot be used.
        """
        self.close()  # What an attempt before this one left open would lock us out.
        self.folder.mkdir(parents=True, exist_ok=True)
        for away in self.folder.glob(f"*{SUFFIX}{AWAY}"):  # What lay beside the file when we were killed.
            _put_away(away.with_name(away.name.removesuffix(AWAY)))
        found = sorted(self.folder.glob(f"*{SUFFIX}"))
        drafts = sorted(self.folder.glob(f"*{DRAFT}"))
        if drafts and not found:  # A damaged file was set aside, and its loss is declared in here.
            found = [self._in_force(drafts[-1])]
        for path in self.folder.glob(f"*{DRAFT}*"):
            path.unlink()
        if not found:
            self._file = self._begun()
            return
        for older in found[:-1]:  # Left by a roll that was killed after its last step but one.
            _remove(older)
        try:
            self._file = self._opened(found[-1])
        except (sqlite3.DatabaseError, FileUnusable) as wrong:
            if isinstance(wrong, sqlite3.Error) and not is_broken(wrong):
                raise
            self._quarantine(found[-1], str(wrong))
        self._distrust()
        self._reconcile()

    def set_aside(self, why: str) -> None:
        """Puts the damaged file away, begins a new epoch and declares the loss."""
        self._quarantine(self.file.path, why)
        self._reconcile()

    def _distrust(self) -> None:
        """A file that ends before what was noted of it has lost its log, or was emptied: its numbers are used up.

        What is left of it moves into a new epoch, behind a record that declares the rest.
        """
        file, (acked, head) = self.file, self._noted(self.file.epoch)
        if file.head >= head:
            return
        why = f"the spool file ends at record {file.head} and had {head}: its log is missing, or it was emptied"
        log.error("spool is older than it was", why=why, epoch=file.epoch, advice="see that the disk is sound")
        with file.changing():
            file.release(min(acked, file.head))
        first = max(acked, file.head) + 1
        lost = Record(seq=0, t=self._clock.now(), kind="lost", why=why, first=first, text={"epoch": file.epoch})
        self.roll(why, [lost] if first <= head else [])

    def roll(self, why: str, declared: Iterable[Record] = ()) -> None:
        """Begins a new epoch and moves everything unacknowledged into it, in order, in one transaction.

        `declared` are losses to be told first.
        """
        old = self.file
        text = {"event": "epoch rolled", "from": old.epoch, "why": why}
        first = [Record(seq=0, t=self._clock.now(), kind="event", text=text), *declared]
        path = self._in_force(self._drafted(lambda new: self._move(old, new, first)))
        old.close()
        _remove(old.path)
        self._file = self._opened(path)
        self._reconcile()
        log.warning("epoch rolled", why=why, old=old.epoch, new=self.file.epoch, records=self.file.count)

    def _drafted(self, fill: Callable[[SpoolFile], None]) -> Path:
        """A whole epoch that is not in force yet; nothing is left of it on any error."""
        path = self.folder / f"{ULID()}{DRAFT}"
        with contextlib.ExitStack() as undo:
            undo.callback(_remove, path)
            with contextlib.closing(SpoolFile(path, max_pages=self._max_pages)) as new, new.changing():
                fill(new)
            _sync(self.folder)
            undo.pop_all()
        return path

    def _in_force(self, draft: Path) -> Path:
        path = draft.with_suffix(SUFFIX)
        for tail in ("-wal", ""):  # The log first: a spool must never stand without its own.
            with contextlib.suppress(FileNotFoundError):
                Path(f"{draft}{tail}").replace(f"{path}{tail}")
        _sync(self.folder)
        return path

    def _move(self, old: SpoolFile, new: SpoolFile, first: Iterable[Record]) -> None:
        for told in first:
            new.append(told, None, "" if told.kind == "lost" else ANY_CONSENT, keep=True)
        for record, shape, consent, role in old.rows():
            if role == HOLE:
                new.append_hole(record, record.seq - record.begins + 1)
            elif record.kind != MANIFEST:  # It speaks of the old epoch's numbers.
                new.append(record, shape, consent, keep=role == NOTE)

    def cut(self, after: int, most: int, room: int) -> Piece | None:
        """See `SpoolFile.cut`; a damaged record is declared lost, in place."""
        while True:
            try:
                return self.file.cut(after, most, room)
            except Damaged as wrong:
                log.error("record damaged", seq=wrong.seq, epoch=self.file.epoch, advice="see that the disk is sound")  # noqa: TRY400 - the sentence says all
                self.give_up(wrong.seq, DAMAGED)

    def give_up(self, seq: int, why: str) -> None:
        """Declares one record lost, in place."""
        with self.file.changing():
            self.file.give_up(seq, why)

    def enter(self, records: Iterable[Record]) -> None:
        """Writes what was taken into the ledger, if there is one."""
        self._write_ledger((record.seq, record.hash) for record in records)

    def remember(self) -> None:
        """Notes beside the spool how far it is acknowledged; nothing depends on the note being there."""
        with contextlib.suppress(OSError):
            draft = self.folder / f"{ACKED}.tmp"
            draft.write_text(f"{self.file.epoch} {self.file.acked} {self.file.head}\n")
            draft.replace(self.folder / ACKED)

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, path: Path) -> SpoolFile:
        return SpoolFile(path, max_pages=self._max_pages)

    def _begun(self) -> SpoolFile:
        file = self._opened(self.folder / f"{ULID()}{SUFFIX}")
        _sync(self.folder)
        return file

    def _quarantine(self, path: Path, why: str) -> None:
        old = path.name.removesuffix(SUFFIX)
        first = self._noted(old)[0] + 1
        text = {"epoch": old, "why": why, "kept": f"{path.name}{AWAY}"}
        why_lost = "the spool file was damaged"
        lost = Record(seq=0, t=self._clock.now(), kind="lost", why=why_lost, first=first, text=text)
        draft = self._drafted(lambda new: _declare(new, lost))
        self.close()
        _put_away(path)
        _sync(self.folder)
        self._file = self._opened(self._in_force(draft))
        log.error("spool damaged", why=why, kept=self.folder / text["kept"], epoch=old, lost_from=first)

    def _noted(self, epoch: str) -> tuple[int, int]:
        """How far an epoch was acknowledged and numbered when that was noted last; 0 where nobody knows."""
        with contextlib.suppress(OSError, ValueError):
            noted, acked, *head = (self.folder / ACKED).read_text().split()
            if noted == epoch:  # An older version noted no head.
                return int(acked), int(head[0] if head else acked)
        return 0, 0

    def _reconcile(self) -> None:
        """Adds to the ledger what was committed just before a kill kept us from writing it down."""
        if self._ledger is None:
            return
        known = 0
        with contextlib.suppress(FileNotFoundError):
            for line in self._ledger.read_text().splitlines():
                epoch, _, rest = line.partition(" ")
                if epoch == self.file.epoch and len(rest.split()) == 2:  # noqa: PLR2004 - seq and hash
                    known = max(known, int(rest.split()[0]))
        self._write_ledger(self.file.after(known))

    def _write_ledger(self, entries: Iterable[tuple[int, str]]) -> None:
        """Lines that the disk does not take wait for the next ones: a proof must not cost what it is to prove."""
        if self._ledger is None:
            return
        self._unwritten.extend(f"{self.file.epoch} {seq} {chained}\n" for seq, chained in entries)
        try:
            with self._ledger.open("a") as out:
                out.write("".join(self._unwritten))
        except OSError as wrong:
            if not self._ledger_waits:
                log.error("ledger cannot be written", why=str(wrong), ledger=self._ledger)  # noqa: TRY400 - as above
            self._ledger_waits = True
            return
        self._ledger_waits = False
        self._unwritten.clear()


def _declare(new: SpoolFile, lost: Record) -> None:
    new.append(lost, None, "", keep=True)


def _put_away(path: Path) -> None:
    """Sets a damaged file aside, itself first: without it what lies beside it is nobody's."""
    for tail in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{tail}").replace(f"{path}{AWAY}{tail}")


def _remove(path: Path) -> None:
    for tail in ("", "-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Makes the names in a folder survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
