"""What the agent knows of one device between two polls, and one poll of it.

A poll gives readings and happenings, whatever the device does: a failure is a reading too, with its reason. The
device is met anew (matched, its rows walked, its inventory read) on first contact, after it restarted, when its rows
change, and every half hour.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agent import links, matching, meeting
from agent.counters import restarted
from agent.meeting import Nothing
from agent.plan import DEVICE_FIELDS, Plan
from agent.profile import Profile
from agent.reading import Clock, Happening, Reading
from agent.snmp.session import Session, SnmpError, Value
from agent.target import Target
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape

OpenSession = Callable[[Target], Session]
UNMATCHED = "unmatched"
"""The profile of a device that has not answered yet."""
_log = Log(__name__)
_MEET_AGAIN = 1800.0
_MIN_DEADLINE = 0.9


@dataclass(slots=True)
class _Past:
    """The poll before, for rates."""

    counters: Mapping[str, int]
    uptime: float | None
    at: float


class Contact:
    """One device.

    Args:
        target: the device.
        profiles: by id; `target.profile` is one of them when given.
        open_session: makes the session; called again after a failure.
        clock: `now` stamps readings, `monotonic` measures.
    """

    def __init__(
        self, target: Target, profiles: Mapping[str, Profile], *, open_session: OpenSession, clock: Clock
    ) -> None:
        self.target = target
        self.why = ""
        """Why the last poll failed; empty when it did not."""
        self._profiles = profiles
        self._open = open_session
        self._clock = clock
        self._session: Session | None = None
        self._plan: Plan | None = None
        self._met = -math.inf
        self._past: _Past | None = None
        self._inventory: dict[str, str] = {}
        self._shape = _silent_shape(profiles.get(target.profile or ""))

    async def poll(self) -> list[Reading | Happening]:
        """One poll: a reading, and an inventory when it is new or changed. Takes at most 0.9 intervals."""
        begun, at = self._clock.now(), self._clock.monotonic()
        deadline = self.target.interval * _MIN_DEADLINE
        try:
            async with asyncio.timeout(deadline):
                return await self._polled(begun, at)
        except SnmpError as wrong:
            return [self._failed(begun, str(wrong))]
        except TimeoutError:
            return [self._failed(begun, f"no complete answer within {deadline:g} s, the time between two polls")]
        except OSError as wrong:
            return [self._failed(begun, f"cannot be asked: {wrong}")]
        except (ValueError, TypeError, LookupError, ArithmeticError) as wrong:
            # An answer we did not foresee costs this device's poll, never everybody's.
            _log.exception("mistake of ours", device=self.target.name, profile=self._shape.profile)
            return [self._failed(begun, f"its answer was not understood, please report it: {wrong!r}")]

    def close(self) -> None:
        """Gives the socket back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    async def _polled(self, begun: int, at: float) -> list[Reading | Happening]:
        session = self._session = self._session or self._open(self.target)
        session.rtt_seconds = math.inf
        happenings: list[Happening] = []
        drawn = self._plan
        if drawn is None or at - self._met > _MEET_AGAIN:
            drawn = await self._meet(session, happenings)
        got, same = await _asked(drawn, session, at)
        uptime = _seconds(got.get(matching.UPTIME))
        past = self._past
        fresh = past is not None and restarted(past.uptime, uptime, at - past.at)
        if fresh or not same:
            drawn = await self._meet(session, happenings)
            got, _ = await _asked(drawn, session, at)
            uptime = _seconds(got.get(matching.UPTIME))
        if not got:
            raise Nothing("it answers, but has none of the objects asked for: is the community allowed to see them?")
        before = past.counters if past is not None and not fresh else None
        values = drawn.values(got, before, at - past.at if past is not None else 0.0, at=at, now=begun)
        self._past = _Past(drawn.counters(got), uptime, at)
        took = self._clock.monotonic() - at
        values[: len(DEVICE_FIELDS)] = [1.0, 1.0, session.rtt_seconds, uptime, took]
        self._shape, self.why = drawn.shape, ""
        middle = begun + int(took * 500)
        told = [replace(item, t=middle) for item in happenings]
        return [Reading(middle, self.target.name, drawn.shape, values, address=self.target.address), *told]

    async def _meet(self, session: Session, happenings: list[Happening]) -> Plan:
        """Matches the device, draws its plan, reads its inventory."""
        met = await meeting.meet(session, self._profiles, fixed=self.target.profile, before=self._plan)
        self._plan = drawn = met.plan
        inventory = met.inventory | {"address": self.target.address} | links.said(self.target)
        if inventory != self._inventory:
            self._inventory = inventory
            name, address = self.target.name, self.target.address
            happenings.append(Happening(0, name, "inventory", drawn.shape, inventory, address))
        self._met = self._clock.monotonic()
        return drawn

    def _failed(self, begun: int, why: str) -> Reading:
        self.close()
        self.why = why
        values: list[float | None] = [None] * self._shape.width
        values[:2] = [0.0, 0.0]
        return Reading(begun, self.target.name, self._shape, values, ok=False, why=why, address=self.target.address)


async def _asked(drawn: Plan, session: Session, at: float) -> tuple[dict[str, Value], bool]:
    """What the device answers, and whether it still has the rows of the plan."""
    got = await session.get_many([matching.UPTIME, *drawn.ask(at)])
    same = True
    for column, rows in drawn.walks(at).items():
        found = await session.rows(column, expected=len(rows))
        same = same and tuple(found) == rows
        got.update({f"{column}.{row}": value for row, value in found.items()})
    return got, same


def _seconds(ticks: Value | None) -> float | None:
    return ticks / 100 if isinstance(ticks, int) else None


def _silent_shape(profile: Profile | None) -> Shape:
    """What is reported of a device that never answered."""
    kind = profile.kind if profile is not None else DeviceKind.OTHER
    name = str(profile.id) if profile is not None else UNMATCHED
    return Shape(kind, name, Source.SNMP, [TableShape("device", [""], list(DEVICE_FIELDS))])
