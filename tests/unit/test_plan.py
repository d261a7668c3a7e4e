"""A plan over a recording that is played: what is asked when, and where each answer goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from agent.profiles.drawing import make
from agent.profiles.files import library, load
from agent.profiles.plan import Plan
from agent.snmp.played import PlayedExchange
from agent.snmp.requester import Requester
from agent.snmp.session import Value

IF_NAME, BRIDGE_INDEX = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.17.1.4.1.2"
HEAD = "id: x\nkind: other\n"


def drawn(text: str, objects: Mapping[str, Value], before: Plan | None = None) -> Plan:
    profile = before.profile if before is not None else load(HEAD + text, "x.yaml")
    return asyncio.run(make(profile, Requester(PlayedExchange(objects)), before=before))


def row(plan: Plan, objects: Mapping[str, Value], table: str, **kwargs: Any) -> dict[str, dict[str, float | None]]:
    """The rows of a table in a poll that is answered in full."""
    asked = {oid: objects[oid] for oid in plan.oids if oid in objects}
    asked |= {oid: value for oid, value in objects.items() if oid.startswith(tuple(f"{c}." for c in plan.watched))}
    return values(plan, asked, table, **kwargs)


def values(plan: Plan, got: Mapping[str, Value], table: str, **kwargs: Any) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    given = {"before": None, "seconds": 0.0, **kwargs}
    shown = plan.values(got, given.pop("before"), given.pop("seconds"), **given)
    for (name, instance, field), value in zip(plan.shape.columns(), shown, strict=True):
        if name == table:
            found.setdefault(instance, {})[field] = value
    return found


PORTS = {
    "1.3.9.1.1.1": 3,
    "1.3.9.1.1.2": 4,
    "1.3.9.1.2.7": 5,
    "1.3.9.2.1.2": 10102,
    f"{IF_NAME}.10101": b"Gi0/1",
    f"{IF_NAME}.10102": b"Gi0/2",
    f"{IF_NAME}.7": b"Te7",
    f"{BRIDGE_INDEX}.1": 10101,
    f"{BRIDGE_INDEX}.2": 10102,
}


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("[]", ["1.1", "1.2", "2.7"]),
        ("[index.2]", ["1", "2", "7"]),
        ("[index.1]", ["1 (1.1)", "1 (1.2)", "2"]),
        ("[index]", ["1.1", "1.2", "2.7"]),
        ("[index.1-2]", ["1.1", "1.2", "2.7"]),
        (f"[{{oid: {IF_NAME}, by: index.2}}]", ["1.1", "1.2", "Te7"]),
        (f"[{{oid: {IF_NAME}, by: index.2}}, index.2]", ["1", "2", "Te7"]),
        (f"[{{oid: {IF_NAME}, by: [index.2, {BRIDGE_INDEX}]}}]", ["Gi0/1", "Gi0/2", "2.7"]),
        (f"[{{oid: {IF_NAME}, by: 1.3.9.2}}, {{oid: {IF_NAME}, by: index.2-}}]", ["1.1", "Gi0/2", "Te7"]),
    ],
)
def test_a_row_is_called_by_its_index_or_by_names_in_other_tables(label, names):
    group = f"tables: [{{table: poe, label: {label}, columns: {{power_watts: {{oid: 1.3.9.1, type: gauge}}}}}}]"
    found = row(drawn(group, PORTS), PORTS, "poe")
    assert list(found) == names
    assert [fields["power_watts"] for fields in found.values()] == [3, 4, 5]


@pytest.mark.parametrize(
    ("label", "index", "name"),
    [
        ("index.2.text", "7.3.97.98.99.1", "abc"),
        ("index.2-.text", "7.110.118.114", "nvr"),
        ("index.1-3.text", "110.118.114.5", "nvr"),
        ("index.text", "231.148.181", "电"),
        ("index.text", "1.2.3", "01:02:03"),
        ("index.text", "300.1", "300.1"),
        ("index.5", "1.2", "1.2"),
        ("index.9.text", "1.2", "1.2"),
    ],
)
def test_a_text_in_an_index_is_read(label, index, name):
    objects = {f"1.3.9.1.{index}": 1}
    group = f"tables: [{{table: poe, label: [{label}], columns: {{power_watts: {{oid: 1.3.9.1, type: gauge}}}}}}]"
    assert list(row(drawn(group, objects), objects, "poe")) == [name]


def test_a_value_is_read_in_the_row_of_another_table():
    group = """
