"""How a family of devices is polled: YAML files, read strictly, with names from `forewarn.vocabulary`.

A profile says which devices it is for (`match`), which objects become which fields (`scalars`, `tables`), and which
texts identify a device (`inventory`). Only numeric OIDs, so that no MIB compiler is needed on a site. Every group of
columns says in `src` which MIB, RFC or capture its facts are from. A profile may extend others:

- what is given by the profile counts before what it extends, a later parent before an earlier one;
- groups of one name (`id`, else the table; scalars and tables apart) are one group: columns of the same name are
  taken from the later one, the others stay, any other key counts where it is given; `replace: true` takes the whole
  group instead, `without` takes columns away;
- inventory texts of the same name are taken from the later one;
- `match`, `kind` and `interval` are those of the last that gives one; abstract profiles give no `match`;
- quirks add up: the smallest number, and each that is true for one of them;
- a profile of the site takes the place of a shipped one of the same id, also for those that extend it; it may extend
  the shipped one by that very id.

Errors:
    SettingError   from `forewarn.settings`: every mistake with file, line, column and the nearest valid word
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.profiles.faults import faults
from agent.profiles.formula import Formula, parse
from agent.profiles.language import (
    INVENTORY,
    Column,
    Condition,
    Draft,
    Group,
    Label,
    Match,
    Profile,
    Quirks,
    Text,
    Way,
    Where,
)
from forewarn.settings import Marked, SettingError, Wrong, read, read_file
from forewarn.vocabulary import DeviceKind, nearest

__all__ = [
    "INVENTORY",
    "Column",
    "Condition",
    "Group",
    "Label",
    "Match",
    "Profile",
    "Quirks",
    "Text",
    "Where",
    "formula_of",
    "library",
    "load",
    "load_folder",
    "shipped",
]

Drafts = Mapping[str, Draft]
T = TypeVar("T")


def load(text: str, source: str) -> Profile:
    """Reads one profile, which may extend shipped ones.

    Raises:
        SettingError: every mistake in it.
    """
    draft = read(Draft, text, source)
    return _resolved([_shipped_drafts(), {str(draft.id): draft}])[str(draft.id)]


@cache
def shipped() -> dict[str, Profile]:
    """The profiles that come with the agent, by id, without the abstract ones."""
    return _concrete(_resolved([_shipped_drafts()]))


def load_folder(folder: Path) -> dict[str, Profile]:
    """The shipped profiles with those of a folder over them: the same id replaces. Without the abstract ones.

    Raises:
        SettingError: a file that is no profile, or two with the same id.
    """
    return _concrete(library(sorted(folder.glob("*.yaml"))))


def library(files: Iterable[Path] = ()) -> dict[str, Profile]:
    """The shipped profiles with some files over them, abstract ones too.

    Raises:
        SettingError: every mistake in every file.
    """
    drafts: list[Draft] = []
    wrongs: list[Wrong] = []
    for file in files:
        try:
            drafts.append(read_file(Draft, file))
        except SettingError as wrong:
            wrongs += wrong.wrongs
    try:
        found = _resolved([_shipped_drafts(), _by_id(drafts)])
    except SettingError as wrong:
        # A file that could not be read is missed by those that extend it: that is no mistake of theirs.
        raise SettingError(wrongs or wrong.wrongs) from wrong
    if wrongs:
        raise SettingError(wrongs)
    return found


@cache
def formula_of(text: str) -> Formula:
    """The parsed formula of a column's `value`."""
    return parse(text)


@cache
def _shipped_drafts() -> Drafts:
    folder = resources.files("agent.profiles") / "library"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return _by_id(read(Draft, file.read_text(encoding="utf-8"), file.name) for file in files)


def _by_id(drafts: Iterable[Draft]) -> Drafts:
    found: dict[str, Draft] = {}
    for draft in drafts:
        if draft.id in found:
            raise SettingError([draft.id.wrong(f"another profile is called `{draft.id}`")])
        found[str(draft.id)] = draft
    return found


def _concrete(profiles: Mapping[str, Profile]) -> dict[str, Profile]:
    return {name: profile for name, profile in profiles.items() if not profile.abstract}


def _resolved(layers: Sequence[Drafts]) -> dict[str, Profile]:
    """Every profile with what it extends; the later layer counts."""
    extending = _Extending(layers)
    top: dict[str, Draft] = {}
    for layer in layers:
        top |= layer
    found = {name: extending.profile(draft) for name, draft in top.items()}
    # A mistake in a parent shows in every child, at the same place.
    wrongs = [wrong for profile in found.values() for wrong in faults(profile)]
    wrongs = list(dict.fromkeys([*extending.wrongs, *wrongs]))
    if wrongs:
        raise SettingError(wrongs)
    return found


class _Extending:
    """Puts profiles together; notes what is wrong instead of stopping."""

    def __init__(self, layers: Sequence[Drafts]) -> None:
        self.wrongs: list[Wrong] = []
        self._layers = layers
        self._done: dict[int, Profile] = {}
        self._under_way: list[Draft] = []

    def profile(self, draft: Draft) -> Profile:
        """A draft with everything it extends."""
        done = self._done.get(id(draft))
        if done is None:
            self._under_way.append(draft)
            parents = [parent for name in draft.extends if (parent := self._parent(draft, name)) is not None]
            done = self._done[id(draft)] = self._together(draft, parents)
            self._under_way.pop()
        return done

    def _parent(self, draft: Draft, name: Marked) -> Profile | None:
        found = next((layer[name] for layer in reversed(self._layers) if layer.get(name, draft) is not draft), None)
        if found is None and name == draft.id:
            self.wrongs.append(name.wrong(f"`{name}` extends itself, and no shipped profile is called so"))
        elif found is None:
            names = {each for layer in self._layers for each in layer}
            self.wrongs.append(name.wrong(f"no profile is called `{name}`{nearest(name, names)}"))
        elif any(found is each for each in self._under_way):
            way = " → ".join([*(str(each.id) for each in self._under_way), str(name)])
            self.wrongs.append(name.wrong(f"profiles extend each other in a circle: {way}"))
        else:
            return self.profile(found)
        return None

    def _together(self, draft: Draft, parents: Sequence[Profile]) -> Profile:
        kinds = [parent.kind for parent in parents if parent.kind is not DeviceKind.OTHER]
        if draft.kind is None and not kinds and not draft.abstract and not any(not each.abstract for each in parents):
            self.wrongs.append(draft.id.wrong(f"`kind` is missing: is `{draft.id}` a camera, a switch?"))
        inventory: dict[Marked, Text] = {}
        neighbours: list[Way] = []
        for texts, ways in [
            *((each.inventory, each.neighbours) for each in parents),
            (draft.inventory, draft.neighbours),
        ]:
            inventory = _joined(inventory, texts)
            neighbours += [way for way in ways if way not in neighbours]
        profile = Profile(
            id=draft.id,
            kind=draft.kind or (kinds[-1] if kinds else DeviceKind.OTHER),
            src=draft.src or _last(parent.src for parent in parents if not parent.abstract) or "",
            abstract=draft.abstract,
            extended=tuple(dict.fromkeys(each for parent in parents for each in (*parent.extended, str(parent.id)))),
            match=draft.match or _last(parent.match for parent in parents if not parent.abstract),
            interval=draft.interval or _last(parent.interval for parent in parents),
            scalars=self._groups([*(parent.scalars for parent in parents), draft.scalars]),
            tables=self._groups([*(parent.tables for parent in parents), draft.tables]),
            inventory=inventory,
            neighbours=neighbours,
            quirks=_added([*(parent.quirks for parent in parents), draft.quirks]),
        )
        return self._without(draft, profile)

    def _groups(self, sources: Sequence[Sequence[Group]]) -> list[Group]:
        found: dict[str, Group] = {}
        for groups in sources:
            own: set[str] = set()
            for group in groups:
                if group.name in own:
                    what = f"another group here is called `{group.name}`: give one of them an `id`"
                    self.wrongs.append(group.name.wrong(what))
                own.add(group.name)
                under = found.get(group.name)
                found[str(group.name)] = self._trimmed(group if under is None or group.replace else _over(under, group))
        return list(found.values())

    def _trimmed(self, group: Group) -> Group:
        """The group without the columns it takes away."""
        names = {str(name) for name, _ in group.all_columns()}
        for name in group.without:
            if name not in names:
                self.wrongs.append(name.wrong(f"no column here is called `{name}`{nearest(name, names)}"))
        return msgspec.structs.replace(
            group,
            columns={name: column for name, column in group.columns.items() if name not in group.without},
            raw={name: column for name, column in group.raw.items() if name not in group.without},
            without=[],
        )

    def _without(self, draft: Draft, profile: Profile) -> Profile:
        names = {str(name) for name in profile.inventory} | {str(group.name) for group in profile.groups()}
        for name in draft.without:
            if name not in names:
                what = f"`{draft.id}` has no group and no inventory text called `{name}`"
                self.wrongs.append(name.wrong(what + nearest(name, names)))
        return msgspec.structs.replace(
            profile,
            scalars=[group for group in profile.scalars if group.name not in draft.without],
            tables=[group for group in profile.tables if group.name not in draft.without],
            inventory={name: text for name, text in profile.inventory.items() if name not in draft.without},
        )


def _last(given: Iterable[T | None]) -> T | None:
    found = None
    for each in given:
        found = found if each is None else each
    return found


def _over(under: Group, group: Group) -> Group:
    """A group of the profile over the one of that name it inherits."""
    given = {key: getattr(group, key) for key in _own_keys(group)}
    given["columns"] = _joined(under.columns, group.columns)
    given["raw"] = _joined(under.raw, group.raw)
    given["optional"] = under.optional or group.optional
    given["src"] = "; ".join(dict.fromkeys(part for part in (under.src, group.src) if part))
    return msgspec.structs.replace(under, **given)


def _joined(under: Mapping[Marked, T], over: Mapping[Marked, T]) -> dict[Marked, T]:
    """Two mappings in the order of the first; the keys of the second keep their own places in their file."""
    keys = {name: name for name in under} | {name: name for name in over}
    return {keys[name]: over.get(name, under.get(name)) for name in keys}  # type: ignore[misc] # each is in one of both


def _own_keys(group: Group) -> Iterator[str]:
    for key in ("table", "id", "rows", "label", "index_trim", "where", "instance", "every", "without"):
        if getattr(group, key) not in (None, [], ""):
            yield key


def _added(quirks: Sequence[Quirks]) -> Quirks:
    fewest = [each.max_varbinds for each in quirks if each.max_varbinds is not None]
    return Quirks(
        max_varbinds=min(fewest, default=None),
        nonincreasing_ok=any(each.nonincreasing_ok for each in quirks),
        no_bulk=any(each.no_bulk for each in quirks),
    )
