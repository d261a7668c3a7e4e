"""Draws the plan of one device: walks its tables, learns what its rows are called, and sees which objects it has.

Devices of a kind that have the same rows hold what their plans have in common once, and names of objects are interned:
a site's cameras of one model cost the memory of one plan.

Errors: those of `agent.snmp.session`, when the device does not tell its rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from agent.profiles import instances
from agent.profiles.conversion import Converter, Scales, code, converter, plain_of
from agent.profiles.files import formula_of
from agent.profiles.language import COUNTERS, Column, Group, Label, Profile
from agent.profiles.plan import DEVICE_FIELDS, Count, Gathered, Known, Plan, Read, Seldom, Sum
from agent.snmp.session import Misread, Runaway, Session, Value
from forewarn.vocabulary import TABLES, Source
from forewarn.wire import Shape, TableShape

_LONGEST_WAY = 6
"""Tables that a name may be joined through."""
_MOST_UNREAD = 1
"""Columns that may be without an end: of a device that has more of them no table can be relied upon."""
_drawn: WeakValueDictionary[tuple[int, tuple[str, ...]], Plan] = WeakValueDictionary()
"""The newest of the plans alike that are in use, by their profile's identity and the objects they ask for."""


async def make(profile: Profile, session: Session, *, before: Plan | None = None) -> Plan:
    """Meets a profile with a device.

    Args:
        profile: how it is polled.
        session: with the device.
        before: the plan it had until now, if it is the same device: which scales it has and what is asked for seldom
            stays as it was found to be.

    Raises:
        SnmpError: the device did not tell its rows. One table that cannot be walked costs itself alone, in the first
            plan of a device; a later one does not lose what the one before had.
    """
    rows, unread = await _rows(profile, session, before)
    got: dict[str, Value] = {f"{column}.{at}": value for column, cells in rows.items() for at, value in cells.items()}
    oids = [oid for group in profile.scalars for oid in _scalar_oids(group)]
    oids += [oid for group in profile.tables for oid in _row_oids(group, rows[group.row_column()])]
    asked = set(got)
    for _ in range(_LONGEST_WAY):
        missing = [oid for oid in dict.fromkeys(oids) if oid not in asked]
        if missing:
            got |= await session.get_many(missing)
        asked.update(missing)
        oids = list(_joined(profile, rows, got))
        if asked.issuperset(oids):
            break
    past = before if before is not None and before.profile is profile else None
    plan = _shared(_Drawing(profile, rows, got, past).plan())
    plan.unread = unread
    return plan


def _shared(plan: Plan) -> Plan:
    """The plan, out of the parts of another that is alike, if there is one in use; what changes stays its own."""
    key = id(plan.profile), tuple(plan.oids)
    other = _drawn.get(key)
    if other is not None and other.alike(plan):
        plan = replace(other, seldom=plan.seldom, scales={}, unread={})
    _drawn[key] = plan
    return plan


async def _rows(
    profile: Profile, session: Session, before: Plan | None
) -> tuple[dict[str, Mapping[str, Value]], dict[str, str]]:
    """The rows of each column that is walked, and why some could not be."""
    rows: dict[str, Mapping[str, Value]] = {}
    unread: dict[str, str] = {}
    for column in sorted(_walked(profile)):
        try:
            rows[column] = await session.rows(column)
        except (Runaway, Misread) as wrong:
            known = before is not None and column not in before.unread
            if known or len(unread) >= _MOST_UNREAD:
                raise
            rows[column], unread[column] = {}, str(wrong)
    return rows, unread


def _walked(profile: Profile) -> set[str]:
    """The columns that decide which rows there are, and those that are taken as a whole."""
    walked = {str(group.row_column()) for group in profile.tables}
    for label in (label for group in profile.tables for label in group.label if isinstance(label, Label)):
        walked |= {str(label.order_of), str(label.oid)} if label.order_of is not None else set()
    for link in (link for group in profile.groups() for link in group.links() if link.take):
        walked.add(str(link.oid))
        if link.where is not None:
            walked.add(str(link.where.oid))
    return walked


def _scalar_oids(group: Group) -> Iterator[str]:
    return (str(link.oid) for link in group.links() if link.oid and not link.take)


