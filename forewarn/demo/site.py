"""The simulated customer site: which devices there are, what they answer from, and how their values move.

Each moving value is written once, as a course over time. The history takes it as it is; the live device is driven by
it, object by object, so that what is polled goes on where the history ends. Six faults are on their way: a recorder
whose new volume fills, a UPS whose battery weakens, a camera that was dark for a while days ago, and, once the demo
runs, a camera that goes dark behind a healthy switch port, and later the switch with all behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from forewarn.demo import ber, recordings, wires
from forewarn.demo.courses import DAY, HOUR, Course, daily, line, noise, scaled, since, total, wandering

SITE, AGENT = "harbour", "harbour-agent"
SITE_NAME = "Harbour warehouse (simulated)"

FILLED = 61.8
"""Percent of the recorder's disk that is used when the demo begins: a forecast needs a level near 60 %."""
FILLING_PER_HOUR = (98 - FILLED) / 41
"""Percent: 41 h are left."""
FILLING = (FILLED - 2.0) / FILLING_PER_HOUR * HOUR
"""How long before the demo the recorder got a new, empty disk, in milliseconds."""
_DISK_MB, _VOLUME = 2_861_588, "hd1"
_IF, _IFX, _POE = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.105.1.1.1"
_HIK_CAMERA, _HIK_RECORDER = "1.3.6.1.4.1.39165.1", "1.3.6.1.4.1.50001.1"
_DISKS = f"{_HIK_RECORDER}.241"
_APC = "1.3.6.1.4.1.318.1.1.1"
_HOST, _UPTIME = "1.3.6.1.2.1.25", "1.3.6.1.2.1.1.3.0"
_CAMERAS = ("cam-gate-1", "cam-yard-2", "cam-dock-3", "cam-hall-4")
_OFFICE, _RECORDER, _SERVER, _SWITCH, _SUPPLY = "cam-office-5", "nvr-1", "srv-1", "sw-1", "ups-1"


_LINKS: dict[str, dict[str, str]] = {
    **{
        name: {"recorder": _RECORDER, "recorder_channel": str(number)}
        for number, name in enumerate((*_CAMERAS, _OFFICE), 1)
    },
    **{name: {"ups": _SUPPLY} for name in (_RECORDER, _SERVER, _SWITCH)},
}
"""The UPS powers all that stands in the rack. Who hangs on which port of the switch, the agent finds."""
PORTS = {name: number for number, name in enumerate((*_CAMERAS, _OFFICE, _RECORDER, _SERVER), 1)}
"""Where they are plugged into the switch; nobody is told, but the switch has learnt it."""
_OUT = 24


class Drive(NamedTuple):
    """Makes one object follow a course: its value is `write(course(t))`, or for a counter the integral of that."""

    oid: str
    tag: int
    course: Course
    write: Callable[[float], int | str] = round
    counter: bool = False


class Moving(NamedTuple):
    """One field of a device's readings that moves."""

    table: str
    instance: str
    field: str
    course: Course


@dataclass(frozen=True)
class Simulated:
    """One device. `profile` is fixed only where a profile of the site's own is meant.

    `late` is an object tree that exists only from `since` (Unix milliseconds) on: a disk that was fitted then.
    `dark` are stretches (begin, end) of the history in which it did not answer.
    """

    name: str
    objects: dict[str, bytes]
    origin: str
    moving: list[Moving] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    profile: str | None = None
    late: str = ""
    since: int = 0
    dark: Sequence[tuple[int, int]] = ()

    @property
    def links(self) -> dict[str, str]:
        """What it hangs on, as in the agent's settings."""
        return _LINKS.get(self.name, {})


class Act(NamedTuple):
    """Something that happens while the demo runs: devices fall silent or answer again `after` seconds."""

    after: float
    devices: tuple[str, ...]
    answers: bool
    told: dict[str, str]


