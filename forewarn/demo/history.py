"""Seven days that the site's agent kept while nobody took them: put into its spool, as after an outage.

The shapes are not made up: each device is polled through the agent's own poller, and its readings are repeated at the
agent's usual interval with the moving values in place. So the history and the live polls are the same series. Beside
the spool's own ledger the simulator writes one of its own: which device, when, how many values.

Errors:
    Unanswered   a simulated device did not answer the poll its history is made from
    SpoolError   the spool cannot be used (from `agent.delivery.spool`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from agent.delivery.spool import Spool
from agent.polling.contact import Contact
from agent.polling.poller import slot
from agent.profiles.files import Profile
from agent.reading import Clock, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from forewarn.demo.courses import DAY, Course
from forewarn.demo.site import Simulated
from forewarn.demo.stage import Actor
from forewarn.wire import Record, Shape

LENGTH = 7 * DAY
STEP = 60_000
"""Milliseconds between two polls of a device: the agent's default interval."""
_TOGETHER = 1000
_SETTLE = 0.25


class Unanswered(Exception):
    """A simulated device did not answer."""


class Pattern(NamedTuple):
    """One form of a device's readings: every value as polled, and which positions follow a course."""

    shape: Shape
    values: list[float | None]
    moving: list[tuple[int, Course]]

    @classmethod
    def of(cls, reading: Reading, role: Simulated) -> Pattern:
        """The pattern of a polled reading."""
        courses = {(each.table, each.instance, each.field): each.course for each in role.moving}
        columns = enumerate(reading.shape.columns())
        moving = [(place, courses[column]) for place, column in columns if column in courses]
        return cls(reading.shape, list(reading.values), moving)

    def at(self, t: int) -> list[float | None]:
        """The values at an instant."""
        values = self.values.copy()
        for place, course in self.moving:
            values[place] = course(t)
        return values


@dataclass(frozen=True)
class Past:
    """What one device said over time: `early` before its `role.since`, `pattern` from then on."""

    role: Simulated
    pattern: Pattern
    early: Pattern

    def record(self, t: int) -> tuple[Record, Shape]:
        """Its reading at an instant; the spool fills in the rest."""
        pattern = self.pattern if t >= self.role.since else self.early
        if any(begin <= t < end for begin, end in self.role.dark):
            dark: list[float | None] = [0.0, 0.0, *[None] * (pattern.shape.width - 2)]
            return Record(0, t, self.role.name, ok=False, why="no answer within 2 s", values=dark), pattern.shape
        return Record(0, t, self.role.name, values=pattern.at(t)), pattern.shape


async def pasts(
    actors: list[Actor], targets: Mapping[str, Target], profiles: Mapping[str, Profile], clock: Clock
) -> list[Past]:
    """Polls every device as the agent will, twice, because rates need two polls.

    Raises:
        Unanswered: with why.
    """

    async def one(actor: Actor) -> Past:
        role = actor.role
        target = targets[role.name]
        pattern = early = Pattern.of(await _polled(target, profiles, clock), role)
        if role.late:
            kept = dict(actor.device.objects)
            actor.device.remove(role.late)
            early = Pattern.of(await _polled(target, profiles, clock), role)
            actor.device.restore(kept)
        return Past(role, pattern, early)

    return list(await asyncio.gather(*map(one, actors)))


async def _polled(target: Target, profiles: Mapping[str, Profile], clock: Clock) -> Reading:
    contact = Contact(target, profiles, open_session=opener(), clock=clock)
    try:
        await contact.poll()
        await asyncio.sleep(_SETTLE)
        last = next(item for item in await contact.poll() if isinstance(item, Reading))
    finally:
        contact.close()
    if not last.ok:
        raise Unanswered(f"the simulated device {target.name} does not answer: {last.why}")
    return last


def steps(devices: list[Past], end: int, length: int = LENGTH, step: int = STEP) -> Iterator[tuple[Record, Shape]]:
    """Every reading of `length` milliseconds before `end`, in the order of time, each device in its own slot."""
    order = sorted((round(slot(past.role.name, step / 1000) * 1000), past.role.name, past) for past in devices)
    for begin in range(end - length, end - step + 1, step):
        for offset, _, past in order:
            yield past.record(begin + offset)


async def fill(
    spool: Spool,
    readings: Iterator[tuple[Record, Shape]],
    *,
    consent: str,
    ledger: Path,
    going: Callable[[int, int], bool],
) -> tuple[int, int]:
    """Puts readings into a closed spool and notes each in the simulator's ledger, as `device t values`.

    Args:
        spool: opened and closed here.
        readings: in the order they are to be numbered.
        consent: id of the consent they were collected under.
        ledger: appended to.
        going: told (records, values) now and then; False ends it early.

    Returns:
        (records, values) put.
    """
    await spool.open()
    records = values = 0
    try:
        with ledger.open("a", encoding="utf-8") as out:
            while batch := list(islice(readings, _TOGETHER)):
                await asyncio.gather(*(spool.put(record, shape, consent) for record, shape in batch))
                counts = [len(record.values) - record.values.count(None) for record, _ in batch]
                lines = (f"{record.device} {record.t} {n}\n" for (record, _), n in zip(batch, counts, strict=True))
                out.write("".join(lines))
                records, values = records + len(batch), values + sum(counts)
                if not going(records, values):
                    break
    finally:
        await spool.close()
    return records, values