tables:
  - table: poe
    label: [index.2]
    columns:
      power_watts: {oid: 1.3.8, type: gauge, scale: 0.001, by: [index.2, 1.3.6.1.2.1.17.1.4.1.2]}
      status: {oid: 1.3.9.1, type: status, codes: {3: ok, 4: critical}}
"""
    objects = PORTS | {"1.3.8.10101": 15400, "1.3.8.10102": 7000}
    plan = drawn(group, objects)
    found = row(plan, objects, "poe")
    assert {name: fields["power_watts"] for name, fields in found.items()} == {"1": 15.4, "2": 7.0, "7": None}
    assert plan.oids == ["1.3.8.10101", "1.3.9.1.1.1", "1.3.8.10102", "1.3.9.1.1.2", "1.3.9.1.2.7"], (
        "names are not asked for at every poll"
    )


def test_two_groups_with_the_same_names_give_one_row():
    group = f"""
tables:
  - table: poe
    label: [{{oid: {IF_NAME}, by: [index.2, {BRIDGE_INDEX}]}}]
    columns: {{status: {{oid: 1.3.9.1, type: status, codes: {{3: ok, 4: ok}}}}}}
  - table: poe
    id: watts
    rows: 1.3.8
    label: [{IF_NAME}]
    columns: {{power_watts: {{oid: 1.3.8, type: gauge}}}}
"""
    objects = PORTS | {"1.3.8.10101": 15}
    found = row(drawn(group, objects), objects, "poe")
    assert found["Gi0/1"] == {"status": 0, "status_code": 3, "power_watts": 15}
    assert found["Gi0/2"] == {"status": 0, "status_code": 4}


def test_rows_are_kept_by_value_exclusion_or_pattern():
    objects = {"1.3.9.1.1": 1, "1.3.9.1.2": 2, "1.3.9.2.1": b"/srv", "1.3.9.2.2": b"/proc"}
    for where, names in (("is: [/srv]", ["1"]), ("not: [/srv]", ["2"]), ("matches: ^/p", ["2"])):
        group = f"tables: [{{table: volume, where: {{oid: 1.3.9.2, {where}}}, columns: {{free_bytes: {{oid: 1.3.9.1, type: gauge}}}}}}]"
        assert list(row(drawn(group, objects), objects, "volume")) == names


def test_one_value_of_a_whole_column_and_of_some_of_its_rows():
    objects = {"1.3.9.1.1": 10, "1.3.9.1.2": 30, "1.3.9.1.3": 80, "1.3.9.2.1": 1, "1.3.9.2.2": 1, "1.3.9.2.3": 2}
    for take, where, expected in (
        ("mean", "", 40),
        ("max", "", 80),
        ("min", "", 10),
        ("sum", ", where: {oid: 1.3.9.2, is: ['1']}", 40),
        ("count", ", where: {oid: 1.3.9.2, not: ['1']}", 1),
    ):
        group = f"scalars: [{{table: host, columns: {{load1: {{oid: 1.3.9.1, type: gauge, take: {take}{where}}}}}}}]"
        plan = drawn(group, objects)
        assert row(plan, objects, "host") == {"": {"load1": expected}}
        assert row(plan, {}, "host") == {"": {"load1": None}}, "not read this time: none of them is 0"


SELDOM = """
scalars:
  - table: host
    columns:
      load1: {oid: 1.3.1.0, type: gauge}
      memory_total_bytes: {oid: 1.3.2.0, type: gauge, every: 1h}
tables:
  - table: disk
    every: 10m
    columns: {temperature_celsius: {oid: 1.3.3, type: gauge}}