SCRIPT = (
    Act(
        20,
        ("cam-dock-3",),
        answers=False,
        told={
            "en": "cam-dock-3 stops answering behind a healthy switch port (simulated): a ticket follows in 3 min",
            "zh": "cam-dock-3 停止应答，交换机端口正常（模拟）：3 分钟后生成工单",
        },
    ),
    Act(
        480,
        (_SWITCH, *_CAMERAS, _OFFICE),
        answers=False,
        told={
            "en": "sw-1 stops answering, and all cameras behind it (simulated)",
            "zh": "sw-1 停止应答，其下所有摄像机随之离线（模拟）",
        },
    ),
    Act(
        900,
        (_SWITCH, *_CAMERAS, _OFFICE),
        answers=True,
        told={"en": "sw-1 and all cameras answer again (simulated)", "zh": "sw-1 与所有摄像机恢复应答（模拟）"},
    ),
)


def devices(begun: int) -> list[Simulated]:
    """All devices of the site, for a demo whose first start was at `begun` (Unix milliseconds).

    Raises:
        LookupError: a recording is missing.
    """
    flows = [daily(5.2e6 + 0.7e6 * number, swing=0.6e6, rough=0.25e6, seed=float(number)) for number in range(1, 6)]
    cameras = [_camera(name, float(number), begun) for number, name in enumerate(_CAMERAS, 1)]
    return [*cameras, _office(begun), _recorder(begun), _switch(begun, flows), _supply(begun), _server(begun)]


def _told_by(name: str) -> str:
    return f"snmpsim-data: {name}"


def _reached(seed: float) -> list[Moving]:
    """How fast a device answers: measured live, so nothing drives it."""
    return [
        Moving("device", "", "rtt_seconds", lambda t: 0.0004 + 0.0001 * noise(t, seed)),
        Moving("device", "", "poll_seconds", lambda t: 0.0030 + 0.0006 * noise(t, seed + 0.5)),
    ]


def _camera(name: str, seed: float, begun: int) -> Simulated:
    busy = daily(46, swing=5, rough=3, seed=seed)
    memory = daily(70 + seed, swing=1, rough=1, seed=seed + 9)
    dark = ((begun - 3 * DAY - 2 * HOUR, begun - 3 * DAY - HOUR),) if name == "cam-yard-2" else ()
    return Simulated(
        name,
        recordings.packaged("camera/hikvision", [_HIK_CAMERA]) | wires.mac_of_camera(PORTS[name]),
        f"{_told_by('camera/hikvision')}, with another MAC address",
        [
            *_reached(seed),
            Moving("host", "", "cpu_percent", lambda t: float(round(busy(t)))),
            Moving("host", "", "memory_used_percent", lambda t: float(round(memory(t)))),
        ],
        [
            Drive(f"{_HIK_CAMERA}.7.0", ber.OCTETS, busy, lambda value: f"{round(value)} PERCENT"),
            Drive(f"{_HIK_CAMERA}.11.0", ber.OCTETS, memory, lambda value: f"{round(value)} PERCENT"),
            Drive(f"{_HIK_CAMERA}.19.0", ber.OCTETS, lambda t: t / 1000, _shown_time),
        ],
        dark=dark,
    )


