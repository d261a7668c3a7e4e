"""The InfluxDB store where it meets refusals: types in conflict, odd times, tokens, databases that are not there."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from collector.series.influx import InfluxStore
from collector.series.lines import lines
from collector.series.store import Refused, SeriesKey, Unavailable
from collector.settings import Influxdb
from forewarn.settings import Duration, Secret
from tests import servers
from tests.series_batches import DISKS, NOW, batch, disks, influx_database, rows

UP = SeriesKey("s1", "nvr1", "device", "", "up")
RTT = UP._replace(field="rtt_seconds")
HEAT = SeriesKey("s1", "nvr1", "disk", "2", "temperature_celsius")


def post(port: int, path: str, body: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body.encode(), timeout=10) as answer:
        return bytes(answer.read())


def query(port: int, question: str) -> None:
    post(port, "/query", urllib.parse.urlencode({"q": question}))


def read(store: InfluxStore, key: SeriesKey) -> list[tuple[int, float]]:
    points = store.read([key], 0, 2 * NOW)[key]
    return list(zip(points.t.tolist(), points.value.tolist(), strict=True))


def test_a_poll_becomes_a_line_for_each_instance_with_the_tags_in_order() -> None:
    polls = rows(DISKS, [("nvr 1", NOW, [1, float("nan"), 40.5, 0, float("nan"), float("nan")])])
    assert list(lines(polls)) == [
        f"device,device=nvr\\ 1,site=s1 up=1.0 {NOW}",
        f"disk,device=nvr\\ 1,instance=1,site=s1 temperature_celsius=40.5,status=0.0 {NOW}",
    ]


def test_a_name_cannot_break_out_of_its_line() -> None:
    polls = rows(DISKS, [("a\nb,c=d e\\", NOW, [1] + [float("nan")] * 5)])
    assert list(lines(polls)) == [f"device,device=a_b\\,c\\=d\\ e_,site=s1 up=1.0 {NOW}"]


def test_a_new_process_resumes_behind_the_last_cursor(influxdb_port: int) -> None:
    settings = influx_database(influxdb_port)
    first = InfluxStore(settings)
    first.write(disks(5, NOW))
    first.close()
    again = InfluxStore(settings)
    assert again.cursor() == 5
    again.write(disks(5, NOW, 99.0))
    assert read(again, UP) == [(NOW, 1.0)]
    again.close()


def test_a_cursor_that_was_not_written_costs_a_repetition_and_nothing_else(influxdb_port: int) -> None:
    settings = influx_database(influxdb_port)
    first = InfluxStore(settings)
    first.write(disks(1, NOW))
    assert InfluxStore(settings).cursor() == 0
    again = InfluxStore(settings, settled=0)
    again.write(disks(1, NOW))
    assert read(again, UP) == [(NOW, 1.0)]
    assert again.cursor() == 1


def test_a_day_of_cursors_is_one_point(influxdb_port: int) -> None:
    settings = influx_database(influxdb_port)
    clock = [NOW / 1000]
    store = InfluxStore(settings, clock=lambda: clock[0], settled=0)
    for position in range(1, 5):
        clock[0] += 2
        store.write(disks(position, NOW))
    [series] = store._ask(['SELECT "position" FROM "forewarn_cursor"'])
    assert series[0]["values"] == [[NOW // 86_400_000 * 86_400_000, 4]]
    store.close()


def test_the_cursor_trails_what_was_taken_until_it_has_settled(influxdb_port: int) -> None:
    settings, now = influx_database(influxdb_port), [100.0]
    store = InfluxStore(settings, clock=lambda: now[0], settled=5.0)
    stands = []
    for position, at in ((1, 100.0), (2, 104.0), (3, 105.0), (4, 110.0)):
        now[0] = at
        store.write(disks(position, NOW + position))
        stands.append(store.cursor())
    assert stands == [0, 0, 1, 3]
    store.close()
    assert InfluxStore(settings).cursor() == 4


def test_after_a_failure_what_had_not_settled_is_asked_for_again(tmp_path: Path) -> None:
    now = [100.0]
    with servers.influxdb(tmp_path) as port:
        store = InfluxStore(influx_database(port), clock=lambda: now[0], settled=5.0)
        for position, now[0] in ((1, 100.0), (2, 106.0), (3, 107.0)):
            store.write(disks(position, NOW + position))
        assert store.cursor() == 1
    with pytest.raises(Unavailable):
        store.write(disks(4, NOW + 4))
    with servers.influxdb(tmp_path) as port:
        again = InfluxStore(Influxdb(url=f"http://127.0.0.1:{port}", bucket=store._settings.bucket), settled=5.0)
        assert again.cursor() == 1


def test_a_field_of_another_type_is_named_and_everything_else_is_stored(influxdb_port: int) -> None:
    settings = influx_database(influxdb_port)
    post(influxdb_port, f"/write?db={settings.bucket}&precision=ms", f"device,device=x,site=s1 up=1i {NOW}")
    store = InfluxStore(settings, settled=0)
    with pytest.raises(Refused) as refused:
        store.write(disks(1, NOW))
    assert refused.value.rows == [f"device,device=nvr1,site=s1 up=1.0,rtt_seconds=1.01 {NOW}"]
    assert "field type conflict" in str(refused.value)
    assert read(store, RTT) == [(NOW, 1.01)]
    assert read(store, HEAT) == [(NOW, 41.0)]
    assert store.cursor() == 1


def test_a_time_the_database_cannot_keep_is_named_and_the_rest_is_stored(influxdb_port: int) -> None:
    store = InfluxStore(influx_database(influxdb_port))
    polls = [("nvr1", NOW + n, [1] * 6) for n in range(20)]
    polls[7] = ("nvr1", 10**14, [1] * 6)
    with pytest.raises(Refused, match=r"^3 refused: ") as refused:
        store.write(batch(1, rows(DISKS, polls, arrived=NOW)))
    assert all(line.endswith(" 100000000000000") for line in refused.value.rows)
    assert len(read(store, UP)) == 19


def test_what_is_older_than_the_database_keeps_is_no_error(influxdb_port: int) -> None:
    settings = influx_database(influxdb_port)
    query(influxdb_port, f"ALTER RETENTION POLICY autogen ON {settings.bucket} DURATION 1d SHARD DURATION 1h")
    now = int(time.time() * 1000)
    store = InfluxStore(settings, settled=0)
    store.write(batch(1, rows(DISKS, [("nvr1", now - 90 * 86_400_000, [1] * 6), ("nvr1", now, [0] * 6)])))
    assert read(store, UP) == [(now, 0.0)]
    assert store.cursor() == 1


def test_a_batch_of_many_lines_goes_in_several_requests(influxdb_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.series.influx.LINES", 50)
    store = InfluxStore(influx_database(influxdb_port))
    store.write(batch(1, rows(DISKS, [("nvr1", NOW + n, [n] * 6) for n in range(100)])))
    assert len(read(store, HEAT)) == 100


def test_a_database_that_is_not_there_is_named(influxdb_port: int) -> None:
    store = InfluxStore(Influxdb(url=f"http://127.0.0.1:{influxdb_port}", bucket="nowhere"))
    with pytest.raises(Unavailable, match="nowhere"):
        store.write(disks(1, NOW))
    assert "nowhere" in (store.ping() or "")


def test_a_server_that_is_down_is_named_and_nothing_is_forgotten_when_it_returns(tmp_path: Path) -> None:
    with servers.influxdb(tmp_path) as port:
        settings = influx_database(port)
        store = InfluxStore(settings, settled=0)
        store.write(disks(1, NOW))
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"InfluxDB at http://127.0.0.1:{port} is not reached"):
            store.write(disks(2, NOW + 1, 2.0))
    assert "is not reached" in (store.ping() or "")
    with servers.influxdb(tmp_path) as port:
        moved = InfluxStore(Influxdb(url=f"http://127.0.0.1:{port}", bucket=settings.bucket))
        assert moved.cursor() == 1
        moved.write(disks(2, NOW + 1, 2.0))
        assert read(moved, UP) == [(NOW, 1.0), (NOW + 1, 2.0)]
        assert moved.ping() is None


def test_a_server_that_does_not_answer_is_left_in_time() -> None:
    with servers.socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        store = InfluxStore(Influxdb(url=f"http://127.0.0.1:{port}", timeout=Duration(0.2)))
        assert "is not reached" in (store.ping() or "")


def test_a_wrong_token_is_named_and_the_right_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_HTTP_AUTH_ENABLED", "true")
    with servers.influxdb(tmp_path) as port:
        query(port, "CREATE USER forewarn WITH PASSWORD 'right' WITH ALL PRIVILEGES")
        right = Influxdb(url=f"http://127.0.0.1:{port}", bucket="forewarn", token=Secret("forewarn:right"))
        wrong = Influxdb(url=f"http://127.0.0.1:{port}", bucket="forewarn", token=Secret("forewarn:wrong"))
        store = InfluxStore(right)
        store._ask(["CREATE DATABASE forewarn"])
        store.write(disks(1, NOW))
        assert read(store, UP) == [(NOW, 1.0)]
        with pytest.raises(Unavailable, match=r"does not accept the token \(401\): set `series.influxdb.token_file`"):
            InfluxStore(wrong).write(disks(2, NOW))
        assert "wrong" not in (InfluxStore(wrong).ping() or "")


def test_what_a_killed_victoria_metrics_forgot_is_given_to_it_again(tmp_path: Path) -> None:
    with servers.victoria_metrics(tmp_path) as running:
        store = InfluxStore(Influxdb(url=f"http://127.0.0.1:{running.port}", bucket="forewarn"))
        store.write(disks(1, NOW))
        running.kill()
        with pytest.raises(Unavailable):
            store.write(disks(2, NOW + 1))
        running.start()
        assert store.cursor() == 0
        for position in (1, 2):
            store.write(disks(position, NOW + position - 1))
        post(running.port, "/internal/force_flush", "")
        found = post(running.port, "/api/v1/export", urllib.parse.urlencode({"match[]": "device_up"}))
        assert [json.loads(line)["timestamps"] for line in found.splitlines()] == [[NOW, NOW + 1]]


def test_victoria_metrics_takes_the_same_lines_over_the_second_api(victoria_port: int) -> None:
    store = InfluxStore(Influxdb(url=f"http://127.0.0.1:{victoria_port}", bucket="forewarn"))
    store.write(disks(1, NOW))
    assert store._path == "/api/v2/write"
    post(victoria_port, "/internal/force_flush", "")
    found = post(victoria_port, "/api/v1/export", urllib.parse.urlencode({"match[]": "disk_temperature_celsius"}))
    series = {one["metric"]["instance"]: one for one in map(json.loads, found.splitlines())}
    assert series["2"]["values"] == [41]
    assert series["2"]["timestamps"] == [NOW]
    assert series["2"]["metric"]["device"] == "nvr1"
    store.close()
