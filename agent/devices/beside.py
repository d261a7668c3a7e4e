"""A source of a device other than SNMP: what ISAPI, ONVIF and probes have in common when they are polled.

The one that leads says whether the device is up, tells its inventory, and notices when another device answers under its
name; see `agent.devices.visited`. One beside it gives what those before it do not, and its texts to the inventory of the one
that leads.

Errors: none; a failure is a reading with its reason.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.devices.health import Health, Standing
from agent.devices.identity import changes, identity, merged
from agent.devices.lockout import Lockout
from agent.devices.remembered import Remembered
from agent.devices.visited import Visited
from agent.reading import Clock, Happening, Reading
from agent.settings import links
from agent.settings.target import Target
from agent.web.client import Garbled, Unanswered, WebError
from agent.web.turns import Turns
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

Rows = dict[str, dict[str, dict[str, float | None]]]
"""table → instance → field → value"""
_log = Log(__name__)
_TELL_AGAIN = 86400.0
_MIN_DEADLINE = 0.9
_LEADING = ("up", "rtt_seconds", "poll_seconds")


class Company:
    """The sources of one device, in the order in which they lead. `texts` are what those beside tell of it.

    `turns` are the whole site's; `lockout` knows what passwords the device refused, whichever source said them.
    """

    def __init__(self, target: Target, turns: Turns | None = None) -> None:
        self.target = target
        self.turns = turns or Turns()
        self.lockout: Lockout | None = None
        self.members: list[Visited] = []
        self.texts: dict[str, str] = {}

    def taken(self, by: Visited) -> frozenset[tuple[str, str]]:
        """The fields, (table, field), of those before it."""
        before = self.members[: self.members.index(by)]
        tables = [part for member in before for part in member.shape.tables]
        return frozenset((part.table, name) for part in tables for name in part.fields)

    def kind(self, by: Visited, found: DeviceKind | None) -> DeviceKind:
        """What the device is: one word for all its sources, the leader's when it has one."""
        own = self.target.kind or found or DeviceKind.OTHER
        lead = self.members[0]
        return own if lead is by or lead.shape.kind is DeviceKind.OTHER else lead.shape.kind


@dataclass
class Gained:
    """What one poll gave. `up` and `rtt` are for the one that leads; `missing` says what did not come, and why."""

    rows: Rows
    texts: dict[str, str] = field(default_factory=dict)
    kind: DeviceKind | None = None
    missing: list[str] = field(default_factory=list)
    up: float | None = 1.0
    rtt: float | None = None


