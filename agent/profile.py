"""How a family of devices is polled: YAML files, read strictly, with names from `forewarn.vocabulary`.

A profile says which devices it is for (`match`), which objects become which fields (`scalars`, `tables`), and which
texts identify a device (`inventory`). Only numeric OIDs, so that no MIB compiler is needed on a site. Every group of
columns says in `src` which MIB, RFC or capture its facts are from.

Errors:
    SettingError   from `forewarn.settings`: every mistake with file, line, column and the nearest valid word
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.formula import Formula, FormulaError, parse
from forewarn.settings import Marked, SettingError, Wrong, read
from forewarn.vocabulary import TABLES, DeviceKind, misnamed, nearest

Kind = Literal["gauge", "counter32", "counter64", "status", "flag", "text"]
Meaning = Literal["ok", "warning", "critical", "unknown"]


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a device must show; exactly one of the three is given.

    `sysobjectid` is exact, or a prefix ending in `*`, or empty for a device without one; `sysdescr` is a regular
    expression found anywhere in the text; `probe` is a scalar (its OID ends in .0) that must exist, and in which
    the regular expression `matches` must be found when that is given.
    """

    sysobjectid: Marked | None = None
    sysdescr: Marked | None = None
    probe: Marked | None = None
    matches: Marked | None = None


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which devices a profile is for: any of `any` and all of `all`; the highest priority that fits wins."""

    priority: int = 0
    any: list[Condition] = []
    all: list[Condition] = []


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one field's value comes from.

    Either an object (`oid` and `type`) or a formula over the other columns of its group (`value`).

    gauge: a number, times `scale`. counter32, counter64: the rate per second, times `scale`. status: `codes` maps
    the device's code to a meaning, every other code is unknown. flag: 1 when the code is in `on`, 0 when it is in
    `off` (in anything else when `off` is left out), else null. text: a number in a text, with a unit ("512 MB").

    A value outside `range` is tried with each scale of `alt_scale`, and null when none fits. `ceiling` names the
    field of the same row that bounds a rate (link speed): a 32-bit counter that went back counts as wrapped only
    when the rate then stays under it. `otherwise` is asked for where the object does not exist. `take` makes one
    value of a whole column.
    """

    oid: Marked | None = None
    type: Kind | None = None
    scale: float = 1.0
    range: tuple[float, ...] = ()
    alt_scale: list[float] = []
    codes: dict[str, Meaning] = {}
    on: list[str] = []
    off: list[str] = []
    ceiling: Marked | None = None
    take: Literal["mean", "sum", "max"] | None = None
    value: Marked | None = None
    otherwise: Column | None = None

    def chain(self) -> Iterator[Column]:
        """This column, and what is asked for instead."""
        yield self
        if self.otherwise is not None:
            yield from self.otherwise.chain()


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keeps the rows whose value of `oid` is one of `is`."""

    oid: Marked
    values: list[str] = msgspec.field(name="is")


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of one table that are read alike.

    `columns` are fields of the vocabulary; `raw` are further columns for formulas only. In `tables`: `rows` is the
    column whose rows exist (the first column of all when left out), `label` names an instance (columns of the device
    in order of preference, or `index.N` for one part of the index), else its index, of which `index_trim` is cut off
    the end; `instance` fixes the name (of scalars, or where one row is kept).
    """

    table: Marked
    src: str
    columns: dict[Marked, Column]
    raw: dict[Marked, Column] = {}
    rows: Marked | None = None
    label: list[Marked] = []
    index_trim: str = ""
    where: Where | None = None
    instance: str | None = None

    def all_columns(self) -> Iterator[tuple[Marked, Column]]:
        """Every column with its name, `raw` ones first."""
        yield from self.raw.items()
        yield from self.columns.items()

    def row_column(self) -> str:
        """The OID of the column that decides which rows exist."""
        if self.rows is not None:
            return str(self.rows)
        return next(str(column.oid) for _, column in self.all_columns() if column.oid is not None)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inventory text: an object, or the same words for every device of the family; `find` keeps its group 1."""

    oid: Marked | None = None
    text: str | None = None
    find: Marked | None = None


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a family cannot take: objects per request, rows out of order."""

    max_varbinds: Annotated[int, msgspec.Meta(ge=1, le=128)] = 56
    nonincreasing_ok: bool = False