def _shown_time(seconds: float) -> str:
    """The time of day as a camera of this machine's zone writes it."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _office(begun: int) -> Simulated:
    boot, booted = begun - 21 * DAY, since(begun - 21 * DAY)
    busy = daily(12, swing=3, rough=2, seed=20)
    flow = daily(4.1e6, swing=0.5e6, rough=0.2e6, seed=5)
    subtrees = [f"{_HOST}.1", f"{_HOST}.2.3", f"{_HOST}.3.3", _IF, _IFX]
    return Simulated(
        _OFFICE,
        recordings.packaged("camera/samsung-ipolis", subtrees),
        _told_by("camera/samsung-ipolis"),
        [
            *_reached(20),
            Moving("device", "", "uptime_seconds", booted),
            Moving("host", "", "uptime_seconds", since(boot - 14_000)),
            Moving("host", "", "cpu_percent", lambda t: float(round(busy(t)))),
            Moving("interface", "eth0", "out_bits_per_second", flow),
            Moving("interface", "eth0", "in_bits_per_second", scaled(flow, 0.02)),
        ],
        [
            Drive(_UPTIME, ber.TIMETICKS, scaled(booted, 100)),
            Drive(f"{_HOST}.1.1.0", ber.TIMETICKS, scaled(booted, 100, 1400)),
            Drive(f"{_HOST}.3.3.1.2.768", ber.INTEGER, busy),
            _counted(f"{_IFX}.10.2", flow),
            _counted(f"{_IFX}.6.2", scaled(flow, 0.02)),
        ],
    )


def _recorder(begun: int) -> Simulated:
    fitted = int(begun - FILLING)
    used = wandering(line(fitted, 2.0, FILLING_PER_HOUR, rough=0.05, least=2.0, most=98.5), fitted, 1.2)
    booted = since(begun - 118 * DAY)
    megabytes = scaled(used, -_DISK_MB / 100, _DISK_MB)

    def free(t: int) -> float:
        return float(round(megabytes(t))) * 2**20

    objects = recordings.packaged("camera/hikvision-network-video-recorder", [_HIK_RECORDER])
    objects[f"{_DISKS}.1.2.1.0"] = ber.value(ber.OCTETS, _VOLUME)
    objects[wires.NAME] = ber.value(ber.OCTETS, _RECORDER)
    return Simulated(
        _RECORDER,
        objects,
        f"{_told_by('camera/hikvision-network-video-recorder')}, with another name for itself and its disk",
        [
            *_reached(30),
            Moving("device", "", "uptime_seconds", booted),
            Moving("volume", _VOLUME, "free_bytes", free),
            Moving("volume", _VOLUME, "used_percent", lambda t: 100 * (1 - free(t) / (_DISK_MB * 2**20))),
        ],
        [
            Drive(_UPTIME, ber.TIMETICKS, scaled(booted, 100)),
            Drive(f"{_DISKS}.1.4.1.0", ber.INTEGER, megabytes),
        ],
        profile="hikvision.recorder.keeps-all",
        late=_DISKS,
        since=fitted,
    )


def _switch(begun: int, flows: list[Course]) -> Simulated:
    """Cameras on ports 1 to 5, the recorder on 6, the server on 7, the way out on 24; it knows all of them."""
    objects = recordings.packaged("network/switch/h3c-e528-1", [_IF, _IFX, "1.3.6.1.2.1.17.1", "1.3.6.1.2.1.47.1.1"])
    objects |= recordings.own("poe.overlay.snmprec") | _wires()
    booted = since(begun - 200 * DAY)
    out = daily(2.4e6, swing=1.5e6, rough=0.3e6, seed=44)
    sums, small = total(flows), daily(60e3, swing=20e3, rough=9e3, seed=45)
    ports: dict[int, tuple[Course, Course]] = {
        **{port: (flow, scaled(flow, 0.015)) for port, flow in enumerate(flows, 1)},
        6: (scaled(sums, 0.01), sums),
        7: (small, scaled(small, 3)),
        24: (scaled(out, 0.1), out),
    }
    moving, drives = [*_reached(40), Moving("device", "", "uptime_seconds", booted)], []
    drives.append(Drive(_UPTIME, ber.TIMETICKS, scaled(booted, 100)))
    for port, (inwards, outwards) in ports.items():
        name = f"GigabitEthernet1/0/{port}"
        objects[f"{_IF}.8.{port}"] = ber.integer(1)
        objects[f"{_IFX}.15.{port}"] = ber.integer(1000, ber.GAUGE32)
        moving += [
            Moving("interface", name, "in_bits_per_second", inwards),
            Moving("interface", name, "out_bits_per_second", outwards),
        ]
        drives += [_counted(f"{_IFX}.6.{port}", inwards), _counted(f"{_IFX}.10.{port}", outwards)]
    origin = f"{_told_by('network/switch/h3c-e528-1')}, with links, PoE and who is plugged in written over it"
    return Simulated(_SWITCH, objects, origin, moving, drives)


def _wires() -> dict[str, bytes]:
    """What the switch has learnt: the cameras by their addresses, recorder and server by their own word."""
    cameras = {PORTS[name]: [wires.camera(PORTS[name])] for name in _CAMERAS}
    spoken = {
        PORTS[_RECORDER]: wires.Spoken("94:e1:ac:00:00:06", _RECORDER),
        PORTS[_SERVER]: wires.Spoken("00:50:56:87:2f:14", "SM-PMDA"),
        _OUT: wires.Spoken("38:91:d5:fb:74:2c", "core", forwards=True),
    }
    return wires.known(cameras | {PORTS[_OFFICE]: ["00:16:6c:91:07:b1"], _OUT: wires.beyond(12)}, spoken)


def _supply(begun: int) -> Simulated:
    lasts = line(begun - 7 * DAY, 1320.0, -730 / 167, rough=6, least=240, most=7200)
    load = daily(41, swing=3, rough=1, seed=50)
    warmth = daily(29, swing=1.5, rough=0.2, seed=51)
    booted = since(begun - 90 * DAY)
    return Simulated(
        _SUPPLY,
        recordings.own("ups.apc.snmprec"),
        "written by hand after PowerNet-MIB",
        [
            *_reached(50),
            Moving("device", "", "uptime_seconds", booted),
            Moving("ups", "", "runtime_seconds", lasts),
            Moving("ups", "", "battery_celsius", warmth),
            Moving("ups_output", "1", "load_percent", lambda t: float(round(load(t)))),
        ],
        [
            Drive(_UPTIME, ber.TIMETICKS, scaled(booted, 100)),
            Drive(f"{_APC}.2.2.3.0", ber.TIMETICKS, scaled(lasts, 100)),
            Drive(f"{_APC}.2.3.2.0", ber.GAUGE32, scaled(warmth, 10)),
            Drive(f"{_APC}.4.2.3.0", ber.GAUGE32, load),
        ],
    )


def _server(begun: int) -> Simulated:
    booted = since(begun - 125 * DAY)
    busy = daily(30, swing=18, rough=6, seed=60)
    memory = daily(10.2e6, swing=0.5e6, rough=0.1e6, seed=61)
    small = daily(60e3, swing=20e3, rough=9e3, seed=45)
    size = 16_334_056
    subtrees = [f"{_HOST}.1", f"{_HOST}.2.3", f"{_HOST}.3.3", _IF, _IFX]
    return Simulated(
        _SERVER,
        recordings.packaged("os/linux/unknown-001", subtrees),
        _told_by("os/linux/unknown-001"),
        [
            *_reached(60),
            Moving("device", "", "uptime_seconds", booted),
            Moving("host", "", "uptime_seconds", booted),
            Moving("host", "", "cpu_percent", lambda t: float(round(busy(t)))),
            Moving("host", "", "memory_used_percent", scaled(memory, 100 / size)),
            Moving("host", "", "memory_available_bytes", scaled(memory, -1024, 1024 * size)),
            Moving("interface", "eth0", "in_bits_per_second", scaled(small, 3)),
            Moving("interface", "eth0", "out_bits_per_second", small),
        ],
        [
            Drive(_UPTIME, ber.TIMETICKS, scaled(booted, 100)),
            Drive(f"{_HOST}.1.1.0", ber.TIMETICKS, scaled(booted, 100)),
            *(Drive(f"{_HOST}.3.3.1.2.{196608 + core}", ber.INTEGER, busy) for core in range(4)),
            Drive(f"{_HOST}.2.3.1.6.1", ber.INTEGER, memory),
            _counted(f"{_IFX}.6.2", scaled(small, 3)),
            _counted(f"{_IFX}.10.2", small),
        ],
    )


def _counted(oid: str, bits_per_second: Course) -> Drive:
    """A Counter64 of octets."""
    return Drive(oid, ber.COUNTER64, scaled(bits_per_second, 1 / 8), counter=True)
