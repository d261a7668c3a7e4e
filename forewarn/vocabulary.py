"""The words of the system: every table and field a record may carry, every kind of device.

Profiles, rules and dashboards are checked against this list, which is the only one. All fields are floats in base
units with the unit in the name. `status` is always 0 ok, 1 warning, 2 critical, 3 unknown, mapped by the profile; the
device's own code stays in `status_code`. A value that is not there is null, never 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class DeviceKind(StrEnum):
    """What a device is to the people who maintain it."""

    CAMERA = "camera"
    RECORDER = "recorder"
    SWITCH = "switch"
    UPS = "ups"
    STORAGE = "storage"
    SERVER = "server"
    SENSOR = "sensor"
    OTHER = "other"
    AGENT = "agent"
    """The agent itself: the device of its own `agent` table."""


class Source(StrEnum):
    """How a record came to be; a consent grants each by name."""

    SNMP = "snmp"
    """SNMP polls of the devices it names."""
    TRAP = "trap"
    """SNMP traps and informs that devices send by themselves."""
    PROBE = "probe"
    """Whether a device answers: ICMP, TCP, HTTP, RTSP, NTP; no login, no picture."""
    ISAPI = "isapi"
    """Hikvision's HTTP interface, read only."""
    ONVIF = "onvif"
    """ONVIF device and media services, read only."""
    DISCOVERY = "discovery"
    """Looking for devices in the networks of the consent."""
    HOST = "host"
    """The machine the agent runs on."""
    AGENT = "agent"
    """What the agent says about itself; part of every consent."""


LINKS: dict[str, str] = {"switch": "switch_port", "recorder": "recorder_channel", "ups": ""}
"""What a device may hang on, as words of its inventory: the word that names it → the word for where on it, or empty."""


class Status(IntEnum):
    """The common meaning of every `status` field."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A table of values: what its instance names, and which fields it may hold."""

    instance: str
    """What tells rows apart, in a word; empty for a table with one row whose instance is ''."""
    fields: tuple[str, ...]


_TRAFFIC = (
    "in_bits_per_second",
    "out_bits_per_second",
    "in_errors_per_second",
    "out_errors_per_second",
    "in_discards_per_second",
    "out_discards_per_second",
)

TABLES: dict[str, Table] = {
    "device": Table(
        "",
        (
            # 1 when it answers anything at all, SNMP or not; `snmp_up` is about SNMP alone.
            "up",
            "snmp_up",
            "rtt_seconds",
            "uptime_seconds",
            "poll_seconds",
            "clock_offset_seconds",
            # 1 when something keeps its clock (NTP, PTP).
            "clock_synchronised",
            # How many it says it has: one that has vanished is missing here first.
            "disks",
            "channels",
            "status",
            "status_code",
        ),
    ),
    "host": Table(
        "",
        (
            "cpu_percent",
            "iowait_percent",
            "memory_used_percent",
            "memory_total_bytes",
            "memory_available_bytes",
            "swap_used_percent",
            "load1",
            "load5",
            "load15",
            # Share of the time in which some task waited for it (pressure stall information of Linux).
            "cpu_pressure_percent",
            "memory_pressure_percent",
            "io_pressure_percent",
            # Processes killed for want of memory, since the start of the machine.
            "oom_kills",
            # Bits of memory found wrong since the start: put right, and not (EDAC of Linux).
            "memory_corrected_errors",
            "memory_uncorrected_errors",
            "processes",
            "temperature_celsius",
            "uptime_seconds",
        ),
    ),
    "disk": Table(
        "disk",
        (
            "status",
            "status_code",
            "temperature_celsius",
            "reallocated_sectors",
            "reported_uncorrectable",
            "pending_sectors",
            "offline_uncorrectable",
            "power_on_hours",
            "wear_used_percent",
            "spare_percent",
            "media_errors",
            # Transfers found wrong between disk and controller: the cable, mostly.
            "crc_errors",
            # 1 when it sleeps; it is not woken, so that all else is unknown meanwhile.
            "standby",
            "free_bytes",
            "total_bytes",
            "used_percent",
            "read_bytes_per_second",
            "write_bytes_per_second",
            "busy_percent",
            # From asking to having, on average; and how many requests were under way, on average.
            "await_seconds",
            "queue_length",
        ),
    ),
    # An array of disks. `rebuilt_percent` is how far a rebuild, a resync or a check has come.
    "raid": Table(
        "array",
        ("status", "status_code", "disks", "disks_missing", "disks_failed", "spares", "rebuilt_percent"),
    ),
    "volume": Table(
        "volume",
        (
            "used_percent",
            "free_bytes",
            "total_bytes",
            "inodes_used_percent",
            "read_only",
            "overwrite",
            "oldest_record_seconds",
            "status",
            "status_code",
        ),
    ),
    "interface": Table(
        "interface",
        (
            "up",
            "admin_up",
            *_TRAFFIC,
            "speed_bits_per_second",
            "full_duplex",
            "fcs_errors_per_second",
            "carrier_changes",
        ),
    ),
    "poe": Table(
        "port",
        ("status", "status_code", "power_watts", "overloads_per_second", "shorts_per_second", "denials_per_second"),
    ),
    # The power a switch has for its ports, and what they draw of it: one row a group (a box of a stack, a module).
    "poe_supply": Table("group", ("status", "status_code", "budget_watts", "used_watts")),
    "ups": Table(
        "",
        (
            "status",
            "status_code",
            "on_battery",
            "on_battery_seconds",
            "charge_percent",
            "runtime_seconds",
            "battery_volts",
            "battery_celsius",
            "battery_status",
            "battery_replace",
            # Battery packs that the device itself found bad.
            "battery_packs_bad",
            "test_status",
            "alarms",
            # Why it went on battery last, in the device's own code.
            "transfer_code",
        ),
    ),
    "ups_input": Table("line", ("volts", "amperes", "hertz", "watts")),
    "ups_output": Table("line", ("volts", "amperes", "hertz", "watts", "load_percent")),
    # What goes through a power strip, by phase and by bank of outlets.
    "feed": Table("feed", ("status", "status_code", "amperes", "volts", "watts")),
    "sensor": Table("sensor", ("temperature_celsius", "humidity_percent", "volts", "status", "status_code")),
    "fan": Table("fan", ("speed_rpm", "status", "status_code")),
    "psu": Table("psu", ("status", "status_code")),
    "channel": Table("channel", ("recording", "video_loss", "status", "status_code", "recorded_seconds")),
    "service": Table("service", ("running", "restarts", "processes", "resident_bytes", "cpu_percent")),
    "probe": Table(
        "probe",
        (
            "up",
            "latency_seconds",
            "status",
            "status_code",
            "certificate_left_seconds",
            "certificate_accepted",
            "stream",
            "clock_offset_seconds",
        ),
    ),
    "agent": Table(
        "",
        (
            "spool_records",
            "spool_bytes",
            "resident_bytes",
            "cpu_percent",
            "poll_lag_seconds",
            "devices",
            "devices_down",
            "polls_per_second",
        ),
    ),
}


def nearest(word: str, words: Iterable[str]) -> str:
    """Returns "; did you mean `x`?" for the closest of `words`, or "" when none is close."""
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def misnamed(table: str, field: str) -> str | None:
    """Returns what is wrong with a table and field name, in a sentence, or None when both are in the vocabulary."""
    if table not in TABLES:
        return f"unknown table `{table}`{nearest(table, TABLES)}"
    if field not in TABLES[table].fields:
        return f"table `{table}` has no field `{field}`{nearest(field, TABLES[table].fields)}"
    return None
