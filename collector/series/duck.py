"""Series in one DuckDB file: nothing to install beside the collector, millions of values a second.

One thread owns the file and writes; readers have connections of their own. What is taken waits in memory until a
second has passed or half a million values have come, then goes to disk with the journal position in one transaction:
after any crash cursor and rows agree, and the journal gives the rest again.

Errors:
    Unavailable   the disk is full or failing, or another process has the file; values taken stay in memory, new ones
                  are not taken until there is room, and then everything goes on
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from collector.series import days
from collector.series.catalogue import Added, Catalogue, Numbers
from collector.series.days import DAY, FAR, Arrays, Day, Ordering
from collector.series.store import Points, SeriesKey, Unavailable
from collector.series.thinning import EMPTY, settled, thinned
from collector.settings import Duckdb
from forewarn.telemetry import Log
from rules.samples import Batch, Rows

BULK = 4 * 122_880
"""Rows of a flush while behind: whole row groups of DuckDB are compressed once and never rewritten."""
QUIET = 600.0
"""Seconds without a late row before a day that is over is ordered."""
_TEND_SECONDS = 3.0
log = Log(__name__)


@dataclass(slots=True)
class _Portion:
    """What was taken and is not yet on disk."""

    days: dict[int, list[Arrays]] = field(default_factory=dict)
    rows: int = 0
    position: int = 0

    def add(self, day: int, arrays: Arrays) -> None:
        self.days.setdefault(day, []).append(arrays)
        self.rows += len(arrays[0])

    def before(self, later: _Portion) -> _Portion:
        """This portion and one that was taken after it, as one."""
        for day, parts in later.days.items():
            self.days.setdefault(day, []).extend(parts)
        return _Portion(self.days, self.rows + later.rows, max(self.position, later.position))

    def parts(self) -> list[Arrays]:
        """Its rows, those of a day in the order they were taken."""
        return [arrays for some in self.days.values() for arrays in some]


class DuckStore:
    """See SeriesStore."""

    def __init__(
        self, path: Path, settings: Duckdb | None = None, *, keep: float = 400 * 86400.0, bulk: int = BULK
    ) -> None:
        """Opens the file, making it when missing.

        Args:
            path: the file; DuckDB keeps its write-ahead log beside it.
            settings: memory, threads, and how long values wait for a flush.
            keep: seconds; `tend` drops days older than this.
            bulk: values that are flushed without waiting.

        Raises:
            Unavailable: another process has it, or it cannot be read.
        """
        self._path = path
        self._settings = settings or Duckdb()
        self._keep = int(min(keep, 1e10) * 1000)
        self._bulk = bulk
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._catalogue = Catalogue()
        self._pending = _Portion()
        self._leaving = _Portion()
        """What is just being written: for a moment a reader finds it in memory and on disk."""
        self._trouble: str | None = None
        self._ordering: Ordering | None = None
        self._late: dict[int, float] = {}
        self._db = self._connected()
        self._load()
        self._ended = threading.Event()
        self._owner = ThreadPoolExecutor(1, "series-writer")
        self._flushed: Future[None] = self._owner.submit(self._flush)
        self._pace = threading.Thread(target=self._flush_in_time, name="series-pace", daemon=True)
        self._pace.start()

    def _connected(self) -> duckdb.DuckDBPyConnection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._settings.memory // 1024}KiB",
            "threads": self._settings.threads,
            "temp_directory": str(self._path.with_suffix(".tmp")),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            return duckdb.connect(str(self._path), config=config)
        except duckdb.Error as wrong:
            raise Unavailable(self._sentence(wrong)) from wrong

    def _flush_in_time(self) -> None:
        while not self._ended.wait(self._settings.flush):
            self._owner.submit(self._flush).exception()

    def _load(self) -> None:
        days.create(self._db)
        self._days = days.days(self._db)
        self._stored = self._taken = days.cursor(self._db)
        self._catalogue.restore(days.load_names(self._db))
        self._named = len(self._catalogue)
        days.load_newest(self._db, self._catalogue, self._days)

    def _sentence(self, wrong: Exception) -> str:
        text = str(wrong).split("\n", 1)[0]
        if "No space left" in text or "File too large" in text:
            return f"series: the disk of {self._path} is full; make room, values wait in the journal ({text})"
        if "lock on file" in text:
            return f"series: another process has {self._path} open; a DuckDB file belongs to one collector ({text})"
        return f"series: {self._path}: {text}"

    def cursor(self) -> int:
        """See SeriesStore."""
        return self._stored

    def write(self, batch: Batch) -> None:
        """See SeriesStore. Unavailable: nothing of the batch was taken."""
        with self._writing:
            if self._trouble is not None:
                self._owner.submit(self._flush).result()
            with self._lock:
                if batch.last <= self._taken:
                    return
                for rows in batch.rows:
                    self._take(rows)
                self._pending.position = self._taken = batch.last
                full = self._pending.rows >= self._bulk
            if full:
                self._flushed.exception()  # Waits: at most one portion is written while another is gathered.
                self._flushed = self._owner.submit(self._flush)

    def _take(self, rows: Rows) -> None:
        if not len(rows.t):
            return
        series = self._catalogue.numbers(rows)
        t, arrived, values = rows.t, rows.arrived, rows.values
        if rows.position[0] <= self._taken:
            fresh = rows.position > self._taken
            series, t, arrived, values = series[fresh], t[fresh], arrived[fresh], values[fresh]
        far = (t >= arrived + DAY) | (t < arrived - self._keep) | (t < 0)
        day = np.where(far, FAR, t // DAY)
        if np.any(t[1:] < t[:-1]):
            order = np.argsort(t, kind="stable")
            series, t, values, day = series[order], t[order], values[order], day[order]
        for one in np.unique(day).tolist():
            on = slice(None) if (day == one).all() else day == one
            self._put(one, series[on], t[on], values[on])

    def _put(self, day: int, series: Numbers, t: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        """Takes polls in the order of `t`: series and values [n, width], t [n]."""
        finite = np.isfinite(values)
        if finite.all():
            arrays = (series.ravel(), np.repeat(t, values.shape[1]), values.ravel())
        else:
            arrays = (series[finite], np.repeat(t, finite.sum(axis=1)), values[finite])
        if len(arrays[0]):
            self._pending.add(day, arrays)
            self._catalogue.note(*arrays)

    def _flush(self) -> None:
        """Writes what is pending; on failure it is pending again.

        Raises:
            Unavailable: nothing was written.
        """
        with self._lock:
            if self._pending.position <= self._stored:
                return
            portion = self._leaving = self._pending
            self._pending = _Portion()
            added = self._catalogue.take_added()
            named = len(self._catalogue)
        with contextlib.ExitStack() as undo:
            undo.callback(self._give_back, portion, added)
            try:
                changed = self._save(portion, added)
            except duckdb.Error as wrong:
                self._failed(wrong)
                if self._stored < portion.position:
                    raise Unavailable(self._sentence(wrong)) from wrong
                changed = days.days(self._db)
            undo.pop_all()
        with self._lock:
            self._days = self._days | changed
            self._stored, self._named = portion.position, named
            self._leaving = _Portion()
        if self._trouble is not None:
            log.info("series store goes on", position=portion.position)
        self._trouble = None

    def _give_back(self, portion: _Portion, added: Added) -> None:
        """Whatever kept a portion from the disk: the next flush must not pass over it."""
        with self._lock:
            self._pending = portion.before(self._pending)
            self._leaving = _Portion()
            self._catalogue.give_back(added)

    def _save(self, portion: _Portion, added: Added) -> dict[int, Day]:
        with self._transaction():
            days.add_names(self._db, added)
            changed = {day: days.add_rows(self._db, self._days, day, parts) for day, parts in portion.days.items()}
            self._db.execute("UPDATE cursor SET position = ?", [portion.position])
        self._late.update(dict.fromkeys(changed, time.monotonic()))
        if self._ordering is not None and self._ordering.day in changed:
            self._ordering.spoilt = True
        return changed

    def _failed(self, wrong: duckdb.Error) -> None:
        """Leaves a usable connection behind, and the cursor as the file has it."""
        if self._trouble is None:
            log.error("series store stands still", why=self._sentence(wrong))
        self._trouble = self._sentence(wrong)
        self._ordering = None
        try:
            with contextlib.suppress(duckdb.TransactionException):
                self._db.rollback()
            self._stored = days.cursor(self._db)
        except duckdb.Error:
            self._reopen()

    def _reopen(self) -> None:
        """DuckDB refuses everything after a failed commit until the file is opened afresh."""
        with self._reading, contextlib.suppress(duckdb.Error, Unavailable):
            self._db.close()
            self._db = self._connected()
            days.create(self._db)
            self._stored = days.cursor(self._db)

    def last(self, site: str, device: str | None = None) -> dict[SeriesKey, tuple[int, float]]:
        """See SeriesStore."""
        with self._lock:
            return {key: (t, value) for key, t, value in self._catalogue.last(site, device)}

    def series(self, site: str, device: str | None = None) -> list[SeriesKey]:
        """See SeriesStore."""
        return sorted(self.last(site, device))

    def read(self, keys: Sequence[SeriesKey], begin: int, end: int, *, most: int = 2000) -> dict[SeriesKey, Points]:
        """See SeriesStore. Waits for no flush: what is not on disk yet is read in memory.

        Raises:
            Unavailable: the file cannot be read now.
        """
        with self._lock:
            numbers = {key: number for key in keys if (number := self._catalogue.find(key)) is not None}
            # Looked at before the file: what is written meanwhile is seen twice, which `settled` mends, never missed.
            waiting = self._leaving.parts() + self._pending.parts()
        found = dict.fromkeys(keys, EMPTY)
        if not numbers or begin >= end:
            return found
        wanted, begin, end = np.array(list(numbers.values()), np.int32), max(begin, -(1 << 62)), min(end, 1 << 62)
        parts = [self._rows(wanted.tolist(), begin, end), *(days.only(some, wanted, begin, end) for some in waiting)]
        series, t, value = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(series, kind="stable")
        series, t, value = series[order], t[order], value[order]
        for key, number in numbers.items():
            some = slice(*np.searchsorted(series, [number, number + 1]).tolist())
            found[key] = thinned(settled(t[some], value[some]), most)
        return found

    def _rows(self, numbers: list[int], begin: int, end: int) -> Arrays:
        for _ in range(3):
            with self._lock:
                near = [day for at, day in self._days.items() if at == FAR or begin // DAY <= at <= (end - 1) // DAY]
            if not near:
                break
            try:
                with self._reading, self._db.cursor() as reader:
                    return days.select(reader, near, numbers, begin, end)
            except duckdb.CatalogException:
                continue  # A day was ordered or dropped between looking and reading.
            except duckdb.Error as wrong:
                raise Unavailable(self._sentence(wrong)) from wrong
        return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0)

    def tend(self, now: int) -> None:
        """See SeriesStore. Drops days older than `keep` and orders days that are over, a few seconds a call.

        Raises:
            Unavailable: what was begun is undone or goes on at the next call.
        """
        self._owner.submit(self._tend, now).result()

    def _tend(self, now: int) -> None:
        self._flush()
        try:
            self._expire(now)
            self._order(now)
        except duckdb.Error as wrong:
            self._failed(wrong)
            raise Unavailable(self._sentence(wrong)) from wrong

    def _expire(self, now: int) -> None:
        oldest = now - self._keep
        gone = [day for day in self._days if day != FAR and (day + 1) * DAY <= oldest]
        with self._transaction():
            for day in gone:
                days.drop(self._db, day, self._days[day])
            if FAR in self._days:
                self._db.execute(f"DELETE FROM {self._days[FAR].name} WHERE t < ?", [oldest])  # noqa: S608
        with self._lock:
            self._days = {day: found for day, found in self._days.items() if day not in gone}
            self._catalogue.forget_before((oldest // DAY) * DAY)
        if self._ordering is not None and self._ordering.day in gone:
            self._give_up()

    def _order(self, now: int) -> None:
        ends = time.monotonic() + _TEND_SECONDS
        while time.monotonic() < ends and (self._ordering is not None or self._begin(now)):
            self._step()

    def _begin(self, now: int) -> bool:
        quiet = time.monotonic() - QUIET
        for day, found in self._days.items():
            over = day != FAR and (day + 1) * DAY <= now
            if over and not found.ordered and self._late.get(day, quiet) <= quiet:
                with self._transaction():
                    self._ordering = Ordering(self._db, day, found)
                return True
        return False

    def _step(self) -> None:
        job = self._ordering
        assert job is not None
        if job.spoilt:
            self._give_up()
            return
        with self._transaction():
            done = job.step(self._db)
        if not done:
            return
        try:
            with self._lock:
                with self._transaction():
                    ordered = job.finish(self._db, self._catalogue.newest(self._named))
                self._days = self._days | {job.day: ordered}
            self._ordering = None
        except ValueError:
            log.exception("day not ordered", day=job.day)
            self._late[job.day] = time.monotonic()
            self._give_up()

    def _give_up(self) -> None:
        assert self._ordering is not None
        with self._transaction():
            self._ordering.give_up(self._db)
        self._ordering = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with contextlib.ExitStack() as undo:
            undo.callback(self._roll_back)
            self._db.begin()
            yield
            self._db.commit()
            undo.pop_all()

    def _roll_back(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._db.rollback()

    def ping(self) -> str | None:
        """See SeriesStore."""
        return self._trouble

    def close(self) -> None:
        """See SeriesStore. What cannot be written now is in the journal."""
        self._ended.set()
        self._pace.join()
        with contextlib.suppress(Unavailable):
            self._owner.submit(self._flush).result()
        self._owner.shutdown()
        self._db.close()
