"""A disk's own account of its health, out of what `smartctl --json` prints.

Sources: smartctl(8) on exit status and -n; the ATA attribute numbers as in its drive database; NVM Express base
specification, SMART / Health log. An attribute of wear is taken by its name, never by its number alone: vendors use one
number for different things.

Errors:
    Unanswered   what was printed is no account of a disk; its message says why
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from agent.host.parts import Row
from forewarn.vocabulary import Status

FIELDS = (
    "status",
    "temperature_celsius",
    "reallocated_sectors",
    "reported_uncorrectable",
    "pending_sectors",
    "offline_uncorrectable",
    "power_on_hours",
    "wear_used_percent",
    "spare_percent",
    "media_errors",
    "crc_errors",
    "standby",
)
_ATTRIBUTES = {
    5: "reallocated_sectors",
    187: "reported_uncorrectable",
    197: "pending_sectors",
    198: "offline_uncorrectable",
    199: "crc_errors",
}
_LIFE_LEFT = {
    *("wear_leveling_count", "media_wearout_indicator", "ssd_life_left", "percent_lifetime_remain"),
    *("remaining_lifetime_perc", "percent_life_remaining", "perc_rated_life_remain", "drive_life_remaining%"),
}
"""Attributes whose normalized value is percent of life left, by their names in small letters."""
_LIFE_USED = {"percent_lifetime_used", "perc_rated_life_used"}
"""Attributes whose raw value is percent of life used."""
_OPEN_FAILED, _FAILING, _BELOW_NOW, _BELOW_ONCE = 0x02, 0x08, 0x10, 0x20
"""Bits of smartctl's exit status."""
_LEADING = re.compile(r"\s*(\d{1,15})")
_COLDEST, _HOTTEST = -40.0, 150.0
_MOST_COUNT = 2.0**48
_MOST_EVER = 2.0**128
_MOST_HOURS = 1e6
_MOST_WEAR = 255.0


class Unanswered(Exception):
    """No account of a disk. `denied` when this account may not open it."""

    def __init__(self, why: str, *, denied: bool = False) -> None:
        super().__init__(why)
        self.denied = denied


class Found(NamedTuple):
    """A disk as a scan finds it: its path, and its type where that is needed to reach it (`megaraid,8`)."""

    path: str
    type: str | None

    @property
    def instance(self) -> str:
        """What it is called in the table `disk`."""
        name = self.path.removeprefix("/dev/")
        return f"{name} {self.type}" if self.type else name


class Account(NamedTuple):
    """What a disk says: its row of the table `disk`, and who it is, for people; empty when it does not say."""

    row: Row
    who: str


def scanned(text: str) -> list[Found]:
    """The disks that `smartctl --scan --json` lists.

    Raises:
        Unanswered: it lists nothing that is understood.
    """
    devices = _decoded(text).get("devices", [])
    found = []
    for each in devices if isinstance(devices, list) else []:
        path, kind = _at(each, "name"), _at(each, "type")
        if isinstance(path, str) and path.startswith("/dev/"):
            # smartctl finds plain types by itself, and better: a scan calls every SATA disk `scsi`.
            found.append(Found(path, kind if isinstance(kind, str) and "," in kind else None))
    return found


def parse(text: str) -> Account:
    """One disk's account.

    Returns:
        Its row, with every field of `FIELDS` it may have; what it does not tell is null. A disk that sleeps has
        `standby` 1 and all else null.

    Raises:
        Unanswered: no account, and why.
    """
    said = _decoded(text)
    code = _number(said, "smartctl", "exit_status")
    exit_status = int(code) if code is not None else 0
    row: Row = dict.fromkeys(FIELDS)
    if _asleep(said, exit_status):
        row["standby"] = 1.0
        return Account(row, _who(said))
    if exit_status & _OPEN_FAILED or not _tells(said):
        why = _complaint(said) or "tells nothing of its health"
        raise Unanswered(why, denied="permission denied" in why.lower() or "operation not permitted" in why.lower())
    row["standby"] = 0.0
    row["status"] = _status(said, exit_status)
    row["temperature_celsius"] = _within(_number(said, "temperature", "current"), _COLDEST, _HOTTEST)
    row["power_on_hours"] = _within(_number(said, "power_on_time", "hours"), 0, _MOST_HOURS)
    _ata(said, row)
    _nvme(said, row)
    _scsi(said, row)
    used = _number(said, "endurance_used", "current_percent")
    if used is not None:
        row["wear_used_percent"] = _within(used, 0, _MOST_WEAR)
    return Account(row, _who(said))


