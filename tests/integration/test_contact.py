"""One device that answers, falls silent, restarts, loses rows and lies, over real UDP."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from agent.polling.poller import poll_once
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from forewarn.demo.responder import Mood, Responder
from forewarn.settings import SettingError, read
from forewarn.vocabulary import DeviceKind
from tests.clocks import SteppedClock
from tests.polling import (
    IN_ERRORS,
    IN_OCTETS,
    NAMES,
    OPER_STATUS,
    UPTIME,
    contact,
    in_loop,
    reading,
    recorded,
    target,
    value,
)

TABLE_CHANGED = "1.3.6.1.2.1.31.1.5.0"


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


def test_a_device_that_falls_silent_keeps_its_shape_and_says_why(responder):
    device = recorded(responder, "ups.apc")

    async def steps() -> None:
        met = contact(device, SteppedClock())
        good = reading(await met.poll())
        device.mood = Mood.SILENT
        bad = reading(await met.poll())
        assert good.ok
        assert not bad.ok
        assert bad.shape == good.shape
        assert bad.shape.kind is DeviceKind.UPS
        assert value(bad, "device", "", "up") == 0
        assert value(bad, "device", "", "snmp_up") == 0
        assert all(found is None for found in bad.values[2:])
        assert bad.why == f"127.0.0.1 port {device.port} did not answer within 0.2 s"
        device.mood = Mood.HONEST
        assert reading(await met.poll()).values[0] == 1
        met.close()

    in_loop(steps)


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        (Mood.SILENT, "did not answer"),
        (Mood.LATE, "did not answer"),
        (Mood.GARBAGE, "(no SNMP message|did not answer)"),
        (Mood.CUT, "no SNMP message"),
        (Mood.WRONG_NUMBER, "did not answer"),
        (Mood.NOTHING, "none of the objects asked for"),
    ],
)
def test_every_misbehaviour_is_a_failed_reading_with_its_reason(responder, mood, why):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        met = contact(device, SteppedClock())
        await met.poll()
        device.mood, device.delay = mood, 0.4
        bad = reading(await met.poll())
        assert not bad.ok
        assert re.search(why, bad.why), bad.why
        assert value(bad, "interface", "gi1", "up") is None
        met.close()

    in_loop(steps)


@pytest.mark.parametrize(("mood", "why"), [(Mood.ENDLESS, "has no end after"), (Mood.CIRCLING, "came back to row")])
def test_a_table_that_cannot_be_walked_costs_a_first_poll_and_no_later_one(responder, mood, why):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        device.mood = mood
        bad = reading(await contact(device, clock).poll())
        assert not bad.ok
        assert why in bad.why
        device.mood = Mood.HONEST
        met = contact(device, clock)
        await met.poll()
        device.mood = mood
        clock.step(60)
        assert reading(await met.poll()).why == "", "between two meetings nothing is walked"
        clock.step(2400)
        part = reading(await met.poll())
        assert part.ok
        assert part.why.startswith("incomplete: its tables were not read anew: the walk of")
        assert value(part, "interface", "gi1", "up") == 1
        met.close()

    in_loop(steps)


def test_a_device_that_never_answered_is_reported_down(responder):
    device = recorded(responder, "switch.generic")
    device.mood = Mood.SILENT

    async def steps() -> None:
        unknown = reading(await contact(device, SteppedClock()).poll())
        assert (unknown.shape.kind, unknown.shape.profile) == (DeviceKind.OTHER, "unmatched")
        fixed = reading(await contact(device, SteppedClock(), profile="switch.generic").poll())
        assert (fixed.shape.kind, fixed.shape.profile) == (DeviceKind.SWITCH, "switch.generic")
        assert fixed.values == [0.0, 0.0, None, None, None]

    in_loop(steps)


def test_a_restart_gives_null_rates_once_and_never_a_spike(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)
        await met.poll()
        clock.step(60)
        device.set(UPTIME, 67, 3000)
        device.set(f"{IN_OCTETS}.1", 70, 5_000_000)
        device.set(f"{IN_OCTETS}.2", 70, 9 * 10**15)
        after = reading(await met.poll())
        assert value(after, "interface", "gi1", "in_bits_per_second") is None
        assert value(after, "interface", "gi2", "in_bits_per_second") is None, "it rose, but not since the restart"
        assert value(after, "device", "", "uptime_seconds") == 30
        clock.step(60)
        device.set(UPTIME, 67, 9000)
        device.set(f"{IN_OCTETS}.1", 70, 5_750_000)
        assert value(reading(await met.poll()), "interface", "gi1", "in_bits_per_second") == 100_000
        met.close()

    in_loop(steps)


def test_a_wall_clock_that_jumps_an_hour_changes_no_rate(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)
        await met.poll()
        for jump in (3600, -3600):
            clock.step(60)
            clock.jump(jump)
            device.set(f"{IN_ERRORS}.1", 65, 10 + 6 if jump > 0 else 10 + 12)
            device.set(UPTIME, 67, 360_000_000 + (6000 if jump > 0 else 12000))
            found = reading(await met.poll())
            assert value(found, "interface", "gi1", "in_errors_per_second") == pytest.approx(0.1)
            assert found.t == clock.now()
        met.close()

    in_loop(steps)


def test_a_row_that_vanishes_leaves_the_shape_and_one_that_appears_joins_it(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        clock = SteppedClock()
        device.set(TABLE_CHANGED, 67, 100)
        met = contact(device, clock)
        first = reading(await met.poll())
        device.remove(f"{OPER_STATUS}.3")
        clock.step(60)
        second = reading(await met.poll())
        device.set(f"{OPER_STATUS}.3", 2, 1)
        device.set(TABLE_CHANGED, 67, 360_000_000)
        clock.step(60)
        third = reading(await met.poll())
        ports = [
            next(table.instances for table in found.shape.tables if table.table == "interface")
            for found in (first, second, third)
        ]
        assert ports == [["gi1", "gi2", "gi3", "gi4"], ["gi1", "gi2", "gi4"], ["gi1", "gi2", "gi3", "gi4"]]
        assert value(second, "interface", "gi4", "in_errors_per_second") == 0, "the rows that stayed keep their rates"
        assert value(third, "interface", "gi3", "up") == 1
        assert third.shape.digest == first.shape.digest
        met.close()

    in_loop(steps)


def test_an_object_that_vanishes_is_null_and_the_rest_stays(responder):
    device = recorded(responder, "switch.generic")

    async def steps() -> None:
        met = contact(device, SteppedClock())
        first = reading(await met.poll())
        device.remove("1.3.6.1.2.1.31.1.1.1.15.2")
        device.remove("1.3.6.1.2.1.2.2.1.5.2")
        second = reading(await met.poll())
        assert second.shape == first.shape
        assert value(second, "interface", "gi2", "speed_bits_per_second") is None
        assert value(second, "interface", "gi1", "speed_bits_per_second") == 1e9
        met.close()

    in_loop(steps)


def test_an_unchanged_inventory_is_told_again_once_a_day(responder):
    device = recorded(responder, "hikvision.camera")

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)
        told = []
        for hour in range(50):
            device.set(UPTIME, 67, 8_640_000 + hour * 360_000)
            told += [hour for item in await met.poll() if isinstance(item, Happening) and item.kind == "inventory"]
            clock.step(3600)
        assert told == [0, 24, 48]
        met.close()

    in_loop(steps)


def test_a_changed_inventory_is_told_after_a_restart(responder):
    device = recorded(responder, "hikvision.camera")

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)
        first = [item for item in await met.poll() if isinstance(item, Happening)]
        assert [item.kind for item in first] == ["inventory"]
        clock.step(60)
        assert not [item for item in await met.poll() if isinstance(item, Happening)]
        device.set("1.3.6.1.4.1.39165.1.3.0", 4, "V5.7.0 build 240101")
        device.set(UPTIME, 67, 500)
        clock.step(60)
        told = {item.kind: item.text for item in await met.poll() if isinstance(item, Happening)}
        assert told["inventory"]["firmware"] == "V5.7.0 build 240101"
        assert (told["event"]["event"], told["event"]["after"]) == ("firmware changed", "V5.7.0 build 240101")
        met.close()

    in_loop(steps)


def test_two_interfaces_of_one_name_stay_apart(responder):
    device = recorded(responder, "switch.generic")
    device.set(f"{NAMES}.2", 4, "gi1")

    async def steps() -> None:
        found = reading(await contact(device, SteppedClock()).poll())
        ports = next(table.instances for table in found.shape.tables if table.table == "interface")
        assert ports == ["gi1 (1)", "gi1 (2)", "gi3", "gi4"]

    in_loop(steps)


def test_one_poll_on_request_is_the_record_that_would_be_sent(responder):
    device = recorded(responder, "hikvision.recorder")
    items: list[Reading | Happening] = []

    async def steps() -> None:
        items.extend(await poll_once(target(device), shipped(), open_session=opener(), clock=SteppedClock()))

    in_loop(steps)
    assert reading(items).shape.profile == "hikvision.recorder"
    assert device.requests <= 12, "ten objects a request, as the family takes"


def test_an_answer_nobody_foresaw_costs_its_table_and_stops_nothing(responder):
    device = recorded(responder, "generic")

    async def steps() -> None:
        met = contact(device, SteppedClock())
        device.set(OPER_STATUS, 2, 1)
        device.mood = Mood.CIRCLING
        bad = reading(await met.poll())
        assert bad.why.startswith("incomplete: the walk of")
        assert "a row without an index" in bad.why
        assert value(bad, "device", "", "up") == 1
        device.mood = Mood.HONEST
        assert reading(await met.poll()).ok
        met.close()

    in_loop(steps)


def test_a_device_is_named_by_its_address_not_by_a_host_name():
    with pytest.raises(SettingError, match=r"agent\.yaml:2:10: `camera\.example` is no IP address"):
        read(Target, "name: gate\naddress: camera.example\n", "agent.yaml")


def test_a_community_file_that_is_missing_is_a_failed_reading_that_says_so(responder, tmp_path):
    device = recorded(responder, "ups.apc")

    async def steps() -> None:
        bad = reading(await contact(device, SteppedClock(), community_file=tmp_path / "community").poll())
        assert "community" in bad.why
        assert "No such file" in bad.why
        (tmp_path / "community").write_text("public\n")
        assert reading(await contact(device, SteppedClock(), community_file=tmp_path / "community").poll()).ok

    in_loop(steps)


def test_a_file_that_is_no_text_is_named_and_not_a_word_of_it_is_told(responder, tmp_path, caplog):
    device = recorded(responder, "ups.apc")
    (tmp_path / "community").write_bytes("密码open-sesame".encode("gbk"))

    async def steps() -> None:
        met = contact(device, SteppedClock(), community_file=tmp_path / "community")
        for _ in range(3):
            bad = reading(await met.poll())
            assert "is no text in UTF-8" in bad.why
            assert "sesame" not in bad.why + caplog.text
            assert bad.values[:2] == [None, None], "nobody could ask"
        assert not await met.back(), "asked between its slots it fails as well, and ends nothing"

    in_loop(steps)


def test_a_mistake_of_ours_while_a_device_is_asked_whether_it_is_back_stops_nothing(responder, monkeypatch, caplog):
    device = recorded(responder, "ups.apc")

    async def steps() -> None:
        met = contact(device, SteppedClock())

        octets = b"open-sesame"

        def mistaken(*_: object) -> None:
            raise UnicodeDecodeError("utf-8", octets, 0, 1, "surprise")

        monkeypatch.setattr(met, "_opened", mistaken)
        assert not await met.back()
        assert "not understood, please report it" in met.why
        assert "sesame" not in met.why + caplog.text + reading(await met.poll()).why

    in_loop(steps)
