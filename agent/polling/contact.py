"""What the agent knows of one device between two polls, and one poll of it.

A poll gives readings and happenings, whatever the device does: a failure is a reading too, with its reason, and what
came before it failed is kept. The device is met anew (matched, its rows walked, its inventory read) when `agent.polling.rows`
says so; in between only values are asked for. One that is down is asked for a single object, see `agent.devices.health`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.devices.health import Health, Standing
from agent.devices.identity import ENGINE_ID, REPLACED, changes, identity, merged
from agent.devices.remembered import Remembered
from agent.polling import meeting, rows
from agent.polling.meeting import Nothing
from agent.profiles.counters import (
    BOOTS,
    ENGINE_TIME,
    UPTIME,
    WRAP_SECONDS,
    Clocks,
    Continuity,
    Past,
    continuity,
    marks_of,
)
from agent.profiles.language import Profile
from agent.profiles.plan import DEVICE_FIELDS, Plan
from agent.reading import Clock, Happening, Reading
from agent.settings import links
from agent.settings.target import INTERVAL, Target
from agent.snmp.packing import Packing
from agent.snmp.session import Denied, Misread, Refused, Runaway, Session, SnmpError, Unreachable, Value
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

OpenSession = Callable[[Target], Session]
Reachability = Callable[[Target], Awaitable[str]]
"""By what a device answers that does not answer SNMP ("ping", "TCP 554"); "" for nothing at all."""
UNMATCHED = "unmatched"
"""The profile of a device that has not answered yet."""
NO_SNMP = "no SNMP"
_log = Log(__name__)
_MEET_AGAIN = 1800.0
_LOOK_AGAIN = 300.0
"""Seconds after which a device is met again of which a table could not be walked."""
_TELL_AGAIN = 86400.0
_MIN_DEADLINE = 0.9
_SAME_BOOT = 600.0
"""Seconds by which two estimates of when a device started may differ."""
_THERE = (Denied, Refused, Misread, Runaway, Nothing)
"""Failures that somebody answered with."""


@dataclass(slots=True)
class _Turn:
    """One poll under way."""

    begun: int
    at: float
    plan: Plan | None = None
    got: dict[str, Value] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Why something did not come."""
    told: list[Happening] = field(default_factory=list)


