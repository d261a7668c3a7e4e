"""Where each series of a rule keeps its state, and which columns of a shape it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from forewarn.wire import Shape
from rules.frames import Frame
from rules.ruleset import Rule
from rules.samples import Floats, Integers
from rules.stretches import Stretch


class Places:
    """Slots of one rule: a block of consecutive ones for the instances of a device, kept for ever.

    A device whose instances change keeps the slots of those it had.
    """

    def __init__(self, grow: Callable[[int], None]) -> None:
        self.used = 0
        self.room = 0
        self._grow = grow
        self.blocks: dict[int, list[tuple[int, tuple[str, ...]]]] = {}
        """Device number → (first slot, instances) of each of its blocks."""

    def slots(self, device: int, instances: tuple[str, ...]) -> list[int]:
        """The slots of a device's instances, new ones where it has none."""
        blocks = self.blocks.setdefault(device, [])
        if len(blocks) == 1 and blocks[0][1] == instances:
            return list(range(blocks[0][0], blocks[0][0] + len(instances)))
        known = {name: first + at for first, names in blocks for at, name in enumerate(names)}
        missing = tuple(name for name in instances if name not in known)
        if missing:
            blocks.append((self.used, missing))
            known |= {name: self.used + at for at, name in enumerate(missing)}
            self.reserve(self.used + len(missing))
        return [known[name] for name in instances]

    def reserve(self, used: int) -> None:
        """Makes room for `used` slots."""
        self.used = used
        if used > self.room:
            self.room = max(64, used, self.room * 2)
            self._grow(self.room)


class Binding:
    """How one rule reads one shape: decided once, then array operations only."""

    def __init__(self, rule: Rule, shape: Shape, places: Places) -> None:
        self._places = places
        self.instances, self._columns = _found(rule, shape)
        self._row = np.full(0, -1)
        self._slots = np.zeros((0, len(self.instances)), np.int64)
        self._count = 0
        self._last: tuple[Integers, Integers] | None = None

    @property
    def speaks(self) -> bool:
        """Whether the shape has anything that the rule looks at."""
        return bool(self.instances)

    def frame(self, stretch: Stretch) -> Frame:
        """The rule's view of a stretch."""
        return Frame(
            t=stretch.t,
            arrived=stretch.arrived,
            position=stretch.position,
            runs=stretch.runs,
            devices=stretch.devices,
            offsets=stretch.offsets,
            slots=self.slots(stretch.devices),
            instances=self.instances,
            columns={name: _picked(stretch.values, columns) for name, columns in self._columns.items()},
        )

    def slots(self, devices: Integers) -> Integers:
        """int64[D, k] for the engine's numbers of devices, int64[D]."""
        if self._last is not None and np.array_equal(self._last[0], devices):
            return self._last[1]
        if int(devices[-1]) >= len(self._row):
            grown = np.full(max(64, 2 * int(devices[-1])), -1)
            grown[: len(self._row)] = self._row
            self._row = grown
        rows = self._row[devices]
        for at in np.flatnonzero(rows < 0).tolist():
            rows[at] = self._bind(int(devices[at]))
        slots: Integers = self._slots[rows]
        self._last = devices, slots
        return slots

    def _bind(self, device: int) -> int:
        if self._count == len(self._slots):
            grown = np.zeros((max(16, 2 * self._count), len(self.instances)), np.int64)
            grown[: self._count] = self._slots
            self._slots = grown
        self._slots[self._count] = self._places.slots(device, self.instances)
        self._row[device] = self._count
        self._count += 1
        return self._count - 1


def _found(rule: Rule, shape: Shape) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(instances, field → columns); nothing where the rule is not about such a device or none of its fields is there."""
    at: dict[str, dict[str, int]] = {}
    if not rule.devices or shape.kind in rule.devices:
        for column, (table, instance, field) in enumerate(shape.columns()):
            if table == rule.table and field in rule.fields:
                at.setdefault(instance, {})[field] = column
    names = {field for fields in at.values() for field in fields}
    columns = {
        name: _indexes([fields.get(name, -1) for fields in at.values()]) for name in rule.fields if name in names
    }
    return tuple(at), columns


def _indexes(columns: list[int]) -> Any:
    """A slice where the columns are evenly spaced, so that reading them copies nothing; else an index, -1 for none."""
    if -1 in columns:
        return np.array(columns)
    step = columns[1] - columns[0] if len(columns) > 1 else 1
    if step > 0 and columns == list(range(columns[0], columns[-1] + 1, step)):
        return slice(columns[0], columns[-1] + 1, step)
    return np.array(columns)


def _picked(values: Floats, columns: Any) -> Floats:
    if isinstance(columns, slice):
        return values[:, columns]
    picked = values[:, columns]
    picked[:, columns < 0] = np.nan
    return picked