"""


def test_what_is_asked_seldom_keeps_its_last_value_for_twice_the_time():
    objects: dict[str, Value] = {"1.3.1.0": 1, "1.3.2.0": 512, "1.3.3.1": 30}
    plan = drawn(SELDOM, objects)
    assert plan.ask(0) == ["1.3.1.0", "1.3.2.0", "1.3.3.1"]
    assert values(plan, objects, "host", at=0)[""] == {"load1": 1, "memory_total_bytes": 512}
    assert plan.ask(60) == ["1.3.1.0"]
    late = {"1.3.1.0": 2}
    assert values(plan, late, "host", at=60)[""] == {"load1": 2, "memory_total_bytes": 512}
    assert values(plan, late, "disk", at=60) == {"1": {"temperature_celsius": 30}}
    assert plan.ask(600) == ["1.3.1.0", "1.3.3.1"], "after ten minutes the disk again, the memory not yet"
    assert values(plan, late, "disk", at=1200) == {"1": {"temperature_celsius": 30}}
    assert plan.ask(1260) == ["1.3.1.0", "1.3.3.1"], "it was not answered: it is asked at every poll until it is"
    assert values(plan, late, "disk", at=1260) == {"1": {"temperature_celsius": None}}
    assert values(plan, late | {"1.3.3.1": 31}, "disk", at=1320) == {"1": {"temperature_celsius": 31}}
    assert plan.ask(1380) == ["1.3.1.0"]


def test_a_plan_drawn_anew_goes_on_with_what_was_heard():
    objects: dict[str, Value] = {"1.3.1.0": 1, "1.3.2.0": 512, "1.3.3.1": 30}
    first = drawn(SELDOM, objects)
    values(first, objects, "host", at=0)
    again = drawn(SELDOM, objects, before=first)
    assert again.ask(60) == ["1.3.1.0"]
    assert values(again, {"1.3.1.0": 3}, "host", at=60)[""] == {"load1": 3, "memory_total_bytes": 512}


UPS = """
tables:
  - table: ups_input
    columns:
      volts: {oid: 1.3.1, type: gauge, range: [0, 600], alt_scale: [0.1]}
      hertz: {oid: 1.3.2, type: gauge, scale: 0.1, range: [40, 70], alt_scale: [1.0, 0.01]}
"""


def test_the_scale_is_that_of_most_rows_and_stays_when_the_plan_is_drawn_anew():
    objects: dict[str, Value] = {"1.3.1.1": 2301, "1.3.1.2": 2298, "1.3.1.3": 0, "1.3.2.1": 50, "1.3.2.2": 501}
    objects["1.3.2.3"] = 50
    plan = drawn(UPS, objects)
    found = row(plan, objects, "ups_input")
    assert [fields["volts"] for fields in found.values()] == [230.1, 229.8, 0]
    assert [fields["hertz"] for fields in found.values()] == [50, None, 50], "one odd line decides nothing"
    odd: dict[str, Value] = objects | {"1.3.1.1": 230, "1.3.1.2": 230, "1.3.1.3": 230, "1.3.2.1": 499}
    again = drawn(UPS, odd, before=plan)
    found = row(again, odd, "ups_input")
    assert [fields["volts"] for fields in found.values()] == [23, 23, 23]
    assert found["1"]["hertz"] is None
    anew = drawn(UPS, odd)
    assert [fields["volts"] for fields in row(anew, odd, "ups_input").values()] == [230, 230, 230]


CLOCK = "scalars: [{table: device, columns: {clock_offset_seconds: {oid: 1.3.1.0, type: clock, zone: utc}}}]"
NOON = 1_700_000_000


@pytest.mark.parametrize(
    ("shown", "offset"),
    [
        (b"2023-11-14 22:13:25", 5),
        (b"2023/11/14 22:13:10", -10),
        (b"20231114221320", 0),
        (b"2023-11-15T06:13:20+08:00", 0),
        (b"2023-11-14 22:13:20Z", 0),
        (bytes.fromhex("07e70b0e160d1400"), 0),
        (bytes.fromhex("07e70b0f060d1e002b0800"), 10),
        (b"1970-01-01 00:00:00", -NOON),
        (b"N/A", None),
        (b"2023-02-31 00:00:00", None),
        (b"", None),
        (17, None),
    ],
)
def test_how_far_a_device_s_clock_is_ahead_of_ours(shown, offset):
    objects = {"1.3.1.0": shown}
    plan = drawn(CLOCK, objects)
    assert row(plan, objects, "device", now=NOON * 1000)[""]["clock_offset_seconds"] == offset


def test_a_clock_in_another_form_and_without_a_time_of_ours():
    other = CLOCK.replace("zone: utc", "zone: utc, format: '%d.%m.%Y %H:%M'")
    objects: dict[str, Value] = {"1.3.1.0": b"14.11.2023 22:13"}
    assert row(drawn(other, objects), objects, "device", now=NOON * 1000)[""]["clock_offset_seconds"] == -20
    assert row(drawn(other, objects), objects, "device")[""]["clock_offset_seconds"] is None


def test_an_optional_group_is_left_out_where_the_device_has_nothing_of_it():
    group = "scalars: [{table: host, optional: true, columns: {load1: {oid: 1.3.1.0, type: gauge}}}]"
    assert row(drawn(group, {"1.3.2.0": 1}), {}, "host") == {}
    assert row(drawn(group, {"1.3.1.0": 1}), {"1.3.1.0": 1}, "host") == {"": {"load1": 1}}


def test_a_formula_over_rates_comes_after_them():
    group = """
