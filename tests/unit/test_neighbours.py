"""Who hangs on which port, of what all switches know; and what one switch knows, as a text."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agent.polling import joining, neighbours
from agent.polling.joining import Link
from agent.polling.neighbours import FEW, MOST_BYTES, Neighbour
from agent.snmp.played import PlayedExchange
from agent.snmp.requester import Requester
from agent.snmp.session import Value

CAM1, CAM2, NVR, SW2 = ("00:00:5e:00:53:01", "00:00:5e:00:53:02", "00:00:5e:00:53:03", "00:00:5e:00:53:f2")
MACS = {"cam-1": "00-00-5E-00-53-01", "cam-2": "0000.5e00.5302", "nvr": NVR, "sw-2": SW2}


def learnt(port: str, *macs: str, poe: str = "") -> list[Neighbour]:
    return [Neighbour(port, mac=mac, poe_port=poe) for mac in macs]


def test_each_device_hangs_on_the_port_that_knows_it_alone():
    switches = {
        "sw-1": [*learnt("gi1", CAM1, poe="1.1"), *learnt("gi24", CAM2, NVR, SW2)],
        "sw-2": [*learnt("fa1", CAM2), *learnt("fa2", NVR), *learnt("fa24", CAM1)],
    }
    found = joining.links(switches, MACS | {"sw-1": "00:00:5e:00:53:f1"})
    assert found["cam-1"] == Link("sw-1", "gi1", "1.1"), "sw-1 knows sw-2 on another port: fa24 leads away from it"
    assert (found["cam-2"], found["nvr"]) == (Link("sw-2", "fa1", ""), Link("sw-2", "fa2", ""))
    assert "sw-2" not in found, "the port to another switch is no device's port"


def test_a_port_with_a_neighbour_that_forwards_or_with_many_is_an_uplink():
    forwards = [Neighbour("gi24", mac="00:00:5e:00:53:99", forwards=True), *learnt("gi24", CAM1)]
    many = [Neighbour("gi23", many=FEW + 1), *learnt("gi23", CAM1)]
    assert joining.links({"sw-1": [*forwards, *many]}, MACS) == {}


def test_of_two_ports_that_know_a_device_the_quieter_has_it_and_of_equal_ones_none():
    stranger = "00:00:5e:00:53:77"
    switches = {"sw-1": learnt("gi1", CAM1, stranger), "sw-3": learnt("gi9", CAM1)}
    assert joining.links(switches, MACS)["cam-1"] == Link("sw-3", "gi9", "")
    switches = {"sw-1": learnt("gi1", CAM1), "sw-3": learnt("gi9", CAM1)}
    # Two switches that know nothing of each other.
    assert "cam-1" not in joining.links(switches, MACS)


def test_a_link_says_whether_the_device_told_it_or_the_switch_learnt_it():
    switches = {"sw-1": [Neighbour("gi1", mac=CAM1, spoken=True), *learnt("gi1", CAM2)]}
    found = joining.links(switches, MACS)
    assert (found["cam-1"].by, found["cam-2"].by) == ("lldp", "fdb")


def test_an_address_that_two_devices_have_tells_where_neither_hangs():
    switches = {"sw-1": [*learnt("gi1", CAM1), *learnt("gi2", NVR)]}
    assert joining.links(switches, MACS | {"cam-9": CAM1}).keys() == {"nvr"}


def test_no_device_hangs_on_itself_and_addresses_that_are_none_are_nobody_s():
    assert joining.links({"sw-2": learnt("gi1", SW2, "not a mac")}, MACS | {"odd": "not a mac", "bare": ""}) == {}


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("3C-8C-F8-01-02-03", "3c8cf8010203"),
        ("3c8c.f801.0203", "3c8cf8010203"),
        ("3c:8c:f8:01:02:03", "3c8cf8010203"),
        ("3c8cf8010203", "3c8cf8010203"),
        ("3c:8c:f8:01:02", ""),
        ("DS-2CD2185", ""),
        ("", ""),
    ],
)
def test_a_mac_address_is_known_in_every_spelling(given, plain):
    assert neighbours.plain_mac(given) == plain


def test_the_text_is_bounded_and_reads_back():
    found = [Neighbour("gi1", mac=CAM1, name="camera at the gate"), *(Neighbour(f"gi{port}") for port in range(2, 900))]
    told = neighbours.text(found)
    assert len(told.encode()) <= MOST_BYTES
    back = neighbours.said(told)
    assert back == found[: len(back)]
    assert len(back) > 100
    assert neighbours.text([]) == ""
    assert neighbours.said("no json") == neighbours.said('[{"mac": 1}]') == []


REMOTE, LOCAL = "1.0.8802.1.1.2.1.4.1.1", "1.0.8802.1.1.2.1.3.7.1"
IF_NAME, BRIDGE, POE = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.17", "1.3.6.1.2.1.105.1.1.1.6"


def asked(objects: dict[str, Value], *ways: str, poe: tuple[str, ...] = ()) -> list[Neighbour]:
    return asyncio.run(neighbours.read(ways, Requester(PlayedExchange(objects)), poe=poe))  # type: ignore[arg-type]


def ports(count: int = 3) -> dict[str, Value]:
    """A switch whose bridge ports 1.. are interfaces 101.. and whose PoE ports have the numbers of the bridge's."""
    found: dict[str, Value] = {}
    for port in range(1, count + 1):
        found |= {f"{IF_NAME}.{100 + port}": b"gi%d" % port, f"{BRIDGE}.1.4.1.2.{port}": 100 + port}
        found[f"{POE}.1.{port}"] = 3
    return found


