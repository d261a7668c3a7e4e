"""Days of a site, made from a number: cameras that fail, a recorder that fills up, a UPS that goes on battery.

The same step always says the same, so that two runs over the same days must find the same.
"""

from __future__ import annotations

import random
from functools import cache

from agent.reading import Reading
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

STEP = 300_000
"""Milliseconds between two polls of a device."""
A_DAY = 288
"""Steps."""
PREFIX = "day-"
CAMERAS = 6
FAILING = 6
"""Steps for which a fault lasts: half an hour."""

CAMERA = Shape(DeviceKind.CAMERA, "script", Source.SNMP, [TableShape("device", [""], ["up", "rtt_seconds"])])
RECORDER = Shape(
    DeviceKind.RECORDER,
    "script",
    Source.SNMP,
    [TableShape("device", [""], ["up"]), TableShape("volume", ["1"], ["used_percent", "overwrite"])],
)
POWER = Shape(
    DeviceKind.UPS,
    "script",
    Source.SNMP,
    [TableShape("ups", [""], ["on_battery", "charge_percent", "runtime_seconds"])],
)
DEVICES = [f"{PREFIX}nvr", f"{PREFIX}ups", *(f"{PREFIX}cam-{number}" for number in range(CAMERAS))]


@cache
def _fault(device: str, day: int) -> int:
    """The step of a day at which a device fails."""
    return random.Random(f"{device} {day}").randrange(A_DAY - FAILING)


def polled(device: str, step: int, begin: int) -> Reading:
    """What one device says at a step; `begin` is the time of step 0, Unix milliseconds."""
    day, of_day = divmod(step, A_DAY)
    failing = 0 <= of_day - _fault(device, day) < FAILING
    t = begin + step * STEP
    if device.endswith("nvr"):
        used = 62 + 36 * (step % (3 * A_DAY)) / (3 * A_DAY) + 0.06 * ((step * 7919) % 11 - 5)
        return Reading(t, device, RECORDER, [1.0, used, 0.0], address="127.0.0.1")
    if device.endswith("ups"):
        return Reading(t, device, POWER, [float(failing), 100.0 - 2 * failing, 3600.0], address="127.0.0.1")
    if failing:
        return Reading(t, device, CAMERA, [0.0, None], ok=False, why="no answer within 2 s", address="127.0.0.1")
    return Reading(t, device, CAMERA, [1.0, 0.002], address="127.0.0.1")
