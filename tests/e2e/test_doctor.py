"""`forewarn doctor` beside a running agent and a running collector: it sees both, and neither notices it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.collector_run import collector, environment, until
from tests.e2e.whole_site import WholeSite


def looked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forewarn", *words]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def said(found: dict[str, Any], side: str) -> list[str]:
    return [f"[{each['level']}] {each['subject']}: {each['what']}" for each in found["sides"][side]["diagnoses"]]


def test_it_sees_both_sides_at_work_and_neither_notices_it(tmp_path: Path) -> None:
    with collector(tmp_path) as run:
        until(lambda: run.missing() == [], "the collector is connected")
        site = WholeSite(run, tmp_path)
        site.enrol([])
        status = tmp_path / "agent" / "status.json"
        run.reload_broker()
        site.start()
        until(lambda: site.committed() >= 3, "records are committed")
        until(lambda: '"connected": true' in status.read_text(), "the status file says so, two seconds later at most")

        told = looked(tmp_path, "doctor", "--json")
        assert told.returncode == 0, told.stdout + told.stderr
        found = json.loads(told.stdout)
        assert found["fail"] == 0
        here = f"broker 127.0.0.1:{run.broker.port}"
        agent, house = said(found, "agent"), said(found, "collector")
        assert f"[ok] {here}: the running agent is connected" in agent
        assert any(line.startswith("[ok] collector: has acknowledged up to record ") for line in agent), agent
        assert any(line.startswith("[ok] agent: runs (process ") for line in agent), agent
        assert f"[ok] collector: runs, and answers at {run.address}/readyz" in house
        assert f"[ok] {here}: the running collector is connected" in house
        assert "[ok] series store: the running collector works with data/series.duckdb" in house
        assert "[ok] agents: 1 of 1 heard and taken" in house
        before = site.committed()
        until(lambda: site.committed() >= before + 3, "records go on being committed")
        assert run.missing() == []
        assert (tmp_path / "mosquitto" / "log").read_text().count("already connected") == 0

        site.end()
        assert run.end() == 0
        alone = looked(tmp_path, "collector", "doctor")
        assert alone.returncode == 0, alone.stdout + alone.stderr
        assert f"[ok]   {here}: a collector has worked with these databases in the last half minute" in alone.stdout
        assert "[ok]   series store: data/series.duckdb, " in alone.stdout
        assert "[warn] collector: does not answer at " in alone.stdout
        (tmp_path / "collector.yaml").write_text("folder: data\nbroker: {hst: x}\n")
        wrong = looked(tmp_path, "collector", "doctor")
        assert wrong.returncode == 2
        assert "[fail] settings: collector.yaml:2:10: unknown key `hst`; did you mean `host`?" in wrong.stdout