def heard(mac: str, port: int, *, table: str = "4.3.1", vlan: str = "", how: int = 3) -> dict[str, Value]:
    index = vlan + ".".join(str(octet) for octet in bytes.fromhex(mac.replace(":", "")))
    first, second = ("2", "3")
    return {f"{BRIDGE}.{table}.{first}.{index}": port, f"{BRIDGE}.{table}.{second}.{index}": how}


def test_learnt_addresses_stand_at_the_names_of_the_ports_and_busy_ports_are_counted():
    objects = ports() | heard(CAM1, 1) | heard(CAM2, 2) | heard(NVR, 2) | heard(SW2, 3, how=4) | heard(NVR, 0)
    for number in range(FEW + 1):
        objects |= heard(f"00:00:5e:00:53:a{number}", 3)
    assert asked(objects, "bridge") == [
        Neighbour("gi1", mac=CAM1, poe_port="1.1"),
        Neighbour("gi2", mac=CAM2, poe_port="1.2"),
        Neighbour("gi3", poe_port="1.3", many=FEW + 1),
    ]


def test_a_poe_port_that_the_profile_calls_by_its_interface_is_that_interface():
    objects = ports() | heard(CAM1, 1) | heard(CAM2, 2)
    assert asked(objects, "bridge", poe=("gi1", "1.3")) == [
        Neighbour("gi1", mac=CAM1, poe_port="gi1"),
        Neighbour("gi2", mac=CAM2),
    ]


def test_in_a_stack_whose_poe_ports_begin_anew_in_each_box_nobody_can_tell_which_is_whose():
    objects = ports() | heard(CAM1, 1) | {f"{POE}.2.1": 3}
    assert asked(objects, "bridge") == [Neighbour("gi1", mac=CAM1)]


def test_a_switch_with_vlans_is_read_by_its_table_with_vlans():
    objects = ports() | heard(CAM1, 2, table="7.1.2.2.1", vlan="20.")
    assert asked(objects, "bridge") == [Neighbour("gi2", mac=CAM1, poe_port="1.2")]


def test_neighbours_that_say_who_they_are_come_first_and_once():
    row = "0.7.1"
    objects = ports() | heard(SW2, 3) | heard(CAM1, 1)
    objects |= {
        f"{REMOTE}.4.{row}": 4,
        f"{REMOTE}.5.{row}": bytes.fromhex(SW2.replace(":", "")),
        f"{REMOTE}.6.{row}": 5,
        f"{REMOTE}.7.{row}": b"ge-0/0/1",
        f"{REMOTE}.9.{row}": b"sw-2",
        f"{REMOTE}.12.{row}": b"\x28\x00",
        f"{LOCAL}.3.7": b"gi3",
        # A camera whose chassis has a name, and whose port has the address.
        f"{REMOTE}.4.0.9.2": 7,
        f"{REMOTE}.5.0.9.2": b"camera",
        f"{REMOTE}.6.0.9.2": 3,
        f"{REMOTE}.7.0.9.2": bytes.fromhex(CAM2.replace(":", "")),
        f"{REMOTE}.9.0.9.2": b"gate",
        f"{REMOTE}.12.0.9.2": b"\x01",
        f"{LOCAL}.4.9": b"gi2",
    }
    assert asked(objects, "lldp", "bridge") == [
        Neighbour("gi2", mac=CAM2, name="gate", poe_port="1.2", spoken=True),
        Neighbour("gi3", mac=SW2, name="sw-2", poe_port="1.3", forwards=True, spoken=True),
        Neighbour("gi1", mac=CAM1, poe_port="1.1"),
    ]


