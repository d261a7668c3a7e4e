"""What a person may say about what hangs on what, and what the collector hears of it."""

from __future__ import annotations

import pytest

from agent.host import Host
from agent.reading import Happening
from agent.settings import Settings
from agent.settings.links import said
from forewarn.demo.responder import Responder
from forewarn.settings import SettingError, read
from tests.clocks import SteppedClock
from tests.polling import contact, in_loop, recorded

LEAST = "site: s\nagent: a\nshard: 0\nsecret: x\nbroker: {host: b}\n"
DEVICES = """\
devices:
  - {name: sw-1, address: 10.0.0.1, ups: ups-1}
  - {name: ups-1, address: 10.0.0.2, switch: sw-1, switch_port: "24"}
  - {name: nvr-1, address: 10.0.0.3, switch: sw-1}
  - {name: cam-1, address: 10.0.0.4, switch: sw-1, switch_port: Gi1/0/1, recorder: nvr-1, recorder_channel: "1"}
"""


def refused(text: str) -> str:
    with pytest.raises(SettingError) as wrong:
        read(Settings, LEAST + text, "agent.yaml", env={})
    return str(wrong.value)


def test_a_ups_may_hang_on_the_switch_it_powers() -> None:
    settings = read(Settings, LEAST + DEVICES + "host: {switch: sw-1, ups: ups-1}\n", "agent.yaml", env={})
    camera = settings.devices[3]
    assert said(camera) == {"switch": "sw-1", "switch_port": "Gi1/0/1", "recorder": "nvr-1", "recorder_channel": "1"}
    assert said(settings.host) == {"switch": "sw-1", "ups": "ups-1"}
    assert said(settings.devices[2]) == {"switch": "sw-1"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            DEVICES.replace("recorder: nvr-1", "recorder: nvr1"),
            "agent.yaml:10:84: `recorder`: there is no device `nvr1` in these settings; did you mean `nvr-1`?",
        ),
        (
            "devices: [{name: c, address: 10.0.0.1, switch_port: '7'}]",
            "agent.yaml:6:54: `switch_port` says where on a switch, but `switch` is missing",
        ),
        ("devices: [{name: c, address: 10.0.0.1, ups: c}]", "agent.yaml:6:45: `ups`: `c` hangs on itself"),
        (
            "devices: [{name: b, address: 10.0.0.1, switch: c}, {name: c, address: 10.0.0.2, switch: b}]",
            "agent.yaml:6:48: `switch`: `b` hangs on itself by way of `c`",
        ),
        ("host: {ups: ups-1}", "agent.yaml:6:13: `ups`: there is no device `ups-1` in these settings"),
    ],
)
def test_what_cannot_hang_so_is_named_where_it_stands(given: str, says: str) -> None:
    assert refused(given) == says


def test_everything_that_cannot_hang_so_is_named_at_once() -> None:
    told = refused(DEVICES.replace("switch: sw-1", "switch: sw-9").replace("ups: ups-1", "ups: cam-9"))
    assert [line.partition(": ")[0] for line in told.splitlines()] == [
        f"agent.yaml:{at}" for at in ("7:42", "8:46", "9:46", "10:46")
    ]


def test_a_device_tells_its_links_with_its_inventory_and_without_them_nothing_more() -> None:
    clock = SteppedClock()
    with Responder() as responder:
        device = recorded(responder, "hikvision.camera")
        linked = contact(device, clock, switch="sw-1", switch_port="7")
        plain = contact(device, clock)

        async def steps() -> None:
            told = [
                next(one.text for one in await each.poll() if isinstance(one, Happening)) for each in (linked, plain)
            ]
            assert told[0] == told[1] | {"switch": "sw-1", "switch_port": "7"}
            assert told[1].keys().isdisjoint({"switch", "switch_port", "recorder", "recorder_channel", "ups"})
            linked.close()
            plain.close()

        in_loop(steps)


def test_this_machine_tells_its_links_too() -> None:
    items = Host("vms-1", clock=SteppedClock(), links={"ups": "ups-1"}).read()
    told = next(item.text for item in items if isinstance(item, Happening))
    assert told["ups"] == "ups-1"
