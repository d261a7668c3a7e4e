"""What to ask one device for, and where each answer goes: a profile met with the rows that the device has.

A plan is made once (`make`), by walking the tables, and serves every poll until the rows change: each poll then asks
for exactly the objects that exist, packed across tables, and walks only the columns that decide which rows exist.
The shape follows from the profile and the row names alone; an object that the device lacks leaves a null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.conversion import Converter, code, converter, words, written
from agent.counters import rate
from agent.formula import Formula
from agent.profile import Column, Group, Profile, formula_of
from agent.snmp.session import Session, Value
from forewarn.vocabulary import TABLES, Source
from forewarn.wire import Shape, TableShape

Known = Mapping[str, Value]
DEVICE_FIELDS = ("up", "rtt_seconds", "uptime_seconds", "poll_seconds")
"""The first values of every shape."""


class Read(NamedTuple):
    """A column's objects, each into its slot."""

    convert: Converter
    slots: list[int]
    oids: list[str]


class Count(NamedTuple):
    """A column of counters, each into its slot as a rate; `ceilings` are the slots that bound them, or empty."""

    bits: int
    scale: float
    slots: list[int]
    oids: list[str]
    ceilings: list[int]


class Gathered(NamedTuple):
    """Many objects into one slot."""

    slot: int
    oids: tuple[str, ...]
    convert: Converter
    take: str


class Sum(NamedTuple):
    """A formula over slots, by name."""

    slot: int
    formula: Formula
    slots: dict[str, int]


@dataclass(slots=True)
class Plan:
    """How to poll one device as it is now."""

    profile: Profile
    shape: Shape
    oids: list[str]
    """What to ask for, but for the columns that are walked."""
    watched: dict[str, tuple[str, ...]]
    """Column → the rows it had, in the device's order: other rows need another plan."""
    reads: list[Read]
    counts: list[Count]
    gathered: list[Gathered]
    sums: list[Sum]
    places: list[int]
    """The slot of each position of the shape."""
    slots: int

    def values(self, got: Known, before: Mapping[str, int] | None, seconds: float) -> list[float | None]:
        """The values of the shape, but for those of `DEVICE_FIELDS`, which stay None.

        Args:
            got: what the device answered.
            before: the `counters` of the poll before, None when rates cannot be had.
            seconds: between the two.
        """
        slots: list[float | None] = [None] * self.slots
        for convert, places, oids in self.reads:
            for slot, oid in zip(places, oids, strict=True):
                raw = got.get(oid)
                if raw is not None:
                    slots[slot] = convert(raw)
        for part in self.gathered:
            slots[part.slot] = _taken(part, got)
        for total in self.sums:
            slots[total.slot] = total.formula.evaluate({name: slots[at] for name, at in total.slots.items()})
        if before is not None:
            self._rates(slots, got, before, seconds)
        return [slots[place] for place in self.places]

    def counters(self, got: Known) -> dict[str, int]:
        """What the next poll needs of this one's answers to give rates."""
        kept = ((oid, got.get(oid)) for part in self.counts for oid in part.oids)
        return {oid: value for oid, value in kept if isinstance(value, int)}

    def _rates(self, slots: list[float | None], got: Known, before: Mapping[str, int], seconds: float) -> None:
        for bits, scale, places, oids, ceilings in self.counts:
            for at, oid in enumerate(oids):
                now, then = got.get(oid), before.get(oid)
                if isinstance(now, int) and then is not None:
                    bound = slots[ceilings[at]] if ceilings else None
                    found = rate(then, now, seconds, bits=bits, ceiling=bound / scale if bound else None)
                    slots[places[at]] = found * scale if found is not None else None


def _taken(part: Gathered, got: Known) -> float | None:
    raws = (got.get(oid) for oid in part.oids)
    found = [value for raw in raws if raw is not None and (value := part.convert(raw)) is not None]
    if not found:
        return None
    if part.take == "mean":
        return sum(found) / len(found)
    return sum(found) if part.take == "sum" else max(found)


async def make(profile: Profile, session: Session) -> Plan:
    """Meets a profile with a device.

    Raises:
        SnmpError: the device did not tell its rows.
    """
    walked = {str(group.row_column()) for group in profile.tables}
    walked |= {str(link.oid) for link in _taking(profile)}
    rows = {column: await session.rows(column) for column in sorted(walked)}
    got: dict[str, Value] = {f"{column}.{at}": value for column, cells in rows.items() for at, value in cells.items()}
    wanted = [oid for group in profile.scalars for _, column in group.all_columns() for oid in _scalar_oids(column)]
    wanted += [oid for group in profile.tables for oid in _row_oids(group, rows[group.row_column()])]
    got |= await session.get_many([oid for oid in dict.fromkeys(wanted) if oid not in got])
    return _Drawing(profile, rows, got).plan()


def _taking(profile: Profile) -> Iterator[Column]:
    for group in profile.scalars:
        for _, column in group.all_columns():
            yield from (link for link in column.chain() if link.take and link.oid)


def _scalar_oids(column: Column) -> Iterator[str]:
    return (str(link.oid) for link in column.chain() if link.oid and not link.take)


def _row_oids(group: Group, rows: Iterable[str]) -> Iterator[str]:
    columns = [str(link.oid) for _, column in group.all_columns() for link in column.chain() if link.oid]
    columns += [str(label) for label in group.label if not label.startswith("index.")]
    columns += [str(group.where.oid)] if group.where else []
    return (f"{column}.{row}" for row in rows for column in dict.fromkeys(columns))


