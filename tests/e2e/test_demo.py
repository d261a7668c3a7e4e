"""`forewarn demo` as a person runs it: the forecast, the proof, the end without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.collector_run import ROOT, until

KEYS = [
    "seconds",
    "values",
    "values_per_second",
    "series",
    "devices",
    "records_spooled",
    "records_committed",
    "lost",
    "duplicates",
    "tickets",
]
COMMAND = [sys.executable, "-m", "forewarn", "demo"]


def environment(mark: str) -> dict[str, str]:
    """The demo's surroundings; every process that comes of it carries the mark. One setting of a real agent is there
    and must not reach it."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "DEMO_MARK": mark, "FOREWARN_SITE": "elsewhere"}


def marked(mark: str) -> list[str]:
    """The processes that carry a mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def demo(*words: str, mark: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=environment(mark), capture_output=True, text=True, timeout=150, check=False
    )


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def killed_while_it_writes(folder: Path, mark: str) -> None:
    """A demo that is killed in the middle of its history; its children must follow it."""
    running = subprocess.Popen([*COMMAND, "--data", str(folder)], env=environment(mark), stdout=subprocess.DEVNULL)
    ledger = folder / "simulated.ledger"
    until(lambda: ledger.exists() and ledger.stat().st_size > 0, "the history is being written", 60)
    assert len(marked(mark)) >= 2
    running.kill()
    running.wait()
    until(lambda: not marked(mark), "all processes are gone", 30)


@pytest.mark.timeout(300)
def test_the_demo_foretells_proves_ends_and_goes_on_in_a_folder_where_one_was_killed(tmp_path: Path) -> None:
    mark = str(tmp_path)
    killed_while_it_writes(tmp_path / "kept", mark)
    first = demo("--until-ticket", "--json", "--data", str(tmp_path / "kept"), mark=mark)
    assert first.returncode == 0, first.stderr[-3000:]
    told = outcome(first)
    assert list(told) == KEYS
    assert (told["lost"], told["duplicates"]) == (0, 0)
    assert told["values"] > 3_000_000
    assert told["records_spooled"] >= told["records_committed"] > 90_000
    assert told["values_per_second"] > 0
    assert told["devices"] == 11  # nine simulated ones, this machine, and the agent itself
    forecast = next(ticket for ticket in told["tickets"] if ticket["rule"] == "recorder.filling")
    assert forecast["title"].startswith("nvr-1: disk hd1 is full in about 4")
    assert "ttt(used_percent, 98) < 72h: held" in forecast["reason"]
    assert set(forecast) == {"id", "rule", "device", "severity", "title", "reason"}
    assert marked(mark) == []
    assert "Traceback" not in first.stderr
    again = demo("--until-ticket", "--json", "--lang", "zh", "--data", str(tmp_path / "kept"), mark=mark)
    assert again.returncode == 0, again.stderr[-3000:]
    more = outcome(again)
    assert (more["lost"], more["duplicates"]) == (0, 0)
    assert more["records_spooled"] > told["records_spooled"]
    assert [ticket["id"] for ticket in more["tickets"] if ticket["rule"] == "recorder.filling"] == [forecast["id"]]
    assert marked(mark) == []


def test_an_interrupt_ends_the_demo_in_order(tmp_path: Path) -> None:
    mark = str(tmp_path)
    running = subprocess.Popen(
        COMMAND, env=environment(mark), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    until(lambda: len(marked(mark)) >= 3, "broker and collector run", 60)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "Traceback" not in out + err
    assert "Ended." in out
    assert marked(mark) == []


def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = demo("--port", str(port), mark=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_no_time_ends_with_1_and_still_says_what_there_is(tmp_path: Path) -> None:
    done = demo("--until-ticket", "--json", "--timeout", "1", mark=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert list(outcome(done)) == KEYS
    assert "No forecast ticket" in done.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    done = demo("--data", str(tmp_path), mark=str(tmp_path))
    assert done.returncode == 2
    assert "holds other things" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