scalars:
  - table: host
    raw: {hits: {oid: 1.3.1.0, type: counter64}, misses: {oid: 1.3.2.0, type: counter64}}
    columns: {cpu_percent: {value: 100 * hits / (hits + misses)}}
"""
    plan = drawn(group, {"1.3.1.0": 0, "1.3.2.0": 0})
    found = values(plan, {"1.3.1.0": 30, "1.3.2.0": 10}, "host", before={"1.3.1.0": 0, "1.3.2.0": 0}, seconds=10)
    assert found[""]["cpu_percent"] == 75


def test_sensors_come_with_a_power_of_ten_and_digits_behind_the_point():
    sensors = "1.3.6.1.2.1.99.1.1.1"
    objects: dict[str, Value] = {}
    for index, (kind, scale, precision, shown, status) in enumerate(
        [(8, 9, 1, 235, 1), (9, 9, 0, 41, 1), (4, 8, 0, 12021, 1), (10, 9, 0, 4200, 3), (8, 9, 0, 1_000_000_000, 2)], 1
    ):
        cells = {1: kind, 2: scale, 3: precision, 4: shown, 5: status}
        objects |= {f"{sensors}.{arc}.{index}": value for arc, value in cells.items()}
        objects[f"1.3.6.1.2.1.47.1.1.1.1.7.{index}"] = b"Sensor %d" % index
    profile = library()["std.sensors"]
    plan = asyncio.run(make(profile, Requester(PlayedExchange(objects))))
    assert row(plan, objects, "sensor") == {
        "Sensor 1": {"temperature_celsius": 23.5, "status": 0, "status_code": 1},
        "Sensor 5": {"temperature_celsius": None, "status": 3, "status_code": 2},
        "Sensor 2": {"humidity_percent": 41, "status": 0, "status_code": 1},
        "Sensor 3": {"volts": 12.021, "status": 0, "status_code": 1},
    }
    assert row(plan, objects, "fan") == {"Sensor 4": {"speed_rpm": 4200, "status": 2, "status_code": 3}}


def met(text: str, *devices: Mapping[str, Value]) -> list[Plan]:
    """The plans of some devices with one profile."""
    profile = load(HEAD + text, "x.yaml")
    return [asyncio.run(make(profile, Requester(PlayedExchange(objects)))) for objects in devices]


def test_devices_with_the_same_rows_hold_one_plan_s_parts_and_each_what_it_heard():
    objects: dict[str, Value] = {"1.3.1.0": 1, "1.3.2.0": 512, "1.3.3.1": 30}
    one, other, larger = met(SELDOM, objects, objects, objects | {"1.3.3.2": 31})
    assert one.oids is other.oids
    assert one.shape is other.shape
    assert larger.oids is not one.oids
    assert values(one, objects, "disk", at=0) == {"1": {"temperature_celsius": 30}}
    assert (one.ask(60), other.ask(60)) == (["1.3.1.0"], ["1.3.1.0", "1.3.2.0", "1.3.3.1"])
    assert values(other, {"1.3.3.1": 40}, "disk", at=60) == {"1": {"temperature_celsius": 40}}
    assert values(one, {}, "disk", at=60) == {"1": {"temperature_celsius": 30}}


def test_devices_with_the_same_objects_under_other_names_have_plans_of_their_own():
    text = "tables: [{table: interface, label: [{oid: 1.3.8, by: index}], columns: {up: {oid: 1.3.9, type: gauge}}}]"
    one, other = met(text, {"1.3.9.1": 1, "1.3.8.1": b"Gi1"}, {"1.3.9.1": 1, "1.3.8.1": b"Te1"})
    assert one.oids == other.oids
    assert list(values(one, {"1.3.9.1": 1}, "interface")) == ["Gi1"]
    assert list(values(other, {"1.3.9.1": 1}, "interface")) == ["Te1"]


def test_devices_with_the_same_rows_have_each_its_own_scale():
    one, other = met(UPS, {"1.3.1.1": 2301, "1.3.2.1": 50}, {"1.3.1.1": 230, "1.3.2.1": 50})
    assert values(one, {"1.3.1.1": 2305}, "ups_input")["1"]["volts"] == 230.5
    assert values(other, {"1.3.1.1": 231}, "ups_input")["1"]["volts"] == 231
