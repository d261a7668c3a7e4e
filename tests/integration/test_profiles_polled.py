"""What profiles say of time and units, in polls of simulated devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from agent.polling.contact import Contact
from agent.polling.poller import Poller
from agent.profiles.files import load, shipped
from agent.reading import Happening
from agent.settings.target import INTERVAL
from agent.snmp.opening import opener
from forewarn.demo.responder import Responder
from tests.clocks import SteppedClock
from tests.polling import RECORDINGS, UPTIME, Kept, RealClock, contact, in_loop, reading, recorded, target, until, value

BATTERY = "1.3.6.1.2.1.33.1.2"
HERTZ = "1.3.6.1.2.1.33.1.3.3.1.2.1"


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


@pytest.mark.parametrize(
    ("usual", "read", "odd", "read_odd"),
    [
        ((545, 25, 499), (54.5, 25.0, 49.9), (8, 300, 50), (None, None, None)),
        ((54, 300, 50), (54.0, 30.0, 50.0), (9000, 24, 500), (None, 2.4, None)),
        ((45000, 251, 500), (450.0, 25.1, 50.0), (545, 900, 50), (None, None, None)),
    ],
    ids=["as the RFC says", "volts, tenths of a degree, hertz", "hundredths of a volt"],
)
def test_a_ups_with_other_units_than_the_rfc_never_hops_between_scales(responder, usual, read, odd, read_odd):
    """3 of 125 samples (2.4 %) would fit another scale."""
    device = recorded(responder, "ups.rfc1628")
    fields = [("ups", "", "battery_volts"), ("ups", "", "battery_celsius"), ("ups_input", "1", "hertz")]
    seen: dict[bool, set[tuple[float | None, ...]]] = {True: set(), False: set()}

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)
        for poll in range(125):
            is_odd = poll in (40, 41, 90)
            for name, raw in zip((f"{BATTERY}.5.0", f"{BATTERY}.7.0", HERTZ), odd if is_odd else usual, strict=True):
                device.set(name, 2, raw)
            device.set(UPTIME, 67, 1_000_000 + poll * 6000)
            found = reading(await met.poll())
            seen[is_odd].add(tuple(value(found, *field) for field in fields))
            clock.step(60)
        met.close()

    in_loop(steps)
    assert seen == {False: {read}, True: {read_odd}}


def test_the_scale_survives_a_restart_and_is_found_anew_for_another_device(responder):
    text = (RECORDINGS / "ups.apc.snmprec").read_text()
    serial, hertz = "1.3.6.1.4.1.318.1.1.1.1.2.3.0", "1.3.6.1.4.1.318.1.1.1.3.2.4.0"
    device = responder.add(text)
    device.set(hertz, 66, 501)

    async def steps() -> None:
        clock = SteppedClock()
        met = contact(device, clock)

        async def polled(uptime: int, raw: int) -> float | None:
            device.set(UPTIME, 67, uptime)
            device.set(hertz, 66, raw)
            clock.step(60)
            return value(reading(await met.poll()), "ups_input", "1", "hertz")

        assert await polled(100_000, 501) == 50.1
        assert await polled(500, 50) is None, "the same device after a restart"
        assert await polled(6_500, 499) == 49.9
        device.set(serial, 4, "ANOTHER")
        assert await polled(500, 50) == 50
        assert await polled(6_500, 499) is None
        met.close()

    in_loop(steps)


def test_a_device_s_clock_is_held_against_ours(responder):
    device = recorded(responder, "generic")
    # 2023-11-14 22:13:25.0 UTC: DateAndTime with its zone.
    device.set("1.3.6.1.2.1.25.1.2.0", 4, bytes.fromhex("07e70b0e160d19002b0000"))

    async def steps() -> None:
        clock = SteppedClock()
        found = reading(await contact(device, clock).poll())
        ahead = value(found, "device", "", "clock_offset_seconds")
        assert ahead == pytest.approx(1_700_000_005 - clock.now() / 1000, abs=5)

    in_loop(steps)


def test_a_camera_s_clock_without_a_zone_is_in_that_of_the_site(responder, monkeypatch):
    monkeypatch.setenv("TZ", "CST-8")
    time.tzset()
    device = recorded(responder, "hikvision.camera")

    async def steps() -> None:
        clock = SteppedClock()
        shown = datetime.fromtimestamp(clock.now() / 1000 - 90, tz=timezone(timedelta(hours=8)))
        device.set("1.3.6.1.4.1.39165.1.19.0", 4, f"{shown:%Y-%m-%d %H:%M:%S}")
        found = reading(await contact(device, clock).poll())
        assert value(found, "device", "", "clock_offset_seconds") == pytest.approx(-90, abs=1)

    try:
        in_loop(steps)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_family_that_cannot_take_bulk_requests_is_walked_row_by_row(responder):
    text = "id: simple\nextends: [switch.generic]\nquirks: {no_bulk: true}\n"
    asked = {}
    for name, profiles in (("switch.generic", shipped()), ("simple", {"simple": load(text, "simple.yaml")})):
        device = recorded(responder, "switch.generic")
        met = Contact(target(device, profile=name), profiles, open_session=opener(), clock=SteppedClock())

        async def once(met: Contact = met) -> None:
            assert reading(await met.poll()).ok
            met.close()

        in_loop(once)
        asked[name] = device.requests
    # Of interfaces and PoE ports there are nine rows, and one request more to see the end of each column.
    assert asked["simple"] >= asked["switch.generic"] + 9


def test_a_profile_s_interval_holds_where_the_settings_give_none(responder):
    device = recorded(responder, "generic")
    text = "id: quick\nextends: [generic]\nmatch: {priority: 99}\ninterval: 200ms\n"
    profiles = shipped() | {"quick": load(text, "quick.yaml")}
    fixed = Contact(
        target(device, profile="quick", interval=INTERVAL), profiles, open_session=opener(), clock=RealClock()
    )
    assert fixed.interval == 0.2
    given = Contact(target(device, profile="quick"), profiles, open_session=opener(), clock=RealClock())
    assert given.interval == 60, "the settings say 60 s"
    unknown = Contact(target(device, interval=INTERVAL), profiles, open_session=opener(), clock=RealClock())
    assert unknown.interval == 60

    async def steps() -> None:
        kept = Kept()
        poller = Poller(
            [target(device, profile="quick", interval=INTERVAL)],
            profiles=profiles,
            open_session=opener(),
            sink=kept,
            permit=lambda *_: None,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        await until(lambda: len(kept.of("it")) >= 4)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not [item for item in kept.items if isinstance(item, Happening) and item.kind != "inventory"]

    in_loop(steps)
