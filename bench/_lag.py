"""How a whole poller keeps its slots while a share of its devices is dead and some others misbehave."""

from __future__ import annotations

import asyncio
import time

from agent.polling.poller import Poller, slot
from agent.profiles.files import shipped
from agent.profiles.plan import DEVICE_FIELDS
from agent.reading import Happening, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from bench._switches import Switches
from forewarn.settings import Duration

MEETING = 3
"""Cycles that are left out: the first poll of a device costs as much as twenty later ones."""
_TOOK = DEVICE_FIELDS.index("poll_seconds")


class Clock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Counted:
    """A sink that knows in which cycle each complete reading began, and how late. `begun`: Unix seconds, of the poller."""

    def __init__(self, names: frozenset[str], interval: float) -> None:
        self._names, self._interval = names, interval
        self.begun = 0.0
        self.late: dict[tuple[str, int], float] = {}

    async def put(self, item: Reading | Happening) -> None:
        if not isinstance(item, Reading) or not item.ok or item.why or item.device not in self._names:
            return
        after = item.t / 1000 - (item.values[_TOOK] or 0.0) / 2 - self.begun - slot(item.device, self._interval)
        # Half a millisecond is what `t` is rounded by.
        cycle = int((after + 0.005) // self._interval)
        self.late.setdefault((item.device, cycle), max(after - cycle * self._interval, 0.0))


async def lag(running: Switches, *, dead: int, cycles: int, interval: float) -> dict[str, float]:
    """Polls all devices for some cycles after `MEETING`, in which they are met.

    Args:
        running: the devices; the last `dead` are silenced, some before those misbehave (see `Switches.misbehave`).
        dead: how many.
        cycles: how many intervals to measure.
        interval: seconds between two polls of a device.

    Returns:
        `cycles_on_time_share`: of the polls of healthy devices that were due, those that began in their interval and
        gave a complete reading; `p99_lag_ms_with_dead`: how late they began.
    """
    odd = running.misbehave(dead)
    targets = [
        Target(
            name=f"switch-{at}",
            address=address,
            port=port,
            profile="switch.generic",
            interval=Duration(interval),
            timeout=Duration(1),
        )
        for at, (address, port) in enumerate(running.places)
    ]
    healthy = frozenset(each.name for each in targets[: len(targets) - dead - odd])
    counted = Counted(healthy, interval)
    poller = Poller(
        targets, profiles=shipped(), open_session=opener(), sink=counted, permit=lambda *_: None, clock=Clock()
    )
    counted.begun = time.time()
    task = asyncio.create_task(poller.run())
    await asyncio.sleep(interval * (cycles + MEETING + 1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    lags = sorted(late for (_, cycle), late in counted.late.items() if MEETING <= cycle < MEETING + cycles)
    assert lags, "no healthy device was polled"
    return {
        "cycles_on_time_share": len(lags) / (len(healthy) * cycles),
        "p99_lag_ms_with_dead": lags[int(len(lags) * 0.99)] * 1000,
    }
