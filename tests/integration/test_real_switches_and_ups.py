"""Switches and power supplies as they really answer: recordings of the package snmpsim-data, checked by hand against the MIBs.

Of each the values that a ticket would be about; numbers of interfaces as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent.polling.contact import Contact
from agent.polling.neighbours import Neighbour, said
from agent.profiles.files import shipped
from agent.snmp.opening import opener
from forewarn.demo import ber
from forewarn.demo.recordings import packaged
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Duration
from tests.clocks import SteppedClock
from tests.polling import RECORDINGS, UPTIME, reading, target

M, E = "1.3.6.1.2.1", "1.3.6.1.4.1"
SUBTREES = [
    *(f"{M}.{arcs}" for arcs in ("2", "10.7", "17.1", "31", "33", "47", "99", "105")),
    *(f"{E}.9.{arcs}" for arcs in ("5.1.4", "9.13", "9.48", "9.109.1.1", "9.402")),
    *(f"{E}.{arcs}" for arcs in ("25506.2.6", "25506.2.14", "2011.10.2.6", "2011.10.2.14")),
    *(f"{E}.{arcs}" for arcs in ("2011.5.25.31", "2011.5.25.195", "2011.6.174")),
    *(f"{E}.4881.1.1.10.2.{arcs}" for arcs in ("1", "21.1.2", "35", "36")),
    *(f"{E}.{arcs}" for arcs in ("534.1", "705.1", "318.1.1.26")),
]
Values = dict[str, dict[str, dict[str, float | None]]]


def polled(device: Device) -> tuple[str, Values, dict[str, str]]:
    """The profile that was found, its values, and the inventory."""

    async def once() -> list[Any]:
        contact = Contact(target(device, timeout=Duration(3)), shipped(), open_session=opener(), clock=SteppedClock())
        try:
            return await contact.poll()
        finally:
            contact.close()

    items = asyncio.run(once())
    found = reading(items)
    assert found.ok, found.why
    values: Values = {}
    for (table, instance, field), value in zip(found.shape.columns(), found.values, strict=True):
        values.setdefault(table, {}).setdefault(instance, {})[field] = value
    return found.shape.profile, values, next(item.text for item in items if item is not found)


def real(name: str, subtrees: Sequence[str] = SUBTREES) -> tuple[str, Values, dict[str, str]]:
    with Responder() as responder:
        return polled(responder.add(packaged(name, subtrees)))


SWITCHES = {
    # Its objects are under Huawei-3Com's number (`mib-style compatible`), those of the next one under H3C's.
    "network/switch/h3c-e528-1": (
        "switch.h3c",
        28,
        {
            "host": {"": {"cpu_percent": 49.0, "memory_used_percent": 53.0}},
            "sensor": {"Sensor1": {"temperature_celsius": 40.0}},
            "fan": {"FAN1": {"status": 0.0, "status_code": 2.0}},
            "psu": {"PSU1": {"status": 0.0, "status_code": 2.0}},
        },
        {"model": "H3C Switch E528", "serial": "210235A0GKC158000929", "firmware": "5.20 Release 1513P62"},
    ),
    "network/switch/h3c-e528-2": (
        "switch.h3c",
        28,
        {
            "host": {"": {"memory_used_percent": 55.0}},
            "sensor": {"Sensor1": {"temperature_celsius": 40.0}},
            "fan": {"FAN1": {"status": 0.0, "status_code": 2.0}},
            "psu": {"PSU1": {"status": 0.0, "status_code": 2.0}},
        },
        {"model": "H3C Switch E528", "serial": "210235A0GKC158000929", "firmware": "5.20 Release 1513P62"},
    ),
    "network/router/huawei-s5720": (
        "switch.huawei",
        33,
        {
            "host": {"": {"cpu_percent": 38.0, "memory_used_percent": 7.0}},
            "sensor": {"MPU Board 0": {"temperature_celsius": 42.0}},
            "fan": {"0.7": {"status": 0.0, "status_code": 1.0}},
            # Without a link it says half duplex.
            "interface": {"GigabitEthernet0/0/1": {"full_duplex": 1.0}, "MEth0/0/1": {"full_duplex": None}},
        },
        {"model": "S5720-36C-EI-AC", "serial": "210235956210F7000410", "firmware": "Version 5.160 V200R007C00SPC500"},
    ),
    "network/switch/ruijie-s5750-24gt12sfp": (
        "switch.ruijie",
        24,
        {"host": {"": {"cpu_percent": 39.0, "memory_used_percent": 50.0}}},
        {"model": "S5750-24GT/12SFP", "serial": "9017EHC410215", "hardware": "2.30"},
    ),
    "network/switch/cisco-c3560": (
        "switch.cisco",
        52,
        {
            "host": {"": {"cpu_percent": 58.0, "memory_available_bytes": 53499780.0, "memory_total_bytes": 75688760.0}},
            # Its warning threshold is 66 degrees, it says warning all the same at 61.
            "sensor": {"1005": {"temperature_celsius": 61.0, "status": 1.0, "status_code": 2.0}},
            "fan": {"1004": {"status": 0.0}},
            "psu": {"1003": {"status": 0.0}},
        },
        {"model": "WS-C3560G-48TS-E", "serial": "FOC1408Z61U", "firmware": "12.2(55)SE3"},
    ),
    "network/switch/cisco-c3750": (
        "switch.cisco",
        12,
        {
            "host": {"": {"cpu_percent": 64.0, "memory_available_bytes": 46331200.0}},
            "interface": {"Gi1/0/1": {"up": 1.0, "full_duplex": 1.0}},
        },
        {"model": "WS-C3750G-12S-S", "serial": "FDO1622Y10H"},
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_real_switch_is_known_by_its_maker_and_tells_of_its_parts(name):
    profile, ports, values, texts = SWITCHES[name]
    found, got, inventory = real(name)
    assert (found, len(got["interface"])) == (profile, ports)
    assert {part: got[part][of] | values[part][of] for part in values for of in values[part]} == {
        part: got[part][of] for part in values for of in values[part]
    }
    assert inventory | texts == inventory


def test_of_a_chassis_every_board_fan_and_supply_that_is_there_has_a_row_and_no_empty_place():
    found, got, inventory = real("network/router/ruijie-n18010", [f"{E}.4881.1.1.10.2.1", f"{E}.4881.1.1.10.2.21.1.2"])
    assert found == "switch.ruijie"
    assert inventory["model"] == "RG-N18010"
    assert len(got["psu"]) == 8
    assert "Power supply 5" not in got["psu"]
    assert len(got["fan"]) == 36
    assert got["sensor"]["switch 1 M1"] == {"temperature_celsius": 38.0}
    assert not [name for name in got["sensor"] if "invalid" in name]


UPS = {
    "UPS/eaton-93e-80": (
        "ups.eaton",
        {
            # The battery's state is a 0 that the MIB does not have.
            "ups": {
                "": {"status": 0.0, "on_battery": 0.0, "charge_percent": 100.0, "battery_status": 3.0, "alarms": 0.0}
            },
            "ups_output": {"total": {"load_percent": 21.0, "hertz": 49.0}, "2": {"amperes": 18.0, "watts": 3600.0}},
            "ups_input": {"3": {"volts": 233.0, "amperes": 21.0}},
        },
        {"model": "EATON 93E 80", "serial": "4K234LXX06"},
    ),
    "UPS/eaton-9px-partial": (
        "ups.eaton",
        {"ups": {"": {"runtime_seconds": 17218.0, "battery_status": 0.0, "battery_volts": 78.0}}},
        {"model": "Eaton 9PX 2200i RT 3U", "serial": "GX13G45099"},
    ),
    "UPS/huawei-gse200m": (
        "ups.huawei",
        {
            "ups": {
                "": {
                    "charge_percent": 100.0,
                    "runtime_seconds": 28080.0,
                    "battery_volts": 538.5,
                    "battery_celsius": None,
                }
            },
            "ups_input": {"2": {"volts": 238.0, "amperes": 15.7, "hertz": 50.0}},
            "ups_output": {"3": {"volts": 217.9, "amperes": 29.8, "watts": 6000.0, "load_percent": 48.1}},
        },
        {"model": "UPS5000-E", "serial": "2102310NYJ10EB000045"},
    ),
    # Row indexes that end in .0, and a runtime of 0 on mains at full charge.
    "UPS/eastpower-istars-swv053": (
        "ups.rfc1628",
        {
            "ups": {"": {"charge_percent": 100.0, "runtime_seconds": None, "battery_volts": 213.0}},
            "ups_output": {"3": {"volts": 219.0, "load_percent": 30.0}},
            "ups_input": {"1": {"volts": 236.0, "hertz": 50.0}},
        },
        {"vendor": "EAST", "model": "EA9080"},
    ),
    "UPS/phoenixtec-power": (
        "ups.rfc1628",
        {"ups": {"": {"runtime_seconds": None, "battery_volts": 41.0, "test_status": 0.0}}},
        {},
    ),
    "UPS/ingrasys-power-switch": (
        "ups.rfc1628",
        {
            "ups": {"": {"battery_volts": 273.0}},
            "ups_output": {"1": {"amperes": 40.0, "watts": 7900.0, "load_percent": 33.0}},
        },
        {"vendor": "Santak", "model": "Array-3A3"},
    ),
}


@pytest.mark.parametrize("name", UPS)
def test_a_real_power_supply_is_read_in_volts_and_seconds_whatever_it_counts_in(name):
    profile, values, texts = UPS[name]
    found, got, inventory = real(name)
    assert found == profile
    for table, rows in values.items():
        for instance, fields in rows.items():
            row = got[table][instance]
            assert {field: row[field] for field in fields} == fields
    assert inventory | texts == inventory


@pytest.mark.parametrize(("source", "runtime"), [(3, None), (5, 0.0)], ids=["on mains", "on battery"])
def test_no_runtime_left_is_believed_on_battery_only(source, runtime):
    with Responder() as responder:
        device = responder.add((RECORDINGS / "ups.rfc1628.snmprec").read_text())
        device.set(f"{M}.33.1.2.3.0", 2, 0)
        device.set(f"{M}.33.1.4.1.0", 2, source)
        _, got, _ = polled(device)
    assert got["ups"][""]["runtime_seconds"] == runtime


def test_the_figures_of_huawei_in_hundredths_are_found_by_the_standard_profile_too():
    """The UPS-MIB of the same device, for a site that names that profile."""
    with Responder() as responder:
        device = responder.add(packaged("UPS/huawei-gse200m", [f"{M}.33"]))
        found, got, _ = polled(device)
    assert found == "ups.rfc1628"
    assert got["ups_input"]["1"]["hertz"] == 50.0
    assert got["ups_input"]["1"]["volts"] == 236.9
    assert got["ups"][""]["charge_percent"] is None
    assert got["ups"][""]["runtime_seconds"] is None


def switch24() -> dict[str, bytes]:
    """An H3C switch with 24 ports that feed, and all that its profile reads."""
    objects = ber.recorded((RECORDINGS / "switch.h3c.snmprec").read_text())
    for name, value in list(objects.items()):
        stem, _, row = name.rpartition(".")
        port = (
            f"{M}.2.2.1.",
            f"{M}.31.1.1.1.",
            f"{M}.10.7.2.1.",
            f"{M}.105.1.1.1.",
            f"{E}.25506.2.14.1.1.",
            f"{M}.17.1.4.1.2",
        )
        if name.startswith(port) and row == "1":
            for number in range(4, 25):
                objects[f"{stem}.{number}"] = value
    for number in range(1, 25):
        objects[f"{M}.31.1.1.1.1.{number}"] = ber.value(4, f"GigabitEthernet1/0/{number}")
        objects[f"{M}.17.1.4.1.2.{number}"] = ber.value(2, number)
    return objects


def test_a_switch_with_24_feeding_ports_costs_eight_requests_at_most():
    counts = []
    with Responder() as responder:
        device = responder.add(switch24())
        clock = SteppedClock()

        async def polls() -> None:
            contact = Contact(target(device, timeout=Duration(3)), shipped(), open_session=opener(), clock=clock)
            for minute in range(1, 18):
                device.set(UPTIME, 67, 86_400_000 + minute * 6000)
                before = device.requests
                found = reading(await contact.poll())
                counts.append(device.requests - before)
                clock.step(60)
            assert found.shape.profile == "switch.h3c"
            columns = found.shape.columns()
            assert len([column for column in columns if column[0] == "poe" and column[2] == "power_watts"]) == 24
            contact.close()

        asyncio.run(polls())
    assert max(counts[1:]) <= 8, counts
    assert max(counts[1:]) > min(counts[1:]), "duplex is asked for every quarter of an hour only"


@pytest.mark.parametrize(
    ("name", "model", "phase", "banks"),
    [
        ("UPS/apc-8641", "AP8641", (6.5, 201.0, 1220.0), (3.8, 2.4)),
        ("UPS/apc-8932", "AP8932", (1.4, 121.0, 160.0), (1.3, 0.0)),
        ("UPS/apc-7902b", "AP7902B", (1.6, None, None), (0.0, 1.1)),
    ],
)
def test_a_real_power_strip_tells_of_its_phase_and_its_banks(name, model, phase, banks):
    found, got, inventory = real(name)
    assert (found, inventory["model"]) == ("pdu.apc", model)
    assert tuple(got["feed"]["phase 1"][field] for field in ("amperes", "volts", "watts")) == phase
    assert got["feed"]["phase 1"]["status"] == 0.0
    assert tuple(got["feed"][f"bank {number}"]["amperes"] for number in (1, 2)) == banks
    assert sorted(got["feed"]) == ["bank 1", "bank 2", "phase 1"]


def test_a_camera_hangs_on_the_interface_that_feeds_it_and_both_are_called_alike():
    with Responder() as responder:
        device = responder.add((RECORDINGS / "switch.h3c.snmprec").read_text())
        device.set(f"{M}.17.4.3.1.2.0.0.94.0.83.1", 2, 2)
        device.set(f"{M}.17.4.3.1.3.0.0.94.0.83.1", 2, 3)
        _, got, inventory = polled(device)
    (found,) = said(inventory["neighbours"])
    assert found == Neighbour("GigabitEthernet1/0/2", mac="00:00:5e:00:53:01", poe_port="GigabitEthernet1/0/2")
    assert got["poe"][found.poe_port]["power_watts"] == 6.7
    assert got["interface"][found.port]["up"] == 1.0