class Beside(ABC):
    """One source of one device.

    Args:
        target: the device.
        company: all its sources; this one is put among them by whoever makes it.
        clock: `now` stamps readings, `monotonic` measures.
        leads: whether it is the first of them.
        remembered: what is known of the device from before; changed in place by the one that leads.
    """

    source: Source
    profile: str
    rests = True
    """Whether a device that is down is asked with growing pauses."""

    def __init__(
        self, target: Target, company: Company, *, clock: Clock, leads: bool, remembered: Remembered | None = None
    ) -> None:
        self.target = target
        self.leads = leads
        self.health = Health()
        self.company = company
        self.clock = clock
        self._known = remembered or Remembered()
        self.lockout = company.lockout = company.lockout or Lockout(clock, self._known.refusals)
        self._heard = False
        """Whether anything came of the device in the poll under way."""
        self._inventory: dict[str, str] = {}
        self._told_at = -math.inf
        self._there: float | None = 0.0
        tables = [TableShape("device", [""], list(_LEADING))] if leads else []
        self._shape = Shape(target.kind or DeviceKind.OTHER, self.profile, self.source, tables)

    @property
    def why(self) -> str:
        """See Visited."""
        return self.health.why

    @property
    def interval(self) -> float:
        """See Visited."""
        return float(self.target.interval)

    @property
    def deadline(self) -> float:
        """Seconds that one poll may take."""
        return self.interval * _MIN_DEADLINE

    @property
    def turns(self) -> asyncio.Semaphore:
        """What to hold during one request to the device."""
        return self.company.turns.of(trusted=self.health.standing is Standing.UP)

    @property
    def shape(self) -> Shape:
        """See Visited."""
        return self._shape

    @abstractmethod
    async def gain(self, at: float) -> Gained:
        """Asks the device, at `at` of the steady clock.

        Raises:
            WebError, OSError: nothing came to go by.
        """

    @abstractmethod
    async def knock(self) -> None:
        """Asks for as little as can be.

        Raises:
            WebError, OSError: nothing came to go by.
        """

    def close(self) -> None:  # noqa: B027 - not every source holds something
        """See Visited: nothing stays open between two polls."""

    def hear(self) -> None:
        """The device said something, be it that it takes a connection: it is there."""
        self._heard = True

    async def poll(self) -> list[Reading | Happening]:
        """See Visited."""
        begun, at = self.clock.now(), self.clock.monotonic()
        resting = self.rests and self.health.standing is Standing.DOWN
        if resting and (at < self.health.ask_at or not await self.back()):
            return [self._silent(begun, f"{self.why}; asked again with growing pauses")]
        self._heard = False
        try:
            async with asyncio.timeout(self.deadline):
                gained = await self.gain(at)
        except TimeoutError:
            why = f"no complete answer within {self.deadline:g} s"
            return self._failed(begun, Unanswered(why, there=self._heard))
        except (WebError, OSError) as wrong:
            return self._failed(begun, wrong)
        except (ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            # An answer we did not foresee costs this device's poll, never everybody's.
            _log.exception("mistake of ours", device=self.target.name, profile=self.profile)
            return self._failed(
                begun, Garbled(f"its answer was not understood, please report it: {type(wrong).__name__}: {wrong}")
            )
        return self._read(begun, at, gained)

    async def back(self) -> bool:
        """See Visited."""
        try:
            async with asyncio.timeout(self.deadline):
                await self.knock()
        except (WebError, OSError, ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            self._note(wrong)
            return False
        self.health.knocked()
        return True

    def _read(self, begun: int, at: float, gained: Gained) -> list[Reading | Happening]:
        took = self.clock.monotonic() - at
        middle = begun + int(took * 500)
        self._shape, values = self._shaped(gained, took)
        why = "; ".join(gained.missing)
        ok = not self.leads or gained.up != 0.0
        if ok:
            self.health.answered()
        else:
            self._note(Unanswered(why))
        reading = Reading(middle, self.target.name, self._shape, values, ok=ok, why=why, address=self.target.address)
        return [reading, *self._told(middle, at, gained.texts)]

    def _shaped(self, gained: Gained, took: float) -> tuple[Shape, list[float | None]]:
        rows: Rows = {}
        if self.leads:
            leading = dict(zip(_LEADING, (gained.up, gained.rtt, took), strict=True))
            rows["device"] = {"": leading | gained.rows.get("device", {}).get("", {})}
        rows |= {table: found for table, found in gained.rows.items() if table not in rows and found}
        taken = self.company.taken(self)
        parts, values = [], []
        for table, found in rows.items():
            fields = _in_order(name for row in found.values() for name in row)
            fields = [name for name in fields if (table, name) not in taken]
            if fields:
                parts.append(TableShape(table, list(found), fields))
                values += [row.get(name) for row in found.values() for name in fields]
        kind = self.company.kind(self, gained.kind)
        shape = Shape(kind, self.profile, self.source, parts)
        return (self._shape, values) if shape == self._shape else (shape, values)

    def _told(self, t: int, at: float, texts: dict[str, str]) -> list[Happening]:
        """What happened; the inventory when it is new or a day old. One beside leaves its texts to the one that leads."""
        if not self.leads:
            self.company.texts |= texts
            return []
        whole = self.company.texts | texts
        told = [self._happening(t, "event", change) for change in self._changes(whole)]
        whole |= {"address": self.target.address, "kind": str(self._shape.kind), "profile": self.profile}
        whole |= links.said(self.target)
        if whole != self._inventory or at - self._told_at >= _TELL_AGAIN:
            self._inventory, self._told_at = whole, at
            told.append(self._happening(t, "inventory", whole))
        return told

    def _changes(self, texts: dict[str, str]) -> Sequence[dict[str, str]]:
        now, before = identity(texts, None), self._known.identity
        found = changes(before, now)
        for change in found:
            _log.warning(change["event"], device=self.target.name, before=change["before"], after=change["after"])
        self._known.identity = merged(before, now)
        return found

    def _failed(self, begun: int, wrong: Exception) -> list[Reading | Happening]:
        self._note(wrong)
        return [self._silent(begun, self.why)]

    def _note(self, wrong: Exception) -> None:
        """Remembers a failure: why, and whether the device is there at all."""
        why = str(wrong) or "no answer in time"
        if isinstance(wrong, OSError) and not isinstance(wrong, TimeoutError):
            why, self._there = f"cannot be asked: {wrong}", None
        else:
            self._there = 1.0 if isinstance(wrong, WebError) and wrong.there else 0.0
        self.health.failed(why, now=self.clock.now(), at=self.clock.monotonic())
        if not self.rests:
            self.health.ask_at = math.inf

    def _silent(self, t: int, why: str) -> Reading:
        values: list[float | None] = [None] * self._shape.width
        if self.leads:
            values[0] = self._there
        return Reading(t, self.target.name, self._shape, values, ok=False, why=why, address=self.target.address)

    def _happening(self, t: int, kind: str, text: dict[str, str]) -> Happening:
        return Happening(t, self.target.name, kind, self._shape, text, self.target.address)


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
