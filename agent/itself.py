"""The agent as a device of its own: how full its spool is, what it costs, how polling goes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec

from agent.delivery.spool import Spool
from agent.delivery.uplink import Uplink
from agent.guard import Guard
from agent.polling.poller import Poller, Trouble
from agent.reading import Clock, Reading, Sink
from agent.traps.state import HearsTraps
from agent.traps.state import State as TrapState
from forewarn.manifest import Manifest
from forewarn.telemetry import Log
from forewarn.vocabulary import TABLES, DeviceKind, Source
from forewarn.wire import Shape, TableShape

STATUS = "status.json"
log = Log(__name__)
LOOK = 2.0
"""Seconds between two writings of the status file."""
_FIELDS = list(TABLES["agent"].fields)
SHAPE = Shape(kind=DeviceKind.AGENT, profile="agent", source=Source.AGENT, tables=[TableShape("agent", [""], _FIELDS)])


class Status(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `forewarn agent status` shows; written to `status.json` in the agent's folder every two seconds.

    `at` is Unix milliseconds; `forbidden` is why nothing is polled or sent, `held` why the collector takes nothing,
    `stuck` why the disk takes nothing: each empty when all is well. `troubled` has the devices that are not up.
    """

    at: int
    pid: int
    epoch: str
    oldest: int
    head: int
    acked: int
    records: int
    bytes: int
    stuck: str
    consent: str
    forbidden: str
    connected: bool
    why: str
    held: str
    in_flight: int
    rewinds: int
    forged: int
    troubled: dict[str, Trouble] = {}
    answered: int = 0
    """When the collector was last heard, Unix milliseconds; 0: not since the agent started."""
    traps: TrapState | None = None
    """How hearing traps goes; None where it is off."""
    manifest: Manifest | None = None
    """The newest proof of what the spool numbered in this epoch; None before the first hour."""
    clock_ahead: float | None = None
    """Seconds by which this machine's clock is ahead of the collector's; None: it did not say."""


class Itself:
    """Reports on the agent."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        spool: Spool,
        uplink: Uplink,
        guard: Guard,
        poller: Poller,
        clock: Clock,
    ) -> None:
        self._name = name
        self._file = folder / STATUS
        self._spool = spool
        self._uplink = uplink
        self._guard = guard
        self._poller = poller
        self._clock = clock
        self.traps: HearsTraps | None = None
        self._before: tuple[float, float, int] | None = None
        self._unwritten = ""

    def status(self) -> Status:
        """How everything stands."""
        standing, sending, consent = self._spool.standing, self._uplink.status, self._guard.consent
        return Status(
            at=self._clock.now(),
            pid=os.getpid(),
            epoch=standing.epoch,
            oldest=standing.oldest,
            head=standing.head,
            acked=standing.acked,
            records=standing.records,
            bytes=standing.size,
            stuck=standing.stuck,
            consent=consent.id if consent else "",
            forbidden=sending.forbidden,
            connected=sending.connected,
            why=sending.why,
            held=sending.held,
            in_flight=sending.in_flight,
            rewinds=sending.rewinds,
            forged=sending.forged,
            answered=sending.answered,
            manifest=standing.manifest,
            clock_ahead=sending.clock_ahead,
            troubled=self._poller.troubled(),
            traps=self.traps.state if self.traps is not None else None,
        )

    def reading(self) -> Reading:
        """One record about the agent; rates are null the first time."""
        standing, polling = self._spool.standing, self._poller.state()
        at, spent, polls = self._clock.monotonic(), time.process_time(), polling.polls
        before, self._before = self._before, (at, spent, polls)
        seconds = at - before[0] if before else 0.0
        values: dict[str, float | None] = {
            "spool_records": float(standing.records),
            "spool_bytes": float(standing.size),
            "resident_bytes": _resident(),
            "cpu_percent": 100 * (spent - before[1]) / seconds if before and seconds > 0 else None,
            "poll_lag_seconds": polling.lag_seconds,
            "devices": float(polling.devices),
            "devices_down": float(polling.down),
            "polls_per_second": (polls - before[2]) / seconds if before and seconds > 0 else None,
        }
        return Reading(self._clock.now(), self._name, SHAPE, [values.get(field) for field in _FIELDS])

    async def run(self, *, interval: float, sink: Sink) -> None:
        """Puts a reading every `interval` seconds and keeps the status file, until cancelled."""
        due = self._clock.monotonic()
        while True:
            await asyncio.to_thread(self._write)
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + interval
                await sink.put(self.reading())
            await asyncio.sleep(min(LOOK, interval))

    def _write(self) -> None:
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(self.status())) + b"\n")
            draft.replace(self._file)
        except OSError as wrong:  # The old file shows by its time that it is old.
            if not self._unwritten:
                log.warning("status is not written", why=str(wrong), advice="make room; polling and delivery go on")
            self._unwritten = str(wrong)
            return
        if self._unwritten:
            log.info("status is written again", after=self._unwritten)
            self._unwritten = ""


def _resident() -> float | None:
    """Bytes of memory in use, where /proc tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