def _decoded(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        found = None
    if not isinstance(found, dict):
        raise Unanswered("smartctl did not answer in JSON: it must be of version 7.0 or later")
    return found


def _asleep(said: dict[str, Any], exit_status: int) -> bool:
    # Told as a mode since 7.4, as a message by some, and before by nothing but the exit status.
    if not exit_status & _OPEN_FAILED or _tells(said):
        return False
    words = " ".join(_messages(said)).upper()
    if _number(said, "power_mode", "ata_value") in (0, 1) or "STANDBY" in words or "SLEEP" in words:
        return True
    return not words and isinstance(_at(said, "device", "name"), str)


def _tells(said: dict[str, Any]) -> bool:
    parts = ("smart_status", "ata_smart_attributes", "nvme_smart_health_information_log", "scsi_grown_defect_list")
    return any(part in said for part in parts)


def _status(said: dict[str, Any], exit_status: int) -> float | None:
    passed = _at(said, "smart_status", "passed")
    if passed is False or exit_status & (_FAILING | _BELOW_NOW):
        return float(Status.CRITICAL)
    if exit_status & _BELOW_ONCE:
        return float(Status.WARNING)
    return float(Status.OK) if passed is True else None


def _ata(said: dict[str, Any], row: Row) -> None:
    table = _at(said, "ata_smart_attributes", "table")
    for attribute in table if isinstance(table, list) else []:
        number, name = _number(attribute, "id"), _at(attribute, "name")
        word = name.lower() if isinstance(name, str) else ""
        raw = _within(_raw(attribute), 0, _MOST_COUNT)
        field = _ATTRIBUTES.get(int(number)) if number is not None else None
        if field is not None:
            row[field] = raw
        elif word in _LIFE_USED:
            row["wear_used_percent"] = _within(raw, 0, _MOST_WEAR)
        elif word in _LIFE_LEFT and row["wear_used_percent"] is None:
            left = _within(_number(attribute, "value"), 0, 100)
            row["wear_used_percent"] = 100 - left if left is not None else None


def _raw(attribute: Any) -> float | None:
    """The count in an attribute's raw value, without what a vendor packs into its upper bytes."""
    shown = _at(attribute, "raw", "string")
    found = _LEADING.match(shown) if isinstance(shown, str) else None
    return float(found[1]) if found else _number(attribute, "raw", "value")


def _nvme(said: dict[str, Any], row: Row) -> None:
    log = "nvme_smart_health_information_log"
    if log not in said:
        return
    row["wear_used_percent"] = _within(_number(said, log, "percentage_used"), 0, _MOST_WEAR)
    row["spare_percent"] = _within(_number(said, log, "available_spare"), 0, 100)
    row["media_errors"] = _within(_number(said, log, "media_errors"), 0, _MOST_EVER)
    if row["power_on_hours"] is None:
        row["power_on_hours"] = _within(_number(said, log, "power_on_hours"), 0, _MOST_HOURS)
    if row["temperature_celsius"] is None:
        row["temperature_celsius"] = _within(_number(said, log, "temperature"), _COLDEST, _HOTTEST)


def _scsi(said: dict[str, Any], row: Row) -> None:
    grown = _number(said, "scsi_grown_defect_list")
    if grown is not None:
        row["reallocated_sectors"] = _within(grown, 0, _MOST_COUNT)
    ways = ("read", "write", "verify")
    errors = [_number(said, "scsi_error_counter_log", way, "total_uncorrected_errors") for way in ways]
    known = [count for count in errors if count is not None]
    if known:
        row["reported_uncorrectable"] = _within(sum(known), 0, _MOST_COUNT)
    used = _number(said, "scsi_percentage_used_endurance_indicator")
    if used is not None:
        row["wear_used_percent"] = _within(used, 0, _MOST_WEAR)


def _who(said: dict[str, Any]) -> str:
    names = [_at(said, "model_name") or _at(said, "scsi_model_name"), _at(said, "serial_number")]
    return ", ".join(name.strip() for name in names if isinstance(name, str) and name.strip())


def _messages(said: dict[str, Any]) -> list[str]:
    found = _at(said, "smartctl", "messages")
    texts = [_at(each, "string") for each in found] if isinstance(found, list) else []
    return [text for text in texts if isinstance(text, str)]


def _complaint(said: dict[str, Any]) -> str:
    return "; ".join(_messages(said))[:300]


def _at(found: Any, *keys: str) -> Any:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _number(found: Any, *keys: str) -> float | None:
    value = _at(found, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _within(value: float | None, least: float, most: float) -> float | None:
    """A value that can be; everything else is a disk's mistake and not known."""
    return value if value is not None and least <= value <= most else None
