"""A collector split into its roles, as processes, on PostgreSQL and InfluxDB."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from tests import servers
from tests.e2e.collector_run import ROOT, Run, ScriptedAgent, collector, consented, until
from tests.series_batches import influx_database

CHARGE = "/api/v1/series/values?site=s1&device=ups1&table=ups&field=charge_percent"


def web_of(run: Run, settings: dict[str, Any]) -> Run:
    """A web process beside an ingesting one, in a folder of its own."""
    web = Run(run.folder / "web", run.broker, token=run.token, database=run.database)
    web.folder.mkdir()
    text = {**yaml.safe_load((run.folder / "collector.yaml").read_text()), **settings, "role": "web"}
    (web.folder / "collector.yaml").write_text(yaml.safe_dump({**text, "api": {"port": web.port}}))
    web.start()
    return web


def measured(web: Run, rule: str) -> dict[str, Any]:
    """What the web process reads of what a rule costs the process that evaluates, once it has evaluated."""

    def cost() -> Any:
        told = web.get(f"/api/v1/rules/{rule}")["cost"]
        return told if told and told["evaluations"] else None

    found: dict[str, Any] = until(cost, "the web process reads what a rule costs the other")
    return found


def cut_connections(address: str) -> None:
    """Ends every connection to a PostgreSQL database, as a restart of the server does."""
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_ingest_and_web_share_postgresql_and_influxdb(tmp_path: Path, postgres_server: str, influxdb_port: int) -> None:
    address, influx = servers.new_database(postgres_server), influx_database(influxdb_port)
    store = {"store": "influxdb", "influxdb": {"url": influx.url, "bucket": influx.bucket}}
    settings = {"role": "ingest", "database": {"url": address}, "series": store}
    with collector(tmp_path, also=settings) as run:
        web = web_of(run, settings)
        try:
            agent = ScriptedAgent(run, run.add_agent(), consented(run))
            run.reload_broker()
            agent.bus.connect()
            t = int(time.time() * 1000)
            mains = [(t - 600_000 + minute * 60_000, "ups1", [100.0, 3600.0, 0.0]) for minute in range(5)]
            agent.deliver(agent.block(mains), 5)
            until(lambda: web.missing() == [], "the web process misses nothing")
            until(lambda: web.get(CHARGE)["value"] == [100.0] * 5, "the values are in the series")
            token = {"Authorization": f"Bearer {run.token}"}
            assert httpx.get(f"{run.address}/api/v1/tickets", headers=token, trust_env=False).status_code == 404
            cut_connections(address)
            battery = [(t - 300_000 + minute * 60_000, "ups1", [95.0, 3300.0, 1.0]) for minute in range(5)]
            agent.deliver(agent.block(battery), 10)
            found = until(lambda: web.get("/api/v1/tickets?state=open")["items"], "a ticket is open")
            assert [(ticket["device"], ticket["rule"]) for ticket in found] == [("ups1", "ups.on_battery")]
            assert measured(web, "ups.on_battery")["series"] == 1
            assert run.process is not None
            run.process.kill()
            run.process.wait()
            run.start()
            until(lambda: run.missing() == [], "the ingest process is back after kill -9")
            agent.deliver(agent.block([(t, "ups1", [90.0, 3000.0, 1.0])]), 11)
            until(lambda: web.get(CHARGE)["value"][-1] == 90.0, "a value taken after it is in the series")
            assert len(web.get(CHARGE)["value"]) == 11
            assert len(web.get("/api/v1/tickets")["items"]) == 1
            agent.bus.close()
            assert (web.end(), run.end()) == (0, 0)
            assert "Traceback" not in run.log() + web.log()
        finally:
            if web.process is not None and web.process.poll() is None:
                web.process.kill()
                web.process.wait()


@pytest.mark.parametrize("role", ["ingest", "web"])
def test_a_role_on_files_of_one_process_ends_with_one_line(tmp_path: Path, role: str) -> None:
    settings = {"folder": "data", "role": role, "broker": {"host": "127.0.0.1", "user": "collector"}}
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    command = [sys.executable, "-m", "forewarn", "collector", "run", "--config", "collector.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"forewarn collector: collector.yaml:2:7: `role: {role}` needs PostgreSQL (`database.url`) and "
        "InfluxDB (`series.store: influxdb`): SQLite and DuckDB files belong to one process, which runs `role: all`\n"
    )
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_not_there_yet_is_waited_for(tmp_path: Path, postgres_server: str) -> None:
    address = servers.new_database(postgres_server)
    name = address.rpartition("/")[2]
    with collector(tmp_path, also={"database": {"url": address}}) as run:
        until(lambda: run.missing() == [], "it works with its database")
        assert run.end() == 0
        with psycopg.connect(postgres_server.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_away"')
            run.start()
            until(lambda: "waiting for a database" in run.log(), "it says that it waits")
            assert run.process is not None
            assert run.process.poll() is None
            admin.execute(f'ALTER DATABASE "{name}_away" RENAME TO "{name}"')
        until(lambda: run.missing() == [], "it goes on by itself")
        assert run.end() == 0
