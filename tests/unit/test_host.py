"""This machine reads itself."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from agent.host import Host
from agent.reading import Happening, Reading
from forewarn.consent import Refusal
from forewarn.vocabulary import DeviceKind, Source, misnamed
from tests.clocks import SteppedClock


def told(host: Host) -> dict[tuple[str, str, str], float | None]:
    reading = next(item for item in host.read() if isinstance(item, Reading))
    return dict(zip(reading.shape.columns(), reading.values, strict=True))


def test_the_first_reading_has_states_and_no_rates():
    values = told(Host("vms-1", clock=SteppedClock()))
    assert values["device", "", "up"] == 1
    assert values["host", "", "memory_total_bytes"] == psutil.virtual_memory().total
    assert values["host", "", "cpu_percent"] is None
    rates = [value for (_, _, field), value in values.items() if field.endswith("_per_second") and "speed" not in field]
    assert rates.count(None) == len(rates)


def test_rates_are_over_the_steady_clock(monkeypatch):
    clock = SteppedClock()
    host = Host("vms-1", clock=clock)
    real = psutil.net_io_counters(pernic=True, nowrap=False)
    name = min(real)
    grown = [0, 750_000]

    def counters(**_):
        return {"eth7": real[name]._replace(bytes_recv=10_000 + grown[0])}

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    told(host)
    clock.step(60)
    clock.jump(3600)
    grown.pop(0)
    assert told(host)["interface", "eth7", "in_bits_per_second"] == 100_000
    clock.step(60)
    grown[0] = 5
    assert told(host)["interface", "eth7", "in_bits_per_second"] is None, "a counter that went back"


def test_every_field_is_in_the_vocabulary_and_the_shape_is_that_of_a_server():
    items = Host("vms-1", clock=SteppedClock()).read()
    reading = next(item for item in items if isinstance(item, Reading))
    assert not [misnamed(table, field) for table, _, field in reading.shape.columns() if misnamed(table, field)]
    assert (reading.shape.kind, reading.shape.profile) == (DeviceKind.SERVER, "host")
    assert reading.shape.source is Source.HOST
    assert reading.address is None


def test_what_the_system_does_not_tell_is_null(monkeypatch):
    def refused(*_, **__):
        raise OSError("not here")

    for name in ("virtual_memory", "swap_memory", "getloadavg", "disk_partitions", "cpu_times", "net_io_counters"):
        monkeypatch.setattr(psutil, name, refused)
    values = told(Host("vms-1", clock=SteppedClock()))
    assert values["host", "", "memory_used_percent"] is None
    assert values["host", "", "load1"] is None
    assert values["device", "", "up"] == 1


def test_the_inventory_is_told_once():
    host = Host("vms-1", clock=SteppedClock())
    assert [item.kind for item in host.read() if isinstance(item, Happening)] == ["inventory"]
    assert [item for item in host.read() if isinstance(item, Happening)] == []


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
