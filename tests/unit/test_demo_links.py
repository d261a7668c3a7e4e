"""The simulated site hangs together: its links name its own devices, and ports that its switch has."""

from __future__ import annotations

from collector.topology import port_of
from forewarn.demo.site import devices
from forewarn.vocabulary import LINKS

SITE = {each.name: each for each in devices(1_795_348_800_000)}


def test_every_link_names_a_device_of_the_site_and_every_camera_says_its_port_and_channel() -> None:
    named = {each.links[relation] for each in SITE.values() for relation in LINKS if relation in each.links}
    assert named == {"sw-1", "nvr-1", "ups-1"}
    cameras = {name: each.links for name, each in SITE.items() if name.startswith("cam-")}
    assert len({links["switch_port"] for links in cameras.values()}) == len(cameras) == 5
    assert len({links["recorder_channel"] for links in cameras.values()}) == 5


def test_the_ports_are_those_that_the_switch_is_driven_by() -> None:
    ports = {moving.instance for moving in SITE["sw-1"].moving if moving.table == "interface"}
    used = {each.links["switch_port"] for each in SITE.values() if "switch_port" in each.links}
    assert {port_of(port, ports) for port in used} == used
    assert ports - used == {"GigabitEthernet1/0/24"}
