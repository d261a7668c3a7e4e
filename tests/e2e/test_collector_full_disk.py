"""A collector whose disk is full: it says so, goes on running, and goes on with its work when there is room."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.collector_run import Run, ScriptedAgent, collector, consented, facts, until

_MOUNTED = 'mount -t tmpfs -o size=32m none small && cp -a data/. small && mount --bind small data && exec "$@"'
WORLD = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNTED, "sh"]
"""A user and mount namespace in which the collector's data folder lies on a disk of 32 MiB."""


def move_to_a_small_disk(run: Run, roomy: set[str]) -> None:
    """Starts the collector anew in WORLD; the databases named in `roomy` stay on the large disk."""
    settings = run.folder / "collector.yaml"
    settings.write_text(settings.read_text() + "\njournal: {floor: 0KiB}\n")  # The last byte is to be used up.
    for folder in ("small", "roomy"):
        (run.folder / folder).mkdir()
    for database in roomy:
        (run.folder / "data" / f"{database}.db").rename(run.folder / "roomy" / f"{database}.db")
        (run.folder / "data" / f"{database}.db").symlink_to(run.folder / "roomy" / f"{database}.db")
    run.within = WORLD
    run.start()
    until(lambda: run.missing() == [], "nothing is missing while there is room")


def fill(run: Run) -> Path:
    """Leaves no room on the small disk; gives the file to delete for it."""
    assert run.process is not None
    ballast = Path(f"/proc/{run.process.pid}/root{run.folder}/data/ballast")
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 1):
            with pytest.raises(OSError, match="No space left"):
                file.writelines(itertools.repeat(bytes(size)))
    return ballast


@pytest.mark.parametrize(
    ("full", "named", "stopped", "goes_on"),
    [
        ("journal", "intake", "nothing is taken in", "blocks are taken in again"),
        ("series", "store", "series store stands still", "series store goes on"),
        ("service", "rules", "projection stands still", "projection goes on"),
    ],
)
def test_a_full_disk_is_named_and_nothing_is_lost(
    tmp_path: Path, full: str, named: str, stopped: str, goes_on: str
) -> None:
    probe = subprocess.run([*WORLD[:4], "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no user namespaces here: max_page_count stands in for a full disk in the integration tests")
    with collector(tmp_path) as run:
        agent = ScriptedAgent(run, run.add_agent(), consented(run))
        run.reload_broker()
        assert run.end() == 0
        move_to_a_small_disk(run, roomy={"journal", "service"} - {full} if full != "journal" else set())
        agent.bus.connect()
        first = int(time.time() * 1000) - 3_600_000
        times = itertools.count(first, 1000)

        def poll() -> None:
            agent.send(agent.block([(next(times), f"ups{agent.seq}", [100.0, 3600.0, 0.0])]))

        poll()
        until(lambda: agent.acks and agent.acks[-1].upto == 1, "there is room for the first block")
        ballast = fill(run)

        def noticed() -> bool:
            poll()
            return named in (run.missing() or [])

        until(noticed, f"{named} is named while the disk is full")
        assert facts(run.log(), stopped)
        if full != "journal":
            until(lambda: agent.acks[-1].upto == agent.seq, "agents are acknowledged all the same")
        ballast.unlink()
        poll()
        until(lambda: agent.acks[-1].upto == agent.seq, "all blocks are committed when there is room")
        until(lambda: run.missing() == [], "nothing is missing any more")
        assert facts(run.log(), goes_on)
        last = f"/api/v1/series/values?site=s1&device=ups{agent.seq - 1}&table=ups&field=charge_percent"
        until(lambda: run.get(last)["value"] == [100.0], "the last value is in the series")
        device = f"/api/v1/sites/s1/devices/ups{agent.seq - 1}"
        until(lambda: run.get("/api/v1/sites/s1")["devices"] == agent.seq and run.get(device), "all are registered")
        agent.bus.close()
        assert run.end() == 0
        assert "Traceback" not in run.log()
