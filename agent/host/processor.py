"""Processor, memory, load and what waits for them.

Sources: proc(5) for /proc/meminfo and /proc/vmstat; the kernel's accounting/psi for /proc/pressure.

Errors: none; what the system does not tell is null.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from agent.host.files import Files
from agent.host.parts import Part, Row, Tables, share
from agent.host.system import Memory, System

_MEMORY = re.compile(r"^(MemTotal|MemAvailable|SwapTotal|SwapFree):\s+(\d+) kB$", re.MULTILINE)
_OOM = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_STALLED = re.compile(r"^some .*\btotal=(\d+)", re.MULTILINE)
_PRESSURES = ("cpu", "memory", "io")


class Processor(Part):
    """The table `host`, but for what sensors say, and how long the machine is up."""

    def __init__(self, system: System, files: Files) -> None:
        self._system = system
        self._files = files
        self._spent: Mapping[str, float] | None = None
        self._stalled: dict[str, float | None] = {}

    def read(self, seconds: float | None) -> Tables:
        """What the machine is busy with."""
        up = self._uptime()
        load = self._system.load() or (None, None, None)
        count = self._system.process_count()
        row: Row = {
            **self._busy(),
            **self._memory(),
            "load1": load[0],
            "load5": load[1],
            "load15": load[2],
            **self._pressures(seconds),
            "oom_kills": _counted(_OOM, self._files.text("/proc/vmstat")),
            "processes": float(count) if count is not None else None,
            "uptime_seconds": up,
        }
        return {"device": {"": {"uptime_seconds": up}}, "host": {"": row}}

    def _busy(self) -> Row:
        before, self._spent = self._spent, self._system.processor()
        now = self._spent
        if before is None or now is None:
            return {"cpu_percent": None, "iowait_percent": None}
        spent = {kind: now[kind] - before.get(kind, 0.0) for kind in now}
        total, waiting = sum(spent.values()), spent.get("iowait")
        if total <= 0:
            return {"cpu_percent": None, "iowait_percent": None}
        busy = total - spent.get("idle", 0.0) - (waiting or 0.0)
        return {
            "cpu_percent": _bounded(100 * busy / total),
            # The kernel's own iowait may step back by a tick.
            "iowait_percent": _bounded(100 * waiting / total) if waiting is not None else None,
        }

    def _memory(self) -> Row:
        # psutil reads far more of the two files than is wanted here, at a third of the cost of a whole reading.
        found = memory_of(self._files.text("/proc/meminfo")) or self._system.memory()
        if found is None:
            none = ("memory_used_percent", "memory_total_bytes", "memory_available_bytes", "swap_used_percent")
            return dict.fromkeys(none)
        return {
            "memory_used_percent": 100 * (1 - found.available / found.total),
            "memory_total_bytes": float(found.total),
            "memory_available_bytes": float(found.available),
            "swap_used_percent": 100 * found.swap_used / found.swap_total if found.swap_total else None,
        }

    def _pressures(self, seconds: float | None) -> Row:
        row: Row = {}
        for of in _PRESSURES:
            micros = _counted(_STALLED, self._files.text(f"/proc/pressure/{of}"))
            now = micros / 1e6 if micros is not None else None
            row[f"{of}_pressure_percent"] = share(self._stalled.get(of), now, seconds)
            self._stalled[of] = now
        return row

    def _uptime(self) -> float | None:
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        booted = self._system.booted()
        return time.time() - booted if booted else None


def memory_of(text: str | None) -> Memory | None:
    """Memory and swap of /proc/meminfo; None before Linux 3.14, which does not tell what is available."""
    found = {name: float(amount) * 1024 for name, amount in _MEMORY.findall(text or "")}
    total, available = found.get("MemTotal"), found.get("MemAvailable")
    if not total or available is None:
        return None
    swap = found.get("SwapTotal", 0.0)
    return Memory(total, available, swap, swap - found.get("SwapFree", swap))


def _counted(pattern: re.Pattern[str], text: str | None) -> float | None:
    found = pattern.search(text) if text else None
    return float(found[1]) if found else None


def _bounded(percent: float) -> float:
    return min(max(percent, 0.0), 100.0)
