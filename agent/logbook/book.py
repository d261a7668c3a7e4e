"""The log book: what left the site, when, and under which consent, kept for the customer after the spool forgot it.

Every block is kept as it was sent, with the time of sending and of the collector's confirmation, beside what was
refused and what the consent said. A thread of its own writes, a few times a second and without forcing the disk: a
crash may lose the last seconds of the log book, never of the spool, and the next run says which records left without
an entry. It is bounded in size and age. On a disk that gets full it gives way before anything else: it drops its oldest
pages and pauses. Nothing waits for it.

Errors: none leave here; why it pauses stands in `standing`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agent.delivery.spoolfile import Piece
from agent.logbook import pages
from agent.logbook.pages import AGAIN, BOOK, CONFIRMED, CONSENT, LEFT, LOOKED, REFUSED, RUN, UNWRITTEN, Entry
from agent.reading import Clock
from forewarn import wire
from forewarn.consent import Consent, Refusal
from forewarn.settings import Size
from forewarn.telemetry import Log

LINGER = 0.5
"""Seconds that an entry waits for others, so that one write does for all."""
HURRY = 512 * 1024
MOST_WAITING = 4 * 1024 * 1024
"""Bytes not written yet: beyond the first, writing begins at once; beyond the second, entries are given up."""
PAGE = 8 * 1024 * 1024
DAY = 86_400_000
SPARE = 64 * 1024 * 1024
SPARE_SHARE = 0.02
"""Room that is left to others on the disk: the smaller of so many bytes and this share of it."""
FLOWN = 64
"""Blocks remembered, to know one that leaves again; and acts of people kept over a pause."""
CLOSING = 5.0
"""Seconds in which a disk must take the rest at the end."""
PRESSED = 1.0
"""Seconds between two pages given to a spool that has no room."""

log = Log(__name__)


class Standing(NamedTuple):
    """How the log book stands: bytes on disk, and why it is not written to, if so."""

    size: int
    paused: str


class _Page(NamedTuple):
    path: Path
    size: int
    began: int


class LogBook:
    """See the module. `left` and the others are called from one event loop and return at once."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        limit: int = Size.parse("256MiB"),
        age: float = 30 * 86400.0,
        rest: float = 30.0,
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            folder: of the pages; made when missing.
            clock: dates entries and judges age.
            limit: bytes kept at most.
            age: seconds for which an entry is kept at most (a page goes as a whole, at most an eighth later).
            rest: seconds of a pause after the disk refused a write.
        """
        self._folder = folder
        self._clock = clock
        self._limit = limit
        self._age = age * 1000
        self._rest = rest
        self._page_size = min(PAGE, max(limit // 8, 1))
        self._queue: deque[tuple[Entry, bytes]] = deque()
        self._waiting = 0
        self._flown: dict[tuple[str, int, int, str, str], None] = {}
        self._forget = False
        self._dropped = ""
        self._pressed = False
        self._some, self._hurry = threading.Event(), threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="log book", daemon=True)
        self._pages: deque[_Page] = deque()
        self._handle: int | None = None
        self._ready = False
        self._paused = ""
        self._until = self._next_way = 0.0
        self._cap = limit
        self._acts: deque[Entry] = deque(maxlen=FLOWN)
        self._seen: dict[str, int] = {}
        self._why_unwritten = "the agent was ended by force before it was written"
        self._consent: Entry | None = None

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing(sum(page.size for page in tuple(self._pages)), self._paused)

    def start(self, epoch: str, acked: int) -> None:
        """Begins: the agent runs, its spool is `epoch` and confirmed up to `acked`."""
        self._thread.start()
        self._offer(Entry(at=self._clock.now(), kind=RUN, epoch=epoch, last=acked))

    def left(self, piece: Piece, payload: bytes) -> None:
        """Notes that a block was handed to the broker; `piece.consent` is the one it left under."""
        key = piece.epoch, piece.first, piece.last, piece.consent, wire.chain_in(piece.bodies[-1])
        if self._forget:
            self._forget = False
            self._flown.clear()
        again = not piece.lost and key in self._flown  # The chained hash vouches for all records before it.
        entry = Entry(
            at=self._clock.now(),
            kind=AGAIN if again else LEFT,
            epoch=piece.epoch,
            first=piece.first,
            last=piece.last,
            consent=piece.consent,
            lost=piece.lost,
        )
        if self._offer(entry, b"" if again else payload):
            self._flown[key] = None
            if len(self._flown) > FLOWN:
                del self._flown[next(iter(self._flown))]

    def confirmed(self, epoch: str, upto: int) -> None:
        """Notes that the collector has everything up to a number."""
        self._offer(Entry(at=self._clock.now(), kind=CONFIRMED, epoch=epoch, last=upto))

    def consent(self, refusal: Refusal | None, why: str, consent: Consent | None) -> None:
        """Notes a change in what the guard allows."""
        text = {"state": str(refusal or "in force")}
        if why:
            text["why"] = why
        if consent is not None:
            text |= {
                "customer": consent.customer,
                "signed_by": consent.signed_by,
                "from": consent.valid_from,
                "until": consent.valid_until,
                "scopes": ", ".join(consent.scopes),
                "networks": ", ".join(consent.networks),
            }
        self._offer(Entry(at=self._clock.now(), kind=CONSENT, consent=consent.id if consent else "", text=text))

    def refused(self, source: str, address: str, why: str) -> None:
        """Notes that the guard refuses an address or a source, or (no `why`) that it does no longer."""
        text = {"source": source, "address": address, "why": why}
        self._offer(Entry(at=self._clock.now(), kind=REFUSED, text={name: said for name, said in text.items() if said}))

    def looked(self, text: Mapping[str, str]) -> None:
        """Notes that looking for devices began or ended; see `agent.discovery.noting` for the words."""
        self._offer(Entry(at=self._clock.now(), kind=LOOKED, text=dict(text)))

    def give_way(self) -> None:
        """The disk has no room for the spool: the oldest page goes, and nothing is written for a while."""
        self._pressed = True
        self._some.set()

    def close(self) -> None:
        """Writes what waits and lets go."""
        if self._thread.is_alive():
            self._ending = True
            self._some.set()
            self._hurry.set()
            self._thread.join(CLOSING)

    def _offer(self, entry: Entry, payload: bytes = b"") -> bool:
        if self._waiting > MOST_WAITING:
            self._dropped = "the disk was too slow for the log book"
            return False
        self._waiting += len(payload) + 256
        self._queue.append((entry, payload))
        self._some.set()
        if self._waiting > HURRY:
            self._hurry.set()
        return True

    # Everything below runs on the log book's thread.

    def _run(self) -> None:
        try:
            while not self._ending:
                self._some.wait(3600)
                if not self._pressed:
                    self._hurry.wait(LINGER)
                self._hurry.clear()
                self._some.clear()
                self._turn()
            self._turn()
            self._let_go()
        finally:
            self._paused = self._paused or "its thread ended"

    def _turn(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        self._waiting = 0
        now = time.monotonic()
        if self._pressed and now >= self._next_way:
            self._next_way = now + PRESSED
            self._yield("the disk is full, and the spool needs the room")
        self._pressed = False
        if now < self._until:
            self._lose(batch, self._paused)
            return
        try:
            self._keep(batch)
        except OSError as wrong:
            self._yield(str(wrong))
            self._lose(batch, self._paused)

    def _keep(self, batch: list[tuple[Entry, bytes]]) -> None:
        """Writes a batch, all or nothing.

        Raises:
            OSError: nothing of it was written.
        """
        self._recover()
        most = self._most()
        if self._dropped:
            self._lose([], self._dropped)
            self._dropped = ""
        if batch or self._acts:
            self._turn_page()
            seen, acts = self._seen, list(self._acts)
            try:
                told = [self._encoded(act, b"") for act in acts]
                self._append(b"".join([*told, *(self._encoded(entry, payload) for entry, payload in batch)]))
            except OSError:
                self._seen = seen
                raise
            self._acts.clear()
        if self._paused:
            log.info("log book is written again", after=self._paused)
            self._paused = ""
        self._bound(most)

    def _most(self) -> int:
        """Bytes the log book may have: no more than it has, on a disk that is nearly full.

        Raises:
            OSError: it has no page to write over.
        """
        disk = shutil.disk_usage(self._folder if self._folder.exists() else self._folder.parent)
        if disk.free >= min(SPARE, disk.total * SPARE_SHARE):
            self._cap = self._limit
        elif len(self._pages) < 2:  # noqa: PLR2004 - the one that is written to, and one to give for it
            raise OSError(f"the disk has only {disk.free} bytes free")
        elif self._cap == self._limit:
            self._cap = min(self._limit, self.standing.size)
        return self._cap

    def _lose(self, batch: list[tuple[Entry, bytes]], why: str) -> None:
        """What left is not written: that shows by its numbers. What people did is written later."""
        self._why_unwritten = f"the log book paused: {why}"
        self._forget = True
        self._acts.extend(entry for entry, _ in batch if entry.kind in (CONSENT, LOOKED, REFUSED, RUN))

    def _encoded(self, entry: Entry, payload: bytes) -> bytes:
        said = b""
        known = self._seen.get(entry.epoch, 0)
        before = entry.first - 1 if entry.kind in (LEFT, AGAIN) else entry.last
        if before > known:
            text = {"why": self._why_unwritten}
            gap = Entry(at=entry.at, kind=UNWRITTEN, epoch=entry.epoch, first=known + 1, last=before, text=text)
            said = pages.encoded(gap)
        if entry.last > known:
            self._seen = {entry.epoch: entry.last}
        if entry.kind == CONSENT:
            self._consent = entry
        return said + pages.encoded(entry, payload)

    def _append(self, content: bytes) -> None:
        """Writes all or nothing.

        Raises:
            OSError: nothing was written.
        """
        assert self._handle is not None
        path, size, began = self._pages[-1]
        try:
            done = 0
            while done < len(content):
                done += os.write(self._handle, memoryview(content)[done:])
        except OSError:
            os.truncate(path, size)
            raise
        self._pages[-1] = _Page(path, size + len(content), began)

    def _turn_page(self) -> None:
        """Sees that there is a page with room to write to; begins one when the last is full, a day old or erased."""
        now, last = self._clock.now(), self._pages[-1] if self._pages else None
        if last is not None and not last.path.exists():
            self._let_go()
            self._pages.clear()
            self._why_unwritten = "it left before the log book was erased"
            self._begin_page(last, "erased, and begun anew")
        elif last is None:
            self._begin_page(None, "begun")
        elif last.size >= self._page_size or now - last.began > min(DAY, self._age / 8):
            self._let_go()
            self._begin_page(last, "")
        elif self._handle is None:
            self._handle = pages.opened(last.path)

    def _begin_page(self, last: _Page | None, said: str) -> None:
        path = pages.named(self._folder, int(last.path.stem) + 1 if last is not None else 1)
        now = self._clock.now()
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._handle = pages.opened(path)
        self._pages.append(_Page(path, 0, now))
        if said:
            self._forget = True
            self._append(pages.encoded(Entry(at=now, kind=BOOK, text={"state": said})))
        if self._consent is not None:  # So that what left under it can be read without the pages before.
            text = self._consent.text | {"restated": "yes"}
            self._append(pages.encoded(Entry(at=now, kind=CONSENT, consent=self._consent.consent, text=text)))

    def _recover(self) -> None:
        """Once, before the first write: what is there already, and how far it reaches."""
        if self._ready:
            return
        found = pages.pages(self._folder)
        self._pages = deque(_Page(path, path.stat().st_size, pages.began(path)) for path in found)
        if not found:
            self._why_unwritten = "it left before the log book was begun"
        for path in reversed(found):
            self._seen = self._reach_of(path, mend=path == found[-1])
            if self._seen:
                break
        self._ready = True

    def _reach_of(self, path: Path, *, mend: bool) -> dict[str, int]:
        """The last number that a page knows of, by its epoch; a damaged end of the last page is set aside."""
        seen: dict[str, int] = {}
        got = pages.read(path)
        for entry, _, _ in got.stored:
            if entry.epoch:
                seen = {entry.epoch: max(entry.last, seen.get(entry.epoch, 0))}
        if got.why and mend:
            size = pages.cut_off(path, got.end)
            self._pages[-1] = _Page(path, got.end, self._pages[-1].began)
            kept = pages.aside(path).name
            log.warning("end of the log book damaged", why=got.why, bytes=size, kept=kept)
            text = {"state": f"its end was {got.why}: {size} bytes set aside as {kept}"}
            self._handle = pages.opened(path)
            self._append(pages.encoded(Entry(at=self._clock.now(), kind=BOOK, text=text)))
        return seen

    def _bound(self, most: int) -> None:
        oldest = self._clock.now() - self._age
        over = sum(page.size for page in self._pages) - most
        while len(self._pages) > 1 and (over > 0 or self._pages[1].began < oldest):
            over -= self._pages[0].size
            self._drop_page()

    def _drop_page(self) -> None:
        page = self._pages[0]
        if len(self._pages) == 1:
            self._let_go()
        pages.remove(page.path)
        self._pages.popleft()
        self._forget = True

    def _yield(self, why: str) -> None:
        """Gives the oldest page's room to others, and pauses."""
        if not self._paused:
            log.warning("log book pauses", why=why, advice="make room on its disk; delivery goes on")
        self._paused = why
        self._until = time.monotonic() + self._rest
        try:
            if self._ready and self._pages:
                self._drop_page()
        except OSError as wrong:
            self._paused = f"{why}; {wrong}"

    def _let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
