"""What the operating system tells of this machine, by psutil: the one module that knows psutil.

Written for Linux, macOS and Windows; the path of Windows services is written, not run on Windows.

Errors: none; what a system does not tell, or not to this account, is None or left out.
"""

# ruff: noqa: D102 - what each gives is said once, in the Protocol `System`

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, Protocol, TypeVar

import psutil

T = TypeVar("T")
_YOUNG = 60.0
"""Seconds in which a process may still become another program, under the same number."""
_DUPLEX = {1: 0.0, 2: 1.0}


class Memory(NamedTuple):
    """Bytes; swap is 0 where there is none."""

    total: float
    available: float
    swap_total: float
    swap_used: float


class DiskCounts(NamedTuple):
    """Since the start of the machine; None where the system does not count it."""

    reads: float
    writes: float
    read_bytes: float
    write_bytes: float
    waited_seconds: float | None
    """Of all requests together, reads and writes."""
    busy_seconds: float | None


class Traffic(NamedTuple):
    """Of one interface, since the start of the machine."""

    in_bytes: float
    out_bytes: float
    in_errors: float
    out_errors: float
    in_discards: float
    out_discards: float


class Link(NamedTuple):
    """Of one interface, now; speed in bit/s."""

    up: bool
    speed: float | None
    full_duplex: float | None


class Mount(NamedTuple):
    """A file system that is mounted."""

    device: str
    path: str
    kind: str
    read_only: bool


class Room(NamedTuple):
    """Of a mounted file system."""

    used_percent: float
    free: float
    total: float


class Warmth(NamedTuple):
    """One sensor of temperature, in °C; `high` and `critical` as the hardware says, None where it does not."""

    chip: str
    label: str
    celsius: float | None
    high: float | None
    critical: float | None


class Fan(NamedTuple):
    """One fan that tells its speed."""

    chip: str
    label: str
    rpm: float


class Battery(NamedTuple):
    """The machine's own battery, or a UPS that the system knows as one."""

    charge_percent: float
    runtime_seconds: float | None
    on_battery: bool | None


class Spent(NamedTuple):
    """What a process has used: seconds of processors, bytes of memory now."""

    cpu_seconds: float
    resident_bytes: float


class Process(NamedTuple):
    """A process that runs: its number and start tell it apart from every other."""

    pid: int
    started: float
    name: str
    command: str


class WindowsService(NamedTuple):
    """A service of Windows by its state; `pid` is None while it does not run."""

    running: bool
    pid: int | None


class System(Protocol):
    """What is asked of an operating system; `agent.host.told` has one for tests."""

    def processor(self) -> Mapping[str, float] | None:
        """Seconds spent since the start, by kind (idle, iowait, user ...)."""

    def load(self) -> tuple[float, float, float] | None:
        """The load over 1, 5 and 15 minutes."""

    def memory(self) -> Memory | None:
        """Memory and swap."""

    def process_count(self) -> int | None:
        """How many processes there are."""

    def booted(self) -> float | None:
        """When the machine started, Unix seconds."""

    def disks(self) -> Mapping[str, DiskCounts]:
        """By name, partitions among them."""

    def mounts(self) -> list[Mount]:
        """File systems on disks; none of networks, which may hang."""

    def room(self, path: str) -> Room | None:
        """Of the file system that is mounted there."""

    def traffic(self) -> Mapping[str, Traffic]:
        """By interface."""

    def links(self) -> Mapping[str, Link]:
        """By interface."""

    def warmths(self) -> list[Warmth]:
        """Every sensor of temperature."""

    def fans(self) -> list[Fan]:
        """Every fan."""

    def battery(self) -> Battery | None:
        """The battery, where there is one."""

    def processes(self) -> list[Process]:
        """All that this account can see."""

    def spent(self, process: Process) -> Spent | None:
        """What a process has used; None when it is gone or not for this account."""

    def has_windows_services(self) -> bool:
        """Whether services are those of Windows."""

    def windows_service(self, name: str) -> WindowsService | None:
        """A service by its short name; None when there is none of this name."""


