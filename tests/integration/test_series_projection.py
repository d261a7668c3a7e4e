"""The series projection over a journal: what agents sent is what people read."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from collector.projections.runner import Runner
from collector.series.duck import DuckStore
from collector.series.influx import InfluxStore
from collector.series.memory import MemoryStore
from collector.series.projection import SeriesProjection
from collector.series.store import SeriesKey, SeriesStore, Unavailable
from collector.settings import Duckdb
from forewarn.settings import Duration
from forewarn.wire import Record
from rules.samples import Batch
from tests.findings import START
from tests.journals import EVERY, VOLUMES, Journal
from tests.series_batches import influx_database

KEY = SeriesKey("s1", "nvr1", "volume", "/b", "used_percent")


def polls(journal: Journal, count: int, *, ahead: int = 0) -> None:
    for n in range(count):
        t = START + n * EVERY
        record = Record(seq=0, t=t + ahead, device="nvr1", shape=VOLUMES.digest, values=[None, float(n)])
        journal.block(record, arrived=t)
        journal.tick(t + 1)


def read(store: SeriesStore, site: str) -> list[tuple[int, float]]:
    key = KEY._replace(site=site)
    points = store.read([key], 0, 10 * START)[key]
    return list(zip(points.t.tolist(), points.value.tolist(), strict=True))


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_every_value_of_the_journal_is_stored_whatever_the_cut(journal: Journal, tmp_path: Path) -> None:
    polls(journal, 30)
    site = journal.entries[0].site
    told = []
    for size in (1, 7, 60):
        store = DuckStore(tmp_path / f"{size}.duckdb", Duckdb(flush=Duration(3600)))
        projection = SeriesProjection(store)
        for at in range(0, 60, size):
            projection.apply(journal.entries[at : at + size])
        told.append(read(store, site))
        store.tend(START)
        assert projection.cursor() == 60
        store.close()
    assert told[0] == [(START + n * EVERY, float(n)) for n in range(30)]
    assert told[0] == told[1] == told[2]


def test_entries_given_again_behind_a_cursor_that_trails_are_stored_once(journal: Journal, tmp_path: Path) -> None:
    polls(journal, 10)
    store = DuckStore(tmp_path / "s.duckdb", Duckdb(flush=Duration(3600)))
    projection = SeriesProjection(store)
    projection.apply(journal.entries[:12])
    assert projection.cursor() == 0
    projection.apply(journal.entries[:20])
    assert len(read(store, journal.entries[0].site)) == 10
    store.tend(START)
    [day] = store._days.values()
    assert store._db.execute(f"SELECT count(*) FROM {day.name}").fetchall() == [(10,)]
    store.close()


def test_a_record_ahead_of_its_time_is_stored_too(journal: Journal) -> None:
    polls(journal, 2, ahead=3_600_000)
    store = MemoryStore()
    SeriesProjection(store).apply(journal.entries)
    assert read(store, journal.entries[0].site)[0] == (START + 3_600_000, 0.0)


class Stumbling(MemoryStore):
    """Fails every other time."""

    attempts = 0

    def write(self, batch: Batch) -> None:
        self.attempts += 1
        if self.attempts % 2:
            raise Unavailable("not now")
        super().write(batch)


def test_a_store_that_stumbles_gets_everything_in_the_end(journal: Journal) -> None:
    polls(journal, 5)
    store = Stumbling()
    projection = SeriesProjection(store)
    while (at := projection.cursor()) < journal.head():
        try:
            projection.apply(journal.read(at, 3))
        except Unavailable:
            continue
    assert [value for _, value in read(store, journal.entries[0].site)] == [0, 1, 2, 3, 4]


def test_it_goes_on_behind_what_the_store_refuses(
    journal: Journal, influxdb_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    polls(journal, 3)
    site = journal.entries[0].site
    settings = influx_database(influxdb_port)
    line = f"volume,device=x,instance=/b,site={site} used_percent=1i {START}".encode()
    urllib.request.urlopen(f"{settings.url}/write?db={settings.bucket}&precision=ms", line, timeout=10).close()
    projection = SeriesProjection(InfluxStore(settings, settled=0))
    projection.apply(journal.entries)
    assert projection.refused == 3
    assert projection.cursor() == 6
    assert [record.message for record in caplog.records if "refused" in record.message] == ["values refused"] * 3


def test_a_runner_carries_a_journal_into_duckdb(journal: Journal, tmp_path: Path) -> None:
    polls(journal, 20)
    store = DuckStore(tmp_path / "s.duckdb", Duckdb(flush=Duration(0.02)))
    runner = Runner(journal, SeriesProjection(store), gather=0.0)
    runner.start()
    end = time.monotonic() + 20
    try:
        while runner.progress.lag:
            assert not runner.progress.error
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        runner.stop()
    assert len(read(store, journal.entries[0].site)) == 20
    store.tend(START)
    assert store.cursor() == 40
    store.close()
