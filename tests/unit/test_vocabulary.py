"""One list of words, each with its unit in its name, and a helping hand for a word that is not on it."""

from __future__ import annotations

import pytest

from forewarn.vocabulary import TABLES, Status, misnamed, nearest

UNITS = ("_seconds", "_percent", "_bytes", "_celsius", "_watts", "_volts", "_amperes", "_hertz", "_rpm", "_hours")
RATES = ("_per_second",)
COUNTS = ("_sectors", "_uncorrectable", "_records", "_errors", "_kills", "_changes")
PLAIN = {
    *("up", "admin_up", "status", "status_code", "on_battery", "read_only", "overwrite", "recording", "video_loss"),
    *("running", "restarts", "battery_status", "battery_replace", "test_status", "alarms"),
    *("battery_packs_bad", "transfer_code", "channels"),
    *("clock_synchronised", "standby", "full_duplex"),
    *("queue_length", "disks", "disks_missing", "disks_failed", "spares"),
    *("snmp_up", "certificate_accepted", "stream"),
    *("load1", "load5", "load15", "processes", "devices", "devices_down"),
}


def test_every_field_has_its_unit_in_its_name_or_is_a_plain_count_or_state() -> None:
    for table, described in TABLES.items():
        for field in described.fields:
            assert f"_{field}".endswith(UNITS + RATES + COUNTS) or field in PLAIN, f"{table}.{field}"


def test_no_table_names_a_field_twice() -> None:
    for described in TABLES.values():
        assert len(set(described.fields)) == len(described.fields)


def test_a_status_code_always_stands_beside_a_status() -> None:
    for described in TABLES.values():
        assert "status_code" not in described.fields or "status" in described.fields
    assert [status.name for status in sorted(Status)] == ["OK", "WARNING", "CRITICAL", "UNKNOWN"]


@pytest.mark.parametrize(
    ("table", "field", "says"),
    [
        ("volume", "used_percent", None),
        ("volumes", "used_percent", "unknown table `volumes`; did you mean `volume`?"),
        ("volume", "used_precent", "table `volume` has no field `used_precent`; did you mean `used_percent`?"),
        ("volume", "colour", "table `volume` has no field `colour`"),
    ],
)
def test_a_word_that_is_not_on_the_list_is_named(table: str, field: str, says: str | None) -> None:
    assert misnamed(table, field) == says


def test_a_word_far_from_all_others_gets_no_suggestion() -> None:
    assert nearest("qqq", ["volume"]) == ""
