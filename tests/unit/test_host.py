"""This machine reads itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from agent import host as hosts
from agent.host import Host, Wanted
from agent.host.files import Files
from agent.host.parts import Tables, merge
from agent.host.system import Battery, DiskCounts, Fan, Link, Mount, Room, Traffic, Warmth
from agent.host.told import ToldCommands, ToldSystem
from agent.reading import Happening, Reading
from agent.settings import Settings
from forewarn.consent import Refusal
from forewarn.settings import SettingError, read
from forewarn.vocabulary import DeviceKind, Source, misnamed
from tests.clocks import SteppedClock

MEMINFO = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nSwapTotal: 400 kB\nSwapFree: 300 kB\n"
STALLED = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
LEAST = "site: s\nagent: a\nshard: 0\nsecret: x\nbroker: {host: b}\n"

Values = dict[tuple[str, str, str], float | None]


def told(host: Host) -> Values:
    reading = next(item for item in host.read() if isinstance(item, Reading))
    return dict(zip(reading.shape.columns(), reading.values, strict=True))


def told_host(folder: Path, system: ToldSystem, clock: SteppedClock | None = None, **commands: object) -> Host:
    return Host(
        "vms-1",
        clock=clock or SteppedClock(),
        system=system,
        files=Files(folder),
        asking=ToldCommands(commands),  # type: ignore[arg-type]
    )


def put(folder: Path, path: str, text: str) -> None:
    file = folder / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_first_reading_has_states_and_no_rates():
    values = told(Host("vms-1", clock=SteppedClock()))
    assert values["device", "", "up"] == 1
    assert values["host", "", "memory_total_bytes"] == psutil.virtual_memory().total
    assert values["host", "", "cpu_percent"] is None
    rates = [value for (_, _, field), value in values.items() if field.endswith("_per_second") and "speed" not in field]
    assert rates
    assert rates.count(None) == len(rates)


def test_a_real_machine_tells_its_load_and_volumes():
    clock = SteppedClock()
    host = Host("vms-1", clock=clock)
    told(host)
    clock.step(1)
    sum(range(2_000_000))
    values = told(host)
    assert values["host", "", "load1"] is not None
    assert 0 <= (values["host", "", "cpu_percent"] or 0) <= 100
    assert any(table == "volume" and field == "total_bytes" and value for (table, _, field), value in values.items())


def test_rates_are_over_the_steady_clock(tmp_path):
    clock = SteppedClock()
    system = ToldSystem(carried={"eth7": Traffic(10_000, 0, 0, 0, 0, 0), "lo": Traffic(1, 1, 0, 0, 0, 0)})
    host = told_host(tmp_path, system, clock)
    told(host)
    clock.step(60)
    clock.jump(3600)
    system.carried["eth7"] = Traffic(760_000, 0, 30, 0, 0, 0)
    values = told(host)
    assert values["interface", "eth7", "in_bits_per_second"] == 100_000
    assert values["interface", "eth7", "in_errors_per_second"] == 0.5
    assert ("interface", "lo", "in_bits_per_second") not in values
    clock.step(60)
    system.carried["eth7"] = Traffic(5, 0, 0, 0, 0, 0)
    assert told(host)["interface", "eth7", "in_bits_per_second"] is None, "a counter that went back"


def test_a_link_tells_its_speed_its_duplex_and_how_often_it_went(tmp_path):
    put(tmp_path, "/sys/class/net/eth7/carrier_changes", "14\n")
    nothing = Traffic(0, 0, 0, 0, 0, 0)
    system = ToldSystem(carried={"eth7": nothing, "eth8": nothing}, has_links={"eth7": Link(True, 1e9, 0.0)})
    values = told(told_host(tmp_path, system))
    row = {field: value for (table, at, field), value in values.items() if (table, at) == ("interface", "eth7")}
    assert (row["up"], row["speed_bits_per_second"], row["full_duplex"], row["carrier_changes"]) == (1, 1e9, 0, 14)
    assert values["interface", "eth8", "carrier_changes"] is None
    assert values["interface", "eth8", "up"] is None


def test_the_processor_tells_busy_and_waiting_apart(tmp_path):
    clock = SteppedClock()
    system = ToldSystem(spent_by_kind={"user": 10, "idle": 80, "iowait": 5})
    host = told_host(tmp_path, system, clock)
    told(host)
    clock.step(100)
    system.spent_by_kind = {"user": 30, "idle": 130, "iowait": 35}
    values = told(host)
    assert values["host", "", "cpu_percent"] == pytest.approx(20)
    assert values["host", "", "iowait_percent"] == pytest.approx(30)
    clock.step(100)
    system.spent_by_kind = {"user": 40, "idle": 230}
    assert told(host)["host", "", "iowait_percent"] is None, "a system that does not count it"


def test_memory_pressure_and_processes_killed_for_it(tmp_path):
    clock = SteppedClock()
    put(tmp_path, "/proc/meminfo", MEMINFO)
    put(tmp_path, "/proc/vmstat", "nr_free_pages 5\noom_kill 3\n")
    put(tmp_path, "/proc/pressure/memory", STALLED.format(1_000_000))
    host = told_host(tmp_path, ToldSystem(), clock)
    assert told(host)["host", "", "memory_pressure_percent"] is None
    clock.step(10)
    put(tmp_path, "/proc/pressure/memory", STALLED.format(3_500_000))
    values = told(host)
    assert values["host", "", "memory_pressure_percent"] == 25
    assert values["host", "", "io_pressure_percent"] is None
    assert values["host", "", "oom_kills"] == 3
    assert values["host", "", "memory_used_percent"] == 75
    assert values["host", "", "swap_used_percent"] == 25


def test_a_disk_tells_how_long_requests_wait_and_how_many(tmp_path):
    clock = SteppedClock()
    put(tmp_path, "/sys/block/sda/size", "1")
    system = ToldSystem(has_disks={"sda": DiskCounts(10, 10, 0, 0, 1.0, 0.5), "sda1": DiskCounts(1, 1, 1, 1, 1, 1)})
    host = told_host(tmp_path, system, clock)
    assert told(host)["disk", "sda", "await_seconds"] is None
    clock.step(10)
    system.has_disks["sda"] = DiskCounts(60, 60, 5000, 0, 21.0, 9.5)
    values = told(host)
    assert values["disk", "sda", "await_seconds"] == 0.2
    assert values["disk", "sda", "queue_length"] == 2
    assert values["disk", "sda", "busy_percent"] == 90
    assert values["disk", "sda", "read_bytes_per_second"] == 500
    assert ("disk", "sda1", "busy_percent") not in values, "a partition"
    clock.step(10)
    values = told(host)
    assert values["disk", "sda", "await_seconds"] is None, "nobody asked, so that nobody waited"
    assert values["disk", "sda", "queue_length"] == 0


def test_a_volume_that_the_kernel_has_made_read_only_shows(tmp_path):
    system = ToldSystem(has_mounts=[Mount("/dev/sda1", "/srv", "ext4", False), Mount("t", "/tmp", "tmpfs", False)])
    system.rooms["/srv"] = Room(40.0, 600, 1000)
    put(tmp_path, "/proc/self/mounts", "/dev/sda1 /srv ext4 rw 0 0\n")
    host = told_host(tmp_path, system)
    values = told(host)
    assert values["volume", "/srv", "read_only"] == 0
    assert ("volume", "/tmp", "read_only") not in values
    system.has_mounts[0] = Mount("/dev/sda1", "/srv", "ext4", True)
    put(tmp_path, "/proc/self/mounts", "/dev/sda1 /srv ext4 ro 0 0\n")
    values = told(host)
    assert values["volume", "/srv", "read_only"] == 1
    assert values["volume", "/srv", "used_percent"] == 40


def test_sensors_have_names_of_their_own_and_their_makers_limits(tmp_path):
    warmths = [
        Warmth("coretemp", "Core 0", 91.0, 90.0, 100.0),
        Warmth("coretemp", "Core 1", 101.0, 90.0, 100.0),
        Warmth("nvme", "Composite", 40.0, None, None),
        Warmth("nvme", "Composite", 41.0, 80.0, None),
        Warmth("acpitz", "", 0.0, None, None),
        Warmth("acpitz", "", -273.0, None, None),
    ]
    system = ToldSystem(has_warmths=warmths, has_fans=[Fan("nct6775", "fan1", 900.0), Fan("nct6775", "fan1", 0.0)])
    values = told(told_host(tmp_path, system))
    status = {at: value for (table, at, field), value in values.items() if (table, field) == ("sensor", "status")}
    assert status["coretemp Core 0"] == 1
    assert status["coretemp Core 1"] == 2
    assert status["nvme Composite"] is None
    assert status["nvme Composite 2"] == 0
    assert values["sensor", "acpitz", "temperature_celsius"] is None
    assert values["sensor", "acpitz 2", "temperature_celsius"] is None
    assert values["host", "", "temperature_celsius"] == 101
    assert values["fan", "nct6775 fan1", "speed_rpm"] == 900
    assert values["fan", "nct6775 fan1 2", "speed_rpm"] == 0


def test_a_battery_and_memory_that_errs(tmp_path):
    for controller, corrected in (("mc0", 2), ("mc1", 5)):
        put(tmp_path, f"/sys/devices/system/edac/mc/{controller}/ce_count", f"{corrected}\n")
    put(tmp_path, "/sys/devices/system/edac/mc/mc0/ue_count", "nonsense\n")
    values = told(told_host(tmp_path, ToldSystem(has_battery=Battery(80.0, None, True))))
    assert values["host", "", "memory_corrected_errors"] == 7
    assert values["host", "", "memory_uncorrected_errors"] is None
    assert values["ups", "", "on_battery"] == 1
    assert values["ups", "", "charge_percent"] == 80
    assert values["ups", "", "runtime_seconds"] is None


def test_what_a_machine_lacks_is_looked_for_again_after_ten_minutes(tmp_path):
    clock, system = SteppedClock(), ToldSystem()
    host = told_host(tmp_path, system, clock)
    told(host)
    system.has_fans = [Fan("nct6775", "fan1", 900.0)]
    clock.step(60)
    assert ("fan", "nct6775 fan1", "speed_rpm") not in told(host)
    clock.step(600)
    assert told(host)["fan", "nct6775 fan1", "speed_rpm"] == 900


def test_every_field_is_in_the_vocabulary_and_the_shape_is_that_of_a_server(tmp_path):
    items = Host("vms-1", clock=SteppedClock(), wanted=Wanted(processes={"python": "python"})).read()
    reading = next(item for item in items if isinstance(item, Reading))
    assert not [misnamed(table, field) for table, _, field in reading.shape.columns() if misnamed(table, field)]
    assert (reading.shape.kind, reading.shape.profile) == (DeviceKind.SERVER, "host")
    assert reading.shape.source is Source.HOST
    assert reading.address is None


def test_what_the_system_does_not_tell_is_null_and_never_0(tmp_path):
    clock = SteppedClock()
    host = told_host(tmp_path, ToldSystem(), clock)
    told(host)
    clock.step(60)
    values = told(host)
    known = {(table, field) for (table, _, field), value in values.items() if value is not None}
    assert known <= {
        *(("device", field) for field in ("up", "poll_seconds", "uptime_seconds", "clock_synchronised")),
        *(("host", field) for field in ("uptime_seconds",)),
        ("device", "clock_offset_seconds"),
    }
    assert ("host", "", "memory_used_percent") in values


def test_the_inventory_is_told_once_a_day_and_says_what_the_machine_is(tmp_path):
    put(tmp_path, "/sys/class/dmi/id/product_name", "PowerEdge T150\n")
    clock = SteppedClock()
    host = told_host(tmp_path, ToldSystem(), clock)
    inventory = [item for item in host.read() if isinstance(item, Happening)]
    assert [(item.kind, item.text["model"]) for item in inventory] == [("inventory", "PowerEdge T150")]
    told_at = []
    for hour in range(50):
        told_at += [hour for item in host.read() if isinstance(item, Happening)]
        clock.step(3600)
    assert told_at == [24, 48]


def test_parts_that_tell_of_one_row_complete_each_other():
    tables: Tables = {"disk": {"sda": {"busy_percent": 5.0, "status": None}}}
    merge(tables, {"disk": {"sda": {"status": 2.0, "busy_percent": None}, "sdb": {"status": 0.0}}})
    assert tables == {"disk": {"sda": {"busy_percent": 5.0, "status": 2.0}, "sdb": {"status": 0.0}}}


def test_the_settings_say_what_is_watched():
    text = LEAST + "host: {services: [ssh], processes: [{name: vms, match: 'opt/vms'}], smart: 0s}\n"
    settings = read(Settings, text, "agent.yaml", env={})
    assert hosts.of(settings, SteppedClock()).name == "a.host"
    assert settings.host.processes[0].match == "opt/vms"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("host: {processes: [{name: a, match: '('}]}", "`(` is no regular expression: missing ), unterminated"),
        ("host: {services: [ssh, ssh]}", "`ssh` is watched already"),
        ("host: {services: ['*']}", "`*` is no name of a service"),
        ("host: {services: [a], processes: [{name: a, match: b}]}", "`a` is watched already"),
    ],
)
def test_what_cannot_be_watched_is_said_where_it_stands(given, says):
    with pytest.raises(SettingError, match=r"agent\.yaml:6:") as wrong:
        read(Settings, LEAST + given, "agent.yaml", env={})
    assert says in str(wrong.value)


def test_nothing_is_read_without_consent():
    class Refusing:
        async def put(self, item):
            pytest.fail(f"put {item}")

    async def run() -> None:
        asked = asyncio.Event()

        def permit(source, address):
            assert (source, address) == (Source.HOST, None)
            asked.set()
            return Refusal.SCOPE

        clock = SteppedClock()
        clock.steady += 10
        running = asyncio.create_task(Host("vms-1", clock=clock).run(interval=0.02, sink=Refusing(), permit=permit))
        await asyncio.wait_for(asked.wait(), 5)
        await asyncio.sleep(0.1)
        running.cancel()

    asyncio.run(run())