class Psutil:
    """This machine, through psutil.

    Args:
        api: psutil, or what has its names; a name it lacks is a thing the system does not tell.
    """

    def __init__(self, api: ModuleType | Any = psutil) -> None:
        self._api = api
        self._commands: dict[Any, str] = {}

    def _told(self, name: str, *given: Any, **named: Any) -> Any:
        return self._asked(lambda: getattr(self._api, name)(*given, **named))

    def _asked(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except (OSError, RuntimeError, NotImplementedError, AttributeError, self._api.Error):
            return None

    def processor(self) -> Mapping[str, float] | None:
        found = self._told("cpu_times")
        # Guest time is part of user time already.
        return {n: getattr(found, n) for n in found._fields if not n.startswith("guest")} if found else None

    def load(self) -> tuple[float, float, float] | None:
        found: tuple[float, float, float] | None = self._told("getloadavg")
        return found

    def memory(self) -> Memory | None:
        memory, swap = self._told("virtual_memory"), self._told("swap_memory")
        if not memory or not memory.total:
            return None
        return Memory(memory.total, memory.available, swap.total if swap else 0.0, swap.used if swap else 0.0)

    def process_count(self) -> int | None:
        found = self._told("pids")
        return len(found) if found else None

    def booted(self) -> float | None:
        found: float | None = self._told("boot_time")
        return found

    def disks(self) -> Mapping[str, DiskCounts]:
        found = self._told("disk_io_counters", perdisk=True, nowrap=False) or {}
        return {name: _disk_counts(each) for name, each in found.items()}

    def mounts(self) -> list[Mount]:
        found = self._told("disk_partitions", all=False) or []
        return [Mount(each.device, each.mountpoint, each.fstype, "ro" in each.opts.split(",")) for each in found]

    def room(self, path: str) -> Room | None:
        found = self._told("disk_usage", path)
        return Room(found.percent, found.free, found.total) if found else None

    def traffic(self) -> Mapping[str, Traffic]:
        found = self._told("net_io_counters", pernic=True, nowrap=False) or {}
        return {
            name: Traffic(n.bytes_recv, n.bytes_sent, n.errin, n.errout, n.dropin, n.dropout)
            for name, n in found.items()
        }

    def links(self) -> Mapping[str, Link]:
        found = self._told("net_if_stats") or {}
        return {
            name: Link(n.isup, n.speed * 1e6 if n.speed else None, _DUPLEX.get(int(n.duplex)))
            for name, n in found.items()
        }

    def warmths(self) -> list[Warmth]:
        found = self._told("sensors_temperatures") or {}
        return [
            Warmth(chip, each.label, each.current, each.high, each.critical)
            for chip, sensors in found.items()
            for each in sensors
        ]

    def fans(self) -> list[Fan]:
        found = self._told("sensors_fans") or {}
        return [Fan(chip, each.label, float(each.current)) for chip, fans in found.items() for each in fans]

    def battery(self) -> Battery | None:
        found = self._told("sensors_battery")
        if not found:
            return None
        left = found.secsleft
        # Negative numbers stand for "unknown" and "mains".
        return Battery(
            float(found.percent),
            float(left) if left is not None and left >= 0 else None,
            None if found.power_plugged is None else not found.power_plugged,
        )

    def processes(self) -> list[Process]:
        found, commands = [], {}
        now = time.time()
        for each in self._asked(lambda: list(self._api.process_iter())) or ():
            started = self._asked(each.create_time)
            if started is None:
                continue
            command = self._commands.get(each)
            if command is None or now - started < _YOUNG:
                command = " ".join(self._asked(each.cmdline) or ())
            commands[each] = command
            found.append(Process(each.pid, started, self._asked(each.name) or "", command))
        self._commands = commands
        return found

    def spent(self, process: Process) -> Spent | None:
        asked = self._told("Process", process.pid)
        if asked is None or self._asked(asked.create_time) != process.started:
            return None
        times, memory = self._asked(asked.cpu_times), self._asked(asked.memory_info)
        return Spent(times.user + times.system, float(memory.rss)) if times and memory else None

    def has_windows_services(self) -> bool:
        return hasattr(self._api, "win_service_get")

    def windows_service(self, name: str) -> WindowsService | None:
        found = self._told("win_service_get", name)
        state = self._asked(found.status) if found else None
        if found is None or state is None:
            return None
        return WindowsService(state == "running", self._asked(found.pid))


def _disk_counts(found: Any) -> DiskCounts:
    read, written, busy = (getattr(found, name, None) for name in ("read_time", "write_time", "busy_time"))
    waited = (read + written) / 1000 if read is not None and written is not None else None
    return DiskCounts(
        found.read_count,
        found.write_count,
        found.read_bytes,
        found.write_bytes,
        waited,
        busy / 1000 if busy is not None else None,
    )


def inodes_used_percent(path: str) -> float | None:
    """Share of inodes used; None where the file system has none to run out of."""
    if not hasattr(os, "statvfs"):
        return None
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return 100 * (1 - found.f_ffree / found.f_files) if found.f_files else None


def networks() -> dict[str, str]:
    """Our own IPv4 addresses, each with the network of its link in CIDR form; without those of the loopback."""
    found: dict[str, str] = {}
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and each.netmask and not each.address.startswith("127."):
                found[each.address] = str(ipaddress.ip_network(f"{each.address}/{each.netmask}", strict=False))
    return found
