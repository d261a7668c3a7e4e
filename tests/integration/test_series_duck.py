"""The DuckDB store through restarts, crashes, full disks and the passes over closed days."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from collector.series import days, duck
from collector.series.duck import DuckStore
from collector.series.store import SeriesKey, Unavailable
from collector.settings import Duckdb
from forewarn.settings import Duration
from tests.series_batches import DISKS, MINUTE, NOW, VOLUMES, batch, disks, rows

UP = SeriesKey("s1", "nvr1", "device", "", "up")
DAY = 86_400_000
SLOW = Duckdb(flush=Duration(3600))
ROOT = Path(__file__).parents[2]


def read(store: DuckStore, key: SeriesKey = UP) -> list[tuple[int, float]]:
    points = store.read([key], 0, 2 * NOW)[key]
    return list(zip(points.t.tolist(), points.value.tolist(), strict=True))


def tables(path: Path) -> dict[str, int]:
    with duckdb.connect(str(path)) as db:
        names = db.execute("SELECT name FROM day").fetchall()
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for (name,) in names}


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckStore(path)
    store.write(disks(1, NOW, 1.0))
    store.write(disks(2, NOW + DAY, 2.0))
    store.write(batch(3, rows(VOLUMES, [("nvr1", NOW + 1, [3, 0.5, 50])], position=3)))
    before = store.last("s1"), store.series("s1"), read(store)
    store.close()
    again = DuckStore(path)
    assert again.cursor() == 3
    assert (again.last("s1"), again.series("s1"), read(again)) == before
    again.write(disks(4, NOW + 2, 4.0))
    again.write(disks(5, NOW + 2, 5.0, "nvr2"))
    assert read(again) == [(NOW, 1.0), (NOW + 1, 3.0), (NOW + 2, 4.0), (NOW + DAY, 2.0)]
    assert read(again, UP._replace(device="nvr2")) == [(NOW + 2, 5.0)]
    again.close()


def test_small_batches_wait_for_a_common_flush_and_are_read_before_it(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", SLOW)
    for position in range(1, 50):
        store.write(disks(position, NOW + position, float(position)))
    assert store.cursor() == 0
    assert store.last("s1")[UP] == (NOW + 49, 49.0)
    assert len(read(store)) == 49
    assert store.cursor() == 0
    store.close()
    assert len(read(DuckStore(tmp_path / "series.duckdb"))) == 49


def test_a_reader_waits_for_no_flush_and_finds_every_value_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DuckStore(tmp_path / "series.duckdb", Duckdb(flush=Duration(0.02)))
    store.write(disks(1, NOW, 1.0))
    until(lambda: store.cursor() == 1)
    rightly, writing, go_on = days.add_rows, threading.Event(), threading.Event()

    def slowly(*given: Any) -> days.Day:
        written = rightly(*given)
        writing.set()
        assert go_on.wait(30)
        return written

    monkeypatch.setattr(days, "add_rows", slowly)
    store.write(disks(2, NOW + 1000, 2.0))
    assert writing.wait(30)
    store.write(disks(3, NOW + 2000, 3.0))
    store.write(disks(4, NOW + 2000, 4.0))
    assert read(store) == [(NOW, 1.0), (NOW + 1000, 2.0), (NOW + 2000, 4.0)]
    assert store.cursor() == 1
    go_on.set()
    until(lambda: store.cursor() == 4)
    assert read(store) == [(NOW, 1.0), (NOW + 1000, 2.0), (NOW + 2000, 4.0)]
    store.close()


def test_what_waits_is_flushed_in_time_without_another_write(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", Duckdb(flush=Duration(0.05)))
    store.write(disks(1, NOW))
    until(lambda: store.cursor() == 1)
    store.close()


def test_many_values_are_flushed_without_waiting(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", SLOW, bulk=600)
    for position in range(1, 11):
        polls = [("nvr1", NOW + position * 1000 + n, [1, 1, 1, 1, 1, 1]) for n in range(100)]
        store.write(batch(position, rows(DISKS, polls, position=position)))
    until(lambda: store.cursor() >= 9)
    assert len(read(store)) == 1000
    store.close()


def test_positions_taken_before_are_passed_over_within_a_batch(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", SLOW)
    store.write(disks(1, NOW, 1.0))
    both = rows(DISKS, [("nvr1", NOW, [9] * 6), ("nvr1", NOW + 1, [2] * 6)])
    both.position[:] = [1, 2]
    store.write(batch(2, both))
    assert read(store) == [(NOW, 1.0), (NOW + 1, 2.0)]
    store.close()


_WRITER = """
import sys
from pathlib import Path
from collector.series.duck import DuckStore
from collector.settings import Duckdb
from forewarn.settings import Duration
from tests.series_batches import NOW, disks

store = DuckStore(Path(sys.argv[1]), Duckdb(flush=Duration(0.02)), bulk=60)
for position in range(store.cursor() + 1, 1_000_000):
    store.write(disks(position, NOW + position * 1000, float(position), f"nvr{position % 7}"))
    if position % 50 == 0:
        print(store.cursor(), flush=True)
