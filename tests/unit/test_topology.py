"""The picture of what hangs on what, whatever devices say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.topology import Branch, Standing, Topology, natural, port_of, topology
from forewarn.vocabulary import LINKS, DeviceKind


def device(name: str, kind: str = "camera", agent: str = "a-1", **inventory: Any) -> dict[str, Any]:
    return {"device": name, "kind": kind, "agent": agent, "inventory": {"model": "m", **inventory}}


SITE = [
    device("a-1", "agent"),
    device("sw-1", "switch", ups="ups-1"),
    device("sw-2", "switch", switch="sw-1", switch_port="Gi1/0/24"),
    device("cam-10", switch="sw-2", switch_port="Gi1/0/10", recorder="nvr-1", recorder_channel="10"),
    device("cam-9", switch="sw-2", switch_port="Gi1/0/9", recorder="nvr-1", recorder_channel="9"),
    device("cam-1", switch="sw-1", switch_port="Gi1/0/1"),
    device("cam-0"),
    device("nvr-1", "recorder", switch="sw-1", switch_port="Gi1/0/2", ups="ups-1"),
    device("ups-1", "ups", switch="sw-1"),
    device("host", "server", agent="a-2"),
]


def drawn(rows: list[Branch]) -> list[str]:
    """A tree as text: how deep, what, on which port, and what is wrong."""
    return [
        "  " * row.depth
        + (row.name or f"({row.what})")
        + (f" @{row.link.at}" if row.link and row.link.at else "")
        + ("" if row.link is None or row.link.standing is Standing.KNOWN else f" !{row.link.standing}")
        + (" ?" if row.what == "unknown" else "")
        for row in rows
    ]


def test_by_switch_every_device_stands_at_its_port_below_its_agent() -> None:
    assert drawn(topology(SITE).tree("switch")) == [
        "a-1",
        "  sw-1",
        "    ups-1",
        "    cam-1 @Gi1/0/1",
        "    nvr-1 @Gi1/0/2",
        "    sw-2 @Gi1/0/24",
        "      cam-9 @Gi1/0/9",
        "      cam-10 @Gi1/0/10",
        "  (apart)",
        "    cam-0",
        "a-2",
        "  (apart)",
        "    host",
    ]


def test_by_recorder_the_cameras_that_nobody_records_stand_apart() -> None:
    assert drawn(topology(SITE).tree("recorder")) == [
        "nvr-1",
        "  cam-9 @9",
        "  cam-10 @10",
        "(apart)",
        "  cam-0",
        "  cam-1",
    ]


def test_by_ups_the_loads_stand_below_it() -> None:
    rows = drawn(topology(SITE).tree("ups"))
    assert rows[:4] == ["ups-1", "  nvr-1", "  sw-1", "(apart)"]
    assert set(rows[4:]) == {"  sw-2", "  cam-0", "  cam-1", "  cam-9", "  cam-10", "  host"}


def test_a_name_that_nobody_has_is_shown_with_what_hangs_on_it() -> None:
    found = topology([device("cam-1", switch="sw-9", switch_port="3"), device("cam-2", switch="sw-9")])
    assert drawn(found.tree("switch")) == ["a-1", "  sw-9 ?", "    cam-2 !unknown", "    cam-1 @3 !unknown"]


def test_a_loop_is_cut_and_says_so() -> None:
    found = topology(
        [
            device("sw-1", "switch", switch="sw-2"),
            device("sw-2", "switch", switch="sw-1", switch_port="8"),
            device("cam-1", switch="sw-2"),
            device("cam-2", switch="cam-2"),
        ]
    )
    assert drawn(found.tree("switch")) == [
        "a-1",
        "  cam-2 !loop",
        "  sw-1 !loop",
        "  sw-2 @8 !loop",
        "    cam-1",
    ]


def test_a_chain_as_long_as_a_site_is_followed_to_its_end() -> None:
    chain = [device(f"sw-{at}", "switch", switch=f"sw-{at - 1}") for at in range(1, 5000)]
    rows = topology([device("sw-0", "switch"), *chain]).tree("switch")
    assert (rows[-1].name, rows[-1].depth) == ("sw-4999", 5000)


def test_what_is_no_text_says_nothing() -> None:
    found = topology([device("cam-1", switch=7, recorder=["x"], ups=" ")])
    assert found.devices["cam-1"].links == {}


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
LINKED = st.fixed_dictionaries({}, optional=dict.fromkeys(LINKS, st.sampled_from(["a", "b", "c", "d", "e", "z"])))


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(list(DeviceKind)), LINKED)))
def test_every_device_stands_once_in_the_tree_of_switches_whatever_they_say(said: dict[str, Any]) -> None:
    found: Topology = topology([device(name, kind, **links) for name, (kind, links) in said.items()])
    rows = [row.name for row in found.tree("switch") if row.what == "device"]
    assert sorted(rows) == sorted(name for name, (kind, _) in said.items() if kind != "agent")
    for relation in LINKS:
        names = [row.name for row in found.tree(relation) if row.what == "device"]
        assert len(names) == len(set(names))


def test_names_are_sorted_as_people_count() -> None:
    digits = "9" * 5000
    assert sorted(["p10", digits, "p09", "P1", "²", ""], key=natural) == ["", "P1", "p09", "p10", "²", digits]


@pytest.mark.parametrize(
    ("said", "ports", "meant"),
    [
        ("Gi1/0/1", ["Gi1/0/1", "Gi1/0/11"], "Gi1/0/1"),
        ("gi1/0/1", ["Gi1/0/1"], "Gi1/0/1"),
        ("1", ["Gi1/0/1", "Gi1/0/11"], "Gi1/0/1"),
        ("01", ["1", "2"], "1"),
        ("1", ["Gi1/0/1", "Gi2/0/1"], None),
        ("1", ["Vlan-if one"], None),
        ("left", ["Gi1/0/1"], None),
    ],
)
def test_a_port_is_found_by_its_name_or_by_a_number_that_only_it_has(said: str, ports: list[str], meant: str) -> None:
    assert port_of(said, ports) == meant
