"""What was polled lately, how it went, and what the guard refused: what `forewarn agent status` tells a customer.

Written to `lately.json` in the agent's folder, every two seconds at most and the more rarely the more devices there are.

Errors: none; a file that cannot be written shows by its time that it is old.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from agent.delivery.door import Door
from agent.devices.visited import sources
from agent.guard import Guard
from agent.logbook.book import LogBook
from agent.reading import Clock, Happening, Reading
from agent.settings import Settings
from forewarn.consent import Refusal
from forewarn.vocabulary import Source

FILE = "lately.json"
LOOK = 2.0
PER_DEVICE = 0.05
"""Seconds between two writings, and for each device: a site of 500 writes every 25 s, which spares its disk."""
MOST_REFUSED = 1000
"""Most refusals remembered: there are as many as devices in the settings, and a few sources."""


class Polled(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One device: how often it is read, and how that went last.

    `every` is seconds; `at` Unix milliseconds, 0 before the first time; `values` those that were not null. `refused`
    is why the guard does not let it be read now.
    """

    name: str
    address: str = ""
    every: float = 0.0
    kind: str = ""
    profile: str = ""
    at: int = 0
    ok: bool = False
    why: str = ""
    values: int = 0
    refused: str = ""


class Refused(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something the guard refuses now: since when (Unix milliseconds) and how often."""

    source: str
    address: str
    why: str
    since: int
    times: int


class Lately(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. `withheld` counts what was read and then not kept, because the consent ended meanwhile; since the start."""

    at: int
    site: str
    agent: str
    devices: list[Polled]
    refused: list[Refused]
    withheld: int
    log_bytes: int
    log_paused: str


class Watch:
    """The Sink of every source, before the door, and the permit of every poll, after the guard: it notes both."""

    def __init__(self, settings: Settings, *, door: Door, guard: Guard, log_book: LogBook, clock: Clock) -> None:
        self._settings = settings
        self._file = settings.folder / FILE
        self._door = door
        self._guard = guard
        self._log_book = log_book
        self._clock = clock
        self._refused: dict[tuple[str, str], Refused] = {}
        self._devices = {
            device.name: Polled(name=device.name, address=device.address, every=float(device.interval))
            for device in settings.devices
        }
        self._leads = {str(device.name): sources(device)[0] for device in settings.devices}
        if settings.host.enabled:
            name = settings.host_name
            self._devices[name] = Polled(name=name, address="this machine", every=float(settings.host.interval))
        self._devices[settings.agent] = Polled(name=settings.agent, address="the agent", every=float(settings.report))

    async def put(self, item: Reading | Happening) -> None:
        """See Sink."""
        device = self._devices.get(item.device)
        leads = isinstance(item, Reading) and self._leads.get(item.device, item.shape.source) is item.shape.source
        if device is not None and isinstance(item, Reading) and leads and self._guard.may_leave() is None:
            device.at, device.ok, device.why = item.t, item.ok, item.why
            device.kind, device.profile = item.shape.kind, item.shape.profile
            device.values = sum(value is not None for value in item.values)
        await self._door.put(item)

    def permit(self, source: Source, address: str | None = None) -> Refusal | None:
        """Asks the guard; what it refuses of this source or address alone is noted, once per change."""
        refusal = self._guard.refuses(source, address)
        key = source, address or ""
        known = self._refused.get(key)
        if refusal is None:
            if known is not None:
                del self._refused[key]
                self._log_book.refused(source, address or "", "")
        elif known is not None and known.why == refusal:
            known.times += 1
        elif self._guard.may_leave() is None and len(self._refused) < MOST_REFUSED:
            self._refused[key] = Refused(
                source=source, address=address or "", why=str(refusal), since=self._clock.now(), times=1
            )
            self._log_book.refused(source, address or "", str(refusal))
        return refusal

    async def run(self) -> None:
        """Keeps the file, until cancelled."""
        pause = max(LOOK, PER_DEVICE * len(self._devices))
        while True:
            await asyncio.to_thread(self.write)
            await asyncio.sleep(pause)

    def write(self) -> None:
        """Writes the file."""
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(self.lately(), enc_hook=str)) + b"\n")
            draft.replace(self._file)
        except OSError:
            return  # A full disk says so elsewhere; the old file shows by its time that it is old.

    def lately(self) -> Lately:
        """What there is to tell now."""
        book = self._log_book.standing
        return Lately(
            at=self._clock.now(),
            site=str(self._settings.site),
            agent=str(self._settings.agent),
            devices=[self._now(device) for device in list(self._devices.values())],
            refused=list(self._refused.values()),
            withheld=self._door.withheld,
            log_bytes=book.size,
            log_paused=book.paused,
        )

    def _now(self, device: Polled) -> Polled:
        source = Source.HOST if device.address == "this machine" else self._leads.get(device.name, Source.SNMP)
        known = self._refused.get((source, "" if source is Source.HOST else device.address))
        return msgspec.structs.replace(device, refused=known.why if known else "")


def last(folder: Path) -> Lately | None:
    """The file of an agent that runs or ran; None when there is none."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Lately)
    except (OSError, msgspec.DecodeError):
        return None
