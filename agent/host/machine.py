"""This machine as a device of its own: its parts read together, as one record.

Errors: none; a part that cannot be read leaves its values null, and says why once in the log.
"""

from __future__ import annotations

import asyncio
import math
import platform
import re
import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from agent.host.bmc import Controller
from agent.host.children import Asking, Children
from agent.host.files import Files
from agent.host.network import Interfaces
from agent.host.parts import Part, Tables, Unread, merge
from agent.host.power import Supply
from agent.host.processor import Processor
from agent.host.raid import Arrays
from agent.host.sensors import Sensors
from agent.host.services import Processes, Services
from agent.host.smartctl import EVERY, Smart
from agent.host.storage import Disks, Volumes
from agent.host.system import Psutil, System
from agent.host.timekeeping import Timekeeping
from agent.polling.poller import Permit, slot
from agent.reading import Clock, Happening, Reading, Sink
from agent.settings import Settings
from agent.settings.links import said
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

_log = Log("agent.host")


class Wanted(NamedTuple):
    """What a person may ask for.

    `services` are those of systemd or Windows, by name; `processes` what people call them → a regular expression for
    their command line; `smart_every` the seconds between two rounds of smartctl, 0 for none.
    """

    services: Sequence[str] = ()
    processes: Mapping[str, str] = MappingProxyType({})
    smart_every: float = EVERY


_USUAL = Wanted()
_TELL_AGAIN = 86400.0
"""Seconds after which an inventory that did not change is told all the same."""


class Host:
    """Reads this machine.

    Args:
        name: of the device that this machine is to people.
        clock: `now` stamps readings, `monotonic` measures rates.
        links: what it hangs on, as texts of its inventory.
        wanted: what is read of it beside what every machine has.
        system: whom to ask, beside files and commands.
        files: the tree of files.
        asking: runs commands.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        links: Mapping[str, str] | None = None,
        wanted: Wanted = _USUAL,
        system: System | None = None,
        files: Files | None = None,
        asking: Asking | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._links = links or {}
        self._files = files or Files()
        system, asking = system or Psutil(), asking or Children()
        patterns = {name: re.compile(match) for name, match in wanted.processes.items()}
        self._parts: list[Part] = [
            Processor(system, self._files),
            Timekeeping(asking, clock.monotonic),
            Disks(system, self._files),
            Arrays(self._files),
            Volumes(system, self._files),
            Interfaces(system, self._files),
            Sensors(system, self._files, clock.monotonic),
            Controller(asking, self._files, clock.monotonic),
            Supply(asking, clock.monotonic),
            Services(wanted.services, system, asking),
            Processes(patterns, system),
        ]
        if wanted.smart_every:
            self._parts.append(Smart(asking, self._files, clock.monotonic, every=wanted.smart_every))
        self._at: float | None = None
        self._told: dict[str, str] = {}
        self._told_at = -math.inf
        self._complained: set[Unread] = set()

    def read(self) -> list[Reading | Happening]:
        """One reading, and the inventory when it is new, changed or a day old. Blocks for milliseconds."""
        begun, at = self._clock.now(), self._clock.monotonic()
        seconds = at - self._at if self._at is not None else None
        self._at = at
        tables: Tables = {"device": {"": {"up": 1.0, "poll_seconds": None}}}
        for part in self._parts:
            merge(tables, part.read(seconds))
        took = self._clock.monotonic() - at
        tables["device"][""]["poll_seconds"] = took
        shape, values = _shaped(tables)
        items: list[Reading | Happening] = [Reading(begun + int(took * 500), self.name, shape, values)]
        told = {**self._inventory(), **self._links}
        if told != self._told or at - self._told_at >= _TELL_AGAIN:
            self._told, self._told_at = told, at
            items.append(Happening(begun, self.name, "inventory", shape, told))
        self._complain()
        return items

    def unread(self) -> list[Unread]:
        """What could not be read in the last reading although it may be there, and what to do about it."""
        return [each for part in self._parts for each in part.unread()]

    def settle(self, seconds: float) -> None:
        """Waits, so long at most, until what is asked aside has answered; the next reading has it."""
        until = self._clock.monotonic() + seconds
        for part in self._parts:
            part.settle(max(until - self._clock.monotonic(), 0.0))

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

    def _complain(self) -> None:
        for each in self.unread():
            if each not in self._complained:
                self._complained.add(each)
                _log.warning("not read of this host", part=each.part, why=each.why, remedy=each.remedy)

    def _inventory(self) -> dict[str, str]:
        texts = {
            "name": socket.gethostname(),
            "description": f"{platform.system()} {platform.release()} {platform.machine()}",
            # Readable by everybody, unlike the serial number.
            "model": self._product("product_name"),
            "vendor": self._product("sys_vendor"),
            "kind": str(DeviceKind.SERVER),
            "profile": "host",
        }
        for part in self._parts:
            texts.update(part.texts())
        return {name: text for name, text in texts.items() if text}

    def _product(self, name: str) -> str:
        """What the firmware says about the machine (Linux)."""
        return (self._files.text(f"/sys/class/dmi/id/{name}") or "")[:128].strip()


def of(settings: Settings, clock: Clock) -> Host:
    """This machine, read as the settings say."""
    given = settings.host
    wanted = Wanted(given.services, {each.name: each.match for each in given.processes}, float(given.smart))
    return Host(settings.host_name, clock=clock, links=said(given), wanted=wanted)


def _shaped(tables: Tables) -> tuple[Shape, list[float | None]]:
    """Every row of a table with every field that some row of it has, in the order they came."""
    fields = {
        table: list(dict.fromkeys(name for row in rows.values() for name in row)) for table, rows in tables.items()
    }
    parts = [TableShape(table, list(rows), fields[table]) for table, rows in tables.items() if rows]
    values = [rows[at].get(name) for table, rows in tables.items() for at in rows for name in fields[table]]
    return Shape(DeviceKind.SERVER, "host", Source.HOST, parts), values
