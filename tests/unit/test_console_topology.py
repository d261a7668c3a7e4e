"""What the place of a device says of it: a fault behind a healthy port is told from a switch that is dark itself."""

from __future__ import annotations

from typing import Any

import pytest

from collector.console.reads import STALE_MS, Open
from collector.console.standing import Port, Ports, standing
from collector.console.topology import Picture, picture
from collector.series.store import SeriesKey

NOW = 1_770_000_000_000
GATE = {"switch": "sw-1", "switch_port": "3"}


def shown(
    *, linked: float = 1.0, reached: float = 1.0, camera: float = 0.0, age: int = 60_000, **links: str
) -> Picture:
    """A camera that hangs on port 3 of a switch."""
    rows: list[dict[str, Any]] = [
        {"device": "cam", "kind": "camera", "agent": "a", "inventory": links or GATE},
        {"device": "sw-1", "kind": "switch", "agent": "a", "inventory": {}},
    ]
    newest = {
        SeriesKey("s", "cam", "device", "", "up"): (NOW - age, camera),
        SeriesKey("s", "sw-1", "device", "", "up"): (NOW - age, reached),
        SeriesKey("s", "sw-1", "interface", "Gi1/0/3", "up"): (NOW - age, linked),
        SeriesKey("s", "sw-1", "interface", "Gi1/0/4", "up"): (NOW - age, 1.0),
        SeriesKey("s", "sw-1", "poe", "1.3", "power_watts"): (NOW - age, 4.5),
    }
    return picture("s", rows, {}, newest, NOW)


@pytest.mark.parametrize(
    ("now", "word"),
    [
        ({}, "place_port_up"),
        ({"linked": 0.0}, "place_port_down"),
        ({"reached": 0.0}, "place_switch_dark"),
        ({"camera": 1.0}, None),
        ({"age": STALE_MS + 1}, None),
        ({"switch": "sw-1", "switch_port": "9"}, None),
        ({"switch": "sw-1"}, None),
        ({"ups": "cam"}, "place_loop"),
    ],
)
def test_a_dark_camera_is_told_by_what_it_hangs_on(now: dict[str, Any], word: str | None) -> None:
    links = {name: now[name] for name in ("switch", "switch_port", "ups") if isinstance(now.get(name), str)}
    values = {name: value for name, value in now.items() if name not in links}
    found = shown(**values, **links)
    remark = found.remark(found.topology.devices["cam"])
    assert (remark.word if remark else None) == word


def test_a_port_has_its_link_and_its_power_by_whatever_it_is_called() -> None:
    ports = shown().ports
    assert ports.find("sw-1", "3") == ports.find("sw-1", "gi1/0/3") == Port("Gi1/0/3", up=True, watts=4.5)
    assert ports.find("sw-1", "4") == Port("Gi1/0/4", up=True, watts=None)
    assert (ports.find("sw-1", "5"), ports.find("sw-2", "3")) == (None, None)
    assert Ports({}, NOW).find("sw-1", "3") is None
    assert shown(age=STALE_MS + 1).ports.find("sw-1", "3") == Port("Gi1/0/3", up=None, watts=None)


def test_a_device_is_as_its_worst_ticket_then_as_its_last_poll() -> None:
    fresh, old = (NOW, 0.0), NOW - STALE_MS - 1
    assert standing(fresh, NOW, Open(warning=1), NOW) == "warning"
    assert standing(fresh, NOW, Open(), NOW) == "down"
    assert standing((NOW, 1.0), NOW, Open(), NOW) == "up"
    assert standing(None, NOW, Open(), NOW) == "up"
    assert standing((old, 1.0), old, Open(), NOW) == "unknown"
