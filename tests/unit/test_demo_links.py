"""The simulated site hangs together: what is typed names its own devices, and where they are plugged in is found."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent.devices.remembered import Memory
from agent.polling.contact import Contact
from agent.polling.wiring import Wiring
from agent.profiles.files import load_folder
from agent.settings.target import Target
from agent.snmp.opening import opener
from collector.topology import port_of
from forewarn.demo import history
from forewarn.demo.site import PORTS, devices
from forewarn.demo.stage import Stage
from forewarn.vocabulary import LINKS
from tests.polling import Kept, RealClock

SITE = {each.name: each for each in devices(1_795_348_800_000)}
PROFILES = Path(history.__file__).parent / "profiles"


def test_every_link_that_is_typed_names_a_device_of_the_site_and_none_a_switch() -> None:
    named = {each.links[relation] for each in SITE.values() for relation in LINKS if relation in each.links}
    assert named == {"nvr-1", "ups-1"}
    cameras = {name: each.links for name, each in SITE.items() if name.startswith("cam-")}
    assert len({links["recorder_channel"] for links in cameras.values()}) == len(cameras) == 5


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    """What the agent finds of each device after one poll of the whole site, from what the switch says."""
    with Stage(devices(time.time_ns() // 1_000_000)) as stage:
        targets = [
            Target(
                name=actor.role.name, address=actor.device.address, port=actor.device.port, profile=actor.role.profile
            )
            for actor in stage.actors
        ]
        memory = Memory(None, SITE)
        wiring = Wiring(targets, sink=Kept(), memory=memory, known=dict)

        profiles = load_folder(PROFILES)

        async def polled() -> None:
            for target in targets:
                contact = Contact(target, profiles, open_session=opener(), clock=RealClock())
                for item in await contact.poll():
                    await wiring.put(item)
                contact.close()

        asyncio.run(polled())
    return {name: each.link for name, each in memory.devices.items() if each.link}


def test_the_agent_finds_every_device_on_the_port_where_it_is_plugged_in(found: dict[str, dict[str, str]]) -> None:
    places = {name: (each["switch"], each["switch_port"]) for name, each in found.items()}
    assert places == {name: ("sw-1", f"GigabitEthernet1/0/{port}") for name, port in PORTS.items()}
    said = {name: each["switch_found_by"] for name, each in found.items()}
    assert {name for name, by in said.items() if by == "lldp"} == {"nvr-1", "srv-1"}
    assert all(found[name]["poe_port"] for name in PORTS), "ports 1 to 8 can feed"


def test_the_ports_are_those_that_the_switch_is_driven_by(found: dict[str, dict[str, str]]) -> None:
    ports = {moving.instance for moving in SITE["sw-1"].moving if moving.table == "interface"}
    used = {each["switch_port"] for each in found.values()}
    assert {port_of(port, ports) for port in used} == used
    assert ports - used == {"GigabitEthernet1/0/24"}
