"""A real machine and one that is told what it is keep the same contract."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import pytest

from agent.host.children import Answer, Asking, Children
from agent.host.system import DiskCounts, Link, Memory, Mount, Process, Psutil, Room, Spent, System, Traffic
from agent.host.told import ToldCommands, ToldSystem

OWN = Process(os.getpid(), 1.0, "python", "python -m pytest")


def told_system() -> ToldSystem:
    return ToldSystem(
        spent_by_kind={"user": 1.0, "idle": 9.0},
        loads=(0.1, 0.2, 0.3),
        has_memory=Memory(1000.0, 400.0, 0.0, 0.0),
        booted_at=time.time() - 100,
        has_disks={"sda": DiskCounts(1, 1, 1, 1, 1.0, 1.0)},
        has_mounts=[Mount("/dev/sda1", "/", "ext4", False)],
        rooms={"/": Room(40.0, 600, 1000)},
        carried={"lo": Traffic(1, 1, 0, 0, 0, 0)},
        has_links={"lo": Link(True, None, None)},
        runs={OWN: Spent(1.0, 1e6)},
    )


@pytest.fixture(params=["psutil", "told"])
def system(request: pytest.FixtureRequest) -> System:
    return Psutil() if request.param == "psutil" else told_system()


def test_what_counts_goes_up_and_what_is_there_is_positive(system: System) -> None:
    first, second = system.processor(), system.processor()
    assert first is not None
    assert second is not None
    assert sum(second.values()) >= sum(first.values()) > 0
    assert "idle" in first
    memory = system.memory()
    assert memory is not None
    assert 0 < memory.available <= memory.total
    assert (system.process_count() or 0) > 0
    assert (system.booted() or 0) < time.time()


def test_rows_have_names_and_numbers(system: System) -> None:
    disks, traffic = system.disks(), system.traffic()
    assert all(isinstance(name, str) and row.reads >= 0 for name, row in disks.items())
    assert "lo" in traffic
    assert traffic["lo"].in_bytes >= 0
    assert system.links()["lo"].up
    assert all(each.path.startswith("/") and isinstance(each.read_only, bool) for each in system.mounts())
    room = system.room("/")
    assert room is not None
    assert 0 <= room.free <= room.total


def test_what_is_not_there_is_none(system: System) -> None:
    assert system.room("/there/is/no/such/place") is None
    assert system.spent(Process(2**22 + 1, 1.0, "nobody", "")) is None
    assert not system.has_windows_services()
    assert system.windows_service("Spooler") is None


def test_this_very_process_is_seen_and_what_it_used(system: System) -> None:
    mine = next(each for each in system.processes() if each.pid == os.getpid())
    assert "python" in mine.command
    spent = system.spent(mine)
    assert spent is not None
    assert spent.resident_bytes > 0
    assert system.spent(mine._replace(started=mine.started - 500)) is None, "another process of the same number"


def commands(kind: str) -> Asking:
    if kind == "children":
        return Children()

    def python(command: Sequence[str]) -> Answer:
        return Answer(3, "out\n", "err\n") if len(command) > 1 else Answer(0)

    return ToldCommands({sys.executable: python, "true": Answer(0)})


@pytest.mark.parametrize("kind", ["children", "told"])
def test_a_command_answers_with_its_code_and_words_or_why_not(kind: str) -> None:
    asking = commands(kind)
    said = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert asking.ask([sys.executable, "-c", said], 30) == Answer(3, "out\n", "err\n")
    assert asking.ask(["/no/such/command"], 5) == Answer(None, why="No such file or directory")
    assert asking.find("no-such-command-here") is None
    assert asking.find("true") is not None


def test_a_command_that_hangs_is_ended_with_its_own_children() -> None:
    begun = time.monotonic()
    said = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    answer = Children().ask([sys.executable, "-c", said], 1)
    assert (answer.code, answer.why) == (None, "did not end within 1 s")
    assert time.monotonic() - begun < 60


def test_a_command_that_cannot_be_ended_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: ended.append(pid))
    monkeypatch.setattr("agent.host.children._ENDS_WITHIN", 0.1)
    children = Children()
    hangs = [sys.executable, "-c", "import time; time.sleep(600)"]
    assert children.ask(hangs, 0.5).why == "did not end within 0.5 s"
    assert children.ask(hangs, 0.5).why == "its last call still hangs"
    os.kill(ended[0], 9)
    os.waitid(os.P_PID, ended[0], os.WEXITED | os.WNOWAIT)
    assert children.ask(hangs, 0.5).why == "did not end within 0.5 s"
    os.kill(ended[1], 9)
    os.waitid(os.P_PID, ended[1], os.WEXITED | os.WNOWAIT)
    assert not children._hangs(tuple(hangs))
