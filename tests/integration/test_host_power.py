"""The UPS and the management controller of the agent's own machine: a real NUT with its dummy driver, and told answers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent.host.bmc import Controller, sensors
from agent.host.children import Answer, Children
from agent.host.files import Files
from agent.host.power import Supply, tables, told
from agent.host.told import ToldCommands
from forewarn.vocabulary import TABLES
from tests.servers import free_port, program, wait_for_port

WELL = """\
device.mfr: Example
device.serial: S-1
ups.status: OL CHRG
battery.charge: 97
battery.runtime: 1740
input.voltage: 229.0
ups.load: 33
"""


class AtPort(Children):
    """Real commands, for a NUT that listens elsewhere than NUT usually does."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def ask(self, command: Sequence[str], seconds: float) -> Answer:
        place = f"127.0.0.1:{self.port}"
        *head, last = command
        return super().ask([*head, "-l", place] if last == "-l" else [*head, f"{last}@{place}"], seconds)


@pytest.fixture
def nut(tmp_path: Path) -> Iterator[int]:
    """A NUT of two UPSs of its dummy driver; gives its port."""
    driver = program("dummy-ups", "nut-server", "/lib/nut")
    program("upsc", "nut-client")
    server = Path(driver).with_name("upsd")  # The one in the path is a script that asks the system's own settings.
    port = free_port()
    (tmp_path / "state").mkdir()
    (tmp_path / "rack.dev").write_text(WELL)
    section = f"driver = dummy-ups\nport = {tmp_path}/rack.dev\nmode = dummy-once\n"
    (tmp_path / "ups.conf").write_text(f"[rack]\n{section}[spare]\n{section}")
    (tmp_path / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {port}\n")
    (tmp_path / "upsd.users").write_text("")
    for file in tmp_path.glob("*.*"):
        file.chmod(0o640)
    env = os.environ | {"NUT_CONFPATH": str(tmp_path), "NUT_STATEPATH": str(tmp_path / "state")}
    env["NUT_ALTPIDPATH"] = str(tmp_path / "state")
    log = tmp_path / "log"
    me = ["-u", "root"] if os.geteuid() == 0 else []
    with log.open("wb") as out:
        drivers = [
            subprocess.Popen([driver, "-a", name, *me, "-F"], env=env, stdout=out, stderr=out)
            for name in ("rack", "spare")
        ]
        until(lambda: len(list((tmp_path / "state").glob("dummy-ups-*"))) == 2)
        upsd = subprocess.Popen([server, *me, "-F"], env=env, stdout=out, stderr=out)
        try:
            wait_for_port(port, upsd, log)
            until(
                lambda: all("ups.status: OL" in AtPort(port).ask(["upsc", name], 5).text for name in ("rack", "spare"))
            )
            yield port
        finally:
            for each in (upsd, *drivers):
                each.terminate()
                each.wait(10)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "NUT did not start"
        time.sleep(0.05)


def read(asking: Children | ToldCommands) -> Supply:
    part = Supply(asking, time.monotonic)
    part.read(None)
    part.settle(20)
    return part


def test_a_real_nut_tells_of_its_first_ups_and_that_there_is_another(nut: int) -> None:
    part = read(AtPort(nut))
    found = part.read(None)
    assert found["ups"][""] == {
        "status": 0.0,
        "on_battery": 0.0,
        "battery_replace": 0.0,
        "charge_percent": 97.0,
        "runtime_seconds": 1740.0,
    }
    assert (found["ups_input"]["1"], found["ups_output"]["1"]) == ({"volts": 229.0}, {"load_percent": 33.0})
    assert part.texts()["connected_ups"].endswith("S-1")
    assert [each.why for each in part.unread()] == ["only rack is read, not spare"]


def test_a_nut_that_does_not_answer_says_why_and_without_nut_there_is_nothing() -> None:
    program("upsc", "nut-client")
    part = read(AtPort(free_port()))
    assert part.read(None) == {}
    assert [each.why for each in part.unread()] == ["NUT: Error: Connection failure: Connection refused"]
    none = read(ToldCommands({}))
    assert (none.read(None), list(none.unread())) == ({}, [])


@pytest.mark.parametrize(
    ("status", "test", "expected"),
    [
        ("OL CHRG", "", (0, 0, 0)),
        ("OB DISCHRG", "", (1, 1, 0)),
        ("OB DISCHRG LB", "", (2, 1, 0)),
        ("OL RB", "", (1, 0, 1)),
        ("OL CAL", "", (1, 0, 0)),
        ("OB DISCHRG", "In progress", (1, 0, 0)),
        ("OFF", "Done and passed", (2, 0, 0)),
        ("WAIT", "", (None, None, None)),
        ("", "", (None, None, None)),
    ],
)
def test_the_words_of_nut_s_status_mean_what_they_say(status: str, test: str, expected: tuple[int | None, ...]) -> None:
    row = tables({"ups.status": status, "ups.test.result": test})["ups"][""]
    assert (row["status"], row["on_battery"], row["battery_replace"]) == expected


def test_no_number_of_nut_is_invented() -> None:
    said = told("battery.charge: 140\nbattery.runtime: nan\ninput.voltage: soon\nups.load: inf\nups.status: OL\njunk\n")
    found = tables(said)
    assert found["ups"][""]["charge_percent"] is None
    assert found["ups"][""]["runtime_seconds"] is None
    assert found["ups_input"]["1"]["volts"] is None
    assert found["ups_output"]["1"]["load_percent"] is None
    assert all(set(row) <= set(TABLES[table].fields) for table, rows in found.items() for row in rows.values())


SDR = """\
CPU Temp,45,degrees C,ok
System Temp,91.5,degrees C,nc
FAN1,4500,RPM,ok
FAN2,0,RPM,nr
FAN3,no reading,RPM,ns
12V,11.98,Volts,ok
PS1 Status,0x01,discrete,ok
,1,RPM,ok
nonsense
"""


def test_a_management_controller_tells_its_sensors_with_their_state() -> None:
    assert sensors(SDR) == {
        "sensor": {
            "bmc CPU Temp": {"temperature_celsius": 45.0, "status": 0.0},
            "bmc System Temp": {"temperature_celsius": 91.5, "status": 1.0},
            "bmc 12V": {"volts": 11.98, "status": 0.0},
        },
        "fan": {"bmc FAN1": {"speed_rpm": 4500.0, "status": 0.0}, "bmc FAN2": {"speed_rpm": 0.0, "status": 2.0}},
    }


def test_nothing_but_reading_is_asked_of_a_controller_and_one_that_may_not_be_asked_says_what_to_allow(
    tmp_path: Path,
) -> None:
    denied = Answer(1, "", "Could not open device at /dev/ipmi0 or /dev/ipmi/0: Permission denied\n")
    commands = ToldCommands({"ipmitool": denied})
    assert list(Controller(commands, Files(tmp_path), time.monotonic).read(None)) == []
    assert commands.asked == [], "this machine has no controller"
    (tmp_path / "sys/class/ipmi/ipmi0").mkdir(parents=True)
    part = Controller(commands, Files(tmp_path), time.monotonic)
    part.read(None)
    part.settle(10)
    assert part.read(None) == {}
    (told,) = part.unread()
    assert "Permission denied" in told.why
    assert "udev" in told.remedy
    assert commands.asked == [["ipmitool", "-c", "sdr", "list", "full"]]
