"""The collector's composition root: every part is made here, started in order, and let go in the opposite order.

`build` takes every adapter, the clock and the settings as arguments; the demo and the tests call it with their own.
`run` is what `forewarn collector run` does: the real adapters, until a signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler
from starlette.types import ASGIApp
from ulid import ULID

from collector import memory, metrics
from collector.api.application import application
from collector.api.parts import Check, Parts
from collector.api.server import PortTaken, Server, bound
from collector.checks import Needed, checks
from collector.clock import SystemClock
from collector.evaluation import costs
from collector.ingest import Adapters, Around, Ingest, alone, shared
from collector.journal import proofs
from collector.notify import outbox
from collector.notify.outbox import Outbox, Sender
from collector.opening import open_databases, open_notifiers, rule_texts
from collector.register import Register
from collector.series.opening import open_store
from collector.series.store import StoreError
from collector.settings import Role, Settings
from collector.shards.entrance import Entrance, Occupied, enter, refuse_to_be_alone
from collector.storage.database import StorageError
from collector.tickets.book import Book
from forewarn import telemetry
from forewarn.bus import Bus, BusError
from forewarn.bus.mqtt import MqttBus
from forewarn.settings import SettingError
from forewarn.telemetry import Log
from rules.ruleset import ruleset

if TYPE_CHECKING:
    from collector.console.opening import Console

log = Log(__name__)

_TEND_SECONDS = 60
_THERE_SECONDS = 5
_STAY_SECONDS = 5
_DATABASE_WAIT = 1.0
_DATABASE_WAIT_MOST = 30.0
_WRONG = 2
_UNAVAILABLE = 1


class Collector:
    """A collector made of its parts: `start` begins in order, `close` lets go in the opposite order."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._begin: list[Callable[[], object]] = []
        self._end = contextlib.ExitStack()

    def add(self, *, begin: Callable[[], object] | None = None, end: Callable[[], object] | None = None) -> None:
        """Adds a part: what begins it, and what lets go of it."""
        if begin is not None:
            self._begin.append(begin)
        if end is not None:
            self._end.callback(end)

    def start(self) -> None:
        """Begins everything, in the order it was added."""
        for begin in self._begin:
            begin()

    def close(self) -> None:
        """Lets go of everything, last added first, whatever one of them raises."""
        self._end.close()


def build(settings: Settings, adapters: Adapters) -> Collector:
    """Makes a collector; nothing runs before its `start`.

    Args:
        settings: as read from collector.yaml.
        adapters: opened; the databases are migrated here.

    Raises:
        StorageError: a database cannot be used now.
        SettingError: a rule is wrong.
    """
    bus, databases, store, clock = adapters.bus, adapters.databases, adapters.store, adapters.clock
    databases.migrate()
    register = Register(databases, now=clock.now, monotonic=clock.monotonic)
    sender = Sender(databases.service, adapters.notifiers, now=clock.now)
    book = Book(databases.service, now=clock.now, teller=Outbox(sender.channels, now=clock.now))
    needed = Needed(databases.journal, databases.service, store)
    rules = ruleset(rule_texts(settings.rules))
    ingest = _ingest(Around(settings, adapters, register, book, rules))
    if ingest is not None:
        needed = needed._replace(bus=bus, trouble=ingest.trouble, progress=ingest.projections.progress)

    def look() -> list[Check]:
        return checks(needed)

    gauges = _gauges(ingest, bus, look)
    parts = Parts(
        journal=databases.journal,
        service=databases.service,
        store=store,
        tickets=book,
        rules=rules,
        look_up=register.actor,
        checks=look,
        registry=metrics.registry(metrics.Figures(databases.journal, databases.service, gauges)),
        now=clock.now,
    )
    collector = _serving(settings, parts, register, adapters.listener)
    collector.add(end=databases.close)
    if adapters.entrance is not None:
        collector.add(end=adapters.entrance.close)
    collector.add(end=store.close)
    collector.add(end=bus.close)
    if ingest is not None:
        for part in ingest.parts:
            collector.add(begin=part.begin, end=part.end)
        collector.add(begin=sender.start, end=sender.close)
        scheduler = _scheduler(ingest, adapters, settings)
        collector.add(begin=scheduler.start, end=scheduler.shutdown)
    collector.add(begin=collector.server.start, end=collector.server.close)
    return collector


def _ingest(around: Around) -> Ingest | None:
    role, databases = around.settings.role, around.adapters.databases
    if role is Role.ALL and databases.journal.dialect.name != "sqlite":
        refuse_to_be_alone(databases)
    if role is Role.WEB:
        return None
    return shared(around) if role is Role.INGEST else alone(around)


def _gauges(ingest: Ingest | None, bus: Bus, look: Callable[[], list[Check]]) -> metrics.Gauges:
    return metrics.Gauges(
        waiting_bytes=(lambda: ingest.intake.waiting_bytes) if ingest is not None else (lambda: 0),
        connected=lambda: bus.state.connected,
        checks=look,
        refused=ingest.refused if ingest is not None else dict,
    )


def _serving(settings: Settings, parts: Parts, register: Register, listener: socket.socket) -> Collector:
    """A collector with nothing but its server: the API, and the console where the settings want one."""
    app: ASGIApp = application(parts, serves=settings.role.serves)
    if not (settings.role.serves and settings.console.enabled):
        return Collector(Server(app, listener))
    console = _console(settings, parts, register)
    collector = Collector(Server(console.beside(app), listener, lifespan=True))
    collector.add(end=console.close)
    return collector


