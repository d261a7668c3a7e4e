"""The words of a profile file: what may stand in it, and what each key means. `docs/profiles.md` tells the same to people.

A `Draft` is a file as it was written; a `Profile` is what comes of it once it has taken over what it extends. Reading
and extending is in `agent.profiles.files`, what is wrong with one in `agent.profiles.faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from forewarn.settings import Duration, Marked
from forewarn.vocabulary import DeviceKind

Kind = Literal[
    "gauge",
    "counter32",
    "counter64",
    "status",
    "flag",
    "text",
    "timeticks",
    "clock",
    "bits",
    "mask",
    "bit_text",
]
Meaning = Literal["ok", "warning", "critical", "unknown"]
Way = Literal["lldp", "bridge"]
COUNTERS = ("counter32", "counter64")
BIT_KINDS = ("bits", "mask", "bit_text")

INVENTORY = ("vendor", "model", "serial", "firmware", "hardware", "mac", "name", "location", "description")
"""The texts that may identify a device."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a device must show; exactly one of the five is given.

    `sysobjectid` is exact, or a prefix ending in `*`, or empty for a device without one; `sysdescr` is a regular
    expression found anywhere in the text; `probe` is a scalar (its OID ends in .0) that must be there, and in which
    the regular expression `matches` must be found when that is given; `exists` is a column or subtree in which the
    device has any object at all; `not` holds when the condition under it does not.
    """

    sysobjectid: Marked | None = None
    sysdescr: Marked | None = None
    probe: Marked | None = None
    exists: Marked | None = None
    unless: Condition | None = msgspec.field(name="not", default=None)
    matches: Marked | None = None

    def given(self) -> list[Marked | Condition]:
        """What stands in it, but for `matches`."""
        every = (self.sysobjectid, self.sysdescr, self.probe, self.exists, self.unless)
        return [one for one in every if one is not None]

    def innermost(self) -> Condition:
        """The condition under every `not`."""
        return self if self.unless is None else self.unless.innermost()


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which devices a profile is for: any of `any` and all of `all`; the highest priority that fits wins."""

    priority: int = 0
    any: list[Condition] = []
    all: list[Condition] = []

    def conditions(self) -> Iterator[Condition]:
        """All of them."""
        yield from self.all
        yield from self.any


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keeps the rows whose value of `oid` is one of `is`, none of `not`, or has `matches` in it: one of the three."""

    oid: Marked
    values: list[str] = msgspec.field(name="is", default_factory=list)
    others: list[str] = msgspec.field(name="not", default_factory=list)
    matches: Marked | None = None


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one field's value comes from.

    Either an object (`oid` and `type`) or a formula over the other columns of its group (`value`).

    gauge: a number, times `scale`. counter32, counter64: the rate per second, times `scale`. timeticks: hundredths
    of a second, as seconds. text: a number in a text, with a unit ("512 MB"). status: `codes` maps the device's code
    to a meaning, every other code is `default`, unknown when that is left out. flag: 1 when the code is in `on`, 0
    when it is in `off` (in anything else when `off` is left out), else null. bits (a BITS string), mask (bits of a
    number), bit_text ("0101"): `codes` gives the worst meaning of the bits that are set, ok when none is; or `on`
    gives 1 when one of them is set, else 0. clock: how far the device's clock is ahead of ours, in seconds, from
    DateAndTime or a text (`format` as of strptime where it is not year, month, day); `zone` is what a time without one
    is in.

    A value outside `range` is null; when `alt_scale` is given, the scale that fits is found once for the device and
    the field, and kept. `ceiling` names the field of the same row that bounds a rate (link speed): a 32-bit counter
    that went back counts as wrapped only when the rate then stays under it. `otherwise` is asked for where the
    object does not exist. `by` reads it in another row than this one (see `Label`). `take` makes one value of a
    whole column, of the rows that `where` keeps. `every` asks seldom.
    """

    oid: Marked | None = None
    type: Kind | None = None
    scale: float = 1.0
    range: tuple[float, ...] = ()
    alt_scale: list[float] = []
    codes: dict[str, Meaning] = {}
    default: Meaning | None = None
    on: list[str] = []
    off: list[str] = []
    zone: Literal["local", "utc"] | None = None
    format: Marked | None = None
    ceiling: Marked | None = None
    by: Marked | list[Marked] = []
    take: Literal["mean", "sum", "max", "min", "count"] | None = None
    where: Where | None = None
    every: Duration | None = None
    value: Marked | None = None
    otherwise: Column | None = None

    def chain(self) -> Iterator[Column]:
        """This column, and what is asked for instead."""
        yield self
        if self.otherwise is not None:
            yield from self.otherwise.chain()

    def path(self) -> list[Marked]:
        """`by` as a list; empty: the row itself."""
        return steps(self.by)


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name from another table: the value of `oid` in the row that `by` leads to.

    `by` begins with `index.N` (one part of this row's index), `index` (all of it), `index.N-M` or `index.N-` (some
    parts), or a column of this row, whose value it is; each further OID is a column, whose value in the row found so
    far is the index of the next.

    With `order_of`, a column of this row, nothing leads there: the n-th different value of that column belongs to the
    n-th row of `oid`, provided that there are as many of the one as of the other.
    """

    oid: Marked
    by: Marked | list[Marked] = []
    order_of: Marked | None = None

    def path(self) -> list[Marked]:
        """`by` as a list."""
        return steps(self.by)


def steps(by: Marked | list[Marked]) -> list[Marked]:
    """A path as a list."""
    return by if isinstance(by, list) else [by]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of one table that are read alike.

    `columns` are fields of the vocabulary; `raw` are further columns for formulas only. In `tables`: `rows` is the
    column whose rows exist (the first column of all when left out), `label` names an instance (columns of this row,
    parts of its index, names from other tables, in order of preference), else its index, of which `index_trim` is
    cut off the end, with `prefix` before it; `instance` fixes the name (of scalars, or where one row is kept). `id` is what a profile that
    extends this one calls the group by; left out, it is the table. `every` is for all its columns. An `optional` group
    leaves out the rows of which the device has no object at all, instead of nulls. `replace` and `without` are for such a profile:
    the group in place of the inherited one, or without some of its columns.
    """

    table: Marked
    id: Marked | None = None
    src: str = ""
    columns: dict[Marked, Column] = {}
    raw: dict[Marked, Column] = {}
    rows: Marked | None = None
    label: list[Marked | Label] = []
    index_trim: str = ""
    prefix: str = ""
    where: Where | None = None
    instance: str | None = None
    every: Duration | None = None
    optional: bool = False
    replace: bool = False
    without: list[Marked] = []

    @property
    def name(self) -> Marked:
        """What the group is called."""
        return self.id or self.table

    def all_columns(self) -> Iterator[tuple[Marked, Column]]:
        """Every column with its name, `raw` ones first."""
        yield from self.raw.items()
        yield from self.columns.items()

    def links(self) -> Iterator[Column]:
        """Every column and everything asked for instead of one."""
        for _, column in self.all_columns():
            yield from column.chain()

    def row_column(self) -> str:
        """The OID of the column that decides which rows exist."""
        if self.rows is not None:
            return str(self.rows)
        return next(str(link.oid) for link in self.links() if link.oid is not None and not link.by and not link.take)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inventory text: an object, or the same words for every device of the family; `find` keeps its group 1.

    With `where`, `oid` is a column: the first of its rows that is kept and shows something counts.
    """

    oid: Marked | None = None
    where: Where | None = None
    text: str | None = None
    find: Marked | None = None
    otherwise: Text | None = None

    def chain(self) -> Iterator[Text]:
        """This text, and what stands in for it where it is empty."""
        yield self
        if self.otherwise is not None:
            yield from self.otherwise.chain()

    @property
    def key(self) -> str:
        """What tells it from others that read the same object."""
        if self.where is None:
            return str(self.oid)
        return f"{self.oid} of {self.where.oid} {self.where.values} {self.where.others} {self.where.matches}"


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a family cannot take: more objects a request than so many, rows in order, GETBULK."""

    max_varbinds: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    nonincreasing_ok: bool = False
    no_bulk: bool = False


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One family of devices, as its file has it.

    Of the profiles in `extends` it takes over kind, match, groups, inventory, quirks, interval and neighbours, the
    later ones over the earlier, its own over all; `without` names groups and inventory texts it does not want. An
    `abstract` profile is only there to be extended.
    """

    id: Marked
    src: str = ""
    abstract: bool = False
    extends: list[Marked] = []
    without: list[Marked] = []
    kind: DeviceKind | None = None
    match: Match | None = None
    interval: Annotated[Duration, msgspec.Meta(gt=0)] | None = None
    scalars: list[Group] = []
    tables: list[Group] = []
    inventory: dict[Marked, Text] = {}
    neighbours: list[Way] = []
    quirks: Quirks = Quirks()


class Profile(msgspec.Struct, frozen=True, kw_only=True, dict=True, forbid_unknown_fields=True):
    """One family of devices. Without `match` it is never found, only named in the settings."""

    id: Marked
    kind: DeviceKind
    src: str = ""
    abstract: bool = False
    extended: tuple[str, ...] = ()
    """Ids of all it was made of, the farthest first."""
    match: Match | None = None
    interval: Duration | None = None
    scalars: list[Group] = []
    tables: list[Group] = []
    inventory: dict[Marked, Text] = {}
    neighbours: list[Way] = []
    quirks: Quirks = Quirks()

    def groups(self) -> Iterator[Group]:
        """All groups."""
        yield from self.scalars
        yield from self.tables