def _row_oids(group: Group, rows: Iterable[str]) -> Iterator[str]:
    columns = [str(link.oid) for link in group.links() if link.oid and not link.take and not link.by]
    for row in rows:
        yield from (f"{column}.{row}" for column in columns)
        yield from instances.objects(group, row)


def _joined(profile: Profile, rows: Mapping[str, Mapping[str, Value]], got: Known) -> Iterator[str]:
    for group in profile.tables:
        for row in rows[group.row_column()]:
            yield from instances.wanted(group, row, got)


@dataclass(slots=True)
class _Drawing:
    """A plan under way."""

    profile: Profile
    rows: Mapping[str, Mapping[str, Value]]
    got: Known
    before: Plan | None
    reads: dict[int, Read] = field(default_factory=dict)
    counts: dict[int, Count] = field(default_factory=dict)
    """By the identity of the column, so that its rows share one."""
    gathered: list[Gathered] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    often: dict[str, float] = field(default_factory=dict)
    """Object → the shortest time in which some column wants it anew, 0 for every poll."""
    scales: dict[str, Scales] = field(default_factory=dict)
    unsettled: dict[str, tuple[Converter, list[str]]] = field(default_factory=dict)
    """Column → how to read it without a scale, and its objects."""
    cells: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """table → instance → field → slot."""
    slots: int = 0

    def plan(self) -> Plan:
        self.cells["device"] = {"": {name: self._slot() for name in DEVICE_FIELDS}}
        for group in self.profile.scalars:
            self._row(group, None, group.instance or "")
        for group in self.profile.tables:
            for row, instance in instances.named(group, self.rows[group.row_column()], self.got).items():
                self._row(group, row, instance)
        self._settle()
        tables = list(self._tables())
        shape = Shape(self.profile.kind, str(self.profile.id), Source.SNMP, [table for table, _ in tables])
        taken = {str(link.oid) for group in self.profile.groups() for link in group.links() if link.take}
        watched = {column: tuple(cells) for column, cells in self.rows.items() if column in taken}
        held = {f"{column}.{row}" for column, cells in watched.items() for row in cells}
        early, late = self._ordered()
        return Plan(
            profile=self.profile,
            shape=shape,
            oids=[oid for oid in self.often if oid not in held],
            watched=watched,
            reads=list(self.reads.values()),
            counts=list(self.counts.values()),
            gathered=self.gathered,
            sums=early,
            late_sums=late,
            clocks=self.clocks,
            seldom=self._seldom(),
            scales=self.scales,
            places=[slot for _, places in tables for slot in places],
            slots=self.slots,
        )

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _row(self, group: Group, row: str | None, instance: str) -> None:
        """Draws one row of a group, or its scalars."""
        chosen = {
            name: (link, oid)
            for name, column in group.all_columns()
            for link, oid in [self._chosen(column, row)]
            if link is not None
        }
        if group.optional and not any(oid or link.take for link, oid in chosen.values()):
            return
        fields = self.cells.setdefault(str(group.table), {}).setdefault(instance, {})
        slots = {str(name): self._slot() for name, _ in group.all_columns()}
        for name, _ in group.all_columns():
            link, oid = chosen.get(name, (None, ""))
            if link is not None:
                self._column(slots, name, link, oid, group)
            if name in group.raw:
                continue
            fields[str(name)] = slots[str(name)]
            if name == "status" and "status_code" in TABLES[group.table].fields and group.columns[name].oid is not None:
                fields["status_code"] = self._code(link, oid, group)

    def _chosen(self, column: Column, row: str | None) -> tuple[Column | None, str]:
        """What of a column and what stands in for it the device has, and the object ("" for a formula or a taking)."""
        for link in column.chain():
            if link.oid is None or (link.take and self._whole(link)):
                return link, ""
            place = instances.led(link.path(), row, self.got) if row is not None else ""
            oid = sys.intern(f"{link.oid}.{place}" if row is not None else str(link.oid))
            if not link.take and place is not None and oid in self.got:
                return link, oid
        return None, ""

    def _whole(self, link: Column) -> tuple[str, ...]:
        """The objects that are taken together."""
        rows = (row for row in self.rows[str(link.oid)] if instances.kept(link.where, row, self.got))
        return tuple(sys.intern(f"{link.oid}.{row}") for row in rows)

    def _column(self, slots: Mapping[str, int], name: str, link: Column, oid: str, group: Group) -> None:
        slot, every = slots[str(name)], float(link.every or group.every or 0.0)
        if link.value is not None:
            formula = formula_of(str(link.value))
            self.sums.append(Sum(slot, formula, {word: slots[word] for word in formula.names}))
        elif link.take is not None:
            oids = self._whole(link)
            self.gathered.append(Gathered(slot, oids, self._converter(link, name, group, oids), link.take))
            for each in oids:
                self._ask(each, every)
        elif link.type in COUNTERS:
            count = self.counts.setdefault(id(link), Count(int(str(link.type)[-2:]), link.scale, [], [], []))
            count.slots.append(slot)
            count.oids.append(oid)
            self._ask(oid, 0.0)
            if link.ceiling is not None:
                count.ceilings.append(slots[str(link.ceiling)])
        else:
            self._read(id(link), self._converter(link, name, group, [oid]), slot, oid, every)
            if link.type == "clock":
                self.clocks.append(slot)

    def _read(self, key: int, convert: Converter, slot: int, oid: str, every: float) -> None:
        read = self.reads.setdefault(key, Read(convert, [], []))
        read.slots.append(slot)
        read.oids.append(oid)
        self._ask(oid, every)

    def _ask(self, oid: str, every: float) -> None:
        self.often[oid] = min(self.often.get(oid, every), every)

    def _converter(self, link: Column, name: str, group: Group, oids: Sequence[str]) -> Converter:
        """The converter of a column, whose rows share one scale on this device."""
        if not link.alt_scale:
            return converter(link)
        key = f"{group.table}/{group.name}/{name}/{link.oid}"
        known = self.before.scales.get(key) if self.before is not None else None
        scales = self.scales.setdefault(key, known or Scales(link))
        self.unsettled.setdefault(key, (plain_of(link), []))[1].extend(oids)
        return converter(link, scales)

    def _settle(self) -> None:
        """Finds the scale of each column by all its rows, so that one odd row does not decide."""
        for key, (plain, oids) in self.unsettled.items():
            shown = (plain(self.got[oid]) for oid in oids if oid in self.got)
            self.scales[key].settle(value for value in shown if value is not None)

    def _code(self, link: Column | None, oid: str, group: Group) -> int:
        """A slot for the device's own code beside a status."""
        slot = self._slot()
        if link is not None and link.type == "status":
            self._read(-id(link), code, slot, oid, float(link.every or group.every or 0.0))
        return slot

    def _ordered(self) -> tuple[list[Sum], list[Sum]]:
        """The formulas, and those over rates, which are known last."""
        rates = {slot for count in self.counts.values() for slot in count.slots}
        late: list[Sum] = []
        for total in self.sums:
            if not rates.isdisjoint(total.slots.values()):
                rates.add(total.slot)
                late.append(total)
        return [total for total in self.sums if total.slot not in rates], late

    def _seldom(self) -> list[Seldom]:
        """What is asked for seldom, by how seldom; what was heard before is still known."""
        past = {part.every: part for part in self.before.seldom} if self.before is not None else {}
        found: dict[float, list[str]] = {}
        for oid, every in self.often.items():
            if every:
                found.setdefault(every, []).append(oid)
        drawn = []
        for every, oids in found.items():
            part = Seldom(every, frozenset(oids))
            if every in past and part.oids == past[every].oids:
                part = past[every]
            drawn.append(part)
        return drawn

    def _tables(self) -> Iterator[tuple[TableShape, list[int]]]:
        """The tables of the shape, rows with the same fields together, each with its slots."""
        for table, rows in self.cells.items():
            alike: dict[tuple[str, ...], list[str]] = {}
            for instance, fields in rows.items():
                alike.setdefault(tuple(fields), []).append(instance)
            for fields_named, instances_named in alike.items():
                places = [rows[instance][name] for instance in instances_named for name in fields_named]
                yield TableShape(table, instances_named, list(fields_named)), places
