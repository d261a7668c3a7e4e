"""Which rows of a group are kept, and what each is called: by its own columns, its index, or names in other tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.profiles.conversion import words, written
from agent.profiles.language import Group, Label, Where
from agent.snmp.session import Value

Known = Mapping[str, Value]


def kept(where: Where | None, row: str, got: Known) -> bool:
    """Whether a row is one of those a group or column is about."""
    if where is None:
        return True
    shown = got.get(f"{where.oid}.{row}")
    if shown is None:
        return False
    text = written(shown)
    if where.matches is not None:
        return re.search(where.matches, text) is not None
    return text in where.values if where.values else text not in where.others


def named(group: Group, rows: Iterable[str], got: Known) -> dict[str, str]:
    """The rows that are kept, each with the name of its instance; no two alike."""
    found = [row for row in rows if kept(group.where, row, got)]
    if group.instance is not None:
        return dict.fromkeys(found[:1], group.instance)
    ordered = [_in_order(label, got) for label in group.label if isinstance(label, Label) and label.order_of]
    names = {row: f"{group.prefix}{_label(group, row, got, ordered)}" for row in found}
    seen: dict[str, int] = {}
    for name in names.values():
        seen[name] = seen.get(name, 0) + 1
    return {row: name if seen[name] == 1 else f"{name} ({_index(group, row)})" for row, name in names.items()}


def objects(group: Group, row: str) -> Iterator[str]:
    """The objects of this row itself that tell whether it is kept and what it is called."""
    for label in group.label:
        if isinstance(label, Label):
            yield from _first(label.order_of or label.path()[0], row)
        else:
            yield from _first(label, row)
    if group.where is not None:
        yield f"{group.where.oid}.{row}"
    for link in group.links():
        if link.by:
            yield from _first(link.path()[0], row)


def wanted(group: Group, row: str, got: Known) -> Iterator[str]:
    """The objects of other rows and tables that come next on the ways from this row, one step further."""
    ways = [(label.path(), str(label.oid)) for label in group.label if isinstance(label, Label) and label.path()]
    ways += [(link.path(), str(link.oid)) for link in group.links() if link.by]
    for path, oid in ways:
        for at, step in enumerate([*path[1:], oid], 1):
            place = led(path[:at], row, got)
            if place is None:
                break
            if f"{step}.{place}" not in got:
                yield f"{step}.{place}"
                break


def led(path: Sequence[str], row: str, got: Known) -> str | None:
    """The index of the row of another table that a path leads to, None when it leads nowhere; no path: this row's."""
    place: str | None = row
    for at, step in enumerate(path):
        own = at == 0 and step.startswith("index")
        place = part(step, row) if own else _as_index(got.get(f"{step}.{place}"))
        if place is None:
            return None
    return place


def part(step: str, row: str) -> str | None:
    """A part of an index: `index`, `index.2`, `index.2-4`, `index.2-`; with `.text` as text.

    `index.2.text` is a string with its length before it, `index.2-.text` one that reaches to the end.
    """
    arcs = row.split(".")
    spoken = step.endswith(".text")
    bounds = step.removesuffix(".text").removeprefix("index").removeprefix(".")
    first, dash, last = bounds.partition("-")
    begin = int(first or 1) - 1
    if not bounds or (dash and not last):
        chosen = arcs[begin:]
    elif dash:
        chosen = arcs[begin : int(last)]
    elif spoken:
        chosen = arcs[begin + 1 : begin + 1 + int(arcs[begin])] if begin < len(arcs) else []
    else:
        chosen = arcs[begin : begin + 1]
    if not spoken:
        return ".".join(chosen) or None
    letters = [int(arc) for arc in chosen]
    if not letters or any(letter > 255 for letter in letters):  # noqa: PLR2004 - no octet
        return None
    return words(bytes(letters)) or None


def _first(step: str, row: str) -> Iterator[str]:
    if not step.startswith("index"):
        yield f"{step}.{row}"


def _as_index(value: Value | None) -> str | None:
    """A value as the index of another row: a number, or a text of digits."""
    if value is None or isinstance(value, float):
        return None
    text = written(value)
    return text if re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) and text != "0" else None


def _in_order(label: Label, got: Known) -> dict[str, str]:
    """Each different value of the column that a label goes by → the name in its place, or nothing at all."""
    ranked, names = (
        [words(value) for oid, value in got.items() if oid.startswith(f"{column}.")]
        for column in (label.order_of, label.oid)
    )
    ranked = list(dict.fromkeys(ranked))
    return dict(zip(ranked, names, strict=True)) if len(ranked) == len(names) == len(set(names)) else {}


def _label(group: Group, row: str, got: Known, ordered: Sequence[Mapping[str, str]]) -> str:
    left = iter(ordered)
    for label in group.label:
        if isinstance(label, Label) and label.order_of is not None:
            found = next(left).get(words(got.get(f"{label.order_of}.{row}", b"")), "")
        elif isinstance(label, Label):
            place = led(label.path(), row, got)
            shown = got.get(f"{label.oid}.{place}") if place is not None else None
            found = words(shown) if shown is not None else ""
        elif label.startswith("index"):
            found = part(label, row) or ""
        else:
            shown = got.get(f"{label}.{row}")
            found = words(shown) if shown is not None else ""
        if found:
            return found
    return _index(group, row)


def _index(group: Group, row: str) -> str:
    return row.removesuffix(group.index_trim) if group.index_trim else row
