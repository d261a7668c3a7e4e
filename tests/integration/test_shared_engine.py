"""Two devices that answer with one SNMP engine id: an event names both, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.devices.engines import Engines
from agent.devices.remembered import Memory
from agent.polling.contact import Contact
from agent.polling.poller import Poller
from agent.profiles.files import shipped
from agent.reading import Happening
from agent.snmp.opening import opener
from forewarn.demo.responder import Responder
from forewarn.settings import Duration
from tests.clocks import SteppedClock
from tests.polling import Kept, RealClock, contact, ended, in_loop, recorded, target, until

ENGINE_ID = "1.3.6.1.6.3.10.2.1.1.0"
ENGINE = bytes.fromhex("80001f8880aabbccdd11223344")


def shared(kept: Kept) -> list[Happening]:
    return [
        item for item in kept.items if isinstance(item, Happening) and item.text.get("event", "").startswith("shared")
    ]


def test_two_devices_with_one_engine_id_are_named_in_one_event():
    with Responder() as responder:
        devices = [recorded(responder, "generic") for _ in range(3)]
        for device in devices[:2]:
            device.set(ENGINE_ID, 4, ENGINE)
        devices[2].set(ENGINE_ID, 4, ENGINE[:-1] + b"\0")
        kept = Kept()
        poller = Poller(
            [target(device, f"sw-{n}", interval=Duration(0.3)) for n, device in enumerate(devices, 1)],
            profiles=shipped(),
            open_session=opener(),
            sink=kept,
            permit=lambda *_: None,
            clock=RealClock(),
        )

        async def steps() -> None:
            running = asyncio.create_task(poller.run())
            await until(lambda: all(len(kept.of(f"sw-{n}")) >= 3 for n in (1, 2, 3)))
            await ended(running)

        in_loop(steps)
    (event,) = shared(kept)
    assert {event.text["device"], event.text["other"]} == {"sw-1", "sw-2"}
    assert event.text["engine"] == ENGINE.hex()
    assert event.device == event.text["device"]


def test_after_a_restart_of_the_agent_it_is_not_told_again_and_a_new_double_is(tmp_path: Path):
    names = ["sw-1", "sw-2"]
    with Responder() as responder:
        devices = [recorded(responder, "generic") for _ in range(2)]
        for device in devices:
            device.set(ENGINE_ID, 4, ENGINE)

        async def round_of(memory: Memory) -> list[Happening]:
            engines, told = Engines(memory.devices), []
            for device, name in zip(devices, names, strict=True):
                met = Contact(
                    target(device, name),
                    shipped(),
                    open_session=opener(),
                    clock=SteppedClock(),
                    remembered=memory.devices[name],
                )
                await met.poll()
                told += engines.told(met, 5)
                met.close()
            memory.save()
            return told

        async def steps() -> None:
            (first,) = await round_of(Memory(tmp_path, names))
            assert (first.device, first.text["other"]) == ("sw-2", "sw-1")
            assert await round_of(Memory(tmp_path, names)) == []
            devices[1].set(ENGINE_ID, 4, ENGINE[:-1] + b"\0")
            assert await round_of(Memory(tmp_path, names)) == [], "mended"
            devices[1].set(ENGINE_ID, 4, ENGINE)
            assert len(await round_of(Memory(tmp_path, names))) == 1, "and broken again"

        in_loop(steps)


def test_a_device_without_an_engine_id_shares_none():
    with Responder() as responder:
        one = contact(recorded(responder, "generic"), SteppedClock())
        memory = Memory(None, ["it", "other"])

        async def steps() -> None:
            await one.poll()
            one.close()

        in_loop(steps)
    assert Engines(memory.devices).told(one, 5) == []