def test_a_switch_that_knows_nobody_and_a_device_that_is_not_asked_tell_nothing():
    assert asked(ports(), "lldp", "bridge") == []
    assert asked(ports() | heard(CAM1, 1)) == []


def test_a_table_without_an_end_tells_nothing():
    objects = ports() | {f"{BRIDGE}.4.3.1.2.0.0.94.0.{row >> 8}.{row & 255}": 1 for row in range(4200)}
    assert asked(objects, "bridge") == []


def test_what_people_read_is_plain_json():
    assert msgspec.json.decode(neighbours.text([Neighbour("gi1", mac=CAM1)])) == [{"port": "gi1", "mac": CAM1}]


SW1, SW3, US = "00:00:5e:00:53:f1", "00:00:5e:00:53:f3", "00:00:5e:00:53:0a"
SWITCHES = {"sw-1": SW1, "sw-2": SW2, "sw-3": SW3}


def here(port: str) -> list[Neighbour]:
    return [Neighbour(port, mac=US, here=True), Neighbour(port, many=FEW + 1)]


def test_a_switch_hangs_on_the_one_that_lies_on_its_way_to_us():
    """We hang on sw-1, sw-2 on its gi24, and sw-3 on fa23 of sw-2."""
    switches = {
        "sw-1": [Neighbour("gi1", mac=US, here=True), *learnt("gi24", SW2, SW3, poe="1.24")],
        "sw-2": [*here("fa24"), *learnt("fa24", SW1), *learnt("fa23", SW3)],
        "sw-3": [*here("fa24"), *learnt("fa24", SW1, SW2)],
    }
    found = joining.uplinks(switches, SWITCHES | MACS)
    assert found == {"sw-2": Link("sw-1", "gi24", "1.24"), "sw-3": Link("sw-2", "fa23", "")}
    assert joining.links(switches, SWITCHES | MACS) == {}, "and no camera hangs there"


def test_two_that_say_by_lldp_that_they_are_neighbours_need_one_s_word():
    switches = {
        "sw-1": [*here("gi1"), Neighbour("gi24", mac=SW2, forwards=True, spoken=True)],
        "sw-2": [Neighbour("fa24", many=40)],
    }
    assert joining.uplinks(switches, SWITCHES) == {"sw-2": Link("sw-1", "gi24", "", "lldp")}


def test_without_knowing_where_we_are_nobody_can_tell_which_of_two_hangs_on_the_other():
    switches = {"sw-1": learnt("gi24", SW2), "sw-2": learnt("fa24", SW1)}
    assert joining.uplinks(switches, SWITCHES) == {}
    switches = {"sw-1": [*here("gi24"), *learnt("gi24", SW2)], "sw-2": [*here("fa24"), *learnt("fa24", SW1)]}
    assert joining.uplinks(switches, SWITCHES) == {}, "both behind something we do not know"


def test_this_machine_is_told_first_and_of_a_busy_port_too():
    objects = ports() | heard(CAM1, 1)
    for number in range(FEW):
        objects |= heard(f"00:00:5e:00:53:b{number}", 3)
    objects |= heard(US, 3)
    read = neighbours.read(("bridge",), Requester(PlayedExchange(objects)), here={US.replace(":", "")})  # type: ignore[arg-type]
    assert asyncio.run(read) == [
        Neighbour("gi3", mac=US, here=True),
        Neighbour("gi1", mac=CAM1, poe_port="1.1"),
        Neighbour("gi3", poe_port="1.3", many=FEW + 1),
    ]


def test_one_that_says_its_name_by_lldp_is_the_device_that_has_that_name_alone():
    switches = {
        "sw-1": [
            *here("gi1"),
            Neighbour("gi2", mac="00:00:5e:00:53:cc", name="NVR-Hall", spoken=True),
            Neighbour("gi3", name="cam", spoken=True),
            Neighbour("gi4", mac=CAM1, name="nvr-hall"),
            Neighbour("gi24", mac="00:00:5e:00:53:cd", name="core", forwards=True, spoken=True),
        ]
    }
    names = {"nvr": "nvr-hall ", "cam-1": "cam", "cam-2": "cam", "sw-2": "core"}
    assert joining.links(switches, {}, names) == {"nvr": Link("sw-1", "gi2", "", "lldp")}
    switches["sw-2"] = []
    assert joining.uplinks(switches, {}, names) == {"sw-2": Link("sw-1", "gi24", "", "lldp")}
