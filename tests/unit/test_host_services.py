"""Named services and processes of this machine."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.host.children import Answer
from agent.host.parts import Row
from agent.host.services import Processes, Services, shown
from agent.host.system import Process, Psutil, Spent, WindowsService
from agent.host.told import Said, ToldCommands, ToldSystem, WindowsApi
from forewarn.vocabulary import misnamed

UNIT = """\
LoadState={load}
ActiveState={active}
NRestarts={restarts}
MemoryCurrent={memory}
CPUUsageNSec={cpu}
MainPID=812
"""
SSH = UNIT.format(load="loaded", active="active", restarts=2, memory=4194304, cpu=1_000_000_000)
GONE = UNIT.format(load="not-found", active="inactive", restarts=0, memory="[not set]", cpu="[not set]")
DEAD = UNIT.format(load="loaded", active="failed", restarts=5, memory=2**64 - 1, cpu="[not set]")


def of_systemd(names: list[str], said: Said) -> Services:
    return Services(names, ToldSystem(), ToldCommands({"systemctl": said}))


def rows(part: Services | Processes, seconds: float | None = None) -> dict[str, Row]:
    return part.read(seconds)["service"]


def test_services_of_systemd_are_asked_all_at_once() -> None:
    commands = ToldCommands({"systemctl": Answer(0, f"{SSH}\n{DEAD}\n{GONE}")})
    services = Services(["ssh", "vms.socket", "typo"], ToldSystem(), commands)
    told = rows(services)
    assert told["ssh"] == {
        "running": 1,
        "restarts": 2,
        "processes": None,
        "resident_bytes": 4194304,
        "cpu_percent": None,
    }
    assert told["vms.socket"] == {
        "running": 0,
        "restarts": 5,
        "processes": None,
        "resident_bytes": None,
        "cpu_percent": None,
    }
    assert set(told["typo"].values()) == {None}, "what is not there is neither running nor stopped"
    assert [each.part for each in services.unread()] == ["service typo"]
    assert [command[-4:] for command in commands.asked] == [["--", "ssh.service", "vms.socket", "typo.service"]]
    assert [misnamed("service", field) for field in told["ssh"] if misnamed("service", field)] == []


def test_what_a_service_uses_is_of_one_processor() -> None:
    later = SSH.replace("CPUUsageNSec=1000000000", "CPUUsageNSec=31000000000")
    answers = iter([SSH, later, SSH])
    services = of_systemd(["ssh"], lambda _: Answer(0, next(answers)))
    rows(services)
    assert rows(services, 60)["ssh"]["cpu_percent"] == 50
    assert rows(services, 60)["ssh"]["cpu_percent"] is None, "it was started anew"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Answer(1, "", "System has not been booted with systemd as init system (PID 1).\n"), "System has not been"),
        (Answer(None, why="did not end within 5 s"), "did not end within 5 s"),
        (Answer(0, SSH), "systemctl ended with 0"),
    ],
)
def test_a_systemd_that_does_not_answer_leaves_null_and_says_why(said: Answer, why: str) -> None:
    services = of_systemd(["ssh", "cron"], said)
    told = rows(services)
    assert list(told) == ["ssh", "cron"]
    assert {value for row in told.values() for value in row.values()} == {None}
    [unread] = services.unread()
    assert unread.why.startswith(why)
    assert "processes" in unread.remedy


def test_a_machine_without_systemd_says_so() -> None:
    services = Services(["ssh"], ToldSystem(), ToldCommands({}))
    assert rows(services)["ssh"]["running"] is None
    assert [each.why for each in services.unread()] == ["systemctl is not here"]


@given(some.lists(some.sampled_from([SSH, GONE, "\n", "=", "MainPID=", "NRestarts=-1\n"]) | some.text(max_size=9)))
def test_whatever_systemctl_prints_no_number_is_invented(pieces: list[str]) -> None:
    text = "".join(pieces)
    blocks = shown(text)
    services = of_systemd([f"s{at}" for at in range(len(blocks))] or ["s"], Answer(0, text))
    for row in rows(services).values():
        assert all(value is None or value >= 0 for value in row.values())


def test_services_of_windows_by_their_short_names() -> None:
    vms = Process(400, 1.0, "vms.exe", "")
    system = ToldSystem(
        windows={"VmsRecorder": WindowsService(True, 400), "Spooler": WindowsService(False, None)},
        runs={vms: Spent(10.0, 1e6)},
    )
    services = Services(["VmsRecorder", "Spooler", "Typo"], system, ToldCommands({}))
    told = rows(services)
    assert (told["VmsRecorder"]["running"], told["VmsRecorder"]["resident_bytes"]) == (1, 1e6)
    assert (told["Spooler"]["running"], told["Typo"]["running"]) == (0, None)
    assert [each.part for each in services.unread()] == ["service Typo"]
    system.runs = {Process(500, 90.0, "vms.exe", ""): Spent(1.0, 1e6)}
    assert system.windows is not None
    system.windows["VmsRecorder"] = WindowsService(True, 500)
    assert rows(services, 60)["VmsRecorder"]["restarts"] == 1


def test_the_adapter_reads_services_as_psutil_has_them_on_windows() -> None:
    adapter = Psutil(WindowsApi({"VmsRecorder": ("running", 400), "Spooler": ("stop_pending", None)}))
    assert adapter.has_windows_services()
    assert adapter.windows_service("VmsRecorder") == WindowsService(True, 400)
    assert adapter.windows_service("Spooler") == WindowsService(False, None)
    assert adapter.windows_service("Typo") is None
    assert adapter.warmths() == []
    assert adapter.load() is None


def test_a_real_process_is_found_by_its_command_line_and_its_end_is_seen() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "watched-4711"], stdin=-1)
    part = Processes({"watched": re.compile("watched-4711"), "none": re.compile("watched-0815-[x]")}, Psutil())
    try:
        told = rows(part)
        assert (told["watched"]["running"], told["watched"]["processes"]) == (1, 1)
        assert (told["watched"]["resident_bytes"] or 0) > 1e5
        assert told["none"]["running"] == 0
        assert told["none"]["resident_bytes"] is None
        assert rows(part, 1.0)["watched"]["cpu_percent"] is not None
    finally:
        child.communicate()
    assert rows(part)["watched"]["running"] == 0


def test_a_process_that_was_started_anew_is_counted() -> None:
    system = ToldSystem(
        runs={Process(7, 1.0, "vms", "vms -d"): Spent(5.0, 100), Process(8, 1.0, "vms", ""): Spent(1, 50)}
    )
    part = Processes({"vms": re.compile("vms")}, system)
    assert rows(part)["vms"] == {
        "running": 1,
        "processes": 2,
        "restarts": 0,
        "resident_bytes": 150,
        "cpu_percent": None,
    }
    del system.runs[Process(8, 1.0, "vms", "")]
    system.runs[Process(7, 1.0, "vms", "vms -d")] = Spent(20.0, 100)
    assert rows(part, 60)["vms"] == {
        "running": 1,
        "processes": 1,
        "restarts": 0,
        "resident_bytes": 100,
        "cpu_percent": 25,
    }
    system.runs = {}
    assert rows(part, 60)["vms"]["running"] == 0
    system.runs = {Process(7, 900.0, "vms", "vms -d"): Spent(0.0, 100)}
    told = rows(part, 60)["vms"]
    assert (told["running"], told["restarts"], told["cpu_percent"]) == (1, 1, None)
