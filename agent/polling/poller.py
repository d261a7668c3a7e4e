"""Polls every device in its own fixed slot of its interval.

The slot follows from the device's name, so that the load of a site is even and the same after every start. A poll
that takes longer than the interval skips slots, it never stacks; a slow or dead device delays nobody but itself. One
that is down is asked for a single object between its slots, and polled whole at once when it answers. A device that is
read by several sources has a slot for each.
Before each poll `permit` is asked, and each second while it lasts: what it refuses is not polled any further.

Errors:
    UnknownProfile   a target that names a profile there is none of; raised by the constructor
    SettingError     two devices of one name; raised by the constructor
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from agent.devices.beside import Beside, Company
from agent.devices.engines import Engines
from agent.devices.health import Standing
from agent.devices.remembered import Memory, Remembered
from agent.devices.visited import Visited, sources
from agent.polling.contact import Contact, OpenSession, Reachability
from agent.profiles.files import Profile
from agent.reading import Clock, Happening, Reading, Sink
from agent.settings.target import Target
from agent.web.turns import Turns
from forewarn.consent import Refusal
from forewarn.settings import Mark, Marked, SettingError, Wrong
from forewarn.telemetry import Log
from forewarn.vocabulary import DeviceKind, Source, nearest

__all__ = ["Permit", "Poller", "State", "Target", "Trouble", "UnknownProfile", "poll_once"]

Permit = Callable[[Source, str | None], Refusal | None]
_T = TypeVar("_T")
_log = Log(__name__)
_SAVE = 30.0
_GLANCE = 1.0
"""Seconds between two looks at the consent while a poll is under way: a slow device is left alone at once too."""
_MOST_NAMED = 100
CALM = 5.0
"""Seconds from one poll of a device to the next for which something asks between its slots."""


class UnknownProfile(ValueError):
    """A target that names a profile there is none of."""


class Trouble(NamedTuple):
    """A device that is not up: `suspect` or `down`, since when (Unix milliseconds), why."""

    standing: str
    since: int
    why: str


@dataclass(frozen=True, slots=True)
class State:
    """How the polling goes.

    `suspect` failed their last poll, `down` three and more; `lag_seconds` is the latest start since this was last
    asked, `polls` counts from 0.
    """

    devices: int
    down: int
    suspect: int
    refused: int
    polls: int
    lag_seconds: float


class Poller:
    """Polls devices until it is cancelled.

    Args:
        devices: whom to poll.
        profiles: by id, see `agent.profiles.files.load_folder`.
        open_session: see `agent.snmp.opening`.
        sink: where readings go.
        permit: asked before each poll with the source and the device's address (None: this host); None allows.
        clock: what the slots and rates run on.
        memory: what is known of the devices from before; saved now and then, and at the end.
        reach: whether a device answers anything else, when SNMP fails.
        turns: how many requests of probes, ISAPI and ONVIF may be under way.
    """

    def __init__(  # noqa: PLR0913 - whom, how, where to, and what is shared
        self,
        devices: Sequence[Target],
        *,
        profiles: Mapping[str, Profile],
        open_session: OpenSession,
        sink: Sink,
        permit: Permit,
        clock: Clock,
        memory: Memory | None = None,
        reach: Reachability | None = None,
        turns: Turns | None = None,
    ) -> None:
        check(devices, profiles)
        self._memory = memory or Memory(None, [each.name for each in devices])
        known, turns = self._memory.devices, turns or Turns()
        make = partial(contacts, profiles=profiles, open_session=open_session, clock=clock, reach=reach, turns=turns)
        self._contacts = [contact for each in devices for contact in make(each, remembered=known.get(each.name))]
        self._engines = Engines(known)
        self._sink = sink
        self._permit = permit
        self._clock = clock
        self._refused: dict[tuple[str, Source], Refusal] = {}
        self._silent: set[tuple[str, Source]] = set()
        self._polls = 0
        self._lag = 0.0
        self._nudges = {id(each): asyncio.Event() for each in self._contacts}
        self._visited: dict[int, float] = {}

    def nudge(self, name: str) -> None:
        """Has a device polled now by each of its sources, beside its slots, but never within 5 s of its last poll."""
        for contact in self._contacts:
            if contact.target.name == name:
                self._nudges[id(contact)].set()

    def kind(self, name: str) -> DeviceKind:
        """What a device is, as far as is known."""
        found = (each.shape.kind for each in self._contacts if each.leads and each.target.name == name)
        return next(found, DeviceKind.OTHER)

    async def run(self) -> None:
        """Polls every device in its slot until cancelled."""
        begun = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._remember(), name="remember devices")
                for contact in self._contacts:
                    tasks.create_task(self._serve(contact, begun), name=f"poll {_slot_name(contact)}")
        finally:
            for contact in self._contacts:
                contact.close()
            self._memory.save()

    def state(self) -> State:
        """How it goes; sets the lag back to 0."""
        lag, self._lag = self._lag, 0.0
        healths = [each.health for each in self._contacts if each.leads]
        down = sum(health.standing is Standing.DOWN for health in healths)
        suspect = sum(health.standing is Standing.SUSPECT for health in healths)
        return State(len(healths), down, suspect, len(self._refused), self._polls, lag)

    def troubled(self) -> dict[str, Trouble]:
        """The devices that are not up, those first that have been so the longest; at most 100."""
        found = [each for each in self._contacts if each.leads and each.health.standing is not Standing.UP]
        found.sort(key=lambda each: each.health.since)
        return {
            str(each.target.name): Trouble(str(each.health.standing), each.health.since, each.why)
            for each in found[:_MOST_NAMED]
        }

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(_SAVE)
            await asyncio.to_thread(self._memory.save)

    async def _serve(self, contact: Visited, begun: float) -> None:
        interval = contact.interval
        due = begun + slot(_slot_name(contact), interval)
        while True:
            wake = min(due, contact.health.ask_at)
            nudged = await self._wait(contact, wake)
            now = self._clock.monotonic()
            if now < wake and not nudged:
                continue
            if now < due:
                await self._between(contact)
                continue
            if now - due < interval:
                self._lag = max(self._lag, now - due)
            await self._visit(contact)
            if contact.interval != interval:  # Its profile is known now, and has one of its own.
                interval = contact.interval
                due = begun + slot(_slot_name(contact), interval) - interval
            missed = (self._clock.monotonic() - due) // interval
            due += interval * (max(missed, 0) + 1)

    async def _wait(self, contact: Visited, wake: float) -> bool:
        """Waits until `wake`, or until something wants the device polled and its last poll is long enough ago."""
        nudge = self._nudges[id(contact)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wake - self._clock.monotonic(), 0)):
                await nudge.wait()
                calm_at = self._visited.get(id(contact), -math.inf) + CALM
                await asyncio.sleep(max(calm_at - self._clock.monotonic(), 0))
                nudge.clear()
                return True
        return False

    async def _between(self, contact: Visited) -> None:
        """Between its slots: one that is down is asked whether it is back, another polled whole."""
        if contact.health.standing is Standing.DOWN:
            self._visited[id(contact)] = self._clock.monotonic()
            await self._knock(contact)
        else:
            await self._visit(contact)

    async def _knock(self, contact: Visited) -> None:
        """Asks a device that is down, between its slots."""
        if self._forbidden(contact):
            contact.health.answered()  # Nothing is known of it any more; with a consent it is polled whole again.
        elif await self._permitted(contact, contact.back()):
            await self._visit(contact)

    async def _visit(self, contact: Visited) -> None:
        if self._forbidden(contact):
            return
        self._visited[id(contact)] = self._clock.monotonic()
        self._nudges[id(contact)].clear()
        items = await self._permitted(contact, contact.poll())
        if items is None:
            return
        self._polls += 1
        self._tell(contact)
        for item in [*items, *self._engines.told(contact, self._clock.now())]:
            await self._sink.put(item)

    async def _permitted(self, contact: Visited, asking: Awaitable[_T]) -> _T | None:
        """What `asking` gives; None when the permission ended meanwhile."""
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        timer: asyncio.TimerHandle

        def glance() -> None:
            nonlocal timer
            if self._permit(contact.source, contact.target.address) is not None:
                limit.reschedule(loop.time())
            else:
                timer = loop.call_later(_GLANCE, glance)

        timer = loop.call_later(_GLANCE, glance)
        known = self._memory.devices.get(str(contact.target.name), Remembered()).refusals
        before = known.each
        try:
            async with limit:
                return await asking
        except TimeoutError:
            if not limit.expired():
                raise
            self._forbidden(contact)
            return None
        finally:
            timer.cancel()
            if known.each is not before:  # At once: an agent that is killed must not say a refused password again.
                await asyncio.to_thread(self._memory.save)

    def _forbidden(self, contact: Visited) -> bool:
        name, address, source = contact.target.name, contact.target.address, contact.source
        refusal, key = self._permit(source, address), (name, source)
        if refusal is None:
            if self._refused.pop(key, None) is not None:
                _log.info("polling again", device=name, by=str(source))
            return False
        contact.close()
        self._silent.discard(key)
        if self._refused.get(key) != refusal:
            self._refused[key] = refusal
            _log.warning("not polled", device=name, by=str(source), address=address, why=str(refusal))
        return True

    def _tell(self, contact: Visited) -> None:
        """Says in the log when a device stops or begins to answer."""
        name, address, by = contact.target.name, contact.target.address, str(contact.source)
        key = name, contact.source
        if contact.why and key not in self._silent:
            self._silent.add(key)
            _log.warning("device does not answer", device=name, by=by, address=address, why=contact.why)
        elif not contact.why and key in self._silent:
            self._silent.discard(key)
            _log.info("device answers again", device=name, by=by)


async def poll_once(
    target: Target,
    profiles: Mapping[str, Profile],
    *,
    open_session: OpenSession,
    clock: Clock,
    by: Collection[Source] = tuple(Source),
    memory: Memory | None = None,
) -> list[Reading | Happening]:
    """Polls one device once by each of its sources in `by`, as `Poller` would for the first time; rates are null.

    The caller has asked for consent. A password that `memory` knows to be refused lately is not said; what is refused
    now is written there.

    Raises:
        UnknownProfile: the target names a profile there is none of.
    """
    check([target], profiles)
    kept = memory or Memory(None, [target.name])
    known = kept.devices.get(str(target.name), Remembered()).refusals
    before, remembered = known.each, Remembered(refusals=known)
    found = contacts(target, profiles, open_session=open_session, clock=clock, remembered=remembered)
    items: list[Reading | Happening] = []
    try:
        # Those beside first: what they tell stands in the inventory of the one that leads.
        for contact in sorted(found, key=lambda each: each.leads):
            if contact.source in by:
                items += await contact.poll()
    finally:
        for contact in found:
            contact.close()
        if known.each is not before:
            kept.save()
    return items


def contacts(
    target: Target,
    profiles: Mapping[str, Profile],
    *,
    open_session: OpenSession,
    clock: Clock,
    remembered: Remembered | None = None,
    reach: Reachability | None = None,
    turns: Turns | None = None,
) -> list[Visited]:
    """One for each source of a device; the first leads."""
    company = Company(target, turns)
    for source in sources(target):
        if source is Source.SNMP:
            company.members.append(
                Contact(
                    target,
                    profiles,
                    open_session=open_session,
                    clock=clock,
                    remembered=remembered,
                    reach=reach,
                    also=company.texts,
                )
            )
            continue
        leads = not company.members
        company.members.append(_beside(source)(target, company, clock=clock, leads=leads, remembered=remembered))
    return company.members


def _beside(source: Source) -> type[Beside]:
    """Their modules are imported where a device wants them, for each costs memory."""
    if source is Source.ISAPI:
        from agent.isapi.contact import Isapi

        return Isapi
    if source is Source.ONVIF:
        from agent.onvif.contact import Onvif

        return Onvif
    from agent.probes.contact import Probes

    return Probes


def _slot_name(contact: Visited) -> str:
    """The sources of one device have slots of their own; the one of SNMP is the device's."""
    name = contact.target.name
    return name if contact.source is Source.SNMP else f"{name} {contact.source}"


def check(devices: Sequence[Target], profiles: Mapping[str, Profile]) -> None:
    """Refuses targets that cannot be polled as they ask.

    Raises:
        UnknownProfile: with the nearest profile there is.
        SettingError: two devices of one name, which nobody could tell apart.
    """
    names: set[str] = set()
    for target in devices:
        if target.profile is not None and target.profile not in profiles:
            near = nearest(target.profile, profiles)
            raise UnknownProfile(f"device `{target.name}`: there is no profile `{target.profile}`{near}")
        if target.name in names:
            mark = target.name.mark if isinstance(target.name, Marked) else Mark("devices", 1, 1)
            raise SettingError([Wrong(mark, f"another device is called `{target.name}` already")])
        names.add(target.name)


def slot(name: str, interval: float) -> float:
    """When in its interval a device is polled, seconds: spread evenly, the same after every start."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval
