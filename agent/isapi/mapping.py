"""Which elements of ISAPI's answers are which fields: the language of the files beside it, and what is wrong in one.

A file says what to GET and where each value stands, as a profile does for SNMP. It has a language of its own, because
answers are trees and not objects by number: rows are elements, and a value is found by its path among them (as
ElementTree finds it; names in lower case, for firmware versions differ in case).

Errors:
    SettingError   of `forewarn.settings`, with file, line, column and the nearest word
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources
from xml.etree.ElementTree import Element

import msgspec

from agent.profiles.language import INVENTORY, Meaning
from forewarn.settings import Duration, Marked, SettingError, Wrong, read
from forewarn.vocabulary import DeviceKind, misnamed, nearest

HOME = "hikvision.yaml"


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a value stands, and what it means.

    `element` is one path or several, of which the first that is there counts. A text is one of `states`, one of
    `numbers`, a time (`clock`), or a number times `scale` within `range`; whatever else it is is null. A text in `no` is
    what a device says that knows nothing. `share_of` makes a percentage of value and another together.
    """

    element: Marked | list[Marked]
    states: dict[Marked, Meaning] = {}
    numbers: dict[Marked, float] = {}
    clock: bool = False
    scale: float = 1.0
    range: tuple[float, float] | None = None
    no: list[str] = []
    share_of: Marked | None = None

    @property
    def elements(self) -> list[Marked]:
        """The paths, the first first."""
        return self.element if isinstance(self.element, list) else [self.element]


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer, into one table.

    `rows` is the path of the elements that are rows, and `instance` that of a row's name; without them there is one row.
    `{instance}` in `path` asks once for each row that the table has so far. With `adds` the answer makes no rows, it
    adds to those there are, and counts only when it has every one of them. `unless` a table has rows already, `kinds`
    are the devices that are asked, `every` how often; what came last is reported meanwhile.
    """

    table: Marked
    path: Marked
    src: str
    rows: Marked | None = None
    instance: Marked | None = None
    fields: dict[Marked, Value]
    adds: bool = False
    unless: Marked | None = None
    kinds: list[DeviceKind] = []
    every: Duration | None = None


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device tells of itself. `kinds` by the text of `kind`."""

    path: Marked
    texts: dict[Marked, Marked]
    fixed: dict[Marked, str] = {}
    kind: Marked
    kinds: dict[Marked, DeviceKind]


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file."""

    id: Marked
    src: str
    inventory: Texts
    groups: list[Group]

    def __post_init__(self) -> None:
        """Refuses what is not in the vocabulary, and paths that cannot be looked up.

        Raises:
            SettingError: with everything that is wrong.
        """
        wrongs = [*_wrong_texts(self.inventory), *(wrong for group in self.groups for wrong in _wrong_group(group))]
        if wrongs:
            raise SettingError(wrongs)


@functools.cache
def shipped() -> Mapping:
    """The mapping that comes with the agent."""
    return read(Mapping, resources.files("agent.isapi").joinpath(HOME).read_text(encoding="utf-8"), HOME)


def _wrong_texts(inventory: Texts) -> Iterator[Wrong]:
    for name in (*inventory.texts, *inventory.fixed):
        if name not in INVENTORY:
            yield name.wrong(f"no inventory text is called `{name}`{nearest(name, INVENTORY)}")
    for path in (*inventory.texts.values(), inventory.kind):
        yield from _wrong_path(path)
    yield from _wrong_address(inventory.path)


def _wrong_group(group: Group) -> Iterator[Wrong]:
    yield from _wrong_address(group.path)
    if (group.rows is None) != (group.instance is None) and "{instance}" not in group.path:
        yield group.table.wrong("`rows` and `instance` belong together")
    for path in (group.rows, group.instance):
        if path is not None:
            yield from _wrong_path(path)
    for name, value in group.fields.items():
        what = misnamed(group.table, name)
        if what is not None:
            yield name.wrong(what)
        for path in (*value.elements, *([value.share_of] if value.share_of is not None else [])):
            yield from _wrong_path(path)


def _wrong_address(path: Marked) -> Iterator[Wrong]:
    if not path.startswith("/ISAPI/"):
        yield path.wrong(f"a path of ISAPI begins with `/ISAPI/`, not `{path}`")


def _wrong_path(path: Marked) -> Iterator[Wrong]:
    if path != path.lower():
        yield path.wrong(f"names of elements are in lower case here: `{path.lower()}`")
    try:
        Element("x").find(path)
    except (SyntaxError, KeyError) as wrong:
        yield path.wrong(f"`{path}` is no path of elements: {wrong}")