@dataclass(slots=True)
class _Drawing:
    """A plan under way."""

    profile: Profile
    rows: Mapping[str, Mapping[str, Value]]
    got: Known
    reads: dict[int, Read] = field(default_factory=dict)
    counts: dict[int, Count] = field(default_factory=dict)
    """By the identity of the column, so that its rows share one."""
    gathered: list[Gathered] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    cells: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """table → instance → field → slot."""
    slots: int = 0

    def plan(self) -> Plan:
        self.cells["device"] = {"": {name: self._slot() for name in DEVICE_FIELDS}}
        for group in self.profile.scalars:
            self._row(group, "", group.instance or "")
        for group in self.profile.tables:
            for row, instance in _named(group, self.rows[group.row_column()], self.got).items():
                self._row(group, f".{row}", instance)
        tables = list(self._tables())
        shape = Shape(self.profile.kind, str(self.profile.id), Source.SNMP, [table for table, _ in tables])
        watched = {column: tuple(cells) for column, cells in self.rows.items()}
        held = {f"{column}.{row}" for column, cells in watched.items() for row in cells}
        asked = [oid for read in self.reads.values() for oid in read.oids]
        asked += [oid for count in self.counts.values() for oid in count.oids]
        return Plan(
            profile=self.profile,
            shape=shape,
            oids=[oid for oid in dict.fromkeys(asked) if oid not in held],
            watched=watched,
            reads=list(self.reads.values()),
            counts=list(self.counts.values()),
            gathered=self.gathered,
            sums=self.sums,
            places=[slot for _, places in tables for slot in places],
            slots=self.slots,
        )

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _row(self, group: Group, suffix: str, instance: str) -> None:
        """Draws one row of a group, or its scalars."""
        fields = self.cells.setdefault(str(group.table), {}).setdefault(instance, {})
        slots = {str(name): self._slot() for name, _ in group.all_columns()}
        for name, column in group.all_columns():
            self._column(slots[str(name)], column, suffix, slots)
            if name in group.raw:
                continue
            fields[str(name)] = slots[str(name)]
            if name == "status" and "status_code" in TABLES[group.table].fields and column.oid is not None:
                fields["status_code"] = self._code(column, suffix)

    def _column(self, slot: int, column: Column, suffix: str, slots: dict[str, int]) -> None:
        link = next((link for link in column.chain() if self._exists(link, suffix)), None)
        if link is None:
            return
        if link.value is not None:
            formula = formula_of(str(link.value))
            self.sums.append(Sum(slot, formula, {name: slots[name] for name in formula.names}))
        elif link.take is not None:
            oids = tuple(f"{link.oid}.{row}" for row in self.rows[str(link.oid)])
            self.gathered.append(Gathered(slot, oids, converter(link), link.take))
        elif link.type in ("counter32", "counter64"):
            count = self.counts.setdefault(id(link), Count(int(link.type[-2:]), link.scale, [], [], []))
            count.slots.append(slot)
            count.oids.append(f"{link.oid}{suffix}")
            if link.ceiling is not None:
                count.ceilings.append(slots[str(link.ceiling)])
        else:
            self._read(id(link), converter(link), slot, f"{link.oid}{suffix}")

    def _read(self, key: int, convert: Converter, slot: int, oid: str) -> None:
        read = self.reads.setdefault(key, Read(convert, [], []))
        read.slots.append(slot)
        read.oids.append(oid)

    def _exists(self, link: Column, suffix: str) -> bool:
        if link.oid is None:
            return True
        return bool(self.rows[str(link.oid)]) if link.take else f"{link.oid}{suffix}" in self.got

    def _code(self, column: Column, suffix: str) -> int:
        """A slot for the device's own code beside a status."""
        slot = self._slot()
        if self._exists(column, suffix):
            self._read(-id(column), code, slot, f"{column.oid}{suffix}")
        return slot

    def _tables(self) -> Iterator[tuple[TableShape, list[int]]]:
        """The tables of the shape, rows with the same fields together, each with its slots."""
        for table, rows in self.cells.items():
            alike: dict[tuple[str, ...], list[str]] = {}
            for instance, fields in rows.items():
                alike.setdefault(tuple(fields), []).append(instance)
            for fields_named, instances in alike.items():
                places = [rows[instance][name] for instance in instances for name in fields_named]
                yield TableShape(table, instances, list(fields_named)), places


def _named(group: Group, rows: Mapping[str, Value], got: Known) -> dict[str, str]:
    """The rows that are kept, each with the name of its instance; no two alike."""
    names: dict[str, str] = {}
    for row in rows:
        if group.where is not None:
            shown = got.get(f"{group.where.oid}.{row}")
            if shown is None or written(shown) not in group.where.values:
                continue
        names[row] = group.instance if group.instance is not None else _label(group, row, got)
    if group.instance is not None:
        return dict([next(iter(names.items()))]) if names else {}
    seen: dict[str, int] = {}
    for name in names.values():
        seen[name] = seen.get(name, 0) + 1
    return {row: name if seen[name] == 1 else f"{name} ({_index(group, row)})" for row, name in names.items()}


def _label(group: Group, row: str, got: Known) -> str:
    for label in group.label:
        if label.startswith("index."):
            parts = row.split(".")
            place = int(label.removeprefix("index.")) - 1
            found = parts[place] if 0 <= place < len(parts) else ""
        else:
            shown = got.get(f"{label}.{row}")
            found = words(shown) if shown is not None else ""
        if found:
            return found
    return _index(group, row)


def _index(group: Group, row: str) -> str:
    return row.removesuffix(group.index_trim) if group.index_trim else row
