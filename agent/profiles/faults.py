"""What is wrong with a profile, each with its place and the nearest word; and what merely looks wrong.

Errors: none; mistakes are `Wrong` of `forewarn.settings`, for whoever read the file to tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from agent.profiles.formula import FormulaError, parse
from agent.profiles.language import (
    BIT_KINDS,
    COUNTERS,
    INVENTORY,
    Column,
    Condition,
    Group,
    Label,
    Profile,
    Text,
    Where,
)
from forewarn.settings import Marked, Wrong
from forewarn.vocabulary import TABLES, DeviceKind, misnamed, nearest

_INDEX = re.compile(r"index(\.[1-9][0-9]*(-([1-9][0-9]*)?)?)?(\.text)?")
_DIGITS = re.compile("[0-9]+")
_SCALED = ("gauge", "text", "timeticks")


def faults(profile: Profile) -> Iterator[Wrong]:
    """Every mistake in a profile."""
    if profile.kind is DeviceKind.AGENT:
        yield profile.id.wrong(
            "`kind: agent` is the agent itself, which nobody polls: give what the device is, or `other`"
        )
    for condition in profile.match.conditions() if profile.match else ():
        yield from _wrong_condition(profile, condition)
    for group in profile.scalars:
        yield from _wrong_group(group)
        yield from _rowless(group)
    for group in profile.tables:
        yield from _wrong_group(group)
        yield from _wrong_rows(group)
    for name, text in profile.inventory.items():
        if name not in INVENTORY:
            yield name.wrong(f"no inventory text is called `{name}`{nearest(name, INVENTORY)}")
        for link in text.chain():
            yield from _wrong_text(name, link)


def _rowless(group: Group) -> Iterator[Wrong]:
    for key in ("rows", "label", "where"):
        if getattr(group, key):
            yield group.table.wrong(f"`{key}` is for `tables`, this group is in `scalars`")
    for name, column in group.all_columns():
        if any(link.by for link in column.chain()):
            yield name.wrong(f"`by` of `{name}` is for `tables`, this group is in `scalars`")


def remarks(profile: Profile) -> Iterator[Wrong]:
    """What is allowed, but mostly a slip: facts without a source, one object under two names."""
    if not profile.src and not profile.abstract:
        yield profile.id.wrong(f"profile `{profile.id}` does not say in `src` where its facts are from")
    for group in profile.groups():
        if not group.src:
            yield group.table.wrong(f"group `{group.name}` does not say in `src` where its facts are from")
        seen: dict[tuple[str, ...], Marked] = {}
        for name, column in group.all_columns():
            if column.oid is None:
                continue
            key = (str(column.oid), str(column.type), *map(str, column.path()), str(column.take))
            before = seen.setdefault(key, name)
            if before is not name and not (column.on or column.codes):
                yield name.wrong(f"`{name}` and `{before}` are the same object {column.oid}")


def _wrong_condition(profile: Profile, condition: Condition) -> Iterator[Wrong]:
    given = condition.given()
    if len(given) != 1:
        at = next((word for word in given if isinstance(word, Marked)), profile.id)
        yield at.wrong("a condition is one of `sysobjectid`, `sysdescr`, `probe`, `exists` and `not`")
    if condition.matches is not None and condition.probe is None:
        yield condition.matches.wrong("`matches` is what a `probe` must show")
    if condition.unless is not None:
        yield from _wrong_condition(profile, condition.unless)
    yield from _wrong_oid(condition.probe)
    yield from _wrong_oid(condition.exists)
    if condition.probe is not None and not condition.probe.endswith(".0"):
        yield condition.probe.wrong("a probe is a scalar, its OID ends in .0; `exists` is for columns and subtrees")
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
            if (group.every or link.every) is not None and link.type in (*COUNTERS, "clock"):
                yield name.wrong(f"`{name}` is a {link.type}, which is read at every poll: it cannot have `every`")
    yield from _wrong_order(group)


def _wrong_order(group: Group) -> Iterator[Wrong]:
    """Formulas are reckoned from above to below, `raw` ones first: one that needs a later one would never have a value."""
    ahead = {str(name) for name, column in group.all_columns() if any(link.value for link in column.chain())}
    for name, column in group.all_columns():
        for link in column.chain():
            for word in sorted(_words(link) & ahead):
                yield name.wrong(f"`{name}` needs `{word}`, a formula that does not stand above it: put that one first")
        ahead.discard(str(name))


def _words(column: Column) -> frozenset[str]:
    """The columns that a formula needs."""
    try:
        return parse(column.value).names if column.value is not None else frozenset()
    except FormulaError:
        return frozenset()


def _wrong_rows(group: Group) -> Iterator[Wrong]:
    if not any(link.oid and not link.by and not link.take for link in group.links()) and group.rows is None:
        yield group.table.wrong(f"`{group.table}` has no object to find rows by: give `rows`")
    yield from _wrong_oid(group.rows)
    yield from _wrong_where(group.where)
    for label in group.label:
        if isinstance(label, Label):
            yield from _wrong_oid(label.oid)
            yield from _wrong_oid(label.order_of)
            if label.order_of is None:
                yield from _wrong_path(label.path(), label.oid)
            elif label.path():
                yield label.order_of.wrong("a label goes by `by` or by `order_of`, not by both")
        else:
            yield from _wrong_step(label)


def _wrong_path(path: list[Marked], at: Marked) -> Iterator[Wrong]:
    if not path:
        yield at.wrong("`by` is the way to the other row: begin with `index.1` or a column of this row")
    for number, step in enumerate(path):
        yield from _wrong_step(step) if number == 0 else _wrong_oid(step)


def _wrong_step(step: Marked) -> Iterator[Wrong]:
    if step.startswith("index"):
        if not _INDEX.fullmatch(step):
            yield step.wrong(f"`{step}` is no part of an index: `index`, `index.1`, `index.2-4`, `index.2-.text`")
    else:
        yield from _wrong_oid(step)


def _wrong_where(where: Where | None) -> Iterator[Wrong]:
    if where is None:
        return
    yield from _wrong_oid(where.oid)
    yield from _wrong_pattern(where.matches)
    if bool(where.values) + bool(where.others) + (where.matches is not None) != 1:
        yield where.oid.wrong("`where` is one of `is`, `not` and `matches`")


def _wrong_text(name: Marked, text: Text) -> Iterator[Wrong]:
    if (text.oid is None) == (text.text is None):
        yield name.wrong(f"`{name}` is either an `oid` or a fixed `text`")
    yield from _wrong_oid(text.oid)
    yield from _wrong_where(text.where)
    yield from _wrong_pattern(text.find)
    if text.find is not None and (pattern := _compiled(text.find)) is not None and not pattern.groups:
        yield text.find.wrong("`find` keeps its group 1: put brackets around what is to be kept")


def _wrong_column(name: Marked, column: Column, names: set[str]) -> Iterator[Wrong]:
    if (column.oid is None) == (column.value is None):
        yield name.wrong(f"`{name}` is either an object (`oid`, `type`) or a formula (`value`)")
    if column.oid is not None and column.type is None:
        yield name.wrong(f"`{name}` needs a `type`: an SNMP type does not tell a counter from a gauge")
    yield from _wrong_oid(column.oid)
    yield from _wrong_codes(name, column)
    yield from _wrong_numbers(name, column)
    yield from _wrong_way(name, column)
    if column.ceiling is not None and column.ceiling not in names:
        yield column.ceiling.wrong(f"no column here is called `{column.ceiling}`{nearest(column.ceiling, names)}")
    if column.value is not None:
        yield from _wrong_formula(column.value, names)


def _wrong_formula(text: Marked, names: set[str]) -> Iterator[Wrong]:
    try:
        formula = parse(text)
    except FormulaError as wrong:
        yield text.wrong(str(wrong), wrong.offset)
        return
    for word in sorted(formula.names - names):
        yield text.wrong(f"no column here is called `{word}`{nearest(word, names)}")


def _wrong_codes(name: Marked, column: Column) -> Iterator[Wrong]:
    if column.type in BIT_KINDS:
        if bool(column.codes) == bool(column.on):
            yield name.wrong(f"`{name}` has bits: `codes` makes a status of them, `on` a flag; give one of the two")
        for bit in (*column.codes, *column.on):
            if not _DIGITS.fullmatch(bit):
                yield name.wrong(f"`{bit}` is no number of a bit in `{name}`")
        return
    for option, kind, given in (("codes", "status", column.codes), ("on", "flag", column.on)):
        if bool(given) != (column.type == kind):
            verb = "needs" if column.type == kind else f"is no {kind}, so it has no"
            yield name.wrong(f"`{name}` {verb} `{option}`")
    if column.default is not None and column.type != "status":
        yield name.wrong(f"`{name}` is no status, so it has no `default`")


def _wrong_numbers(name: Marked, column: Column) -> Iterator[Wrong]:
    if column.range and (len(column.range) != 2 or column.range[0] >= column.range[1]):  # noqa: PLR2004 - a pair
        yield name.wrong(f"`range` of `{name}` is [lowest, highest]")
    if not all(scale and math.isfinite(scale) for scale in (column.scale, *column.alt_scale)):
        yield name.wrong(
            f"`scale` and `alt_scale` of `{name}` are what a value is multiplied by: neither 0 nor endless"
        )
    if column.alt_scale and not column.range:
        yield name.wrong(f"`alt_scale` of `{name}` needs a `range` to be judged by")
    if column.alt_scale and column.type not in _SCALED:
        yield name.wrong(f"`alt_scale` of `{name}` is for numbers, not for a {column.type}")
    if (column.zone or column.format) and column.type != "clock":
        yield name.wrong(f"`zone` and `format` are for a clock, `{name}` is none")


def _wrong_way(name: Marked, column: Column) -> Iterator[Wrong]:
    if column.path():
        yield from _wrong_path(column.path(), column.oid or name)
    if column.take and (column.by or column.type in COUNTERS):
        yield name.wrong(f"`take` of `{name}` is over a column of numbers: neither counters nor `by`")
    if column.where is not None and column.take is None:
        yield name.wrong(f"`where` of `{name}` chooses what `take` takes, and there is no `take`")
    yield from _wrong_where(column.where)


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


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None