class Contact:
    """One device.

    Args:
        target: the device.
        profiles: by id; `target.profile` is one of them when given.
        open_session: makes the session; called again after a failure.
        clock: `now` stamps readings, `monotonic` measures.
        remembered: what is known of it from before; changed in place.
        reach: asked whether it answers anything else, when SNMP fails.
        also: what other sources tell of it, for its inventory; looked at when it is met.
    """

    source = Source.SNMP
    leads = True

    def __init__(
        self,
        target: Target,
        profiles: Mapping[str, Profile],
        *,
        open_session: OpenSession,
        clock: Clock,
        remembered: Remembered | None = None,
        reach: Reachability | None = None,
        also: Mapping[str, str] | None = None,
    ) -> None:
        self.target = target
        self._also = also if also is not None else {}
        self.health = Health()
        self._profiles = profiles
        self._open = open_session
        self._clock = clock
        self._reach = reach
        self._known = remembered or Remembered()
        self._packing = Packing(self._known.packing, self._known.patience)
        self._session: Session | None = None
        self._plan: Plan | None = None
        self._meet_at = math.inf
        self._signs = rows.Signs()
        self._extras: list[str] = []
        self._marks: list[str] = []
        self._absent: frozenset[str] | None = None
        self._past: Past | None = None
        self._wraps: int | None = None
        self._inventory: dict[str, str] = {}
        self._told_at = -math.inf
        self._there = [0.0, 0.0]
        self._said = False
        self._shape = _silent_shape(profiles.get(target.profile or ""))

    @property
    def why(self) -> str:
        """Why the last poll failed; empty when it did not."""
        return self.health.why

    @property
    def shape(self) -> Shape:
        """Of what it showed last."""
        return self._shape

    @property
    def interval(self) -> float:
        """Seconds between two polls: what the settings say, else its profile, once that is known."""
        profile = self._plan.profile if self._plan is not None else self._profiles.get(self.target.profile or "")
        if self.target.interval is INTERVAL and profile is not None and profile.interval is not None:
            return float(profile.interval)
        return float(self.target.interval)

    async def poll(self) -> list[Reading | Happening]:
        """One poll: a reading, and what happened. Takes at most 0.9 intervals."""
        turn = _Turn(self._clock.now(), self._clock.monotonic())
        if self.health.standing is Standing.DOWN and (turn.at < self.health.ask_at or not await self.back()):
            return [self._silent(turn, f"{self.why}; asked again with growing pauses")]
        deadline = self.interval * _MIN_DEADLINE
        try:
            async with asyncio.timeout(deadline):
                await self._asked(turn)
        except TimeoutError:
            self.close()
            why = f"no complete answer within {deadline:g} s, the time between two polls"
            if not turn.got or turn.plan is None:
                return await self._failed(turn, Unreachable(why))
            turn.missing.append(why)
        except (SnmpError, OSError) as wrong:
            return await self._failed(turn, wrong)
        except (ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            return await self._failed(turn, self._mistaken(wrong))
        try:
            return [self._reading(turn), *turn.told]
        except (ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            return await self._failed(turn, self._mistaken(wrong))

    async def back(self) -> bool:
        """Asks a device that is down for one object, once; whether it answered."""
        try:
            async with asyncio.timeout(self.target.timeout * 2 + 1):
                session = self._opened()
                session.patient = session.trusted = False
                await session.get_many([UPTIME])
        except (SnmpError, OSError, TimeoutError) as wrong:
            await self._note(wrong)
            return False
        except (ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            await self._note(self._mistaken(wrong))
            return False
        self.health.knocked()
        self._meet_at = -math.inf
        return True

    def close(self) -> None:
        """Gives the socket back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._open(self.target)
            self._session.packing = self._packing
            self._session.trusted = self.health.standing is Standing.UP
        return self._session

    async def _asked(self, turn: _Turn) -> None:
        """Asks the device, into `turn`; what cannot be had for want of an answer is said there.

        Raises:
            SnmpError, OSError: nothing came at all.
        """
        session = self._opened()
        session.patient, session.rtt_seconds = True, math.inf
        if self._plan is None:
            await self._meet(session, turn)
        same = await self._values(session, turn)
        if not turn.missing and (not same or self._other(turn)):
            if await self._met_again(session, turn):
                turn.got.clear()
                await self._values(session, turn)
        elif not turn.missing and turn.at >= self._meet_at:
            await self._met_again(session, turn)
        if not turn.got:
            raise Nothing("it answers, but has none of the objects asked for: is the community allowed to see them?")
        turn.missing += [f"{oid} cannot be read: {why}" for oid, why in session.unreadable.items()]
        turn.missing += self._plan.unread.values() if self._plan is not None else ()

    async def _values(self, session: Session, turn: _Turn) -> bool:
        """Asks for the values of the plan; whether its rows are still those of the device."""
        drawn = turn.plan = self._plan
        assert drawn is not None
        asked = [*self._extras, *drawn.ask(turn.at)]
        same = True
        try:
            await session.get_many(asked, turn.got)
            same = await rows.walked(session, drawn.walks(turn.at), turn.got, turn.missing)
        except SnmpError as wrong:
            if not turn.got:
                raise
            turn.missing.append(str(wrong))
            return True
        if self._absent is None:
            self._absent = frozenset([*self._extras, *drawn.oids]).difference(turn.got)
        return same and not rows.gone(self._absent, asked, turn.got)

    def _other(self, turn: _Turn) -> bool:
        """Whether the device may have other rows than when it was met."""
        judged = self._judged(turn)
        return judged in (Continuity.RESTARTED, Continuity.DOUBTFUL) or self._signs.changed(turn.got)

    async def _met_again(self, session: Session, turn: _Turn) -> bool:
        """Meets the device anew; when that fails the plan it had serves on, and the reading says so."""
        try:
            await self._meet(session, turn)
        except SnmpError as wrong:
            turn.missing.append(f"its tables were not read anew: {wrong}")
            self._meet_at = turn.at + self.interval
            return False
        return True

    async def _meet(self, session: Session, turn: _Turn) -> None:
        """Matches the device, draws its plan, reads its inventory, sees which clocks and signs it has."""
        before = self._plan
        met = await meeting.meet(session, self._profiles, fixed=self.target.profile, before=before)
        self._marks = marks_of(oid for part in met.plan.counts for oid in part.oids)
        extras = [UPTIME, BOOTS, ENGINE_TIME, *rows.SIGNS, *self._marks]
        found = await session.get_many([*extras, ENGINE_ID])
        self._plan, self._absent = met.plan, None
        self._extras = [UPTIME, *(oid for oid in extras[1:] if oid in found)]
        self._marks = [mark for mark in self._marks if mark in found]
        self._signs.met(found, anew=before is None or before.oids != met.plan.oids)
        # Devices that came up together are not met again together.
        wait = _MEET_AGAIN if not met.plan.unread else _LOOK_AGAIN
        self._meet_at = turn.at + wait * random.uniform(1.0, 1.25)  # noqa: S311 - jitter
        inventory = {**self._also} | met.inventory | {"address": self.target.address} | links.said(self.target)
        self._identify(inventory, found.get(ENGINE_ID), turn)
        if inventory != self._inventory or turn.at - self._told_at >= _TELL_AGAIN:
            self._inventory, self._told_at = inventory, turn.at
            turn.told.append(self._happening("inventory", inventory))

    def _identify(self, inventory: Mapping[str, str], engine: Value | None, turn: _Turn) -> None:
        """Tells when another device answers under this name, or the same with another firmware."""
        now, before = identity(inventory, engine), self._known.identity
        for change in changes(before, now):
            if change["event"] == REPLACED:
                self._past = None
                if self._plan is not None:
                    self._plan.forget()
            turn.told.append(self._happening("event", change))
            _log.warning(change["event"], device=self.target.name, before=change["before"], after=change["after"])
        self._known.identity = merged(before, now)
        self._known.engine = engine.hex() if isinstance(engine, bytes) else ""

    def _judged(self, turn: _Turn) -> Continuity:
        if self._past is None:
            return Continuity.UNKNOWN
        return continuity(self._past.clocks, Clocks.of(turn.got), turn.at - self._past.at)

    def _reading(self, turn: _Turn) -> Reading:
        """The reading of what came."""
        drawn = turn.plan
        assert drawn is not None
        assert self._session is not None or turn.missing
        clocks, judged, past = Clocks.of(turn.got), self._judged(turn), self._past
        counters = drawn.counters(turn.got)
        marks = {mark: turn.got[mark] for mark in self._marks if mark in turn.got}
        # Without its uptime nobody knows whether it went on: the past waits for the next poll that has it.
        blind = past is not None and past.clocks.uptime is not None and clocks.uptime is None
        seconds = turn.at - past.at if past is not None else 0.0
        before = past.known(counters, turn.got, judged, seconds) if past is not None and not blind else None
        values = drawn.values(turn.got, before, seconds, at=turn.at, now=turn.begun)
        uptime = self._uptime(clocks, judged, turn.begun)
        if not blind:
            self._past = Past(turn.at, clocks, counters, marks)
        took = self._clock.monotonic() - turn.at
        rtt = self._session.rtt_seconds if self._session is not None else math.inf
        values[: len(DEVICE_FIELDS)] = [1.0, 1.0, rtt if math.isfinite(rtt) else None, uptime, took]
        self._shape = drawn.shape
        self._well()
        middle = turn.begun + int(took * 500)
        turn.told = [replace(item, t=middle) for item in turn.told]
        why = f"incomplete: {'; '.join(turn.missing)}" if turn.missing else ""
        return Reading(middle, self.target.name, drawn.shape, values, why=why, address=self.target.address)

    def _uptime(self, clocks: Clocks, judged: Continuity, now: int) -> float | None:
        """How long it runs, seconds, across the wraps of sysUpTime."""
        if clocks.uptime is None:
            return None
        booted = now / 1000 - clocks.uptime
        if self._wraps is None:
            rounds = round((booted - self._known.booted) / WRAP_SECONDS) if self._known.booted is not None else 0
            near = abs(booted - (self._known.booted or 0.0) - rounds * WRAP_SECONDS) < _SAME_BOOT
            self._wraps = rounds if rounds > 0 and near else 0
        elif judged in (Continuity.RESTARTED, Continuity.DOUBTFUL):
            self._wraps = 0
        elif self._past is not None and clocks.uptime < (self._past.clocks.uptime or 0.0):
            self._wraps += 1
        whole = clocks.uptime + self._wraps * WRAP_SECONDS
        booted = now / 1000 - whole
        if self._known.booted is None or abs(booted - self._known.booted) > _SAME_BOOT:
            self._known.booted = booted
        return whole

    def _well(self) -> None:
        self.health.answered()
        self._said = False
        self._known.packing, self._known.patience = self._packing.size, self._packing.patience

    async def _failed(self, turn: _Turn, wrong: Exception) -> list[Reading | Happening]:
        """The reading of a failed poll, and an event when the device is there without its SNMP."""
        await self._note(wrong)
        told = [replace(item, t=turn.begun) for item in turn.told]
        there_only = self._there == [1.0, 0.0]
        if there_only and not self._said and (isinstance(wrong, Denied) or self.health.standing is Standing.DOWN):
            self._said = True
            told.append(replace(self._happening("event", {"event": NO_SNMP, "why": self.why}), t=turn.begun))
        return [self._silent(turn, self.why), *told]

    async def _note(self, wrong: Exception) -> None:
        """Remembers a failure: why, and whether the device is there at all."""
        self.close()
        why = str(wrong)
        if isinstance(wrong, OSError) and not isinstance(wrong, TimeoutError):
            why, self._there = f"cannot be asked: {wrong}", [math.nan, math.nan]
        elif isinstance(wrong, _THERE):
            self._there = [1.0, 1.0 if isinstance(wrong, Nothing | Runaway) else 0.0]
        else:
            why = why or f"did not answer within {self.target.timeout:g} s"
            how = await self._reached()
            why = f"{NO_SNMP}, but it answers {how}: {why}" if how else why
            self._there = [1.0 if how else 0.0, 0.0]
        self.health.failed(why, now=self._clock.now(), at=self._clock.monotonic())

    async def _reached(self) -> str:
        if self._reach is None:
            return ""
        try:
            async with asyncio.timeout(self.target.timeout + 1):
                return await self._reach(self.target)
        except (OSError, TimeoutError):
            return ""

    def _mistaken(self, wrong: Exception) -> Nothing:
        # An answer we did not foresee costs this device's poll, never everybody's. The repr of some errors is all octets
        # they were made of, a password among them.
        _log.exception("mistake of ours", device=self.target.name, profile=self._shape.profile)
        return Nothing(f"its answer was not understood, please report it: {type(wrong).__name__}: {wrong}")

    def _silent(self, turn: _Turn, why: str) -> Reading:
        values: list[float | None] = [None] * self._shape.width
        values[:2] = [None if math.isnan(value) else value for value in self._there]
        return Reading(
            turn.begun, self.target.name, self._shape, values, ok=False, why=why, address=self.target.address
        )

    def _happening(self, kind: str, text: dict[str, str]) -> Happening:
        shape = self._plan.shape if self._plan is not None else self._shape
        return Happening(0, self.target.name, kind, shape, text, self.target.address)


def _silent_shape(profile: Profile | None) -> Shape:
    """What is reported of a device that never answered."""
    kind = profile.kind if profile is not None else DeviceKind.OTHER
    name = str(profile.id) if profile is not None else UNMATCHED
    return Shape(kind, name, Source.SNMP, [TableShape("device", [""], list(DEVICE_FIELDS))])
