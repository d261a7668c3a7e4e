"""What every series store does, asked of each of them: in memory, DuckDB, InfluxDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from collector.series.duck import DuckStore
from collector.series.influx import InfluxStore
from collector.series.memory import MemoryStore
from collector.series.store import SeriesKey, SeriesStore
from tests.series_batches import DISKS, MINUTE, NAN, NOW, VOLUMES, batch, disks, influx_database, rows

UP = SeriesKey("s1", "nvr1", "device", "", "up")
HEAT = SeriesKey("s1", "nvr1", "disk", "2", "temperature_celsius")
ALWAYS = (0, 2 * NOW)


@pytest.fixture(params=["memory", "duckdb", "influxdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SeriesStore]:
    if request.param == "memory":
        made: SeriesStore = MemoryStore(keep=30 * 86400)
    elif request.param == "duckdb":
        made = DuckStore(tmp_path / "series.duckdb", keep=30 * 86400)
    else:
        made = InfluxStore(influx_database(request.getfixturevalue("influxdb_port")), settled=0)
    yield made
    made.close()


def read(store: SeriesStore, key: SeriesKey, begin: int = 0, end: int = 2 * NOW) -> list[tuple[int, float]]:
    points = store.read([key], begin, end)[key]
    return list(zip(points.t.tolist(), points.value.tolist(), strict=True))


def test_an_empty_store_knows_nothing_and_works(store: SeriesStore) -> None:
    assert store.cursor() == 0
    assert store.ping() is None
    assert store.last("s1") == {}
    assert store.series("s1") == []
    assert read(store, UP) == []


def test_what_was_written_is_read_at_once(store: SeriesStore) -> None:
    store.write(disks(1, NOW))
    assert read(store, UP) == [(NOW, 1.0)]
    assert read(store, HEAT) == [(NOW, 41.0)]
    assert store.last("s1", "nvr1")[HEAT] == (NOW, 41.0)
    assert store.last("s1") == store.last("s1", "nvr1")
    assert len(store.last("s1")) == DISKS.width


def test_the_cursor_follows_what_was_written(store: SeriesStore) -> None:
    store.write(disks(7, NOW))
    store.tend(NOW)
    assert store.cursor() == 7


def test_writing_the_same_batch_again_changes_nothing(store: SeriesStore) -> None:
    for _ in range(3):
        store.write(disks(1, NOW))
        assert read(store, UP) == [(NOW, 1.0)]


def test_a_null_is_no_value(store: SeriesStore) -> None:
    store.write(batch(1, rows(DISKS, [("nvr1", NOW, [1, 0.5, 40, 0, 41, 1])], position=1)))
    store.write(batch(2, rows(DISKS, [("nvr1", NOW + MINUTE, [0, NAN, NAN, NAN, NAN, NAN])], position=2)))
    assert read(store, UP) == [(NOW, 1.0), (NOW + MINUTE, 0.0)]
    assert read(store, HEAT) == [(NOW, 41.0)]
    assert store.last("s1")[HEAT] == (NOW, 41.0)
    assert store.last("s1")[UP] == (NOW + MINUTE, 0.0)


def test_a_series_that_never_had_a_value_is_not_known(store: SeriesStore) -> None:
    store.write(batch(1, rows(DISKS, [("nvr1", NOW, [0, NAN, NAN, NAN, NAN, NAN])])))
    assert store.series("s1") == [UP]


def test_a_range_has_its_begin_and_not_its_end(store: SeriesStore) -> None:
    for position in (1, 2, 3):
        store.write(disks(position, NOW + position, float(position)))
    assert read(store, UP, NOW + 2, NOW + 3) == [(NOW + 2, 2.0)]
    assert read(store, UP, NOW + 3, NOW + 3) == []


def test_late_values_take_their_place_in_time(store: SeriesStore) -> None:
    for position, t in enumerate([NOW, NOW - 3 * 86_400_000, NOW + 1, NOW - 1], 1):
        store.write(disks(position, t, float(position)))
    assert read(store, UP) == [(NOW - 3 * 86_400_000, 2.0), (NOW - 1, 4.0), (NOW, 1.0), (NOW + 1, 3.0)]
    assert store.last("s1")[UP] == (NOW + 1, 3.0)


def test_of_two_values_at_one_instant_the_later_written_stays(store: SeriesStore) -> None:
    polls = [("nvr1", NOW, [1, 1, 1, 1, 1, 1]), ("nvr1", NOW, [0, 2, 2, 2, 2, 2])]
    store.write(batch(1, rows(DISKS, polls)))
    store.write(disks(2, NOW + 1, 5.0))
    store.write(disks(3, NOW + 1, 6.0))
    assert read(store, UP) == [(NOW, 0.0), (NOW + 1, 6.0)]
    assert store.last("s1")[UP] == (NOW + 1, 6.0)


def test_one_batch_may_span_days_devices_and_shapes(store: SeriesStore) -> None:
    day = 86_400_000
    recorders = [(f"nvr{n}", NOW + n * day, [n, n, n, n, n, n]) for n in range(3)]
    servers = [("srv", NOW, [1, 0.1, 77.5]), ("srv", NOW + day, [1, NAN, 78.5])]
    store.write(batch(1, rows(DISKS, recorders), rows(VOLUMES, servers)))
    assert read(store, SeriesKey("s1", "nvr2", "disk", "1", "status")) == [(NOW + 2 * day, 2.0)]
    volume = SeriesKey("s1", "srv", "volume", "C:\\ data, x=1", "used_percent")
    assert read(store, volume) == [(NOW, 77.5), (NOW + day, 78.5)]
    assert store.series("s1", "srv") == [
        SeriesKey("s1", "srv", "device", "", "rtt_seconds"),
        SeriesKey("s1", "srv", "device", "", "up"),
        volume,
    ]


def test_a_device_whose_shape_changes_goes_on_with_its_series(store: SeriesStore) -> None:
    store.write(disks(1, NOW))
    store.write(batch(2, rows(VOLUMES, [("nvr1", NOW + 1, [0, 0.5, 50])], position=2)))
    assert read(store, UP) == [(NOW, 1.0), (NOW + 1, 0.0)]
    assert store.series("s1").count(UP) == 1
    assert store.last("s1")[UP] == (NOW + 1, 0.0)


def test_sites_are_kept_apart(store: SeriesStore) -> None:
    store.write(batch(1, rows(DISKS, [("nvr1", NOW, [1] * 6)]), rows(DISKS, [("nvr1", NOW, [2] * 6)], site="s2")))
    assert read(store, UP) == [(NOW, 1.0)]
    assert read(store, UP._replace(site="s2")) == [(NOW, 2.0)]
    assert {key.site for key in store.series("s2")} == {"s2"}


def test_names_come_back_as_they_were_given(store: SeriesStore) -> None:
    for position, name in enumerate(["a b", "a,b=c", 'say "hi"', "back\\slash", "it's", "录像机-1", "%s$1"], 1):
        store.write(disks(position, NOW, float(position), name))
        assert read(store, UP._replace(device=name)) == [(NOW, float(position))]
        assert {key.device for key in store.series("s1", name)} == {name}


def test_many_points_are_thinned_to_means_of_equal_buckets(store: SeriesStore) -> None:
    polls = [("nvr1", NOW + n * MINUTE, [n, 0, 40, 0, 41, 1]) for n in range(1000)]
    store.write(batch(1, rows(DISKS, polls)))
    assert len(store.read([UP], *ALWAYS)[UP].t) == 1000
    points = store.read([UP, HEAT], *ALWAYS, most=100)[UP]
    assert 50 <= len(points.t) <= 100
    assert points.t[0] == NOW
    assert np.all(np.diff(points.t) == points.t[1] - points.t[0])
    width = int(points.t[1] - points.t[0])
    inside = [n for n in range(1000) if n * MINUTE < width]
    assert points.value[0] == pytest.approx(np.mean(inside))


def test_values_flagged_as_future_are_stored(store: SeriesStore) -> None:
    store.write(batch(1, rows(DISKS, [("nvr1", NOW + 86_400_000, [1] * 6)], arrived=NOW)))
    store.write(batch(2, rows(DISKS, [("nvr1", NOW + 600 * MINUTE, [0] * 6)], arrived=NOW, position=2)))
    assert read(store, UP) == [(NOW + 600 * MINUTE, 0.0), (NOW + 86_400_000, 1.0)]


def test_values_past_their_time_go(store: SeriesStore) -> None:
    day = 86_400_000
    store.write(disks(1, NOW - 20 * day, 1.0))
    store.write(disks(2, NOW - 20 * day, 1.0, "old"))
    store.write(disks(3, NOW, 2.0))
    store.tend(NOW + 15 * day)
    if type(store).__name__ != "InfluxStore":  # The database does it by the bucket's own retention.
        assert read(store, UP) == [(NOW, 2.0)]
        assert store.series("s1", "old") == []
    assert store.cursor() == 3


def test_a_batch_without_values_moves_the_cursor(store: SeriesStore) -> None:
    store.write(disks(1, NOW))
    store.write(batch(9))
    store.tend(NOW)
    assert store.cursor() == 9


def test_keys_nobody_wrote_read_as_nothing(store: SeriesStore) -> None:
    store.write(disks(1, NOW))
    for key in (UP._replace(device="x"), UP._replace(field="uptime_seconds"), UP._replace(site="x' OR 1=1")):
        assert read(store, key) == []
