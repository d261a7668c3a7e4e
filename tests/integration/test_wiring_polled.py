"""A polled switch and a polled camera: where the camera hangs is found from the switch's bridge table."""

from __future__ import annotations

import asyncio

from agent.devices.remembered import Memory
from agent.polling.poller import Poller
from agent.polling.wiring import Wiring
from agent.profiles.files import shipped
from agent.reading import Happening
from agent.snmp.opening import opener
from forewarn.demo.responder import Responder
from forewarn.settings import Duration
from tests.polling import Kept, RealClock, ended, in_loop, recorded, target, until

BRIDGE = "1.3.6.1.2.1.17"
MAC_OCTETS = "0.0.94.0.83.9"


def test_a_camera_is_found_on_the_port_of_the_switch_that_has_learnt_its_address():
    async def steps() -> None:
        with Responder() as responder:
            switch, camera = recorded(responder, "switch.h3c"), recorded(responder, "hikvision.camera")
            camera.set("1.3.6.1.4.1.39165.1.4.0", 4, "00:00:5e:00:53:09")
            switch.set(f"{BRIDGE}.1.4.1.2.1", 2, 1)
            switch.set(f"{BRIDGE}.4.3.1.2.{MAC_OCTETS}", 2, 1)
            switch.set(f"{BRIDGE}.4.3.1.3.{MAC_OCTETS}", 2, 3)
            often = {"interval": Duration(0.3)}
            devices = [target(switch, "sw", **often), target(camera, "cam", **often)]
            kept, memory = Kept(), Memory(None, ["sw", "cam"])
            poller = Poller(
                devices,
                profiles=shipped(),
                open_session=opener(),
                sink=Wiring(devices, sink=kept, memory=memory, known=dict),
                permit=lambda _source, _address: None,
                clock=RealClock(),
                memory=memory,
            )

            def told() -> list[dict[str, str]]:
                found = [item for item in kept.items if isinstance(item, Happening) and item.device == "cam"]
                return [item.text for item in found if "switch" in item.text]

            running = asyncio.create_task(poller.run())
            await until(lambda: bool(told()))
            await ended(running)
            assert told()[0]["mac"] == "00:00:5e:00:53:09"
            found = {word: told()[0].get(word) for word in ("switch", "switch_port", "switch_found_by")}
            assert found == {"switch": "sw", "switch_port": "GigabitEthernet1/0/1", "switch_found_by": "fdb"}

    in_loop(steps)