def _console(settings: Settings, parts: Parts, register: Register) -> Console:
    from collector.console.opening import Console  # NiceGUI takes a second and 24 MB: only where it is used.

    return Console(
        parts,
        parts.rules,
        folder=settings.folder,
        look_up=register.actor_of,
        language=settings.console.language,
    )


def _scheduler(ingest: Ingest, adapters: Adapters, settings: Settings) -> BackgroundScheduler:
    store, clock, service = adapters.store, adapters.clock, adapters.databases.service

    def prune() -> None:
        with _forgiven("journal not pruned"):
            ingest.prune(clock.now() - int(settings.journal.keep * 1000))

    def forget() -> None:
        with _forgiven("proofs and dead letters not forgotten"):
            ingest.letters.prune()
            while proofs.prune(adapters.databases.journal, clock.now()):
                pass
        with _forgiven("notices not forgotten"):
            while outbox.prune(service, clock.now()):
                pass

    there = _job("presence not written down", ingest.presences.keep)
    tend = _job("series not tended", lambda: store.tend(clock.now()))

    def cost() -> None:
        with _forgiven("costs of rules not kept"):
            costs.keep(service, ingest.meter.figures())

    once = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults=once)
    scheduler.add_job(prune, "interval", seconds=_TEND_SECONDS)
    scheduler.add_job(forget, "interval", seconds=_TEND_SECONDS)
    scheduler.add_job(cost, "interval", seconds=costs.EVERY_SECONDS)
    scheduler.add_job(there, "interval", seconds=_THERE_SECONDS)
    scheduler.add_job(tend, "interval", seconds=_TEND_SECONDS)
    scheduler.add_job(lambda: _stay(adapters.entrance), "interval", seconds=_STAY_SECONDS)
    return scheduler


def _stay(entrance: Entrance | None) -> None:
    """Ends this process when another has come in while the database was away."""
    try:
        with _forgiven("it is not known whether the database is still ours"):
            if entrance is not None:
                entrance.keep()
    except Occupied as occupied:
        log.error("ending: another collector has taken the database", why=str(occupied))  # noqa: TRY400
        os.kill(os.getpid(), signal.SIGTERM)


def _job(event: str, work: Callable[[], object]) -> Callable[[], None]:
    """Work to be done again and again; `event` is what the log says when it could not be done."""

    def done() -> None:
        with _forgiven(event):
            work()

    return done


@contextlib.contextmanager
def _forgiven(event: str) -> Iterator[None]:
    """A job that could not do its work now does it a minute later."""
    try:
        yield
    except (StorageError, StoreError) as wrong:
        log.warning(event, why=str(wrong))


def run(settings: Settings) -> int:
    """Runs a collector until SIGTERM or SIGINT; returns the exit code.

    0 it ended in order; 1 the series store cannot be used now; 2 a port or the database is taken, or a setting or rule
    is wrong: one line (or one for each mistake) on standard error. A broker or a database that is not there, or full, is
    waited for.
    """
    telemetry.start(settings.log.level)
    stop = threading.Event()

    def ended(number: int, _: FrameType | None) -> None:
        log.info("ending", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ended)
    try:
        collector = _built(settings, stop)
    except (PortTaken, Occupied, SettingError, BusError, OSError, ValueError) as wrong:
        return _told(wrong, _WRONG)
    except StoreError as wrong:
        return _told(wrong, _UNAVAILABLE)
    if collector is None:
        return 0
    try:
        memory.settle()
        collector.start()
        log.info("collector runs", role=str(settings.role), host=settings.api.host, port=collector.server.port)
        stop.wait()
    finally:
        collector.close()
    log.info("collector ended")
    return 0


def _built(settings: Settings, stop: threading.Event) -> Collector | None:
    """Makes the collector, as soon as its databases can be used; None when it was asked to end before."""
    wait = _DATABASE_WAIT
    while not stop.is_set():
        try:
            with contextlib.ExitStack() as until:
                collector = build(settings, opened(settings, until))
                until.pop_all()
                return collector
        except StorageError as wrong:
            log.error("waiting for a database", why=str(wrong), again_in_seconds=wait)  # noqa: TRY400 - the reason says all
        stop.wait(wait)
        wait = min(wait * 2, _DATABASE_WAIT_MOST)
    return None


def opened(settings: Settings, until: contextlib.ExitStack) -> Adapters:
    """The real adapters the settings name; the port first, so that a second collector harms nothing.

    Args:
        settings: as read.
        until: closes what was opened when a later one fails.

    Raises:
        PortTaken, Occupied: another collector is there.
        OSError, BusError, ValueError: a setting cannot work here.
        StorageError, StoreError: a database or the store cannot be used now.
    """
    clock = SystemClock()
    listener = bound(settings.api.host, settings.api.port)
    until.callback(listener.close)
    databases = open_databases(settings)
    until.callback(databases.close)
    entrance = enter(settings, databases) if settings.role.takes_in else None
    if entrance is not None:
        until.callback(entrance.close)
    store = open_store(settings.series, settings.folder)
    until.callback(store.close)
    notifiers = open_notifiers(settings.notices, now=clock.now)
    name = f"{settings.broker.user or 'forewarn'}-{settings.role}"
    if settings.role is Role.INGEST:  # Two with one name would end each other's connection.
        name += f"-{str(ULID())[-10:].lower()}"
    return Adapters(MqttBus(settings.broker, name), databases, store, notifiers, listener, clock, entrance)


def _told(wrong: Exception, code: int) -> int:
    sys.stderr.write(f"forewarn collector: {wrong}\n")
    return code
