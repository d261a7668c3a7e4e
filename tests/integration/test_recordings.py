"""Every shipped profile against a recording, through the real responder and the real adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.profiles.files import shipped
from forewarn.demo import ber
from forewarn.demo.recordings import packaged
from forewarn.demo.responder import Device, Responder
from forewarn.vocabulary import misnamed
from tests.replaying import polled_twice

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
REAL = {
    "camera/hikvision": "hikvision.camera",
    "camera/hikvision-network-video-recorder": "hikvision.recorder",
    "camera/samsung-ipolis": "hanwha.camera",
    "camera/semac-ipcam-500": "camera.generic",
    "iot/geist-temperature-sensor": "sensor.geist",
    "os/linux/unknown-006": "server.net-snmp",
    "os/windows/server-2003-5-2": "server.host-resources",
}
"""Recordings of devices in the package snmpsim-data → the profile that each is polled by."""


def replayed(profile: str) -> tuple[dict[str, Any], Device]:
    later = RECORDINGS / f"{profile}.later.snmprec"
    with Responder() as responder:
        device = responder.add((RECORDINGS / f"{profile}.snmprec").read_text())
        told = polled_twice(device, later.read_text() if later.exists() else "")
    return told, device


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_a_recorded_device_gives_the_record_that_was_checked_against_its_mib(profile):
    got, device = replayed(profile)
    expected = json.loads((RECORDINGS / f"{profile}.json").read_text())
    assert got["first"] == expected["first"]
    assert got["a minute later"]["values"] == expected["a minute later"]["values"]
    assert "inventory" not in got["a minute later"], "an inventory that has not changed is not told again"
    assert device.sets == 0


@pytest.mark.parametrize("name", sorted(REAL))
def test_a_real_device_gives_the_record_that_was_checked_against_its_mib(name):
    with Responder() as responder:
        device = responder.add(packaged(name, ["1.3.6.1"]))
        got = polled_twice(device, "")["first"]
    # A recording stands still: how far behind its clock is depends on when and where it is played.
    assert got["values"]["device"][""].pop("clock_offset_seconds", 0.0) is not None
    assert got == json.loads((RECORDINGS / "real" / f"{name.replace('/', '.')}.json").read_text())
    assert got["profile"] == REAL[name]
    assert device.sets == 0


def test_a_recorder_of_dahua_that_counts_in_gigabytes_has_as_large_disks_as_one_that_counts_in_megabytes():
    text = (RECORDINGS / "dahua.recorder.snmprec").read_text()
    for megabytes, gigabytes in (("3815447", "3726"), ("1907729", "1863")):
        text = text.replace(f"|2|{megabytes}", f"|2|{gigabytes}")
    with Responder() as responder:
        disks = polled_twice(responder.add(text), "")["first"]["values"]["disk"]
    assert {name: fields["total_bytes"] for name, fields in disks.items()} == {
        "/dev/sda": 3726 * 2.0**30,
        "/dev/sdb": 1863 * 2.0**30,
        "/dev/sdc": 1863 * 2.0**30,
    }


def test_a_small_switch_of_cisco_with_older_firmware_tells_its_temperature_and_not_its_sensors_state_for_one():
    rows = "1.3.6.1.4.1.9.6.1.101.53.15.1"
    text = (RECORDINGS / "switch.cisco-small-business.snmprec").read_text()
    plain = [line for line in text.splitlines() if not line.startswith(f"{rows}.")]
    older = [f"{rows}.9.1|2|47", f"{rows}.9.2|2|0", f"{rows}.10.1|2|1", f"{rows}.10.2|2|2", f"{rows}.11.1|67|4711"]
    with Responder() as responder:
        sensors = polled_twice(responder.add("\n".join([*plain, *older])), "")["first"]["values"]["sensor"]
    assert sensors == {"1": {"temperature_celsius": 47.0, "status": 0.0, "status_code": 1.0}}


def test_a_supply_of_ruijie_whose_line_has_failed_is_critical():
    text = (RECORDINGS / "switch.ruijie.snmprec").read_text()
    failed = text.replace("10.2.1.1.18.1.2.3|2|5", "10.2.1.1.18.1.2.3|2|7")
    with Responder() as responder:
        supplies = polled_twice(responder.add(failed), "")["first"]["values"]["psu"]
    assert supplies["Power supply 3"] == {"status": 2.0, "status_code": 7.0}


def polled(profile: str, *changes: tuple[str, str]) -> dict[str, Any]:
    """The values of a recording with some lines in the place of others; an empty one takes its line away."""
    text = (RECORDINGS / f"{profile}.snmprec").read_text()
    for line, other in changes:
        assert f"{line}\n" in text
        text = text.replace(f"{line}\n", f"{other}\n" if other else "")
    with Responder() as responder:
        values: dict[str, Any] = polled_twice(responder.add(text), "")["first"]["values"]
    return values


def test_disks_of_synology_without_smart_leave_the_others_under_the_names_of_their_devices():
    rows = "1.3.6.1.4.1.6574.5.1.1"
    gone = [(f"{rows}.{column}.8|{kind}", "") for column, kind in ((2, "4|/dev/sdd"), (4, "2|5"), (8, "2|0"))]
    disks = polled("storage.synology", *gone)["disk"]
    assert disks["/dev/sdb"]["reallocated_sectors"] == 48.0, "four disks and three devices: nobody knows which is which"
    assert "reallocated_sectors" not in disks["Disk 2"]


def test_a_battery_of_eaton_that_failed_is_critical_whatever_its_charging_says():
    battery = "1.3.6.1.4.1.534.1.2"
    well = (f"{battery}.5.0|2|8", f"{battery}.5.0|2|3")
    assert polled("ups.eaton", well)["ups"][""]["battery_status"] == 0.0
    assert polled("ups.eaton", well, (f"{battery}.7.0|2|2", f"{battery}.7.0|2|1"))["ups"][""]["battery_status"] == 2.0
    assert polled("ups.eaton", well, (f"{battery}.8.0|2|2", f"{battery}.8.0|2|1"))["ups"][""]["battery_status"] == 2.0
    older = polled("ups.eaton", well, (f"{battery}.7.0|2|2", ""), (f"{battery}.8.0|2|2", ""))
    assert older["ups"][""]["battery_status"] == 0.0


def test_an_apc_in_its_self_test_is_not_on_battery():
    cause, state, test = (f"1.3.6.1.4.1.318.1.1.1.{tail}.0|2" for tail in ("3.2.5", "4.1.1", "7.2.3"))
    in_test = (f"{cause}|4", f"{cause}|9")
    assert polled("ups.apc")["ups"][""]["on_battery"] == 1.0
    assert polled("ups.apc", in_test)["ups"][""]["on_battery"] == 0.0
    assert polled("ups.apc", in_test, (f"{state}|3", f"{state}|2"))["ups"][""]["on_battery"] == 0.0
    silent = (f"{cause}|4", "")
    assert polled("ups.apc", silent)["ups"][""]["on_battery"] == 1.0
    assert polled("ups.apc", silent, (f"{test}|1", f"{test}|4"))["ups"][""]["on_battery"] == 0.0
    assert polled("ups.apc", silent, (f"{test}|1", ""))["ups"][""]["on_battery"] == 1.0


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_every_recording_says_where_it_is_from(profile):
    first = (RECORDINGS / f"{profile}.snmprec").read_text().splitlines()[0]
    assert first.startswith("# Written by hand")
    assert ber.recorded((RECORDINGS / f"{profile}.snmprec").read_text())


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_every_field_of_an_expected_record_is_in_the_vocabulary(profile):
    expected = json.loads((RECORDINGS / f"{profile}.json").read_text())
    for table, rows in expected["first"]["values"].items():
        for fields in rows.values():
            assert not [misnamed(table, field) for field in fields if misnamed(table, field)]
