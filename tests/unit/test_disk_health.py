"""Disks tell of their health through smartctl, and whatever it prints, no value is invented."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.host import Host
from agent.host.children import Answer, Children
from agent.host.files import Files
from agent.host.smart import FIELDS, Unanswered, parse, scanned
from agent.host.smartctl import Smart
from agent.host.system import DiskCounts
from agent.host.told import ToldCommands, ToldSystem
from agent.reading import Happening, Reading
from forewarn.vocabulary import misnamed
from tests.clocks import SteppedClock

FIXTURES = Path(__file__).parents[1] / "fixtures" / "smartctl"


def printed(name: str) -> str:
    return (FIXTURES / f"{name}.json").read_text()


def known(name: str) -> dict[str, float]:
    return {field: value for field, value in parse(printed(name)).row.items() if value is not None}


DISKS = {
    "hdd-failing": {
        "status": 2,
        "temperature_celsius": 43,
        "reallocated_sectors": 1864,
        "reported_uncorrectable": 12,
        "pending_sectors": 96,
        "offline_uncorrectable": 96,
        "power_on_hours": 35080,
        "crc_errors": 3,
        "standby": 0,
    },
    "hdd-well": {
        "status": 0,
        "temperature_celsius": 31,
        "reallocated_sectors": 0,
        "reported_uncorrectable": 0,
        "pending_sectors": 0,
        "offline_uncorrectable": 0,
        "power_on_hours": 120,
        "crc_errors": 0,
        "standby": 0,
    },
    "ssd-worn": {
        "status": 0,
        "temperature_celsius": 36,
        "reallocated_sectors": 0,
        "power_on_hours": 20411,
        "wear_used_percent": 87,
        "standby": 0,
    },
    "ssd-endurance": {
        "status": 0,
        "temperature_celsius": 33,
        "power_on_hours": 900,
        "wear_used_percent": 8,
        "standby": 0,
    },
    "nvme": {
        "status": 0,
        "temperature_celsius": 47,
        "power_on_hours": 30001,
        "wear_used_percent": 104,
        "spare_percent": 99,
        "media_errors": 2,
        "standby": 0,
    },
    "sas": {
        "status": 0,
        "temperature_celsius": 38,
        "power_on_hours": 41234,
        "reallocated_sectors": 17,
        "reported_uncorrectable": 4,
        "standby": 0,
    },
    "standby-7.4": {"standby": 1},
    "standby-7.1": {"standby": 1},
}


@pytest.mark.parametrize("name", DISKS)
def test_a_disk_tells_what_it_knows_and_nothing_more(name: str) -> None:
    assert known(name) == DISKS[name]


def test_the_words_are_those_of_the_vocabulary() -> None:
    assert [misnamed("disk", field) for field in FIELDS if misnamed("disk", field)] == []


def test_an_attribute_that_is_not_wear_is_not_taken_for_it() -> None:
    """231 is life left at one vendor and a temperature at another; `ssd-worn` has the latter."""
    said = json.loads(printed("ssd-worn"))
    said["ata_smart_attributes"]["table"] = [
        each for each in said["ata_smart_attributes"]["table"] if each["id"] == 231
    ]
    assert parse(json.dumps(said)).row["wear_used_percent"] is None


@pytest.mark.parametrize(
    ("field", "path", "value"),
    [
        ("temperature_celsius", ("temperature", "current"), 65535),
        ("temperature_celsius", ("temperature", "current"), -60),
        ("power_on_hours", ("power_on_time", "hours"), 10**9),
        ("wear_used_percent", ("nvme_smart_health_information_log", "percentage_used"), 256),
        ("spare_percent", ("nvme_smart_health_information_log", "available_spare"), 101),
        ("media_errors", ("nvme_smart_health_information_log", "media_errors"), -1),
        ("media_errors", ("nvme_smart_health_information_log", "media_errors"), True),
    ],
)
def test_what_cannot_be_is_not_known(field: str, path: tuple[str, str], value: float) -> None:
    # NVMe tells temperature and hours twice, and the other place would serve.
    said = json.loads(printed("nvme" if path[0].startswith("nvme") else "hdd-well"))
    said[path[0]][path[1]] = value
    assert parse(json.dumps(said)).row[field] is None


@pytest.mark.parametrize(("status", "told"), [(0, None), (0x08, 2), (0x10, 2), (0x20, 1), (0x40, None)])
def test_the_exit_status_counts_where_the_disk_gives_no_verdict(status: int, told: float | None) -> None:
    said = json.loads(printed("hdd-well"))
    said["smart_status"] = {}
    said["smartctl"]["exit_status"] = status
    assert parse(json.dumps(said)).row["status"] == told


@pytest.mark.parametrize(
    ("text", "why", "denied"),
    [
        (printed("permission-denied"), "Smartctl open device: /dev/sda failed: Permission denied", True),
        (printed("usb-bridge"), "/dev/sde: Unknown USB bridge [0x1234:0x5678 (0x100)]", False),
        ("smartctl 6.6 2017-11-05 r4594", "smartctl did not answer in JSON: it must be of version 7.0 or later", False),
        ("[1]", "smartctl did not answer in JSON: it must be of version 7.0 or later", False),
        ("{}", "tells nothing of its health", False),
        ("[" * 100_000, "smartctl did not answer in JSON: it must be of version 7.0 or later", False),
    ],
)
def test_what_is_no_account_says_why(text: str, why: str, *, denied: bool) -> None:
    with pytest.raises(Unanswered) as wrong:
        parse(text)
    assert (str(wrong.value), wrong.value.denied) == (why, denied)


def test_a_scan_names_disks_behind_a_controller() -> None:
    assert [each.instance for each in scanned(printed("scan"))] == ["sda", "nvme0", "bus/0 megaraid,8"]


LEAF = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8)
KEYS = some.sampled_from(
    [
        *(
            "smartctl",
            "exit_status",
            "messages",
            "string",
            "device",
            "name",
            "type",
            "devices",
            "smart_status",
            "passed",
        ),
        *("ata_smart_attributes", "table", "id", "value", "raw", "temperature", "current", "power_on_time", "hours"),
        *("nvme_smart_health_information_log", "percentage_used", "media_errors", "scsi_grown_defect_list"),
        *("scsi_error_counter_log", "read", "total_uncorrected_errors", "endurance_used", "current_percent"),
    ]
)
ANYTHING = some.recursive(
    LEAF, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(KEYS, inner, max_size=6), max_leaves=40
)


@settings(deadline=None)
@given(some.text() | ANYTHING.map(json.dumps))
def test_whatever_is_printed_no_value_is_invented(text: str) -> None:
    try:
        row = parse(text).row
    except Unanswered:
        row = {}
    with contextlib.suppress(Unanswered):
        scanned(text)
    assert all(value is None or (isinstance(value, float) and math.isfinite(value)) for value in row.values())


@settings(max_examples=50, deadline=None)
@given(some.dictionaries(some.sampled_from(sorted(json.loads(printed("hdd-failing")))), ANYTHING, max_size=4))
def test_a_disk_that_answers_partly_nonsense_is_read_without_it(nonsense: dict[str, object]) -> None:
    try:
        row = parse(json.dumps({**json.loads(printed("hdd-failing")), **nonsense})).row
    except Unanswered:
        return
    counts = [value for field, value in row.items() if value is not None and field != "temperature_celsius"]
    assert all(value >= 0 and math.isfinite(value) for value in counts)


class Machine:
    """A host whose disks are asked through told commands."""

    def __init__(self, folder: Path, *, root: bool = False, **commands: object) -> None:
        for name in ("sda", "nvme0n1"):
            (folder / "sys/block" / name).mkdir(parents=True, exist_ok=True)
        self.clock = SteppedClock()
        self.commands = ToldCommands(commands)  # type: ignore[arg-type]
        self.smart = Smart(self.commands, Files(folder), self.clock.monotonic, root=root)

    def read(self) -> dict[str, dict[str, float | None]]:
        self.smart.read(None)
        self.smart.settle(5)
        return self.smart.read(60.0).get("disk", {})


def smartctl(command: Sequence[str]) -> Answer:
    if "--scan" in command:
        return Answer(0, printed("scan"))
    return Answer(0, printed({"/dev/sda": "hdd-failing", "/dev/nvme0": "nvme"}.get(command[-1], "sas")))


def denied(command: Sequence[str]) -> Answer:
    return Answer(0, printed("scan")) if "--scan" in command else Answer(2, printed("permission-denied"))


def sudo(command: Sequence[str]) -> Answer:
    return smartctl(command[3:])


def test_every_disk_is_asked_under_the_name_the_kernel_counts_its_work_by(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=True, smartctl=smartctl)
    rows = machine.read()
    assert {name: row["power_on_hours"] for name, row in rows.items()} == {
        "sda": 35080,
        "nvme0n1": 30001,
        "bus/0 megaraid,8": 41234,
    }
    assert machine.smart.texts() == {
        "disks": "sda: Written HDD 4TB, WRITTEN0001; nvme0n1: Written NVMe 1TB, WRITTEN0005; "
        "bus/0 megaraid,8: Written SAS 2TB, WRITTEN0006"
    }
    assert machine.commands.asked[-1][-3:] == ["-d", "megaraid,8", "/dev/bus/0"]
    assert all(command[1:4] == ["-j", "-n", "standby"] for command in machine.commands.asked[1:]), "none is woken"


def test_a_disk_that_falls_asleep_keeps_its_name_and_loses_its_values(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=True, smartctl=smartctl)
    machine.read()
    before = machine.smart.texts()
    machine.commands._answers = {"smartctl": lambda c: Answer(2, printed("scan" if "--scan" in c else "standby-7.1"))}
    machine.clock.step(1800)
    assert machine.read()["sda"] == {**dict.fromkeys(FIELDS), "standby": 1.0}
    assert machine.smart.texts() == before


def test_disks_are_asked_every_half_hour_and_their_answer_is_gone_after_a_whole_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=True, smartctl=smartctl)
    machine.read()
    rounds = len(machine.commands.asked)
    machine.clock.step(1799)
    assert machine.read()["sda"]["status"] == 2
    assert len(machine.commands.asked) == rounds
    machine.commands._answers = {}
    machine.clock.step(1)
    machine.read()
    machine.clock.step(3601)
    assert machine.smart.read(60.0) == {}


def test_who_may_not_open_disks_asks_sudo_once_it_is_allowed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, smartctl=denied, sudo=sudo)
    assert machine.read()["sda"]["pending_sectors"] == 96
    assert machine.smart.unread() == []
    machine.commands.asked.clear()
    machine.clock.step(1800)
    machine.read()
    assert {command[0] for command in machine.commands.asked} == {"sudo"}, "what works is not tried the other way again"


def test_who_may_not_at_all_is_told_the_one_line_that_allows_it(tmp_path: Path) -> None:
    refused = Answer(1, "", "sudo: a password is required\n")
    machine = Machine(tmp_path, smartctl=denied, sudo=refused)
    assert machine.read() == {}
    [unread] = machine.smart.unread()
    assert unread.why == "this account may not open sda, nvme0, bus/0 megaraid,8"
    assert "visudo -f /etc/sudoers.d/forewarn" in unread.remedy
    assert "ALL=(root) NOPASSWD: smartctl -j --scan, smartctl -j -n standby " in unread.remedy
    assert unread.remedy.endswith("-l ssd -d megaraid\\,8 /dev/bus/0")
    machine.clock.step(1800)
    machine.read()
    assert [each[0] for each in machine.commands.asked].count("sudo") == 1, "each refusal is a line in root's log"


def test_a_machine_with_disks_and_without_smartctl_is_told_to_install_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.read()
    assert [(each.why, each.remedy.split(" (")[0]) for each in machine.smart.unread()] == [
        ("smartctl is not installed; disks: nvme0n1, sda", "install smartmontools")
    ]


def test_a_virtual_machine_lacks_nothing(tmp_path: Path) -> None:
    (tmp_path / "sys/block/vda").mkdir(parents=True)
    smart = Smart(ToldCommands({}), Files(tmp_path), SteppedClock().monotonic)
    smart.read(None)
    smart.settle(5)
    assert smart.read(None) == {}
    assert smart.unread() == []


@pytest.mark.parametrize("says", [Answer(0, "garbage"), Answer(None, why="did not end within 20 s"), Answer(127)])
def test_a_smartctl_that_fails_leaves_no_values_and_says_why(tmp_path: Path, says: Answer) -> None:
    machine = Machine(tmp_path, root=True, smartctl=says)
    assert machine.read() == {}
    [unread] = machine.smart.unread()
    assert unread.why.startswith("smartctl --scan: ")


def test_health_joins_what_the_kernel_counts_of_the_same_disk_and_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "sys/block/sda").mkdir(parents=True)
    host = Host(
        "vms-1",
        clock=SteppedClock(),
        system=ToldSystem(has_disks={"sda": DiskCounts(0, 0, 0, 0, 0, 0)}),
        files=Files(tmp_path),
        asking=ToldCommands({"smartctl": lambda c: Answer(0, printed("scan" if "--scan" in c else "hdd-failing"))}),
    )
    items = host.read()
    host.settle(5)
    items += host.read()
    reading = [item for item in items if isinstance(item, Reading)][-1]
    happening = [item for item in items if isinstance(item, Happening)][-1]
    values = dict(zip(reading.shape.columns(), reading.values, strict=True))
    assert values["disk", "sda", "reallocated_sectors"] == 1864
    assert ("disk", "sda", "busy_percent") in values
    assert happening.text["disks"].startswith("sda: Written HDD 4TB, WRITTEN0001")


def test_a_smartctl_that_hangs_delays_no_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "bin" / "smartctl"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    children = Children()
    clock = SteppedClock()
    smart = Smart(children, Files(tmp_path), clock.monotonic, root=True)
    monkeypatch.setattr("agent.host.smartctl._WITHIN", 1.0)
    begun = time.monotonic()
    assert smart.read(None) == {}
    assert time.monotonic() - begun < 0.9, "it would have waited for the command otherwise"
    smart.settle(30)
    assert smart.read(None) == {}
    assert [each.why for each in smart.unread()] == ["smartctl --scan: did not end within 1 s"]