"""


def test_kill_9_leaves_cursor_and_rows_in_agreement(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    reached = 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert child.stdout is not None
        while reached >= (printed := int(child.stdout.readline())):
            continue
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = DuckStore(path)
        assert store.cursor() >= printed
        reached = store.cursor()
        keys = [UP._replace(device=f"nvr{n}") for n in range(7)]
        found = store.read(keys, 0, 2 * NOW, most=10**9)
        values = np.sort(np.concatenate([points.value for points in found.values()]))
        assert values.tolist() == list(range(1, reached + 1))
        assert sum(tables_in(store).values()) == reached * DISKS.width
        store.close()


def tables_in(store: DuckStore) -> dict[str, int]:
    with store._db.cursor() as db:
        return {
            day.name: db.execute(f"SELECT count(*) FROM {day.name}").fetchall()[0][0] for day in store._days.values()
        }


_SMALL_DISK = """
import resource, sys
from pathlib import Path
from collector.series.duck import DuckStore
from collector.series.store import SeriesKey, Unavailable
from collector.settings import Duckdb
from forewarn.settings import Duration
from tests.series_batches import DISKS, NOW, batch, rows

UP = SeriesKey("s1", "nvr1", "device", "", "up")
store = DuckStore(Path(sys.argv[1]) / "series.duckdb", Duckdb(flush=Duration(0.02)), bulk=6000)

def attempt(position):
    polls = [
        ("nvr1", NOW + position * 2000 + n, [position + n / 997.0, n * 1.37, n / 3, n / 7, n / 11, 1]) for n in range(999)
    ]
    polls.append((f"new{position}", NOW + position * 2000, [1] * 6))
    store.write(batch(position, rows(DISKS, polls, position=position)))

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
position = 1
try:
    while position < 300:
        attempt(position)
        position += 1
    sys.exit("the disk never became full")
except Unavailable as wrong:
    print(wrong)
stored = store.cursor()
assert store.ping() is not None and "full" in store.ping(), store.ping()
for _ in range(3):
    try:
        attempt(position)
    except Unavailable:
        continue
    sys.exit("a full disk took a batch")
assert stored < position and len(store.read([UP], 0, 2 * NOW, most=10**9)[UP].t) == (position - 1) * 999
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
for more in range(position, position + 3):
    attempt(more)
found = store.read([UP], 0, 2 * NOW, most=10**9)[UP]
store.tend(0)  # Flushes.
assert store.ping() is None, store.ping()
assert store.cursor() == position + 2
assert len(found.t) == (position + 2) * 999, (len(found.t), position)
store.close()
again = DuckStore(Path(sys.argv[1]) / "series.duckdb")
assert len(again.read([UP], 0, 2 * NOW, most=10**9)[UP].t) == (position + 2) * 999
for n in range(1, position + 3):
    key = UP._replace(device=f"new{n}")
    assert again.read([key], 0, 2 * NOW)[key].t.tolist() == [NOW + n * 2000], key
