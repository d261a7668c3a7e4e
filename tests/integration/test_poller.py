"""When devices are polled, and when not, over real UDP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from agent.polling import poller as polling
from agent.polling.poller import Poller, UnknownProfile, check, slot
from agent.profiles.files import shipped
from agent.reading import Reading
from agent.snmp.opening import opener
from forewarn.consent import Refusal
from forewarn.demo.responder import Mood, Responder
from forewarn.settings import Duration, SettingError
from tests.polling import Kept, RealClock, ended, in_loop, recorded, target, until


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


def test_nothing_is_sent_to_a_device_that_the_consent_does_not_cover(responder):
    device, other = recorded(responder, "ups.apc"), recorded(responder, "ups.apc")
    sink, allowed = Kept(), [False]

    def permit(_: object, address: str | None) -> Refusal | None:
        assert address == "127.0.0.1"
        return None if allowed[0] else Refusal.ADDRESS

    async def steps() -> None:
        fast = {"interval": Duration(0.2)}
        poller = Poller(
            [target(device, "a", **fast), target(other, "b", **fast)],
            profiles=shipped(),
            open_session=opener(),
            sink=sink,
            permit=permit,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(0.6)
        assert (device.requests, other.requests, sink.items) == (0, 0, [])
        assert poller.state().refused == 2
        allowed[0] = True
        await until(lambda: len(sink.of("a")) >= 2)
        allowed[0] = False
        await asyncio.sleep(0.25)
        asked = device.requests
        await asyncio.sleep(0.5)
        assert device.requests == asked, "withdrawn: nothing more within one interval"
        await ended(running)

    in_loop(steps)


def test_a_consent_that_ends_while_a_slow_device_is_asked_ends_the_asking(responder):
    device = recorded(responder, "ups.apc")
    device.mood = Mood.SILENT
    sink, allowed = Kept(), [True]

    async def steps() -> None:
        slow = target(device, "a", interval=Duration(30), timeout=Duration(0.4), retries=10)
        poller = Poller(
            [slow],
            profiles=shipped(),
            open_session=opener(),
            sink=sink,
            permit=lambda *_: None if allowed[0] else Refusal.STOPPED,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        poller.nudge("a")
        await until(lambda: device.requests >= 2)
        allowed[0] = False
        await until(lambda: poller.state().refused == 1)
        asked = device.requests
        assert asked < 11, "before it had been asked as often as it would have been"
        await asyncio.sleep(0.3)
        assert device.requests == asked
        assert sink.items == [], "nobody knows how that poll would have ended"
        await ended(running)

    in_loop(steps)


def test_dead_devices_delay_nobody(responder):
    healthy = [recorded(responder, "ups.apc") for _ in range(8)]
    dead = [recorded(responder, "ups.apc") for _ in range(4)]
    for device in dead:
        device.mood = Mood.SILENT
    sink = Kept()

    async def steps() -> None:
        devices = [target(each, f"healthy {at}", interval=Duration(0.5)) for at, each in enumerate(healthy)]
        slow = {"interval": Duration(0.5), "timeout": Duration(5), "retries": 3}
        devices += [target(each, f"dead {at}", **slow) for at, each in enumerate(dead)]
        poller = Poller(
            devices,
            profiles=shipped(),
            open_session=opener(),
            sink=sink,
            permit=lambda *_: None,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        await until(lambda: all(len(sink.of(f"healthy {at}")) >= 4 for at in range(8)))
        await until(lambda: poller.state().down == 4)
        assert all(not found.ok for found in sink.of("dead 0"))
        assert "no complete answer within 0.45 s" in sink.of("dead 0")[0].why
        await ended(running)

    in_loop(steps)


def test_polls_of_one_device_never_overlap_and_missed_slots_are_skipped(responder):
    device = recorded(responder, "ups.apc")
    device.mood, device.delay = Mood.LATE, 0.12
    sink = Kept()

    async def steps() -> None:
        mine = target(device, "slow", interval=Duration(0.3), timeout=Duration(5))
        poller = Poller(
            [mine], profiles=shipped(), open_session=opener(), sink=sink, permit=lambda *_: None, clock=RealClock()
        )
        running = asyncio.create_task(poller.run())
        await until(lambda: len(sink.items) >= 5)
        await ended(running)
        moments = [item.t for item in sink.items if isinstance(item, Reading)]
        assert moments == sorted(moments)
        assert min(b - a for a, b in itertools.pairwise(moments)) > 100, "no two at once"

    in_loop(steps)


def test_a_device_that_speaks_up_is_polled_at_once_and_a_storm_polls_it_once_in_five_seconds(responder, monkeypatch):
    monkeypatch.setattr(polling, "CALM", 0.5)
    sink = Kept()

    async def steps() -> None:
        devices = [target(recorded(responder, "ups.apc"), name, interval=Duration(3600)) for name in ("a", "b")]
        poller = Poller(
            devices, profiles=shipped(), open_session=opener(), sink=sink, permit=lambda *_: None, clock=RealClock()
        )
        running = asyncio.create_task(poller.run())
        poller.nudge("nobody")
        poller.nudge("a")
        await until(lambda: len(sink.of("a")) == 1)
        for _ in range(300):
            poller.nudge("a")
            await asyncio.sleep(0.004)
        await until(lambda: len(sink.of("a")) >= 3)
        polled = [item.t for item in sink.of("a")]
        assert len(polled) <= 5, "300 in 1.2 s"
        assert min(after - before for before, after in itertools.pairwise(polled)) >= 450
        assert sink.of("b") == []
        assert poller.kind("a") == "ups"
        await ended(running)

    in_loop(steps)


def test_a_device_that_is_down_and_speaks_up_is_asked_and_polled_whole_when_it_answers(responder, monkeypatch):
    monkeypatch.setattr(polling, "CALM", 0.05)
    device = recorded(responder, "ups.apc")
    device.mood = Mood.SILENT
    sink = Kept()

    async def steps() -> None:
        mine = target(device, interval=Duration(3600), timeout=Duration(0.1))
        poller = Poller(
            [mine], profiles=shipped(), open_session=opener(), sink=sink, permit=lambda *_: None, clock=RealClock()
        )
        running = asyncio.create_task(poller.run())
        for failed in range(1, 4):
            poller.nudge("it")
            await until(lambda wanted=failed: len(sink.of("it")) == wanted)
        assert poller.state().down == 1
        device.mood = Mood.HONEST
        poller.nudge("it")
        await until(lambda: sink.of("it")[-1].ok)
        assert len(sink.of("it")) == 4
        await ended(running)

    in_loop(steps)


def test_a_nudge_is_refused_where_polling_is(responder):
    device, sink = recorded(responder, "ups.apc"), Kept()

    async def steps() -> None:
        mine = target(device, interval=Duration(3600))
        poller = Poller(
            [mine],
            profiles=shipped(),
            open_session=opener(),
            sink=sink,
            permit=lambda *_: Refusal.SCOPE,
            clock=RealClock(),
        )
        running = asyncio.create_task(poller.run())
        poller.nudge("it")
        await until(lambda: poller.state().refused == 1)
        assert (device.requests, sink.items) == (0, [])
        await ended(running)

    in_loop(steps)


def test_a_device_is_polled_in_the_same_slot_after_every_start():
    slots = [slot(f"camera {number}", 60) for number in range(1000)]
    assert slots == [slot(f"camera {number}", 60) for number in range(1000)]
    assert all(0 <= at < 60 for at in slots)
    busiest = max(sum(1 for at in slots if second <= at < second + 1) for second in range(60))
    assert busiest < 40, "a thousand devices over sixty seconds"


def test_a_profile_there_is_none_of_is_named_with_the_nearest(responder):
    device = recorded(responder, "ups.apc")
    with pytest.raises(UnknownProfile, match=r"there is no profile `ups\.abc`; did you mean `ups\.apc`"):
        Poller(
            [target(device, profile="ups.abc")],
            profiles=shipped(),
            open_session=lambda _: pytest.fail("opened"),
            sink=Kept(),
            permit=lambda *_: None,
            clock=RealClock(),
        )


def test_two_devices_of_one_name_are_refused(responder):
    device = recorded(responder, "ups.apc")
    with pytest.raises(SettingError, match="another device is called `it` already"):
        check([target(device), target(device)], shipped())
