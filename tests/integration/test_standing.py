"""Devices that go down and come back, answer in part, are somebody else, or are there without their SNMP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from agent.devices import health
from agent.devices.health import Standing
from agent.devices.remembered import Memory, Remembered
from agent.polling import contact as contacts
from agent.polling.contact import Contact
from agent.polling.poller import Poller
from agent.profiles.counters import WRAP_SECONDS
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from agent.snmp.packing import Packing
from forewarn.demo.responder import Device, Mood, Responder
from forewarn.settings import Duration
from tests.clocks import SteppedClock
from tests.polling import IN_OCTETS, UPTIME, Kept, RealClock, ended, in_loop, reading, recorded, target, until, value

PORTS = "1.3.6.1.2.1.2.2.1"
SERIAL, FIRMWARE = "1.3.6.1.2.1.47.1.1.1.1.11.1", "1.3.6.1.2.1.47.1.1.1.1.10.1"
DISCONTINUITY = "1.3.6.1.2.1.31.1.1.1.19.1"


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


def met(device: Device, clock: SteppedClock, known: Remembered | None = None, **given: object) -> Contact:
    reach = given.pop("reach", None)
    made = target(device, **given)
    return Contact(made, shipped(), open_session=opener(), clock=clock, remembered=known, reach=reach)  # type: ignore[arg-type]


def events(items: list[Reading | Happening]) -> list[dict[str, str]]:
    return [item.text for item in items if isinstance(item, Happening) and item.kind == "event"]


def test_a_device_that_is_down_is_asked_for_one_object_now_and_then_and_reported_in_every_slot(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock)
        await one.poll()
        device.mood = Mood.SILENT
        for _ in range(3):
            clock.step(60)
            await one.poll()
        assert one.health.standing is Standing.DOWN
        device.requests, slots = 0, 60
        for _ in range(slots):
            clock.step(5)
            silent = reading(await one.poll())
            assert (silent.ok, silent.values[0]) == (False, 0)
            assert "did not answer within 0.2 s; asked again with growing pauses" in silent.why or device.requests
        assert 3 <= device.requests <= 5, "15, 30, 60, 120 s apart, one request each"
        device.mood = Mood.HONEST
        clock.step(600)
        good = reading(await one.poll())
        assert good.ok
        assert value(good, "interface", "gi1", "up") == 1
        one.close()

    in_loop(steps)


def test_one_that_comes_back_is_polled_whole_at_once_and_not_in_its_next_slot(responder, monkeypatch):
    monkeypatch.setattr(health, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(health, "LONGEST_PAUSE", 0.2)
    device = recorded(responder, "ups.apc")
    device.mood = Mood.SILENT
    sink = Kept()

    async def steps() -> None:
        mine = target(device, "ups", interval=Duration(2), timeout=Duration(0.1))
        poller = Poller(
            [mine], profiles=shipped(), open_session=opener(), sink=sink, permit=lambda *_: None, clock=RealClock()
        )
        running = asyncio.create_task(poller.run())
        await until(lambda: poller.state().down == 1)
        trouble = poller.troubled()["ups"]
        assert trouble.standing == "down"
        assert "did not answer" in trouble.why
        failed = len(sink.of("ups"))
        device.mood = Mood.HONEST
        await until(lambda: any(item.ok for item in sink.of("ups")))
        assert len(sink.of("ups")) - failed <= 2
        good = next(item for item in sink.of("ups") if item.ok)
        slot = next(item.t for item in sink.of("ups"))
        assert 0.1 < (good.t - slot) / 1000 % 2 < 1.9, "between its slots"
        assert poller.troubled() == {}
        await ended(running)

    in_loop(steps)


def test_a_table_that_hangs_costs_its_own_values_and_no_others_and_no_rate_is_wrong_afterwards(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock, Remembered(packing=4))
        device.set(UPTIME, 67, 360_000_000)
        await one.poll()
        device.mute = f"{PORTS}.14"
        for minute in (1, 2):
            clock.step(60)
            device.set(UPTIME, 67, 360_000_000 + 6000 * minute)
            device.set(f"{IN_OCTETS}.1", 70, 1_000_000_000 + 7_500_000 * minute)
            part = reading(await one.poll())
            assert part.ok
            assert part.why.startswith("incomplete: 127.0.0.1 port")
            assert value(part, "device", "", "up") == 1
            assert value(part, "interface", "gi1", "in_errors_per_second") is None
        assert value(part, "interface", "gi1", "in_bits_per_second") == pytest.approx(1_000_000)
        device.mute = ""
        for minute in (3, 4):
            clock.step(60)
            device.set(UPTIME, 67, 360_000_000 + 6000 * minute)
            whole = reading(await one.poll())
            assert whole.why == ""
        assert value(whole, "interface", "gi1", "in_errors_per_second") == 0
        one.close()

    in_loop(steps)


def test_counters_of_an_interface_that_began_anew_give_no_rate_though_the_device_went_on(responder):
    device = recorded(responder, "switch.generic")
    device.set(DISCONTINUITY, 67, 100)

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock)
        rates = []
        for minute, (octets, began) in enumerate([(10**9, 100), (2 * 10**9, 100), (5 * 10**9, 999), (6 * 10**9, 999)]):
            device.set(UPTIME, 67, 360_000_000 + 6000 * minute)
            device.set(f"{IN_OCTETS}.1", 70, octets)
            device.set(DISCONTINUITY, 67, began)
            rates.append(value(reading(await one.poll()), "interface", "gi1", "in_bits_per_second"))
            clock.step(60)
        assert rates == [None, pytest.approx(8e9 / 60), None, pytest.approx(8e9 / 60)]
        one.close()

    in_loop(steps)


def test_an_uptime_goes_on_over_its_wrap_and_over_a_restart_of_the_agent(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock, known, seen = SteppedClock(), Remembered(), []
        one = met(device, clock, known)
        for ticks in (2**32 - 3000, 3000, 9000):
            device.set(UPTIME, 67, ticks)
            seen.append(value(reading(await one.poll()), "device", "", "uptime_seconds"))
            clock.step(60)
        one.close()
        device.set(UPTIME, 67, 15_000)
        again = met(device, clock, known)
        seen.append(value(reading(await again.poll()), "device", "", "uptime_seconds"))
        again.close()
        assert [round(at - WRAP_SECONDS) for at in seen if at is not None] == [-30, 30, 90, 150]

    in_loop(steps)


def test_another_device_under_the_same_name_is_an_event_even_after_a_restart_of_the_agent(responder, tmp_path):
    first, second = recorded(responder, "switch.generic"), recorded(responder, "switch.generic")
    first.set(SERIAL, 4, "SN-1")
    second.set(SERIAL, 4, "SN-2")

    async def once(device: Device) -> list[dict[str, str]]:
        memory = Memory(tmp_path, ["it"])
        one = met(device, SteppedClock(), memory.devices["it"])
        found = events(await one.poll())
        one.close()
        memory.save()
        return found

    async def steps() -> None:
        assert await once(first) == []
        assert await once(first) == [], "another port is another address, and the same device"
        assert await once(second) == [{"event": "device replaced", "what": "serial", "before": "SN-1", "after": "SN-2"}]
        second.set(FIRMWARE, 4, "9.9")
        changed = await once(second)
        assert [(one["event"], one["after"]) for one in changed] == [("firmware changed", "9.9")]

    in_loop(steps)


def test_what_a_device_takes_in_a_request_is_known_after_a_restart(responder, tmp_path, monkeypatch):
    device = recorded(responder, "switch.generic")
    device.most_binds = 10
    refused: list[int] = []
    plain = Packing.refused
    monkeypatch.setattr(Packing, "refused", lambda packing, count: refused.append(count) or plain(packing, count))

    async def once() -> int:
        memory = Memory(tmp_path, ["it"])
        one = met(device, SteppedClock(), memory.devices["it"])
        await one.poll()
        one.close()
        memory.save()
        return memory.devices["it"].packing

    async def steps() -> None:
        learned = await once()
        assert 4 <= learned <= 10
        before = len(refused)
        assert before > 0
        assert await once() == learned
        assert len(refused) == before, "what it cannot take it was not asked again"

    in_loop(steps)


def test_a_device_that_answers_a_ping_and_no_snmp_is_there_and_said_to_be_once(responder):
    device = recorded(responder, "switch.generic")
    asked: list[str] = []

    async def ping(one: Target) -> str:
        asked.append(one.name)
        return "ping"

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock, reach=ping)
        await one.poll()
        assert asked == [], "who answers SNMP is asked nothing else"
        device.mood = Mood.SILENT
        told = []
        for _ in range(5):
            clock.step(60)
            items = await one.poll()
            told += events(items)
        bad = reading(items)
        assert (bad.ok, bad.values[:2]) == (False, [1.0, 0.0])
        assert bad.why.startswith("no SNMP, but it answers ping: 127.0.0.1 port")
        assert [event["event"] for event in told] == ["no SNMP"]
        one.close()

    in_loop(steps)


@pytest.mark.parametrize("broken", [OSError("no route"), TimeoutError()])
def test_a_probe_that_fails_itself_says_nothing(responder, broken):
    device = recorded(responder, "switch.generic")
    device.mood = Mood.SILENT

    async def ping(_: Target) -> str:
        raise broken

    async def steps() -> None:
        bad = reading(await met(device, SteppedClock(), reach=ping).poll())
        assert bad.values[:2] == [0.0, 0.0]
        assert bad.why.endswith("did not answer within 0.2 s")

    in_loop(steps)


def test_rows_are_read_anew_after_half_an_hour_and_not_before(responder):
    device = recorded(responder, "switch.generic")
    device.remove(f"{PORTS}.8.3")

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock)
        await one.poll()
        device.requests = 0
        await one.poll()
        assert device.requests == 1, "some forty objects, and not one walk"
        device.set(f"{PORTS}.8.3", 2, 1)
        clock.step(1700)
        ports = [len(part.instances) for part in reading(await one.poll()).shape.tables if part.table == "interface"]
        clock.step(1700)
        await one.poll()
        later = [len(part.instances) for part in reading(await one.poll()).shape.tables if part.table == "interface"]
        assert (ports, later) == ([3], [4])
        one.close()

    in_loop(steps)


def test_a_sign_that_changes_for_nothing_is_not_believed_for_ever(responder):
    device = recorded(responder, "switch.generic")
    changed = "1.3.6.1.2.1.47.1.4.1.0"
    device.set(changed, 67, 1)

    async def steps() -> None:
        clock = SteppedClock()
        one = met(device, clock)
        await one.poll()
        costs = []
        for number in range(8):
            device.set(changed, 67, number + 2)
            device.requests = 0
            clock.step(60)
            await one.poll()
            costs.append(device.requests)
        assert costs[0] > 5
        assert costs[-3:] == [costs[-1]] * 3
        assert costs[-1] <= 3
        one.close()

    in_loop(steps)


def test_a_device_that_nobody_could_ask_is_neither_up_nor_down(responder, tmp_path):
    device = recorded(responder, "ups.apc")

    async def steps() -> None:
        bad = reading(await met(device, SteppedClock(), community_file=tmp_path / "none").poll())
        assert bad.values[:2] == [None, None]

    in_loop(steps)


def test_the_event_of_a_device_without_its_snmp_has_the_words_of_the_module():
    assert contacts.NO_SNMP == "no SNMP"