again.close()
print("went on")
"""


def test_a_full_disk_is_named_and_everything_goes_on_when_there_is_room(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SMALL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said, went_on = done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    assert f"series: the disk of {tmp_path}/series.duckdb is full; make room, values wait in the journal" in said
    assert went_on == "went on"


def test_what_could_not_be_written_for_another_reason_is_written_by_the_next_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DuckStore(tmp_path / "series.duckdb", Duckdb(flush=Duration(0.02)))
    rightly, failures = days.add_rows, [MemoryError(), MemoryError()]

    def add_rows(*given: Any) -> days.Day:
        if failures:
            raise failures.pop()
        return rightly(*given)

    monkeypatch.setattr(days, "add_rows", add_rows)
    store.write(disks(1, NOW))
    until(lambda: not failures)
    store.write(disks(2, NOW + 1000))
    until(lambda: store.cursor() == 2)
    store.close()
    assert len(read(DuckStore(tmp_path / "series.duckdb"))) == 2


def test_a_second_process_is_told_whose_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckStore(path)
    command = [sys.executable, "-c", _WRITER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert f"another process has {path} open; a DuckDB file belongs to one collector" in done.stderr
    store.close()
    with pytest.raises(Unavailable, match="series: "):
        DuckStore(tmp_path)


def flushed(store: DuckStore) -> None:
    """Waits until everything taken is on disk."""
    store._owner.submit(store._flush).result()


def polled(store: DuckStore, *, days: int, position: int = 1) -> int:
    """Writes 20 devices x 50 polls for some days, shuffled; returns how many rows."""
    polls = [(f"nvr{n % 20}", NOW + (n // 20) * DAY // 50, [n, n, n, n, n, n]) for n in range(20 * 50 * days)]
    order = np.random.default_rng(3).permutation(len(polls)).tolist()
    store.write(batch(position, rows(DISKS, [polls[n] for n in order], position=position)))
    return len(polls) * DISKS.width


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck, "QUIET", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_day_that_is_over_is_ordered_by_series_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.series.days._SORT_ROWS", 1000)
    store = DuckStore(tmp_path / "series.duckdb")
    written = polled(store, days=2)
    before = store.last("s1"), read(store)
    store.tend(NOW + 10 * DAY)
    assert all(day.ordered for day in store._days.values())
    for day in store._days.values():
        series, t, _ = np.array(store._db.execute(f"SELECT * FROM {day.name}").fetchall()).T
        assert np.all(np.diff(series * 1e14 + t) >= 0)
    assert sum(tables_in(store).values()) == written
    assert (store.last("s1"), read(store)) == before
    store.close()
    again = DuckStore(tmp_path / "series.duckdb")
    assert (again.last("s1"), read(again)) == before
    again.close()


@pytest.mark.usefixtures("at_once")
def test_a_late_row_marks_its_day_for_another_pass(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb")
    written = polled(store, days=1)
    store.tend(NOW + 10 * DAY)
    store.write(disks(2, NOW + 7, 77.0))
    flushed(store)
    assert (NOW + 7, 77.0) in read(store)
    assert not store._days[NOW // DAY].ordered
    store.tend(NOW + 10 * DAY)
    assert store._days[NOW // DAY].ordered
    assert (NOW + 7, 77.0) in read(store)
    assert sum(tables_in(store).values()) == written + DISKS.width
    store.close()


@pytest.mark.usefixtures("at_once")
def test_a_late_row_is_remembered_over_a_restart(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb")
    store.write(disks(1, NOW, 1.0))
    store.tend(NOW + 10 * DAY)
    store.write(disks(2, NOW + 7, 77.0))
    store.close()
    again = DuckStore(tmp_path / "series.duckdb")
    assert again.last("s1")[UP] == (NOW + 7, 77.0)
    assert not again._days[NOW // DAY].ordered
    again.close()


@pytest.mark.usefixtures("at_once")
def test_a_row_that_comes_during_a_pass_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.series.days._SORT_ROWS", 1000)
    store = DuckStore(tmp_path / "series.duckdb")
    written = polled(store, days=1)
    flushed(store)
    assert len(read(store)) == 50
    for position in range(2, 6):
        store._owner.submit(store._begin, NOW + 10 * DAY).result()
        store._owner.submit(store._step).result()
        job = store._ordering
        assert job is not None
        store.write(disks(position, NOW + position, 70.0 + position))
        flushed(store)
        assert (NOW + position, 70.0 + position) in read(store)
        assert job.spoilt
        store._owner.submit(store._step).result()
        assert store._ordering is None
    store.tend(NOW + 10 * DAY)
    assert all(day.ordered for day in store._days.values())
    assert sum(tables_in(store).values()) == written + 4 * DISKS.width
    late = [(t, value) for t, value in read(store) if NOW < t < NOW + 6]
    assert late == [(NOW + position, 70.0 + position) for position in range(2, 6)]
    store.close()


@pytest.mark.usefixtures("at_once")
def test_a_pass_cut_short_by_a_crash_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckStore(path)
    written = polled(store, days=1)
    read(store)
    store._owner.submit(store._begin, NOW + 10 * DAY).result()
    store._ordering = None
    store.close()
    again = DuckStore(path)
    names = again._db.execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'rows%'").fetchall()
    assert {name for (name,) in names} == {day.name for day in again._days.values()}
    assert sum(tables_in(again).values()) == written
    again.close()


def test_days_past_their_time_are_dropped_whole(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", keep=3 * 86400)
    polled(store, days=6)
    flushed(store)
    kept = {day for day in store._days if (day + 1) * DAY > NOW + 3 * DAY}
    assert 3 <= len(kept) < len(store._days)
    store.tend(NOW + 6 * DAY)
    assert set(store._days) == kept
    store.close()
    assert len(tables(tmp_path / "series.duckdb")) == len(kept)


def test_a_mad_clock_makes_no_table_for_every_day_of_a_century(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb")
    wild = [("nvr1", NOW + n * 30 * DAY, [n, 0, 0, 0, 0, 0]) for n in range(-500, 1000, 10)]
    store.write(batch(1, rows(DISKS, wild, arrived=NOW)))
    assert len(store.read([UP], -NOW, 10 * NOW)[UP].t) == 150
    assert len(store._days) < 5
    store.close()


def test_the_number_of_a_series_is_one_look_up_a_record_and_twenty_bytes(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "series.duckdb", SLOW)
    store.write(batch(1, rows(DISKS, [(f"nvr{n}", NOW, [1] * 6) for n in range(500)])))
    catalogue = store._catalogue
    assert len(catalogue) == 3000
    form = catalogue._forms[DISKS.digest]
    assert (form.series.itemsize + catalogue._newest.itemsize + catalogue._newest_t.itemsize) == 20
    store.close()


def test_rows_can_be_asked_in_sql_by_the_names_of_their_series(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckStore(path)
    store.write(disks(1, NOW - NOW % DAY + MINUTE, 3.0))
    store.close()
    with duckdb.connect(str(path)) as db:
        question = (
            f"SELECT value FROM rows_{NOW // DAY}_0 JOIN series USING (series) WHERE device = 'nvr1' AND field = 'up'"
        )
        assert db.execute(question).fetchall() == [(3.0,)]
