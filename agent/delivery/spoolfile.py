"""One epoch of the spool in one SQLite file: numbering, chaining, releasing, shedding. One thread, no waiting.

Every change happens inside `changing()`; what is left when it ends without an error is on disk (WAL,
synchronous=FULL). A record's bytes are made once, by `append`, and leave as they are. A range that had to be dropped
is replaced in place by one lost record, so that the numbers held are always contiguous from `oldest` to `head`.

Errors:
    sqlite3.Error   as SQLite raises it; `agent.delivery.soundness` says what it means
    FileUnusable    (layout) the file is no spool of ours
    Damaged         the next record to be cut is not what was written; `give_up` declares it
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.delivery.hours import Hours
from agent.delivery.layout import ROW_OVERHEAD, SUFFIX, Mark, Runs, prepare, read_mark, sums, write_mark
from agent.delivery.soundness import DAMAGED, Damaged, chain_of, hole, intact, time_of
from forewarn import wire
from forewarn.manifest import MANIFEST
from forewarn.wire import GENESIS, Record, Shape

ANY_CONSENT = "*"
"""Stands for the consent in force when the record leaves, under which records of other consents may not travel."""
PAGES_GIVEN_BACK = 256
"""Free pages that are given back together; fewer stay in the file, for the next records."""
PLAIN, HOLE, NOTE = "plain", "hole", "note"
"""Roles of a row: a record; a lost record for a range of this epoch; what must never be dropped."""


class Piece(NamedTuple):
    """What the next block may hold: sealed records in order, all of one consent.

    `consent` is "" when no record needs one (declared losses), or ANY_CONSENT: it then leaves under the one in force.
    `lost` says that some of them declare losses.
    """

    epoch: str
    first: int
    last: int
    oldest: int
    head: int
    consent: str
    shapes: list[Shape]
    bodies: list[bytes]
    lost: bool


class SpoolFile:
    """One open epoch."""

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        """Opens the file, or makes it when it is not there; the epoch is the file's name.

        Raises:
            sqlite3.Error: no room, no right, or broken.
            FileUnusable: not a spool.
        """
        self.path = path
        self.epoch = path.name.removesuffix(SUFFIX)
        self._known: dict[str, Shape] = {}
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        with contextlib.ExitStack() as undo:
            undo.callback(self._db.close)
            prepare(self._db, path, max_pages)
            self._mark = read_mark(self._db, path)
            undo.pop_all()

    @property
    def head(self) -> int:
        """The last seq given out, 0 before the first."""
        return self._mark.head

    @property
    def oldest(self) -> int:
        """The first seq still held; head + 1 when nothing is."""
        return self._mark.oldest

    @property
    def acked(self) -> int:
        """The last seq released."""
        return self._mark.acked

    @property
    def size(self) -> int:
        """Bytes held, rows' overhead included."""
        return self._mark.size

    @property
    def count(self) -> int:
        """Rows held."""
        return self._mark.rows

    @property
    def hours(self) -> Hours:
        """What it remembers of its hours."""
        return self._mark.hours

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One transaction: on any error everything is as before, in memory too."""
        self._db.execute("BEGIN IMMEDIATE")
        with contextlib.ExitStack() as undo:
            before = self._mark
            undo.callback(self._roll_back, before)
            yield
            write_mark(self._db, self._mark, before)
            self._db.execute("COMMIT")
            undo.pop_all()

    def _roll_back(self, before: Mark) -> None:
        self._mark = before
        self._known.clear()
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")

    def append(self, record: Record, shape: Shape | None, consent: str, *, keep: bool = False) -> Record:
        """Numbers, seals and inserts one record; returns it with `seq` and `hash`.

        Raises:
            wire.TooLarge: it could never travel; nothing changed.
        """
        record.seq = self._mark.head + 1
        record.shape = shape.digest if shape is not None else ""
        body, chain = wire.seal(record, self._mark.chain)
        record.hash = chain.hex()
        if shape is not None:
            self._know(shape)
        self._insert(record.seq, record.seq, NOTE if keep else PLAIN, consent, record.shape, body)
        self._mark = self._mark._replace(head=record.seq, chain=chain, oldest=min(self._mark.oldest, record.seq))
        return record

    def append_hole(self, lost: Record, width: int) -> None:
        """Carries a lost record of another epoch over: it takes as many numbers as it stands for."""
        lost.first, lost.seq = self._mark.head + 1, self._mark.head + width
        body = wire.resealed_lost(lost, self._mark.chain)
        self._insert(lost.seq, lost.first, HOLE, "", "", body)
        oldest, hours = min(self._mark.oldest, lost.first), self.hours.carrying(width)
        self._mark = self._mark._replace(head=lost.seq, oldest=oldest, hours=hours)

    def cut(self, after: int, most: int, room: int) -> Piece | None:
        """The records behind `after`: up to `most`, up to `room` bytes (always one), of one consent; None at the end.

        Raises:
            Damaged: the first of them; a later one only ends the piece.
        """
        rows = self._db.execute(
            "SELECT seq, first, role, consent, shape, body FROM record WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, most),
        )
        bodies: list[bytes] = []
        digests: dict[str, Shape] = {}
        consent, begins, last, lost, taken, chain = "", 0, after, False, 0, self._chain_behind(after)
        for seq, first, role, under, digest, body in rows:
            taken += len(body)
            if bodies and (taken > room or (under and consent and under != consent)):
                break
            shape = self._shape(digest)
            if not intact(body, chain, hole=role == HOLE) or (digest and shape is None):
                if bodies:
                    break
                raise Damaged(seq)
            chain = chain_of(body)
            consent = consent or under
            begins = begins or first
            last, lost = seq, lost or role != PLAIN
            bodies.append(body)
            if shape is not None:
                digests[digest] = shape
        if not bodies:
            return None
        return Piece(self.epoch, begins, last, self.oldest, self.head, consent, list(digests.values()), bodies, lost)

    def _chain_behind(self, seq: int) -> bytes:
        """The hash that the record after `seq` is chained to; empty when it is not known."""
        row = self._db.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            return chain_of(row[0])
        return self._mark.behind if seq == self._mark.acked else b""

    def chain_of(self, seq: int) -> str:
        """The chained hash of a record that is still here, hexadecimal; empty when it is not."""
        row = self._db.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchone()
        return "" if row is None else wire.chain_in(row[0])

    def release(self, upto: int) -> int:
        """Deletes what is committed elsewhere; returns how many rows went. A lost range is narrowed."""
        gone, size = sums(self._db, "seq <= ?", upto)
        last = self._db.execute("SELECT body FROM record WHERE seq = ?", (upto,)).fetchone()
        self._db.execute("DELETE FROM record WHERE seq <= ?", (upto,))
        left = self._db.execute("SELECT seq, first, role, body FROM record ORDER BY seq LIMIT 1").fetchone()
        if left is not None and left[2] == HOLE and left[1] <= upto:
            lost = hole(left[0], left[1], left[3])
            lost.first = upto + 1
            body = wire.resealed_lost(lost, bytes.fromhex(lost.hash))
            self._db.execute("UPDATE record SET first = ?, body = ? WHERE seq = ?", (upto + 1, body, left[0]))
            size += len(left[3]) - len(body)
        self._shrink(gone, size)
        if upto > self._mark.acked:
            self._mark = self._mark._replace(acked=upto, behind=chain_of(last[0]) if last else b"")
        return gone

    def give_back(self) -> None:
        """Gives the disk what is free in the file, where that is much; a disk that takes no write for it keeps it."""
        free: int = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        if free < PAGES_GIVEN_BACK:
            return
        with contextlib.suppress(sqlite3.OperationalError), self.changing():
            for _ in range(PAGES_GIVEN_BACK):  # Python's sqlite3 ends this pragma after one page, whatever it is told.
                self._db.execute("PRAGMA incremental_vacuum(1)")

    def shed(self, need: int, why: str) -> int:
        """Drops the oldest records until `need` bytes are free, never the newest; returns how many went."""
        freed, runs = 0, Runs()
        rows = self._db.execute("SELECT seq, role, length(body) FROM record WHERE seq < ? ORDER BY seq", (self.head,))
        for seq, role, size in rows:
            if freed >= need:
                break
            if role == PLAIN:
                freed += size + ROW_OVERHEAD
            runs.add(seq, dropped=role == PLAIN)
        rows.close()
        return self._replace(runs, why)

    def drop(self, consent: str, why: str) -> int:
        """Drops every record collected under a consent; returns how many went."""
        runs = Runs()
        for seq, role, under in self._db.execute("SELECT seq, role, consent FROM record ORDER BY seq"):
            runs.add(seq, dropped=role == PLAIN and under == consent)
        return self._replace(runs, why)

    def live(self, seconds: float, *, hour: float, age: float, why: str) -> int:
        """Counts time that the agent ran, and drops what came in longer than `age` seconds of it ago.

        The head is noted every `hour` seconds, so that a record goes up to an hour late. Returns how many went.
        """
        hours = self.hours.on(seconds)
        self._db.execute("CREATE TABLE IF NOT EXISTS hour (lived REAL PRIMARY KEY, head INTEGER NOT NULL)")
        if hours.lived - hours.marked >= hour:
            hours = msgspec.structs.replace(hours, marked=hours.lived)
            self._db.execute("INSERT OR REPLACE INTO hour VALUES (?, ?)", (hours.lived, self.head))
        self._mark = self._mark._replace(hours=hours)
        old = (hours.lived - age,)
        upto = self._db.execute("SELECT max(head) FROM hour WHERE lived <= ?", old).fetchone()[0] or 0
        self._db.execute("DELETE FROM hour WHERE lived <= ?", old)
        runs = Runs()
        for seq, role in self._db.execute("SELECT seq, role FROM record WHERE seq <= ? ORDER BY seq", (upto,)):
            runs.add(seq, dropped=role == PLAIN)
        return self._replace(runs, why)

    def attest(self, t: int, consent: str) -> Record | None:
        """Appends a manifest of what was numbered since the one before; None when nothing was."""
        manifest = self.hours.stated(self.epoch, self.head, self._mark.chain, t)
        if manifest is None:
            return None
        record = self.append(Record(seq=0, t=t, kind=MANIFEST, text=manifest.as_text()), None, consent)
        self._mark = self._mark._replace(hours=self.hours.after(manifest, t))
        return record

    def give_up(self, seq: int, why: str) -> None:
        """Declares one record lost, in place; a damaged loss with all it stood for. What is no longer here is left alone."""
        row = self._db.execute("SELECT first FROM record WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            self._replace_run(row[0], seq, why)

    def rows(self) -> Iterator[tuple[Record, Shape | None, str, str]]:
        """Every row in order as (record, shape, consent, role); a damaged one as the lost record that declares it."""
        chain = self._chain_behind(self.acked)
        for seq, first, role, consent, digest, body in self._db.execute("SELECT * FROM record ORDER BY seq"):
            shape = self._shape(digest)
            if role == HOLE or not intact(body, chain, hole=False) or (digest and shape is None):
                yield self._lost(seq, first, role, body), None, "", HOLE
            else:
                yield wire.open_record(body), shape, consent, role
            chain = chain_of(body) or GENESIS

    def _lost(self, seq: int, first: int, role: str, body: bytes) -> Record:
        if role == HOLE:
            return hole(seq, first, body)
        return Record(seq=seq, t=self._time_of(seq, body), kind="lost", why=DAMAGED, first=first)

    def after(self, seq: int) -> list[tuple[int, str]]:
        """The (seq, hash) of every record behind `seq`."""
        rows = self._db.execute("SELECT seq, body FROM record WHERE seq > ? AND role != ? ORDER BY seq", (seq, HOLE))
        return [(number, chain_of(body).hex()) for number, body in rows]

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def _shrink(self, count: int, size: int) -> None:
        oldest = self._db.execute("SELECT first FROM record ORDER BY seq LIMIT 1").fetchone()
        self._mark = self._mark._replace(
            rows=self._mark.rows - count,
            size=self._mark.size - size,
            oldest=oldest[0] if oldest else self._mark.head + 1,
        )

    def _insert(self, seq: int, first: int, role: str, consent: str, shape: str, body: bytes) -> None:
        self._db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", (seq, first, role, consent, shape, body))
        self._mark = self._mark._replace(rows=self._mark.rows + 1, size=self._mark.size + len(body) + ROW_OVERHEAD)

    def _know(self, shape: Shape) -> None:
        if shape.digest not in self._known:
            self._db.execute("INSERT OR IGNORE INTO shape VALUES (?, ?)", (shape.digest, shape.encoded))
            self._known[shape.digest] = shape

    def _shape(self, digest: str) -> Shape | None:
        """None when there is none, or no longer the one that was written."""
        shape = self._known.get(digest)
        if shape is None and digest:
            row = self._db.execute("SELECT body FROM shape WHERE digest = ?", (digest,)).fetchone()
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                found = msgspec.json.decode(row[0] if row else b"", type=Shape)
                if found.digest == digest:
                    shape = self._known[digest] = found
        return shape

    def _replace(self, runs: Runs, why: str) -> int:
        return sum(self._replace_run(begin, end, why) for begin, end in runs.found)

    def _replace_run(self, begin: int, end: int, why: str) -> int:
        """Puts one lost record where begin..end were, together with neighbours lost for the same reason."""
        (body,) = self._db.execute("SELECT body FROM record WHERE seq = ?", (end,)).fetchone()
        chain, t = self._mark.chain if end == self.head else chain_of(body) or GENESIS, self._time_of(end, body)
        dropped, _ = sums(self._db, "seq BETWEEN ? AND ?", begin, end)
        self._mark = self._mark._replace(hours=self.hours.without(begin, end))
        columns = "SELECT seq, first, body FROM record WHERE role = ?"
        before = self._db.execute(f"{columns} AND seq = ?", (HOLE, begin - 1)).fetchone()
        behind = self._db.execute(f"{columns} AND first = ?", (HOLE, end + 1)).fetchone()
        if before is not None and hole(*before).why == why:
            begin = before[1]
        if behind is not None and hole(*behind).why == why:
            end, chain = behind[0], bytes.fromhex(hole(*behind).hash)
        count, size = sums(self._db, "seq BETWEEN ? AND ?", begin, end)
        self._db.execute("DELETE FROM record WHERE seq BETWEEN ? AND ?", (begin, end))
        self._mark = self._mark._replace(rows=self._mark.rows - count, size=self._mark.size - size)
        lost = Record(seq=end, t=t, kind="lost", why=why, first=begin)
        self._insert(end, begin, HOLE, "", "", wire.resealed_lost(lost, chain))
        return dropped

    def _time_of(self, seq: int, body: bytes) -> int:
        """When a record was made, by itself or, where it is damaged, by the nearest that is not."""
        near = "SELECT body FROM record WHERE seq BETWEEN ?1 - 9 AND ?1 + 9 ORDER BY abs(seq - ?1)"
        return time_of([body]) or time_of(row[0] for row in self._db.execute(near, (seq,)))
