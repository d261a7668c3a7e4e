"""What the log book keeps of what left: all of it, in order, bounded; and what it says when it could not."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.delivery.spoolfile import Piece
from agent.logbook import pages
from agent.logbook.book import MOST_WAITING, LogBook
from agent.logbook.lines import Story
from agent.logbook.pages import AGAIN, BOOK, CONFIRMED, CONSENT, LEFT, REFUSED, RUN, UNWRITTEN, Entry
from agent.logbook.reader import Reader
from forewarn import wire
from forewarn.consent import Refusal, new_key
from forewarn.wire import GENESIS, Header, Record
from tests.agents import SHAPE, signed, until
from tests.clocks import SteppedClock

EPOCH = "E1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.logbook.book.LINGER", 0.01)
    monkeypatch.setattr("agent.logbook.book.PRESSED", 0.0)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


class Blocks:
    """Makes blocks as the uplink does, sealed one behind the other."""

    def __init__(self, epoch: str = EPOCH) -> None:
        self.epoch = epoch
        self._chain = GENESIS
        self._seq = 0

    def next(self, count: int = 1, *, why: str = "", lost: bool = False) -> tuple[Piece, bytes]:
        bodies: list[bytes] = []
        first = self._seq + 1
        for _ in range(count):
            self._seq += 1
            record = Record(self._seq, self._seq * 1000, "cam", why=why, shape=SHAPE.digest, values=[1.0])
            body, self._chain = wire.seal(record, self._chain)
            bodies.append(body)
        piece = Piece(self.epoch, first, self._seq, 1, self._seq, "c-1", [SHAPE], bodies, lost)
        return piece, packed(piece)


def packed(piece: Piece, sent: int = 0) -> bytes:
    header = Header(
        site="s", agent="a", epoch=piece.epoch, boot="b", oldest=1, head=piece.last, consent="c-1", sent=sent
    )
    return wire.pack(header, piece.shapes, piece.bodies)


def entries(folder: Path) -> list[Entry]:
    return [stored.entry for stored in Reader(folder).more()]


def kinds(folder: Path) -> list[str]:
    return [entry.kind for entry in entries(folder)]


def ranges(folder: Path, kind: str) -> list[tuple[int, int]]:
    return [(entry.first, entry.last) for entry in entries(folder) if entry.kind == kind]


def size(folder: Path) -> int:
    return sum(page.stat().st_size for page in pages.pages(folder))


def started(folder: Path, clock: SteppedClock, *, epoch: str = EPOCH, acked: int = 0, **options: float) -> LogBook:
    book = LogBook(folder, clock=clock, **options)  # type: ignore[arg-type]
    book.start(epoch, acked)
    return book


def wrote(folder: Path, done: Callable[[], bool]) -> None:
    until(done, lambda: entries(folder)[-5:], timeout=5)


def test_what_left_is_kept_to_the_byte_and_in_order(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock), Blocks()
    sent = [blocks.next(3) for _ in range(20)]
    for piece, payload in sent:
        clock.step(1)
        book.left(piece, payload)
        book.confirmed(EPOCH, piece.last)
    book.close()
    assert [stored.payload for stored in Reader(tmp_path).more() if stored.entry.kind == LEFT] == [p for _, p in sent]
    assert kinds(tmp_path) == [BOOK, RUN, *[LEFT, CONFIRMED] * 20]
    times = [entry.at for entry in entries(tmp_path)][1:]
    assert times == sorted(times)


def test_a_block_that_leaves_again_is_kept_once_and_one_that_became_another_is_kept_too(
    tmp_path: Path, clock: SteppedClock
) -> None:
    book, blocks = started(tmp_path, clock), Blocks()
    piece, payload = blocks.next(3)
    for sent in (0, 1, 2):
        book.left(piece, packed(piece, sent))
    book.left(piece._replace(lost=True), packed(piece, 3))
    wider = piece._replace(consent="c-2")
    book.left(wider, payload)
    book.close()
    assert kinds(tmp_path)[2:] == [LEFT, AGAIN, AGAIN, LEFT, LEFT]


def test_it_keeps_no_more_than_its_limit_and_drops_the_oldest(tmp_path: Path, clock: SteppedClock) -> None:
    limit = 1024 * 1024
    book, blocks = started(tmp_path, clock, limit=limit), Blocks()
    for _ in range(60):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(40_000))
        wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]
        assert size(tmp_path) <= limit + 2 * 40_000
    book.close()
    left = ranges(tmp_path, LEFT)
    assert left[0][0] > 1
    assert left == [(seq, seq) for seq in range(left[0][0], 61)]
    assert ranges(tmp_path, UNWRITTEN) == []
    assert size(tmp_path) > limit / 2


def test_it_keeps_nothing_older_than_its_age(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock, age=8 * 86400.0), Blocks()
    for day in range(1, 21):
        book.left(*blocks.next())
        wrote(tmp_path, lambda seen=day: ranges(tmp_path, LEFT)[-1:] == [(seen, seen)])  # type: ignore[misc]
        clock.step(86400 + 1)
    book.close()
    oldest = min(entry.at for entry in entries(tmp_path) if entry.kind == LEFT)
    assert clock.now() - 11 * 86_400_000 < oldest < clock.now() - 7 * 86_400_000


def test_what_was_killed_before_it_was_written_is_named_by_its_numbers(tmp_path: Path, clock: SteppedClock) -> None:
    blocks = Blocks()
    book = started(tmp_path, clock)
    book.left(*blocks.next(5))
    book.close()
    blocks.next(3)  # Left, and the agent was killed within the half second.
    book = started(tmp_path, clock, acked=8)
    book.left(*blocks.next(2))
    blocks.next(2)  # Left and lost in the same way, but not confirmed when the agent starts again.
    book.close()
    book = started(tmp_path, clock, acked=10)
    book.confirmed(EPOCH, 12)
    book.close()
    assert ranges(tmp_path, UNWRITTEN) == [(6, 8), (11, 12)]
    whys = {entry.text["why"] for entry in entries(tmp_path) if entry.kind == UNWRITTEN}
    assert whys == {"the agent was ended by force before it was written"}


def test_a_log_book_begun_in_the_middle_of_an_epoch_says_what_it_does_not_hold(
    tmp_path: Path, clock: SteppedClock
) -> None:
    started(tmp_path, clock, acked=70).close()
    (gap,) = [entry for entry in entries(tmp_path) if entry.kind == UNWRITTEN]
    assert (gap.first, gap.last, gap.text["why"]) == (1, 70, "it left before the log book was begun")


@pytest.mark.parametrize("harm", ["cut short", "flipped", "zeroes"])
def test_a_damaged_end_is_set_aside_and_said_and_what_was_before_it_stays(
    tmp_path: Path, clock: SteppedClock, harm: str
) -> None:
    blocks = Blocks()
    book = started(tmp_path, clock)
    for _ in range(5):
        book.left(*blocks.next())
    book.close()
    (page,) = pages.pages(tmp_path)
    whole = page.read_bytes()
    spoiled = {
        "cut short": whole[:-20],
        "flipped": whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:],
        "zeroes": whole[:-20] + bytes(5000),
    }
    page.write_bytes(spoiled[harm])
    assert ranges(tmp_path, LEFT) == [(seq, seq) for seq in range(1, 5)]
    book = started(tmp_path, clock, acked=5)
    book.left(*blocks.next())
    book.close()
    assert ranges(tmp_path, LEFT) == [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6)]
    assert ranges(tmp_path, UNWRITTEN) == [(5, 5)]
    assert any("bytes set aside as 000001.log.damaged" in entry.text.get("state", "") for entry in entries(tmp_path))
    kept = pages.aside(page).read_bytes()
    assert kept
    assert spoiled[harm].endswith(kept)


def test_damage_within_a_page_hides_the_rest_of_that_page_alone_and_is_said(
    tmp_path: Path, clock: SteppedClock
) -> None:
    book, blocks = started(tmp_path, clock, limit=80_000), Blocks()
    for _ in range(6):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(6_000))
        wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]
    book.close()
    first = pages.pages(tmp_path)[0]
    content = bytearray(first.read_bytes())
    content[-100] ^= 1
    first.write_bytes(content)
    assert any("000001.log is damaged from byte" in entry.text.get("state", "") for entry in entries(tmp_path))
    assert ranges(tmp_path, LEFT)[-1] == (6, 6)
    assert len(ranges(tmp_path, LEFT)) < 6


def test_who_follows_is_told_once_of_damage(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock), Blocks()
    book.left(*blocks.next())
    book.close()
    (page,) = pages.pages(tmp_path)
    page.write_bytes(page.read_bytes()[:-1] + b"?")
    reader = Reader(tmp_path)
    told = [stored.entry.text.get("state", "") for stored in reader.more()]
    assert told[-1].startswith("page 000001.log is damaged from byte")
    assert list(reader.more()) == []


def test_an_erased_log_book_begins_anew_under_the_running_agent(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock), Blocks()
    piece, payload = blocks.next()
    book.left(piece, payload)
    wrote(tmp_path, lambda: ranges(tmp_path, LEFT) == [(1, 1)])
    for page in pages.pages(tmp_path):
        pages.remove(page)
    book.left(*blocks.next())
    wrote(tmp_path, lambda: ranges(tmp_path, LEFT) == [(2, 2)])
    book.close()
    assert [entry.text["state"] for entry in entries(tmp_path) if entry.kind == BOOK] == ["erased, and begun anew"]
    assert UNWRITTEN not in kinds(tmp_path)


def test_a_spool_without_room_gets_that_of_the_log_book_which_pauses_and_says_what_is_missing(
    tmp_path: Path, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    book, blocks = started(tmp_path, clock, limit=400_000, rest=0.2), Blocks()
    for _ in range(4):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(60_000))
        wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]
    for _ in range(10):
        book.give_way()
        time.sleep(0.02)
    until(lambda: pages.pages(tmp_path) == [], timeout=5)
    assert book.standing == (0, "the disk is full, and the spool needs the room")
    book.left(*blocks.next())
    book.consent(Refusal.STOPPED, "the file STOP is there", None)
    until(lambda: not book._queue, timeout=5)
    time.sleep(0.3)
    book.left(*blocks.next())
    wrote(tmp_path, lambda: (6, 6) in ranges(tmp_path, LEFT))
    book.close()
    assert ranges(tmp_path, UNWRITTEN) == [(5, 5)]
    (gap,) = [entry for entry in entries(tmp_path) if entry.kind == UNWRITTEN]
    assert gap.text["why"] == "the log book paused: the disk is full, and the spool needs the room"
    assert [entry.text["state"] for entry in entries(tmp_path) if entry.kind == CONSENT] == ["stopped on the site"]
    assert [said for said in caplog.messages if "log book" in said] == ["log book pauses"]


def test_what_left_during_a_pause_is_kept_whole_when_it_leaves_again(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock, rest=3600.0), Blocks()
    book.left(*blocks.next())
    wrote(tmp_path, lambda: ranges(tmp_path, LEFT) == [(1, 1)])
    book.give_way()
    until(lambda: pages.pages(tmp_path) == [], timeout=5)
    piece, payload = blocks.next()
    book.left(piece, payload)
    until(lambda: not book._queue, timeout=5)
    time.sleep(0.05)
    book._until = 0.0  # The pause is over.
    book.left(piece, packed(piece, 1))
    wrote(tmp_path, lambda: ranges(tmp_path, LEFT) == [(2, 2)])
    book.close()
    assert AGAIN not in kinds(tmp_path)


def test_a_disk_that_refuses_a_write_costs_the_oldest_page_and_leaves_no_half_entry(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, blocks = started(tmp_path, clock, limit=160_000, rest=0.05), Blocks()
    for _ in range(2):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(25_000))
        wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]
        blocks.next()
        clock.step(1)
    first, _ = pages.pages(tmp_path)
    real, full = os.write, [True]

    def write(handle: int, content: bytes) -> int:
        if handle != book._handle or not full:
            return real(handle, content)
        if len(content) > 40:
            return real(handle, content[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    book.left(*blocks.next())
    until(lambda: bool(book.standing.paused), timeout=5)
    full.clear()
    time.sleep(0.1)
    book.left(*blocks.next())
    wrote(tmp_path, lambda: (6, 6) in ranges(tmp_path, LEFT))
    book.close()
    assert not first.exists()
    assert ranges(tmp_path, LEFT) == [(3, 3), (6, 6)]
    assert ranges(tmp_path, UNWRITTEN) == [(2, 2), (4, 5)]
    assert all(pages.read(page).why == "" for page in pages.pages(tmp_path))


def test_on_a_disk_that_is_nearly_full_it_grows_no_more(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, blocks = started(tmp_path, clock, limit=400_000), Blocks()

    def leave(count: int) -> None:
        for _ in range(count):
            piece, _ = blocks.next()
            book.left(piece, os.urandom(30_000))
            wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]

    leave(6)
    before = size(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    leave(6)
    book.close()
    assert size(tmp_path) <= before + 30_500
    assert ranges(tmp_path, LEFT)[-1] == (12, 12)
    assert ranges(tmp_path, LEFT)[0][0] > 4


def test_each_page_says_again_under_which_consent_its_blocks_left(tmp_path: Path, clock: SteppedClock) -> None:
    book, blocks = started(tmp_path, clock, limit=160_000), Blocks()
    consent = signed(new_key()[0])
    book.consent(None, "", consent)
    book.refused("snmp", "10.0.0.1", "address outside the consent")
    for _ in range(12):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(30_000))
        wrote(tmp_path, lambda last=piece.last: ranges(tmp_path, LEFT)[-1:] == [(last, last)])  # type: ignore[misc]
    book.close()
    found = pages.pages(tmp_path)
    assert len(found) > 2
    assert REFUSED not in kinds(tmp_path)
    for page in found:
        said = pages.read(page).stored[0].entry
        assert (said.kind, said.consent, said.text["signed_by"]) == (CONSENT, consent.id, consent.signed_by)
    story = Story()
    lines = [line for stored in Reader(tmp_path).more() for line in story.add(stored)] + story.rest()
    assert [line.kind for line in lines if line.kind == CONSENT] == []  # It came into force once, in a page that went.


def test_the_account_of_the_agent_writes_it_and_its_group_reads_it(tmp_path: Path, clock: SteppedClock) -> None:
    folder = tmp_path / "log"
    before = os.umask(0o022)
    try:
        started(folder, clock).close()
    finally:
        os.umask(before)
    assert oct(folder.stat().st_mode)[-3:] == "750"
    assert {oct(page.stat().st_mode)[-3:] for page in pages.pages(folder)} == {"640"}


def test_it_waits_for_nothing_and_holds_no_more_than_it_may_while_the_disk_is_slow(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, blocks = started(tmp_path, clock), Blocks()
    wrote(tmp_path, lambda: RUN in kinds(tmp_path))
    slow = [True]
    real = os.write

    def write(handle: int, content: bytes) -> int:
        while slow:
            time.sleep(0.01)
        return real(handle, content)

    monkeypatch.setattr(os, "write", write)
    for _ in range(300):
        piece, _ = blocks.next()
        book.left(piece, os.urandom(60_000))
    assert sum(len(payload) for _, payload in book._queue) <= MOST_WAITING + 70_000
    slow.clear()
    until(lambda: not book._queue, timeout=5)
    time.sleep(0.1)
    book.left(*blocks.next())
    book.close()
    kept = ranges(tmp_path, LEFT)
    assert kept[-1] == (301, 301)
    (gap,) = [entry for entry in entries(tmp_path) if entry.kind == UNWRITTEN]
    assert (gap.first, gap.last) == (kept[-2][1] + 1, 300)
    assert gap.text["why"] == "the log book paused: the disk was too slow for the log book"
