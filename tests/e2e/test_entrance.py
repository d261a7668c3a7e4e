"""A second collector on one set of databases refuses to start where it would do harm, and says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests import servers
from tests.e2e.collector_run import Run, collector, environment, until
from tests.series_batches import influx_database

SEVERAL = "several run with `role: ingest` (PostgreSQL and InfluxDB), and `role: web` beside them"


def second(run: Run, *words: str, **settings: Any) -> tuple[int, str]:
    """What becomes of a further collector that is started with the settings of the first, on a port of its own."""
    text = {**yaml.safe_load((run.folder / "collector.yaml").read_text()), **settings, "api": {"port": 0}}
    (run.folder / "second.yaml").write_text(yaml.safe_dump(text))
    command = [sys.executable, "-m", "forewarn", "collector", "run", "--config", "second.yaml", *words]
    done = subprocess.run(
        command, cwd=run.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_on_files_a_second_one_refuses_and_the_first_goes_on(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        until(lambda: run.missing() == [], "the first works")
        refused = (
            f"forewarn collector: another collector works in data: end it first, or give this one its own; {SEVERAL}\n"
        )
        assert second(run) == (2, refused)
        code, said = second(run, "--role", "ingest")
        assert code == 2
        assert "`role: ingest` needs PostgreSQL (`database.url`) and InfluxDB" in said
        assert run.missing() == []
        assert run.process is not None
        run.process.kill()
        run.process.wait()
        run.start()
        until(lambda: run.missing() == [], "after kill -9 nothing stands in the way of the next")
        assert run.end() == 0


def test_on_postgresql_one_is_alone_or_several_share(tmp_path: Path, postgres_server: str, influxdb_port: int) -> None:
    address, influx = servers.new_database(postgres_server), influx_database(influxdb_port)
    store = {"store": "influxdb", "influxdb": {"url": influx.url, "bucket": influx.bucket}}
    with collector(tmp_path, also={"database": {"url": address}, "series": store}) as run:
        until(lambda: run.missing() == [], "the first works, alone")
        taken = "forewarn collector: another collector takes in on this database: end it first; "
        assert second(run, folder="elsewhere", series={"store": "duckdb"}) == (2, f"{taken}{SEVERAL}\n")
        whole = "forewarn collector: a collector with `role: all` works on this database: end it first; "
        assert second(run, "--role", "ingest", folder="elsewhere") == (2, f"{whole}{SEVERAL}\n")
        with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as door:
            door.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            claims = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1719074819 AND granted"
            until(lambda: door.execute(claims).fetchall(), "the claim stands again after a restart of the database")
            door.execute("INSERT INTO service.cursor VALUES ('rules/07', 1)")
        assert run.end() == 0
        shards = "forewarn collector: this database was worked on by shards, which `role: all` cannot go on with"
        code, said = second(run, folder="elsewhere")
        assert (code, said.startswith(shards)) == (2, True)


@pytest.mark.parametrize("shards", ["40", "later"])
def test_shards_that_do_not_exist_are_refused_with_the_place(tmp_path: Path, shards: str) -> None:
    text = {"folder": "data", "broker": {"host": "127.0.0.1"}}
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(text))
    command = [sys.executable, "-m", "forewarn", "collector", "run", "--shards", shards]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert f"`shards`: `{shards}` names no shards: `auto`, or hexadecimal like `00-1f,3c` up to 3f" in done.stderr
