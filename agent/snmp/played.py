"""The Exchange that plays back what a device once showed, without a network: a fake of the adapters beside it.

Errors: none; it has what it has.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence

from agent.snmp.session import Exchange, Value, Walk


class PlayedExchange:
    """An Exchange over objects that stand.

    Args:
        objects: OID → value.
    """

    def __init__(self, objects: Mapping[str, Value]) -> None:
        self.all_or_none = False
        self._objects = dict(objects)
        self._order = sorted((tuple(map(int, oid.split("."))), oid) for oid in objects)

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        return {oid: self._objects[oid] for oid in oids if oid in self._objects}

    def walk(self, column: str, repetitions: int) -> PlayedWalk:
        """See `Exchange.walk`."""
        begin = bisect.bisect_left(self._order, (tuple(map(int, column.split("."))), ""))
        under = [oid for _, oid in self._order[begin:] if oid.startswith(f"{column}.")]
        return PlayedWalk([(oid, self._objects[oid]) for oid in under], max(repetitions, 1))

    def close(self) -> None:
        """See `Exchange.close`."""


class PlayedWalk:
    """A Walk over objects that stand."""

    def __init__(self, left: list[tuple[str, Value]], at_once: int) -> None:
        self.ended = False
        self._left = left
        self._at_once = at_once

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        page, self._left = self._left[: self._at_once], self._left[self._at_once :]
        self.ended = len(page) < self._at_once
        return page


class TapedExchange:
    """An Exchange that keeps on `tape` (OID → value) whatever another one was answered."""

    def __init__(self, inner: Exchange, tape: dict[str, Value]) -> None:
        self.all_or_none = inner.all_or_none
        self._inner = inner
        self._tape = tape

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        got = await self._inner.get(oids)
        self._tape.update(got)
        return got

    def walk(self, column: str, repetitions: int) -> TapedWalk:
        """See `Exchange.walk`."""
        return TapedWalk(self._inner.walk(column, repetitions), self._tape)

    def close(self) -> None:
        """See `Exchange.close`."""
        self._inner.close()


class TapedWalk:
    """A Walk of a TapedExchange."""

    def __init__(self, inner: Walk, tape: dict[str, Value]) -> None:
        self._inner = inner
        self._tape = tape

    @property
    def ended(self) -> bool:
        """See `Walk.ended`."""
        return self._inner.ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        self._inner.ended = ended

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        page = await self._inner.step()
        self._tape.update(page)
        return page
