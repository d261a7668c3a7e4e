"""The agent, put together: sources → guard → spool → uplink. `main` is `forewarn agent run`, without Typer.

Exit codes: 0 ended as asked; 1 the spool cannot be used; 2 a setting is wrong (one line for each on standard error).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ulid import ULID

from agent import settings as written
from agent.delivery.cutting import Identity
from agent.delivery.door import Door
from agent.delivery.hourly import Hourly
from agent.delivery.pace import Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Closed, Spool, SpoolError
from agent.delivery.uplink import Uplink
from agent.devices.remembered import Memory
from agent.guard import DROPPED, GLANCE, Guard
from agent.itself import Itself
from agent.lately import Watch
from agent.logbook import pages
from agent.logbook.book import LogBook
from agent.polling.contact import OpenSession, Reachability
from agent.polling.poller import Poller, UnknownProfile
from agent.polling.wiring import Wiring
from agent.profiles.files import Profile, load_folder, shipped
from agent.reading import Clock
from agent.settings import Settings
from agent.settings.target import Target
from agent.web.turns import Turns
from forewarn import signals, telemetry
from forewarn.bus import Bus, Unusable
from forewarn.bus.mqtt import MqttBus
from forewarn.settings import SettingError, told
from forewarn.telemetry import Log
from forewarn.vocabulary import Source

log = Log(__name__)


class SystemClock:
    """The machine's own time."""

    def now(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()


JUMP = 60.0
"""Seconds by which the time of day must have been set to be named; a slow disk or a busy machine is no jump."""


class ClockWatch:
    """Names each jump of the time of day once. Nothing here waits by it; the records' times follow it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._measured()

    def look(self) -> None:
        """Compares the time of day with the steady clock; both go on together unless somebody sets one."""
        now = self._measured()
        jumped, self._offset = now - self._offset, now
        if abs(jumped) >= JUMP:
            log.warning(
                "the clock was set", seconds=round(jumped), advice="see that this machine keeps its time by NTP"
            )

    def _measured(self) -> float:
        return self._clock.now() / 1000 - self._clock.monotonic()


Part = Callable[[], Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class Agent:
    """A whole agent. Its parts are public: tests and the demo look at them."""

    bus: Bus
    guard: Guard
    spool: Spool
    uplink: Uplink
    presences: Presences
    log_book: LogBook
    itself: Itself
    clock_watch: ClockWatch
    parts: list[Part]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then ends in order: nothing more is polled, what was put is on disk.

        Raises:
            SpoolError: the spool cannot be used.
        """
        ending = asyncio.create_task(stop.wait())
        opening = asyncio.create_task(self.spool.open())
        tasks: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait([ending, opening], return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                standing = opening.result()
                log.info("agent started", epoch=standing.epoch, held=standing.records)
                self.log_book.start(standing.epoch, standing.acked)
                tasks = [asyncio.create_task(part()) for part in (*self.parts, self._keep_consent)]
                await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ending, opening, *tasks):
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    async def _keep_consent(self) -> None:
        """Drops what a withdrawn consent covered, and names what the guard and the clock do, even when nobody asks."""
        dropped: set[str] = set()
        waiting: set[str] = set()
        while True:
            self.clock_watch.look()
            self.guard.may_leave()
            for consent in self.guard.withdrawn - dropped:
                try:
                    count = await self.spool.drop(consent, DROPPED)
                except Closed:
                    raise
                except SpoolError as wrong:  # No room even to delete: the uplink lets nothing of it leave meanwhile.
                    if consent not in waiting:
                        log.warning("records of a withdrawn consent not dropped yet", consent=consent, why=str(wrong))
                    waiting.add(consent)
                    continue
                dropped.add(consent)
                log.info("records of a withdrawn consent dropped", consent=consent, records=count)
            await asyncio.sleep(GLANCE)

    async def _close(self) -> None:
        self.presences.farewell(self.bus, self.spool.standing.epoch)
        await asyncio.to_thread(self.bus.close, 2.0)
        await self.spool.close()
        await asyncio.to_thread(self.log_book.close)
        log.info("agent ended")


def build(
    settings: Settings,
    *,
    bus: Bus,
    clock: Clock,
    profiles: Mapping[str, Profile],
    open_session: OpenSession,
    reach: Reachability | None = None,
) -> Agent:
    """Puts an agent together.

    Raises:
        UnknownProfile: a device names a profile there is none of.
        OSError: the folder or the file of the secret cannot be used.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    boot, spool = str(ULID()), _spool(settings, clock)
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=clock
    )
    log_book = _log_book(settings, spool, guard, clock)
    watch = Watch(settings, door=Door(guard, spool, clock), guard=guard, log_book=log_book, clock=clock)
    who = Identity(settings.site, settings.agent, settings.shard, signals.derive(settings.revealed(), "ack"), boot)
    presences = Presences(settings.folder, settings.agent, boot)
    tempo, memory = _tempo(settings), Memory(settings.folder, [device.name for device in settings.devices])
    uplink = Uplink(bus, spool, guard, who=who, presences=presences, clock=clock, tempo=tempo, log_book=log_book)
    poller = Poller(
        settings.devices,
        profiles=profiles,
        open_session=open_session,
        sink=Wiring(settings.devices, sink=watch, memory=memory),
        permit=watch.permit,
        clock=clock,
        memory=memory,
        reach=_within(guard, reach) if reach is not None else None,
        turns=Turns(settings.polling.in_flight),
    )
    itself = Itself(
        settings.agent, settings.folder, spool=spool, uplink=uplink, guard=guard, poller=poller, clock=clock
    )
    parts: list[Part] = [uplink.run, watch.run, Hourly(spool, guard, clock).run]
    parts += [partial(itself.run, interval=settings.report, sink=watch)]
    parts += _sources(settings, poller, watch, clock) + _traps(settings, watch, guard, poller, itself, clock)
    parts += _looking(settings, watch, guard, log_book, memory, clock, profiles, open_session)
    return Agent(
        bus=bus,
        guard=guard,
        spool=spool,
        uplink=uplink,
        presences=presences,
        log_book=log_book,
        itself=itself,
        clock_watch=ClockWatch(clock),
        parts=parts,
    )


def _within(guard: Guard, reach: Reachability) -> Reachability:
    """Tries whether a silent device is there only where the consent lets us probe it."""

    async def asked(target: Target) -> str:
        return "" if guard.refuses(Source.PROBE, target.address) is not None else await reach(target)

    return asked


def _spool(settings: Settings, clock: Clock) -> Spool:
    kept = settings.spool
    return Spool(
        settings.folder / "spool",
        clock=clock,
        limit=kept.limit,
        age=kept.age,
        linger=kept.linger,
        ledger=kept.ledger,
    )


def _sources(settings: Settings, poller: Poller, watch: Watch, clock: Clock) -> list[Part]:
    """What reads the devices and this machine."""
    parts: list[Part] = [poller.run] if settings.devices else []
    if settings.host.enabled:
        from agent import host

        parts.append(
            partial(host.of(settings, clock).run, interval=settings.host.interval, sink=watch, permit=watch.permit)
        )
    return parts


def _traps(settings: Settings, watch: Watch, guard: Guard, poller: Poller, itself: Itself, clock: Clock) -> list[Part]:
    """What hears devices that speak by themselves, in a process of its own."""
    if not settings.traps.enabled:
        return []
    from agent.traps.listener import Listener

    listener = Listener(
        settings,
        sink=watch,
        permit=watch.permit,
        refuses=guard.refuses,
        clock=clock,
        nudge=poller.nudge,
        kind=poller.kind,
    )
    itself.traps = listener
    return [listener.run]


def _looking(  # noqa: PLR0917 - each is one part of the agent
    settings: Settings,
    watch: Watch,
    guard: Guard,
    log_book: LogBook,
    memory: Memory,
    clock: Clock,
    profiles: Mapping[str, Profile],
    open_session: OpenSession,
) -> list[Part]:
    """What looks now and then for devices that nobody watches."""
    if not settings.discovery.enabled:
        return []
    from agent.discovery.rounds import Rounds
    from agent.discovery.search import Search

    begin = partial(
        Search,
        permit=guard.refuses,
        profiles=profiles,
        open_session=open_session,
        snmp_port=settings.discovery.snmp_port,
    )
    rounds = Rounds(
        settings,
        guard=guard,
        permit=watch.permit,
        sink=watch,
        log_book=log_book,
        memory=memory,
        begin=begin,
        clock=clock,
    )
    return [rounds.run]


def _log_book(settings: Settings, spool: Spool, guard: Guard, clock: Clock) -> LogBook:
    """The log book, told by the guard what may be done; it gives way to a spool on its disk that has no room."""
    kept = settings.log_book
    log_book = LogBook(settings.folder / pages.FOLDER, clock=clock, limit=kept.limit, age=kept.age)

    def noticed() -> None:
        if spool.standing.stuck and _one_disk(settings.folder, settings.folder / "spool"):
            log_book.give_way()

    spool.watch(noticed)
    guard.watch(log_book.consent)
    return log_book


def _one_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


def _tempo(settings: Settings) -> Tempo:
    given = settings.delivery
    return Tempo(given.patience, given.patience_most, given.held, given.held_most, given.gather)


def find_profiles(settings: Settings) -> Mapping[str, Profile]:
    """The shipped profiles, with the person's own over them.

    Raises:
        SettingError: one of them is wrong.
    """
    return load_folder(settings.profiles) if settings.profiles else shipped()


def main(arguments: Sequence[str]) -> int:
    """Runs an agent until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="forewarn agent run", description="Poll devices and deliver what was read.")
    usual = Path(os.environ.get("FOREWARN_AGENT_CONFIG") or "agent.yaml")
    parser.add_argument("--config", "-c", type=Path, default=usual, help="the agent's settings file")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 2
    try:
        settings = written.load(given.config)
        telemetry.start(settings.log)
        from agent.polling.reach import reached
        from agent.snmp.opening import opener

        agent = build(
            settings,
            bus=MqttBus(settings.as_user(), settings.agent),
            clock=SystemClock(),
            profiles=find_profiles(settings),
            open_session=opener(settings.polling.in_flight),
            reach=reached,
        )
    except (SettingError, UnknownProfile, Unusable, OSError) as wrong:
        print(told(wrong), file=sys.stderr)  # noqa: T201 - the answer to whoever started us
        return 2
    try:
        asyncio.run(_until_told(agent))
    except SpoolError as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


async def _until_told(agent: Agent) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: an interrupt ends asyncio.run itself.
            loop.add_signal_handler(number, stop.set)
    await agent.run(stop)
