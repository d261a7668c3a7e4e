"""Each device, polled once within the consent, all at the same time; and this machine, read once.

A device that keeps silent is told apart as far as the consent lets us: what the system's own address table shows costs
no message; a TCP connection is tried only where the scope `probe` allows it.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.devices.remembered import Memory
from agent.devices.visited import sources
from agent.guard import Guard
from agent.polling.contact import OpenSession
from agent.polling.poller import UnknownProfile, poll_once
from agent.profiles.files import Profile
from agent.reading import Clock, Happening, Reading
from agent.settings import Settings
from agent.settings.target import Target
from forewarn.doctor.diagnosis import Diagnosis, Progress, fail, ok, warn
from forewarn.vocabulary import Source

LONGEST = 20.0
"""Seconds a device may take for one poll; whoever takes longer is told to be slow."""
_PORTS = (80, 443, 554, 22, 8000)
"""Where cameras, recorders and switches mostly listen."""
_CONNECTS_WITHIN = 1.0
_COMPLETE = 0x2
"""ATF_COM of Linux (if_arp.h): the address was answered for."""

Polled = list[Reading | Happening]


def look(
    settings: Settings, profiles: Mapping[str, Profile], guard: Guard, clock: Clock, progress: Progress
) -> Iterator[Diagnosis]:
    """Polls every device the consent covers; those it does not cover are told already."""
    allowed = [target for target in settings.devices if _sources(target, guard)]
    if not allowed:
        return
    memory = Memory(settings.folder, [each.name for each in settings.devices])
    yield from asyncio.run(_all(allowed, profiles, guard, clock, progress, memory))


async def _all(
    targets: list[Target],
    profiles: Mapping[str, Profile],
    guard: Guard,
    clock: Clock,
    progress: Progress,
    memory: Memory,
) -> list[Diagnosis]:
    from agent.snmp.opening import opener  # The libraries behind it take 50 ms to import.

    open_session, done = opener(), 0

    async def one(target: Target) -> Diagnosis:
        nonlocal done
        found = await _device(target, profiles, open_session, guard, clock, memory)
        done += 1
        progress("devices", done, len(targets))
        return found

    progress("devices", 0, len(targets))
    return list(await asyncio.gather(*(one(target) for target in targets)))


async def _device(
    target: Target,
    profiles: Mapping[str, Profile],
    open_session: OpenSession,
    guard: Guard,
    clock: Clock,
    memory: Memory,
) -> Diagnosis:
    subject = f"device {target.name} at {target.address}"
    try:
        async with asyncio.timeout(LONGEST):
            by = _sources(target, guard)
            items = await poll_once(target, profiles, open_session=open_session, clock=clock, by=by, memory=memory)
    except UnknownProfile as unknown:
        return fail(subject, str(unknown), "correct `profile`, or leave it out: it is found by itself")
    except TimeoutError:
        return warn(subject, f"no complete answer within {LONGEST:.0f} s", "see its load and the network to it")
    readings = [item for item in items if isinstance(item, Reading)]
    reading = next((item for item in readings if not item.ok), None)
    if not readings:
        return fail(subject, "nothing was read", "`forewarn agent poll` shows what it answers")
    if reading is None:
        return _answered(subject, target, readings, items)
    return await _silent(subject, target, reading, guard)


def _sources(target: Target, guard: Guard) -> list[Source]:
    """Those of a device that the consent covers."""
    return [source for source in sources(target) if guard.refuses(source, target.address) is None]


def _answered(subject: str, target: Target, readings: list[Reading], items: Polled) -> Diagnosis:
    texts = next((item.text for item in items if isinstance(item, Happening) and item.kind == "inventory"), {})
    why = f" ({texts['matched']})" if "matched" in texts else ""
    told: list[str] = []
    # The one that leads was asked last.
    for reading in reversed(readings):
        values = sum(value is not None for value in reading.values)
        told.append(f"{reading.shape.profile}{why if not told else ''}, {values} values")
    what = "; ".join([*told, *(reading.why for reading in readings if reading.why)])
    if any(reading.why for reading in readings if reading.shape.source is not Source.SNMP):
        return warn(
            subject, what, f"`forewarn agent poll {target.name}` shows all of it; docs/probes.md says what each means"
        )
    return ok(subject, what)


async def _silent(subject: str, target: Target, reading: Reading, guard: Guard) -> Diagnosis:
    why, source = reading.why, reading.shape.source
    if "credentials" in why and source is not Source.SNMP:
        return fail(subject, f"{source}: {why}", f"correct user and password of `{source}`; a wrong one locks accounts")
    if source is not Source.SNMP:
        return fail(
            subject, f"{source}: {why}", f"see that it is on; then its address, and port and rights of `{source}`"
        )
    if "refuses" in why:
        return fail(subject, why, "switch SNMP on in the device, or correct `port`")
    if "did not answer" not in why:
        return fail(subject, why, f"`forewarn agent poll {target.name}` shows what it answers")
    alive = _known_address(target.address)
    if not alive and guard.refuses(Source.PROBE, target.address) is None:
        alive = await _connects(target.address)
    if alive:
        remedy = "correct `community`; or let the device answer SNMP v2c to this machine's address"
        return fail(subject, f"{why}, but {alive}: the community is wrong, or SNMP is closed to us", remedy)
    remedy = "see that it is on and its cable in; then `address`, and the community: a wrong one gets no answer either"
    return fail(subject, why, remedy)


def _known_address(address: str) -> str:
    """What the system's address table says of a device on our own network (Linux; proc(5), /proc/net/arp)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/net/arp").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[0] == address and int(words[2], 16) & _COMPLETE:
                return f"a machine of that address is on this network ({words[3]})"
    return ""


async def _connects(address: str) -> str:
    """Which port answers a TCP connection, be it with a refusal."""
    answers = await asyncio.gather(*(_answers(address, port) for port in _PORTS))
    return next((f"its TCP port {port} answers" for port, said in zip(_PORTS, answers, strict=True) if said), "")


async def _answers(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECTS_WITHIN):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as wrong:  # TimeoutError is one as well.
        return wrong.errno == errno.ECONNREFUSED
    writer.close()
    return True
