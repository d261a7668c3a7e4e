"""The manners of asking: retries, packing, bounds on walks, how many requests are under way on the site.

`Requester` is the one Session; it wraps the Exchange of any adapter, so that they all behave alike. What a device
cannot take it learns: a request that is refused as a whole is halved, and the smaller size kept in its `packing`. One
value that cannot be read spoils the whole answer it is in: it is found by halving, and asked for alone from then on.

Errors: those of `agent.snmp.session`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from agent.snmp.packing import MOST, Packing
from agent.snmp.session import Exchange, Misread, Refused, Runaway, SnmpError, Unreachable, Value

T = TypeVar("T")

UPTIME = "1.3.6.1.2.1.1.3.0"
"""sysUpTime.0 (RFC 3418): every SNMP agent has it, so that its absence tells a refusal from missing objects."""
_ANSWER_BYTES = 1400
_MESSAGE_BYTES = 48
_OBJECT_BYTES = 14
"""Tags and lengths of one varbind and a value of up to 8 octets."""
_FEW = 4
"""So few objects no device finds too many."""
_PAUSE = 0.2
"""Seconds between tries when the refusal came at once."""
_MOST_SPOILT = 24
"""Answers that cannot be read, for whose sake one asking is halved: two bad values among 56 objects make a dozen."""
_MOST_UNREADABLE = 8
_NUMBER_BYTES = 8


class Limits(NamedTuple):
    """What one request, one walk and the whole site may take."""

    max_varbinds: int = MOST
    repetitions: int = 32
    max_rows: int = 4096
    max_column_bytes: int = 1024 * 1024
    """Octets that one walk may bring, indexes and values: a device may go on for ever without leaving its order."""
    nonincreasing_ok: bool = False
    in_flight: asyncio.Semaphore | None = None
    """Shared by all sessions of the site."""
    doubtful: asyncio.Semaphore | None = None
    """The same for second tries and for devices that did not answer last time: they take nobody's turn."""


