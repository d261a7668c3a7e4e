"""This machine as a device of its own: processor, memory, disks, volumes, interfaces, by psutil.

Rates are differences over a clock that nobody sets; the first reading has none. What an operating system does not tell
is null, never 0. The one module that knows psutil.

Errors: none; a part that cannot be read leaves its values null.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import psutil

from agent.counters import rate
from agent.poller import Permit, slot
from agent.reading import Clock, Happening, Reading, Sink
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

T = TypeVar("T")
Row = dict[str, float | None]

_log = Log(__name__)
_HOST = (
    "cpu_percent",
    "memory_used_percent",
    "memory_total_bytes",
    "memory_available_bytes",
    "swap_used_percent",
    "load1",
    "load5",
    "load15",
    "processes",
    "temperature_celsius",
    "uptime_seconds",
)
_DISK = ("read_bytes_per_second", "write_bytes_per_second", "busy_percent")
_VOLUME = ("used_percent", "free_bytes", "total_bytes", "inodes_used_percent", "read_only")
_INTERFACE = (
    "up",
    "in_bits_per_second",
    "out_bits_per_second",
    "in_errors_per_second",
    "out_errors_per_second",
    "in_discards_per_second",
    "out_discards_per_second",
    "speed_bits_per_second",
)
_DEVICE = ("up", "uptime_seconds", "poll_seconds")
_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "devtmpfs", "squashfs", "overlay", "iso9660", "ramfs", "autofs", "nsfs"})
_NOT_DISKS = ("loop", "ram", "zram", "fd", "sr", "dm-", "md")
_MOST_ROWS = 64
_PACKAGE_SENSORS = ("coretemp", "k10temp", "cpu_thermal", "zenpower", "acpitz")


class Counts(NamedTuple):
    """What only differences say, at one moment."""

    at: float
    cpu: Any
    disks: Mapping[str, Any]
    interfaces: Mapping[str, Any]


class Host:
    """Reads this machine.

    Args:
        name: of the device that this machine is to people.
        clock: `now` stamps readings, `monotonic` measures rates.
        links: what it hangs on, as texts of its inventory.
    """

    def __init__(self, name: str, *, clock: Clock, links: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._clock = clock
        self._links = links or {}
        self._before: Counts | None = None
        self._told: dict[str, str] = {}

    def read(self) -> list[Reading | Happening]:
        """One reading, and the inventory when it is new or changed. Blocks for milliseconds."""
        begun, at = self._clock.now(), self._clock.monotonic()
        counts = Counts(
            at,
            _asked(psutil.cpu_times),
            _asked(lambda: psutil.disk_io_counters(perdisk=True, nowrap=False)) or {},
            _asked(lambda: psutil.net_io_counters(pernic=True, nowrap=False)) or {},
        )
        before, self._before = self._before, counts
        tables = {
            "host": {"": _host(before, counts)},
            "disk": _disks(before, counts),
            "volume": _volumes(),
            "interface": _interfaces(before, counts),
        }
        took = self._clock.monotonic() - at
        tables = {"device": {"": {"up": 1.0, "uptime_seconds": _uptime(), "poll_seconds": took}}, **tables}
        shape, values = _shaped(tables)
        items: list[Reading | Happening] = [Reading(begun + int(took * 500), self.name, shape, values)]
        told = {**_inventory(), **self._links}
        if told != self._told:
            self._told = told
            items.append(Happening(begun, self.name, "inventory", shape, told))
        return items

    async def run(self, *, interval: float, sink: Sink, permit: Permit) -> None:
        """Reads every `interval` seconds in its own slot until cancelled, when `permit` allows."""
        due = self._clock.monotonic() + slot(self.name, min(interval, 5.0))
        refused = None
        while True:
            await asyncio.sleep(max(due - self._clock.monotonic(), 0))
            due += interval * (max((self._clock.monotonic() - due) // interval, 0) + 1)
            refusal = permit(Source.HOST, None)
            if refusal != refused:
                _log.warning("this host is not read", why=str(refusal)) if refusal else _log.info("reading this host")
                refused = refusal
            if refusal is None:
                for item in await asyncio.to_thread(self.read):
                    await sink.put(item)


def _asked(ask: Callable[[], T]) -> T | None:
    """What the operating system tells, or None where it does not."""
    try:
        return ask()
    except (OSError, RuntimeError, NotImplementedError, AttributeError, psutil.Error):
        return None


def _host(before: Counts | None, now: Counts) -> Row:
    memory, swap = _asked(psutil.virtual_memory), _asked(psutil.swap_memory)
    load = _asked(psutil.getloadavg) or (None, None, None)
    return {
        "cpu_percent": _cpu_percent(before, now),
        "memory_used_percent": 100 * (1 - memory.available / memory.total) if memory and memory.total else None,
        "memory_total_bytes": float(memory.total) if memory else None,
        "memory_available_bytes": float(memory.available) if memory else None,
        "swap_used_percent": 100 * swap.used / swap.total if swap and swap.total else None,
        "load1": load[0],
        "load5": load[1],
        "load15": load[2],
        "processes": _count(_asked(psutil.pids)),
        "temperature_celsius": _temperature(),
        "uptime_seconds": _uptime(),
    }


def _count(items: list[int] | None) -> float | None:
    return float(len(items)) if items is not None else None


def _cpu_percent(before: Counts | None, now: Counts) -> float | None:
    if before is None or before.cpu is None or now.cpu is None:
        return None
    # Guest time is part of user time already.
    spent = {
        name: getattr(now.cpu, name) - getattr(before.cpu, name)
        for name in now.cpu._fields
        if not name.startswith("guest")
    }
    total = sum(spent.values())
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return min(max(100 * (total - idle) / total, 0.0), 100.0) if total > 0 else None


def _temperature() -> float | None:
    sensors = _asked(lambda: psutil.sensors_temperatures()) or {}  # noqa: PLW0108 - Windows has no such name
    for name in _PACKAGE_SENSORS:
        found = [reading.current for reading in sensors.get(name, []) if reading.current]
        if found:
            return float(max(found))
    return None


def _uptime() -> float | None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    booted = _asked(psutil.boot_time)
    return time.time() - booted if booted else None


def _disks(before: Counts | None, now: Counts) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for name in _whole_disks(now.disks):
        then = before.disks.get(name) if before else None
        seconds = now.at - before.at if before else 0.0
        found = now.disks[name]
        busy = _rate(then, found, "busy_time", seconds)
        rows[name] = {
            "read_bytes_per_second": _rate(then, found, "read_bytes", seconds),
            "write_bytes_per_second": _rate(then, found, "write_bytes", seconds),
            "busy_percent": min(busy / 10, 100.0) if busy is not None else None,
        }
    return rows


def _whole_disks(names: Iterable[str]) -> list[str]:
    """Disks, without their partitions and without what is no disk."""
    disks = [name for name in sorted(names) if not name.startswith(_NOT_DISKS)]
    if os.path.isdir("/sys/block"):  # noqa: PTH112 - one system call a poll
        with suppress(OSError):
            whole = {entry.name for entry in os.scandir("/sys/block")}
            disks = [name for name in disks if name in whole]
    return disks[:_MOST_ROWS]


def _rate(then: Any, now: Any, field: str, seconds: float, scale: float = 1.0) -> float | None:
    if then is None or not hasattr(now, field):
        return None
    found = rate(int(getattr(then, field)), int(getattr(now, field)), seconds, bits=64, ceiling=None)
    return found * scale if found is not None else None


def _volumes() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    seen: set[str] = set()
    for part in _asked(lambda: psutil.disk_partitions(all=False)) or []:
        # A file bound into a container is a mount point too, of a volume that is listed already.
        if part.fstype in _MEMORY_FILE_SYSTEMS or part.device in seen or len(rows) >= _MOST_ROWS:
            continue
        usage = _asked(lambda part=part: psutil.disk_usage(part.mountpoint))  # type: ignore[misc]
        seen.add(part.device)
        rows[part.mountpoint] = {
            "used_percent": float(usage.percent) if usage else None,
            "free_bytes": float(usage.free) if usage else None,
            "total_bytes": float(usage.total) if usage else None,
            "inodes_used_percent": _inodes(part.mountpoint),
            "read_only": float("ro" in part.opts.split(",")),
        }
    return rows


def _inodes(mount: str) -> float | None:
    """Share of inodes used; None where the file system has none to run out of."""
    if not hasattr(os, "statvfs"):
        return None
    found = _asked(lambda: os.statvfs(mount))
    return 100 * (1 - found.f_ffree / found.f_files) if found and found.f_files else None


def _interfaces(before: Counts | None, now: Counts) -> dict[str, Row]:
    states = _asked(psutil.net_if_stats) or {}
    seconds = now.at - before.at if before else 0.0
    rows: dict[str, Row] = {}
    for name in [name for name in sorted(now.interfaces) if not name.startswith(("lo", "veth", "docker", "br-"))]:
        if len(rows) >= _MOST_ROWS:
            break
        then, found, state = before.interfaces.get(name) if before else None, now.interfaces[name], states.get(name)
        rows[name] = {
            "up": float(state.isup) if state else None,
            "in_bits_per_second": _rate(then, found, "bytes_recv", seconds, 8),
            "out_bits_per_second": _rate(then, found, "bytes_sent", seconds, 8),
            "in_errors_per_second": _rate(then, found, "errin", seconds),
            "out_errors_per_second": _rate(then, found, "errout", seconds),
            "in_discards_per_second": _rate(then, found, "dropin", seconds),
            "out_discards_per_second": _rate(then, found, "dropout", seconds),
            "speed_bits_per_second": state.speed * 1e6 if state and state.speed else None,
        }
    return rows


def _shaped(tables: Mapping[str, Mapping[str, Row]]) -> tuple[Shape, list[float | None]]:
    fields = {"device": _DEVICE, "host": _HOST, "disk": _DISK, "volume": _VOLUME, "interface": _INTERFACE}
    parts = [TableShape(table, list(rows), list(fields[table])) for table, rows in tables.items() if rows]
    values = [rows[at].get(name) for table, rows in tables.items() for at in rows for name in fields[table]]
    return Shape(DeviceKind.SERVER, "host", Source.HOST, parts), values


def _inventory() -> dict[str, str]:
    texts = {
        "name": socket.gethostname(),
        "description": f"{platform.system()} {platform.release()} {platform.machine()}",
        "model": _product("product_name"),
        "vendor": _product("sys_vendor"),
        "kind": str(DeviceKind.SERVER),
        "profile": "host",
    }
    return {name: text for name, text in texts.items() if text}


def _product(name: str) -> str:
    """What the firmware says about the machine (Linux, readable by everybody; the serial number is not)."""
    try:
        with open(f"/sys/class/dmi/id/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read(128).strip()
    except OSError:
        return ""
