"""A whole agent on a disk that cannot be written and then has no room: each file is named, and it goes on by itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import servers
from tests.agents import until
from tests.e2e.test_agent_run import Site, devices, forewarn, listening, site

__all__ = ["site"]

WORLD = ["unshare", "--user", "--map-root-user", "--mount"]
ON_A_SMALL_DISK = 'cp -a data kept && mount -t tmpfs -o size=3m tmpfs data && cp -a kept/. data/ && mount -o remount,ro data && exec "$@"'


@pytest.mark.timeout(120)
def test_an_agent_whose_whole_folder_cannot_be_written_waits_says_so_and_loses_nothing(
    site: Site, broker: servers.Mosquitto
) -> None:
    if subprocess.run([*WORLD, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here: a folder cannot be given a disk of its own")
    site.start(*WORLD, "sh", "-c", ON_A_SMALL_DISK, "sh")
    until(lambda: site.told("spool cannot be opened yet"), (site.folder / "log").read_text)
    within(site, "mount", "-o", "remount,rw", str(site.data))
    until(lambda: site.told("agent started"), (site.folder / "log").read_text)
    with listening(broker.port) as collector:
        until(lambda: "cam-1" in devices(collector))
        ballast = fill(site)
        for event in ("spool cannot write", "status is not written", "log book pauses"):
            until(lambda event=event: site.told(event), event)  # type: ignore[misc]
        assert site.process is not None
        assert site.process.poll() is None
        ballast.unlink()
        until(lambda: site.told("spool has room again"))
        until(lambda: site.told("status is written again"))
        before = len(collector.taken)
        until(lambda: len(collector.taken) > before + 6)
        assert site.stop() == 0
        with collector.lock:
            seqs = [record.seq for _, record in collector.taken]
            assert seqs == list(range(1, len(seqs) + 1)), "polling waited; nothing was lost, nothing came twice"
            assert collector.wrong == []


def within(site: Site, *command: str) -> None:
    """Runs a command in the agent's own world."""
    assert site.process is not None
    enter = ["nsenter", "--target", str(site.process.pid), "--user", "--mount"]
    subprocess.run([*enter, *command], check=True, capture_output=True)


def fill(site: Site) -> Path:
    """Takes all the room there is on the agent's disk."""
    assert site.process is not None
    ballast = Path(f"/proc/{site.process.pid}/root{site.data}/ballast")
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def test_a_status_that_grew_old_says_what_may_be_the_reason_and_what_was_proven(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port):
        site.start()
        until((site.data / "status.json").exists)
        assert site.stop() == 0
    path = site.data / "status.json"
    stated = {"epoch": "E1", "first": 1, "last": 250, "count": 250, "hash": "ab" * 16, "since": 0, "lost": 3}
    status = {**json.loads(path.read_text()), "manifest": stated}
    for pid, said in ((os.getpid(), True), (2**22 + 1, False)):
        path.write_text(json.dumps({**status, "at": 1, "pid": pid}))
        shown = forewarn(site.folder, "agent", "status")
        assert shown.returncode == 1
        assert "proof      of records 1 to 250 is sent with them, 3 dropped" in shown.stdout
        assert ("if it is the agent, its folder cannot be written" in shown.stdout) is said, shown.stdout