class Requester:
    """A Session over an Exchange.

    Args:
        exchange: the adapter's client; this session owns it.
        retries: how often a request is sent again; an answer that is no SNMP counts as none.
        limits: see `Limits`.
    """

    def __init__(self, exchange: Exchange, *, retries: int = 2, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.rtt_seconds = math.inf
        self.packing = Packing()
        self.trusted = True
        self.patient = True
        self.requests = 0
        self.unreadable: dict[str, str] = {}
        self._exchange = exchange
        self._retries = retries
        self._most = self.limits.max_varbinds
        self._alive = False
        self._any_order = self.limits.nonincreasing_ok
        self._bulk = True
        self._spoilt = 0

    def narrow(self, *, max_varbinds: int | None, nonincreasing_ok: bool, bulk: bool = True) -> None:
        """See `Session.narrow`."""
        self._most = min(self.limits.max_varbinds, max_varbinds or MOST)
        self._any_order = nonincreasing_ok or self.limits.nonincreasing_ok
        self._bulk = bulk

    async def get_many(self, oids: Sequence[str], into: dict[str, Value] | None = None) -> dict[str, Value]:
        """See `Session.get_many`."""
        got = {} if into is None else into
        failure: SnmpError | None = None
        self._spoilt = begin = 0
        apart = [oid for oid in oids if oid in self.unreadable] if self.unreadable else []
        oids = [oid for oid in oids if oid not in self.unreadable] if apart else oids
        while begin < len(oids):
            # Cut as we go: what the first requests teach holds for the rest.
            end = self._cut(oids, begin)
            try:
                await self._get(oids[begin:end], got)
            except SnmpError as wrong:
                # One table that hangs costs itself; a device that hangs is left alone.
                if into is None or failure is not None or not got:
                    raise
                failure = wrong
            begin = end
        if failure is not None:
            raise failure
        for oid in apart:
            await self._again(oid, got)
        return got

    async def rows(self, column: str, *, expected: int | None = None) -> dict[str, Value]:
        """See `Session.rows`."""
        # One more than there were shows at once that the column ends there.
        repetitions = self.limits.repetitions if expected is None else min(expected + 1, self.limits.max_varbinds)
        walk = self._exchange.walk(column, min(repetitions, self._most, self.packing.size) if self._bulk else 0)
        found: dict[str, Value] = {}
        highest: tuple[int, ...] = ()
        size = self._spoilt = 0
        while not walk.ended:
            for oid, value in await self._patiently(walk.step):
                highest = self._advanced(column, oid, highest, found)
                size += len(oid) - len(column) + (len(value) if isinstance(value, bytes | str) else _NUMBER_BYTES)
                if size > self.limits.max_column_bytes:
                    most = f"{self.limits.max_column_bytes // 1024} KiB"
                    raise Runaway(f"the walk of {column} brought more than {most} in {len(found)} rows and goes on")
                found[oid[len(column) + 1 :]] = value
        return found

    def _advanced(self, column: str, oid: str, highest: tuple[int, ...], found: dict[str, Value]) -> tuple[int, ...]:
        """The place of a row, when a walk that found the row makes progress."""
        index = oid[len(column) + 1 :]
        if index in found:
            raise Runaway(f"the walk of {column} came back to row {index}: the device repeats itself")
        if not index:
            raise Misread(f"the walk of {column} met a row without an index: the device's table is malformed")
        place = tuple(map(int, index.split(".")))
        if place < highest and not self._any_order:
            raise Runaway(f"the walk of {column} went back to row {index}: the device's rows are out of order")
        if len(found) >= self.limits.max_rows:
            raise Runaway(f"the walk of {column} has no end after {self.limits.max_rows} rows")
        return place

    async def has(self, subtree: str) -> bool:
        """See `Session.has`."""
        return bool(await self._patiently(self._exchange.walk(subtree, 0).step))

    async def walk(self, columns: Sequence[str]) -> dict[str, dict[str, Value]]:
        """See `Session.walk`."""
        first = await self.rows(columns[0])
        got = await self.get_many([f"{column}.{index}" for column in columns[1:] for index in first])
        table = {columns[0]: first}
        for column in columns[1:]:
            cells = ((index, got.get(f"{column}.{index}")) for index in first)
            table[column] = {index: cell for index, cell in cells if cell is not None}
        return table

    def close(self) -> None:
        """See `Session.close`."""
        self._exchange.close()

    def _cut(self, oids: Sequence[str], begin: int) -> int:
        """Where a request that begins at `begin` ends: its answer stays under `_ANSWER_BYTES`, as far as foreseen."""
        last = min(begin + min(self._most, self.packing.size), len(oids))
        room = _ANSWER_BYTES - _MESSAGE_BYTES
        for at in range(begin, last):
            room -= _OBJECT_BYTES + oids[at].count(".")
            if room < 0:
                return max(at, begin + 1)
        return last

    async def _get(self, oids: Sequence[str], got: dict[str, Value]) -> None:
        was_alive = self._alive
        try:
            found = await self._patiently(lambda: self._exchange.get(oids))
        except Unreachable:
            if not was_alive or len(oids) <= _FEW:
                raise
            # It answered the request before: some devices stay silent when asked for too much.
            await self._halved(oids, got)
            return
        except Misread as wrong:
            await self._isolated(oids, got, wrong)
            return
        if found or len(oids) == 1:
            self.packing.answered(len(oids))
            got.update(_asked_for(oids, found))
            return
        # Nothing at all: either none of them exists, or the device refused the request as a whole.
        if UPTIME not in oids and not self._exchange.all_or_none:
            # As many as before, so that the answer tells which of the two it was.
            found = await self._patiently(lambda: self._exchange.get([*oids[:-1], UPTIME]))
            if found:
                got.update(_asked_for(oids, found))
                return
        await self._halved(oids, got)

    async def _halved(self, oids: Sequence[str], got: dict[str, Value]) -> None:
        half = max(len(oids) // 2, 1)
        before = len(got)
        await self._get(oids[:half], got)
        if not self._exchange.all_or_none:
            self.packing.refused(len(oids))
        await self._get(oids[half:], got)
        # Where one missing object refuses all, only a request of which nothing was missing was too large.
        if self._exchange.all_or_none and len(got) - before == len(oids):
            self.packing.refused(len(oids))

    async def _isolated(self, oids: Sequence[str], got: dict[str, Value], wrong: Misread) -> None:
        """Reads what can be read of objects whose answer cannot be.

        Raises:
            SnmpError: `wrong`, when it is not for the sake of a few objects.
        """
        self._spoilt += 1
        if self._spoilt == 1:
            # Is it a value, or all that this device says?
            await self._patiently(lambda: self._exchange.get([UPTIME]))
        if self._spoilt > _MOST_SPOILT or len(self.unreadable) >= _MOST_UNREADABLE:
            raise wrong
        if len(oids) == 1:
            self.unreadable[oids[0]] = str(wrong)
            return
        half = len(oids) // 2
        await self._get(oids[:half], got)
        await self._get(oids[half:], got)

    async def _again(self, oid: str, got: dict[str, Value]) -> None:
        """Asks alone for an object that could not be read."""
        self._spoilt += 1
        with contextlib.suppress(Misread):
            got.update(await self._patiently(lambda: self._exchange.get([oid])))
            del self.unreadable[oid]

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Sends a request until it is answered or the retries are used up."""
        tries = self._retries + 1 if self.patient else 1
        for number in range(1, tries + 1):
            self._alive = False
            try:
                answer = await self._in_turn(ask, self.limits.in_flight if self.trusted else self.limits.doubtful)
            except (Unreachable, Misread, Refused) as wrong:
                if isinstance(wrong, Misread) and self._spoilt:
                    raise  # It said so before: the same question has the same answer.
                self.trusted = False
                if number == tries:
                    raise
                if isinstance(wrong, Refused):
                    await asyncio.sleep(_PAUSE)
                continue
            self._alive = self.trusted = True
            return answer
        raise AssertionError("unreachable: the last try returns or raises")

    async def _in_turn(self, ask: Callable[[], Awaitable[T]], turns: asyncio.Semaphore | None) -> T:
        if turns is None:
            return await self._timed(ask)
        async with turns:
            return await self._timed(ask)

    async def _timed(self, ask: Callable[[], Awaitable[T]]) -> T:
        self.requests += 1
        begun = time.perf_counter()
        answer = await ask()
        self.rtt_seconds = min(self.rtt_seconds, time.perf_counter() - begun)
        return answer


def _asked_for(oids: Sequence[str], found: Mapping[str, Value]) -> dict[str, Value]:
    """Of an answer what was asked for, under the very names we asked by: those of the answer are not held beside them."""
    return {oid: found[oid] for oid in oids if oid in found}
