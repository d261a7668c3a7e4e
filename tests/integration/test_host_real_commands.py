"""The real commands of this machine, whatever it has: nothing here is an answer, a crash or an invented value is not."""

from __future__ import annotations

import math
import time

from agent.host.children import Children
from agent.host.files import Files
from agent.host.machine import Host
from agent.host.raid import Arrays
from agent.host.services import Services
from agent.host.smartctl import Smart
from agent.host.system import Psutil
from agent.host.timekeeping import Timekeeping
from agent.reading import Reading
from forewarn.vocabulary import misnamed
from tests.polling import RealClock
from tests.servers import program


def plausible(rows: dict[str, dict[str, float | None]], table: str) -> None:
    for fields in rows.values():
        for name, value in fields.items():
            assert not misnamed(table, name)
            assert value is None or math.isfinite(value)


def test_the_real_smartctl_is_asked_and_what_it_does_not_tell_is_null() -> None:
    asking = Children()
    program("smartctl", "smartmontools")
    smart = Smart(asking, Files(), time.monotonic)
    smart.read(None)
    smart.settle(30)
    plausible(smart.read(None).get("disk", {}), "disk")
    for each in smart.unread():
        assert each.why
        assert each.remedy
    scan = asking.ask([program("smartctl", "smartmontools"), "-j", "--scan"], 20)
    assert '"json_format_version"' in scan.text, "it speaks JSON, as we ask it to"


def test_the_real_systemctl_answers_or_says_why_not() -> None:
    program("systemctl", "systemd")
    services = Services(["no-such-service-of-ours", "dbus"], Psutil(), Children())
    rows = services.read(None)["service"]
    assert set(rows) == {"no-such-service-of-ours", "dbus"}
    assert all(value is None for value in rows["no-such-service-of-ours"].values())
    plausible(rows, "service")
    assert services.unread(), "one of the two is not there, or nobody could be asked"
    assert all(each.why and each.remedy for each in services.unread())


def test_the_clock_and_arrays_of_this_machine_are_read_or_null() -> None:
    kept = Timekeeping(Children(), time.monotonic)
    kept.read(None)
    kept.settle(10)
    row = kept.read(None)["device"][""]
    assert row["clock_synchronised"] in (0.0, 1.0, None)
    plausible(Arrays(Files()).read(None).get("raid", {}), "raid")


def test_a_whole_reading_of_this_machine_with_its_real_commands_has_no_field_of_nobody() -> None:
    machine = Host("vms-1", clock=RealClock())
    machine.read()
    machine.settle(30)
    reading = next(item for item in machine.read() if isinstance(item, Reading))
    assert reading.ok
    for (table, _, field), value in zip(reading.shape.columns(), reading.values, strict=True):
        assert not misnamed(table, field)
        assert value is None or math.isfinite(value)
