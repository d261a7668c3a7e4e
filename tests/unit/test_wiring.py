"""Where devices hang is found from what the switches tell, and told in the inventory unless a person has said it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.devices.remembered import Memory
from agent.polling import nearby, neighbours
from agent.polling.neighbours import Neighbour
from agent.polling.wiring import Wiring
from agent.reading import Happening, Reading
from agent.settings.target import Target
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from tests.polling import Kept

SHAPE = Shape(kind=DeviceKind.CAMERA, profile="p", source=Source.SNMP, tables=[TableShape("device", [""], ["up"])])
CAM, OTHER = "00:00:5e:00:53:01", "00:00:5e:00:53:02"
FOUND = {"switch": "sw-1", "switch_port": "gi1", "switch_found_by": "fdb", "poe_port": "1.1"}
LEARNT = [Neighbour("gi1", mac=CAM, poe_port="1.1")]


class Site:
    """A camera and a switch that pass through a wiring; `told` has the inventories of a device, in order."""

    def __init__(self, folder: Path | None = None, *, known: dict[str, str] | None = None, **by_hand: str) -> None:
        self.devices = [
            Target(name="cam-1", address="192.0.2.1", **by_hand),  # type: ignore[arg-type]
            Target(name="sw-1", address="192.0.2.2"),
            Target(name="sw-2", address="192.0.2.3"),
        ]
        self.kept = Kept()
        self.memory = Memory(folder, [each.name for each in self.devices])
        self.wiring = Wiring(self.devices, sink=self.kept, memory=self.memory, known=lambda: known or {})
        self.t = 1_000_000

    def read(self, name: str) -> None:
        self.t += 1000
        asyncio.run(self.wiring.put(Reading(self.t, name, SHAPE, [1.0])))

    def tell(self, name: str, around: list[Neighbour] | None = None, **text: str) -> None:
        """A poll of a device that tells its inventory."""
        self.read(name)
        whole = text | ({"neighbours": neighbours.text(around)} if around else {})
        asyncio.run(self.wiring.put(Happening(self.t, name, "inventory", SHAPE, whole)))

    def told(self, name: str) -> list[dict[str, str]]:
        found = [each for each in self.kept.items if isinstance(each, Happening) and each.device == name]
        return [each.text for each in found]

    def round(self, around: list[Neighbour] = LEARNT) -> None:
        self.tell("cam-1", mac="00-00-5E-00-53-01")
        self.tell("sw-1", around, mac="00:00:5e:00:53:f1")
        self.tell("sw-2", mac="00:00:5e:00:53:f2")


def test_a_camera_s_inventory_is_told_again_with_its_next_reading_once_all_were_heard():
    site = Site()
    site.round()
    assert site.told("cam-1") == [{"mac": "00-00-5E-00-53-01"}], "nothing is told outside its own polls"
    site.read("cam-1")
    assert site.told("cam-1")[1:] == [{"mac": "00-00-5E-00-53-01"} | FOUND]
    assert site.kept.items[-1] == replace(site.kept.items[-1], t=site.t), "as of that reading"
    site.read("cam-1")
    assert len(site.told("cam-1")) == 2, "and not again"
    site.tell("cam-1", mac=CAM)
    assert site.told("cam-1")[-1] == {"mac": CAM} | FOUND, "its own next inventory says it too"


def test_nothing_is_joined_before_every_device_was_heard_or_had_its_time():
    site = Site()
    site.tell("cam-1", mac=CAM)
    site.tell("sw-1", LEARNT)
    site.read("cam-1")
    assert site.told("cam-1") == [{"mac": CAM}], "the port may lead to sw-2, that has not spoken yet"
    site.t += 120_000
    site.read("cam-1")
    assert site.told("cam-1")[-1] == {"mac": CAM} | FOUND


@pytest.mark.parametrize("by_hand", [{"switch": "sw-2"}, {"switch": "sw-1", "switch_port": "7"}])
def test_what_the_settings_say_is_never_changed(by_hand):
    site = Site(**by_hand)
    site.round()
    site.read("cam-1")
    assert site.told("cam-1") == [{"mac": "00-00-5E-00-53-01"}]


def test_a_port_is_found_for_the_switch_that_the_settings_name():
    site = Site(switch="sw-1")
    site.round()
    site.read("cam-1")
    assert site.told("cam-1")[-1]["switch_port"] == "gi1"


def test_a_link_outlives_what_the_switch_forgets_and_a_restart(tmp_path):
    site = Site(tmp_path)
    site.round()
    site.tell("sw-1", [Neighbour("gi2", mac=OTHER)])
    site.tell("cam-1", mac=CAM)
    assert site.told("cam-1")[-1] == {"mac": CAM} | FOUND, "a dark camera hangs where it hung"
    site.memory.save()
    again = Site(tmp_path)
    again.tell("cam-1", mac=CAM)
    assert again.told("cam-1") == [{"mac": CAM} | FOUND]


def test_a_link_moves_when_the_switch_it_named_has_spoken_and_not_while_that_is_silent(tmp_path):
    site = Site(tmp_path)
    site.round()
    site.memory.save()
    again = Site(tmp_path)
    again.tell("cam-1", mac=CAM)
    again.read("sw-1")
    again.tell("sw-2", [Neighbour("fa9", mac=CAM)])
    again.read("cam-1")
    assert again.told("cam-1")[-1]["switch_port"] == "gi1", "sw-2 may only see it through sw-1"
    again.tell("sw-1", [Neighbour("gi2", mac=OTHER)])
    again.read("cam-1")
    moved = {"switch": "sw-2", "switch_port": "fa9", "switch_found_by": "fdb"}
    assert again.told("cam-1")[-1] == {"mac": CAM} | moved


def test_a_device_that_tells_no_mac_is_known_by_the_neighbour_table_of_this_machine(tmp_path):
    table = tmp_path / "arp"
    table.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        f"192.0.2.1        0x1         0x2         {CAM}     *        eth0\n"
        f"192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
    )
    known = nearby.macs(table)
    assert known == {"192.0.2.1": CAM}
    site = Site(known=known)
    site.tell("cam-1", model="x")
    site.tell("sw-1", LEARNT)
    site.read("sw-2")
    site.read("cam-1")
    assert site.told("cam-1")[-1] == {"model": "x"} | FOUND
    assert nearby.macs(tmp_path / "none") == {}
    table.write_text("head\n192.0.2.1 0x1 what is this 0\n")
    assert nearby.macs(table) == {}


def test_what_is_no_device_of_the_settings_passes():
    site = Site()
    item = Reading(1, "a-1", SHAPE, [1.0])
    asyncio.run(site.wiring.put(item))
    assert site.kept.items == [item]


def test_a_switch_is_told_to_hang_on_another_and_when_they_change_places_no_loop_is_left(tmp_path):
    first, second = "00:00:5e:00:53:f1", "00:00:5e:00:53:f2"
    site = Site(tmp_path)

    def all_told(one: Site, above: str, below: str, macs: dict[str, str]) -> None:
        one.tell("cam-1", mac=CAM)
        one.tell(above, [Neighbour("gi1", here=True), Neighbour("gi24", mac=macs[below])], mac=macs[above])
        one.tell(below, [Neighbour("gi24", here=True), Neighbour("gi24", mac=macs[above])], mac=macs[below])
        one.read(below)

    macs = {"sw-1": first, "sw-2": second}
    all_told(site, "sw-1", "sw-2", macs)
    on = {"switch": "sw-1", "switch_port": "gi24", "switch_found_by": "fdb"}
    assert on.items() <= site.told("sw-2")[-1].items()
    site.memory.save()
    again = Site(tmp_path)
    all_told(again, "sw-2", "sw-1", macs)
    again.read("sw-2")
    assert again.told("sw-1")[-1]["switch"] == "sw-2"
    assert "switch" not in again.told("sw-2")[-1]


def test_the_machine_s_own_addresses_are_read_from_the_system(tmp_path):
    for name, address in (("eth0", "00:00:5e:00:53:0A\n"), ("lo", "00:00:00:00:00:00\n"), ("odd", "\xff")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "address").write_text(address, encoding="latin-1")
    assert nearby.own(tmp_path) == {"00005e00530a"}
    assert nearby.own(tmp_path / "none") == frozenset()
