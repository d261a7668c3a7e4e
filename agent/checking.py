"""What `forewarn agent check` finds out, each in a sentence that says what to do; and a record as it would be sent."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.app import SystemClock, find_profiles
from agent.door import as_record
from agent.guard import Guard
from agent.itself import STATUS, Status
from agent.poller import UnknownProfile, poll_once
from agent.reading import Happening, Reading
from agent.settings import Settings
from agent.target import Target
from forewarn import wire
from forewarn.bus import State, Unusable
from forewarn.bus.mqtt import MqttBus
from forewarn.consent import Refusal
from forewarn.settings import SettingError, told
from forewarn.vocabulary import Source
from forewarn.wire import GENESIS

BROKER_WITHIN = 5.0
STALE = 15.0
"""A status older than so many seconds is of an agent that does not run."""


def fresh(age: float) -> bool:
    """Whether a status so many seconds old is of an agent that runs; one of the future is not: a clock was set back."""
    return abs(age) <= STALE


class Seen(NamedTuple):
    """A status file and its age in seconds."""

    status: Status
    age: float


class Finding(NamedTuple):
    """One thing looked at."""

    well: bool
    what: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Looks at one thing after the other, in the order a beginner has to put them right.

    Nothing is polled outside the consent, and nothing is published.
    """
    yield Finding(True, f"settings: site {settings.site}, agent {settings.agent}, {len(settings.devices)} devices")
    yield _folder(settings)
    clock = SystemClock()
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=clock
    )
    yield _consent(settings, guard)
    yield _broker(settings)
    try:
        profiles = find_profiles(settings)
    except SettingError as wrong:
        yield Finding(False, f"profiles: {wrong}")
        return
    yield Finding(True, f"profiles: {len(profiles)}")
    from agent.snmp.opening import opener

    for target in settings.devices:
        refusal = guard.refuses(Source.SNMP, target.address)
        if refusal is not None:
            yield Finding(False, f"device {target.name}: not polled, {refusal}")
            continue
        try:
            items = asyncio.run(poll_once(target, profiles, open_session=opener(), clock=clock))
        except UnknownProfile as unknown:
            yield Finding(False, str(unknown))
        else:
            yield _device(target, items)


def _folder(settings: Settings) -> Finding:
    probe = settings.folder / ".check"
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as wrong:
        return Finding(False, f"folder {settings.folder}: {wrong.strerror}; make it, and give it to this account")
    return Finding(True, f"folder {settings.folder}")


def last_status(folder: Path) -> Seen | None:
    """The status file of an agent that runs or ran; None when there is none."""
    try:
        status = msgspec.json.decode((folder / STATUS).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None
    return Seen(status, (SystemClock().now() - status.at) / 1000)


def _consent(settings: Settings, guard: Guard) -> Finding:
    refusal, consent = guard.may_leave(), guard.consent
    if refusal is not None or consent is None:
        why = f"consent: {guard.detail or refusal}"
        if not settings.trusted_keys:
            why += "; `trusted_keys` is empty: name the customer's public key there"
        elif refusal is Refusal.UNTRUSTED_KEY:
            why += "; if it is the customer's, name it in `trusted_keys`"
        elif refusal in (Refusal.ABSENT, Refusal.UNREADABLE):
            why += "; `forewarn agent consent sign` makes one"
        return Finding(False, why)
    return Finding(True, f"consent {consent.id}: {', '.join(consent.scopes)} in {', '.join(consent.networks)}")


def _broker(settings: Settings) -> Finding:
    where = f"broker {settings.broker.host}:{settings.broker.port}"
    try:
        bus = MqttBus(settings.as_user(), f"{settings.agent}-check")
    except (Unusable, OSError) as wrong:
        return Finding(False, f"{where}: {told(wrong)}")
    running = last_status(settings.folder)
    if running is not None and fresh(running.age):
        # A broker that knows clients by user name would push the running agent off when we connect as well.
        return Finding(running.status.connected, f"{where}: the running agent says {running.status.why or 'connected'}")
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    bus.watch(states.put)
    bus.connect()
    try:
        state = states.get(timeout=BROKER_WITHIN)
    except queue.Empty:
        state = State(connected=False, why=f"does not answer within {BROKER_WITHIN:.0f} s")
    bus.close()
    if state.connected:
        return Finding(True, where)
    return Finding(False, state.why if where in state.why else f"{where}: {state.why}")


def _device(target: Target, items: list[Reading | Happening]) -> Finding:
    for item in items:
        if isinstance(item, Reading):
            if not item.ok:
                return Finding(False, f"device {target.name} at {target.address}: {item.why}")
            values = sum(value is not None for value in item.values)
            what = f"device {target.name} at {target.address}: {item.shape.profile}, {values} values"
            return Finding(True, what)
    return Finding(False, f"device {target.name} at {target.address}: nothing was read")


def as_sent(item: Reading | Happening) -> bytes:
    """JSON of the record and its shape, byte for byte what a block would hold but for number and hash."""
    record = as_record(item)
    record.seq = 1
    record.shape = item.shape.digest if item.shape is not None else ""
    body, _ = wire.seal(record, GENESIS)
    shapes = {item.shape.digest: msgspec.Raw(item.shape.encoded)} if item.shape is not None else {}
    return msgspec.json.encode({"shapes": shapes, "records": [msgspec.Raw(body)]})
