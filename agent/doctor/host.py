"""This machine as a device: what is read of it, what it does not have, and what this account may not read.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.guard import Guard
from agent.reading import Clock, Reading
from agent.settings import Settings
from forewarn.doctor.diagnosis import Diagnosis, ok, warn
from forewarn.vocabulary import Source

_SETTLES_WITHIN = 15.0
_MAY_LACK = {
    "temperatures": ("sensor", "temperature_celsius"),
    "fans": ("fan", "speed_rpm"),
    "disk health": ("disk", "status"),
    "RAID": ("raid", "status"),
    "memory errors": ("host", "memory_corrected_errors"),
    "pressure": ("host", "io_pressure_percent"),
    "battery": ("ups", "charge_percent"),
    "clock offset": ("device", "clock_offset_seconds"),
}
"""What many a machine lacks, which is no fault."""


def look(settings: Settings, guard: Guard, clock: Clock) -> Iterator[Diagnosis]:
    """Reads this machine, when it is to be read."""
    if not settings.host.enabled or guard.refuses(Source.HOST) is not None:
        return
    from agent import host

    machine = host.of(settings, clock)
    machine.read()
    machine.settle(_SETTLES_WITHIN)
    reading = next(item for item in machine.read() if isinstance(item, Reading))
    columns = zip(reading.shape.columns(), reading.values, strict=True)
    values = {(table, field) for (table, _, field), value in columns if value is not None}
    yield _read(f"host {settings.host_name}", values)
    for each in machine.unread():
        yield warn(f"host {settings.host_name}: {each.part}", each.why, each.remedy)


def _read(subject: str, values: set[tuple[str, str]]) -> Diagnosis:
    missing = [field for field in ("memory_used_percent", "load1") if ("host", field) not in values]
    missing += [] if any(table == "volume" for table, _ in values) else ["volume"]
    if missing:
        what = f"{len(values)} fields read; this system does not tell {', '.join(missing)}"
        return warn(subject, what, "in a container, let it see the host's /proc and disks; else nothing is to be done")
    lacking = [what for what, column in _MAY_LACK.items() if column not in values]
    said = f"; not told by this machine: {', '.join(lacking)}" if lacking else ""
    return ok(subject, f"{len(values)} fields read{said}")