class Profile(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """One family of devices."""

    id: Marked
    kind: DeviceKind
    src: str
    match: Match = Match()
    scalars: list[Group] = []
    tables: list[Group] = []
    inventory: dict[Marked, Text] = {}
    quirks: Quirks = Quirks()


INVENTORY = ("vendor", "model", "serial", "firmware", "hardware", "mac", "name", "location", "description")
"""The texts that may identify a device."""


def load(text: str, source: str) -> Profile:
    """Reads one profile.

    Raises:
        SettingError: every mistake in it.
    """
    profile = read(Profile, text, source)
    wrongs = list(_wrongs(profile))
    if wrongs:
        raise SettingError(wrongs)
    return profile


@cache
def shipped() -> dict[str, Profile]:
    """The profiles that come with the agent, by id."""
    folder = resources.files("agent") / "profiles"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return _by_id(load(file.read_text(encoding="utf-8"), file.name) for file in files)


def load_folder(folder: Path) -> dict[str, Profile]:
    """The shipped profiles with those of a folder over them: the same id replaces.

    Raises:
        SettingError: a file that is no profile, or two with the same id.
    """
    files = sorted(folder.glob("*.yaml"))
    return shipped() | _by_id(load(file.read_text(encoding="utf-8"), str(file)) for file in files)


def _by_id(profiles: Iterator[Profile]) -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for profile in profiles:
        if profile.id in found:
            raise SettingError([profile.id.wrong(f"another profile is called `{profile.id}`")])
        found[str(profile.id)] = profile
    return found


def _wrongs(profile: Profile) -> Iterator[Wrong]:
    for condition in [*profile.match.any, *profile.match.all]:
        yield from _wrong_condition(profile, condition)
    for group in profile.scalars:
        yield from _wrong_group(group)
        for key in ("rows", "label", "where"):
            if getattr(group, key):
                yield group.table.wrong(f"`{key}` is for `tables`, this group is in `scalars`")
    for group in profile.tables:
        yield from _wrong_group(group)
        yield from _wrong_rows(group)
    for name, text in profile.inventory.items():
        if name not in INVENTORY:
            yield name.wrong(f"no inventory text is called `{name}`{nearest(name, INVENTORY)}")
        if (text.oid is None) == (text.text is None):
            yield name.wrong(f"`{name}` is either an `oid` or a fixed `text`")
        yield from _wrong_oid(text.oid)
        yield from _wrong_pattern(text.find)


def _wrong_condition(profile: Profile, condition: Condition) -> Iterator[Wrong]:
    given = [word for word in (condition.sysobjectid, condition.sysdescr, condition.probe) if word is not None]
    if len(given) != 1:
        at = given[-1] if given else profile.id
        yield at.wrong("a condition is one of `sysobjectid`, `sysdescr` and `probe`")
    if condition.matches is not None and condition.probe is None:
        yield condition.matches.wrong("`matches` is what a `probe` must show")
    yield from _wrong_oid(condition.probe)
    if condition.probe is not None and not condition.probe.endswith(".0"):
        yield condition.probe.wrong("a probe is a scalar, its OID ends in .0")
    yield from _wrong_pattern(condition.sysdescr)
    yield from _wrong_pattern(condition.matches)
    if condition.sysobjectid:
        yield from _wrong_oid(
            Marked.at(condition.sysobjectid.removesuffix("*").rstrip("."), condition.sysobjectid.mark)
        )


def _wrong_group(group: Group) -> Iterator[Wrong]:
    names = {str(name) for name, _ in group.all_columns()}
    for name in group.columns:
        what = misnamed(group.table, name)
        if what:
            yield (name if group.table in TABLES else group.table).wrong(what)
            if group.table not in TABLES:
                break
    for name, column in group.all_columns():
        for link in column.chain():
            yield from _wrong_column(name, link, names)


def _wrong_rows(group: Group) -> Iterator[Wrong]:
    if not any(column.oid for _, column in group.all_columns()) and group.rows is None:
        yield group.table.wrong(f"`{group.table}` has no object to find rows by: give `rows`")
    yield from _wrong_oid(group.rows)
    yield from _wrong_oid(group.where.oid if group.where else None)
    for label in group.label:
        if not re.fullmatch(r"index\.[0-9]+", label):
            yield from _wrong_oid(label)


def _wrong_column(name: Marked, column: Column, names: set[str]) -> Iterator[Wrong]:
    if (column.oid is None) == (column.value is None):
        yield name.wrong(f"`{name}` is either an object (`oid`, `type`) or a formula (`value`)")
    if column.oid is not None and column.type is None:
        yield name.wrong(f"`{name}` needs a `type`: an SNMP type does not tell a counter from a gauge")
    yield from _wrong_oid(column.oid)
    yield from _wrong_options(name, column)
    if column.ceiling is not None and column.ceiling not in names:
        yield column.ceiling.wrong(f"no column here is called `{column.ceiling}`{nearest(column.ceiling, names)}")
    if column.value is not None:
        try:
            formula = parse(column.value)
        except FormulaError as wrong:
            yield column.value.wrong(str(wrong), wrong.offset)
            return
        for word in formula.names - names:
            yield column.value.wrong(f"no column here is called `{word}`{nearest(word, names)}")


def _wrong_options(name: Marked, column: Column) -> Iterator[Wrong]:
    for option, kind, given in (("codes", "status", column.codes), ("on", "flag", column.on)):
        if bool(given) != (column.type == kind):
            verb = "needs" if column.type == kind else f"is no {kind}, so it has no"
            yield name.wrong(f"`{name}` {verb} `{option}`")
    if column.range and (len(column.range) != 2 or column.range[0] >= column.range[1]):  # noqa: PLR2004 - a pair
        yield name.wrong(f"`range` of `{name}` is [lowest, highest]")
    if column.alt_scale and not column.range:
        yield name.wrong(f"`alt_scale` of `{name}` needs a `range` to be judged by")


def _wrong_oid(oid: Marked | None) -> Iterator[Wrong]:
    if oid is not None and not re.fullmatch(r"[0-2](\.[0-9]+)+", oid):
        yield oid.wrong(f"`{oid}` is no OID: numbers with dots between, like 1.3.6.1.2.1.1.3.0")


def _wrong_pattern(pattern: Marked | None) -> Iterator[Wrong]:
    if pattern is None:
        return
    try:
        re.compile(pattern)
    except re.error as wrong:
        yield pattern.wrong(f"no regular expression: {wrong.msg}", wrong.pos or 0)


@cache
def formula_of(text: str) -> Formula:
    """The parsed formula of a column's `value`."""
    return parse(text)
