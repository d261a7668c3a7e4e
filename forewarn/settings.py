"""Files that people write: YAML read into typed structs, every error with file, line, column and the nearest word.

A struct describes a file (settings, profile, rules, consent draft). `read` turns text into it; strings stay `Marked`,
so that a later stage (an expression's parser, say) can still point into the file. The commented
example of a file is written from the same structs by `forewarn.sample`.

Errors:
    SettingError   one or more `Wrong`, all of them, not just the first; its text is what the person reads
"""

from __future__ import annotations

import enum
import io
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast

import msgspec
import yaml
import yaml.reader

from forewarn.quantities import SIZES, UNITS, Duration, Secret, Size
from forewarn.vocabulary import nearest

__all__ = [
    "SIZES",
    "UNITS",
    "Duration",
    "Mark",
    "Marked",
    "Secret",
    "SettingError",
    "Size",
    "Wrong",
    "read",
    "read_file",
    "told",
]

T = TypeVar("T")

DEEPEST = 50
"""How deep lists and mappings may lie in each other."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


class Wrong(NamedTuple):
    """One thing wrong, and where."""

    mark: Mark
    what: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.what}"


class SettingError(Exception):
    """A file that says something we cannot do. `wrongs` has every finding in the order of the file."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        self.wrongs = sorted(wrongs, key=lambda wrong: wrong.mark)
        super().__init__("\n".join(str(wrong) for wrong in self.wrongs))


def told(wrong: Exception) -> str:
    """An error as a person reads it: the system's own (OSError) as file and words, without its number."""
    if isinstance(wrong, OSError) and wrong.strerror:
        return f"{wrong.filename}: {wrong.strerror}" if wrong.filename else wrong.strerror
    return str(wrong)


class Marked(str):
    """A string that remembers where it stands in its file."""

    __slots__ = ("mark",)
    mark: Mark

    @classmethod
    def at(cls, text: str, mark: Mark) -> Marked:
        """Returns `text` standing at `mark`."""
        made = cls(text)
        made.mark = mark
        return made

    def wrong(self, what: str, offset: int = 0) -> Wrong:
        """A finding `offset` characters into the string."""
        return Wrong(self.mark._replace(column=self.mark.column + offset), what)


def read(wanted: type[T], text: str, source: str, *, env: Mapping[str, str] | None = None, prefix: str = "") -> T:
    """Turns YAML text into a struct.

    Args:
        wanted: a msgspec.Struct type; nested structs, lists, dicts, Literals, enums, Duration, Size, Secret, Path
            and unions with None are read. A struct's `__post_init__` may raise ValueError: it is reported at the
            place the struct begins, or at the key named by `ValueError(key, what)`; or SettingError, as it is.
        text: the file's content.
        source: the name errors carry, usually the path as the person gave it.
        env: environment; `<prefix>SECTION__KEY` overrides `section: {key: }` (twelve-factor deployments). Text is
            taken as it stands, anything else is read as YAML; an error then names the variable.
        prefix: of the environment variables, "FOREWARN_" for settings; empty: none are read.

    Raises:
        SettingError: with every mistake found.
    """
    root = _composed(text, source)
    reader = _Reader(source)
    for name, given in sorted((os.environ if env is None else env).items()):
        if prefix and name.startswith(prefix) and "__" in name:
            root = _overridden(root, name.removeprefix(prefix).lower().split("__"), reader.given(name, given))
    value = reader.value(root, wanted, "")
    if reader.wrongs:
        raise SettingError(reader.wrongs)
    return cast("T", value)


def read_file(wanted: type[T], path: Path, *, env: Mapping[str, str] | None = None, prefix: str = "") -> T:
    """Reads a struct from a file; a missing or unreadable file is a SettingError too."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        why = wrong.strerror if isinstance(wrong, OSError) else "not UTF-8 text"
        raise SettingError([Wrong(Mark(str(path), 1, 1), f"cannot be read: {why}")]) from wrong
    return read(wanted, text, str(path), env=env, prefix=prefix)


class _Named(io.StringIO):
    """Text with the name that the marks of its nodes carry."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def _composed(text: str, source: str) -> yaml.Node:
    try:
        _shallow(text, source)
        root = yaml.compose(_Named(text, source), Loader=_Loader)
    except yaml.MarkedYAMLError as wrong:
        mark = _place(source, wrong.problem_mark or wrong.context_mark)
        raise SettingError([Wrong(mark, f"not YAML: {wrong.problem or wrong.context}")]) from wrong
    except yaml.reader.ReaderError as wrong:
        line = text.encode()[: wrong.position].count(b"\n") + 1
        raise SettingError([Wrong(Mark(source, line, 1), f"not YAML: {str(wrong).splitlines()[0]}")]) from wrong
    if root is None:
        raise SettingError([Wrong(Mark(source, 1, 1), "the file is empty")])
    return root


def _shallow(text: str, source: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:  # Composing recurses in C: much deeper, and the process dies.
            raise SettingError([Wrong(_place(source, event.start_mark), f"nested deeper than {DEEPEST}")])


def _place(source: str, at: Any) -> Mark:
    return Mark(source, at.line + 1, at.column + 1) if at else Mark(source, 1, 1)


def _overridden(node: yaml.Node | None, keys: list[str], given: yaml.Node) -> yaml.Node:
    if not keys:
        return given
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        node = yaml.MappingNode("tag:yaml.org,2002:map", [], given.start_mark)
    if not isinstance(node, yaml.MappingNode):
        mark = Mark(given.start_mark.name, 1, 1)
        raise SettingError([Wrong(mark, f"`{keys[0]}` would lie in what the file gives as a list or a value")])
    for at, (key, child) in enumerate(node.value):
        if key.value == keys[0]:
            node.value[at] = (key, _overridden(child, keys[1:], given))
            return node
    key = yaml.ScalarNode("tag:yaml.org,2002:str", keys[0], given.start_mark)
    node.value.append((key, _overridden(None, keys[1:], given)))
    return node


class _Reader:
    """Walks nodes and types side by side, collecting what is wrong instead of stopping."""

    def __init__(self, source: str, verbatim: dict[int, str] | None = None) -> None:
        self.source = source
        self.wrongs: list[Wrong] = []
        self._verbatim = {} if verbatim is None else verbatim
        """By the id of a node from the environment: its text, for a password is not YAML."""

    def given(self, name: str, text: str) -> yaml.Node:
        """The node of an environment variable."""
        try:
            _shallow(text, f"${name}")
            node = yaml.compose(_Named(text, f"${name}"), Loader=_Loader)
        except yaml.YAMLError:
            node = None
        if node is None:
            kind = "str" if text.strip() else "null"
            mark = yaml.Mark(f"${name}", 0, 0, 0, None, 0)
            node = yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", text, mark)
        self._verbatim[id(node)] = text
        return node

    def mark(self, node: yaml.Node) -> Mark:
        return _place(node.start_mark.name if node.start_mark else self.source, node.start_mark)

    def refuse(self, node: yaml.Node, what: str) -> None:
        """Notes a mistake; the value read is then None, and never leaves `read`."""
        self.wrongs.append(Wrong(self.mark(node), what))

    def value(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        if typing.get_origin(wanted) is Annotated:
            wanted, *notes = typing.get_args(wanted)
            value = self.value(node, wanted, key)
            self._check(node, value, notes, key)
            return value
        if wanted in _TEXTS and id(node) in self._verbatim:
            node = yaml.ScalarNode("tag:yaml.org,2002:str", self._verbatim[id(node)], node.start_mark)
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            return self._struct(node, wanted, key)
        origin = typing.get_origin(wanted)
        if origin in (Union, types.UnionType):
            return self._union(node, typing.get_args(wanted), key)
        if origin in (list, dict, tuple):
            return self._collection(node, origin, typing.get_args(wanted), key)
        return self._scalar(node, wanted, key)

    def _check(self, node: yaml.Node, value: Any, notes: list[Any], key: str) -> None:
        for note in notes:
            if not isinstance(note, msgspec.Meta) or not isinstance(value, int | float):
                continue
            if note.ge is not None and value < note.ge:
                self.refuse(node, f"`{key}` is at least {note.ge}, not {value}")
            if note.le is not None and value > note.le:
                self.refuse(node, f"`{key}` is at most {note.le}, not {value}")
            if note.gt is not None and value <= note.gt:
                self.refuse(node, f"`{key}` is more than {note.gt}, not {value}")

    def _union(self, node: yaml.Node, options: tuple[Any, ...], key: str) -> Any:
        rest = [option for option in options if option is not types.NoneType]
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null") and types.NoneType in options:
            # `tls:` with nothing below asks for the section; read as None it would send passwords in the clear.
            opened = node.value == "" and id(node) not in self._verbatim
            if not (opened and isinstance(rest[-1], type) and issubclass(rest[-1], msgspec.Struct)):
                return None
        for option in rest[:-1]:
            trial = _Reader(self.source, self._verbatim)
            value = trial.value(node, option, key)
            if not trial.wrongs:
                return value
        return self.value(node, rest[-1], key)

    def _collection(self, node: yaml.Node, origin: Any, inner: tuple[Any, ...], key: str) -> Any:
        if origin is dict:
            if not isinstance(node, yaml.MappingNode):
                return self.refuse(node, f"`{key}` is a mapping of names to values")
            return {
                self.value(name, inner[0], key): self.value(child, inner[1], str(name.value))
                for name, child in self._pairs(node)
            }
        if not isinstance(node, yaml.SequenceNode):
            return self.refuse(node, f"`{key}` is a list")
        items = [self.value(child, inner[0], key) for child in node.value]
        return tuple(items) if origin is tuple else items

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        seen: set[str] = set()
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for name, child in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self.refuse(name, "a key is a plain word")
                continue
            if name.value in seen:
                self.refuse(name, f"`{name.value}` is given twice")
            seen.add(name.value)
            pairs.append((name, child))
        return pairs

    def _struct(self, node: yaml.Node, wanted: type[msgspec.Struct], key: str) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):  # `section:` and nothing: its defaults.
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], node.start_mark)
        if not isinstance(node, yaml.MappingNode):
            return self.refuse(node, f"`{key}` is a mapping with {_listed(f.encode_name for f in _fields(wanted))}")
        before = len(self.wrongs)
        fields = {field.encode_name: field for field in _fields(wanted)}
        hints = _hints(wanted)
        given: dict[str, Any] = {}
        marks: dict[str, yaml.Node] = {}
        for name, child in self._pairs(node):
            field = fields.get(name.value)
            if field is None:
                self.refuse(name, f"unknown key `{name.value}`{nearest(name.value, fields)}")
                continue
            marks[name.value] = child
            given[field.name] = self.value(child, hints[field.name], name.value)
        for field in fields.values():
            if field.required and field.name not in given:
                self.refuse(node, f"`{field.encode_name}` is missing" + (f" in `{key}`" if key else ""))
        if len(self.wrongs) > before:
            return None
        try:
            return wanted(**given)
        except SettingError as wrong:
            self.wrongs += wrong.wrongs
            return None
        except ValueError as wrong:
            at, what = wrong.args if len(wrong.args) == 2 else ("", wrong)  # noqa: PLR2004 - (key, what)
            return self.refuse(marks.get(at, node), str(what))

    def _scalar(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            if wanted is Any:
                return yaml.constructor.SafeConstructor().construct_document(node)
            return self.refuse(
                node,
                f"`{key}` is {_described(wanted)}, not a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}",
            )
        try:
            return self._parsed(node, wanted)
        except ValueError as wrong:
            detail = str(wrong)
            return self.refuse(node, f"`{key}`: {detail}" if detail else f"`{key}` is {_described(wanted)}")

    def _parsed(self, node: yaml.ScalarNode, wanted: Any) -> Any:  # noqa: PLR0911 - one line a type
        text, kind = str(node.value), node.tag.rpartition(":")[2]
        if wanted is Any:
            return yaml.constructor.SafeConstructor().construct_document(node)
        if typing.get_origin(wanted) is Literal:
            return _chosen(text, typing.get_args(wanted))
        if wanted in (Duration, Size):
            return wanted.parse(text)
        if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
            return wanted(_chosen(text, tuple(member.value for member in wanted)))
        if wanted in _TAGS:
            tags, make = _TAGS[wanted]
            if kind not in tags:
                raise ValueError
            return make(text)
        if kind == "null":
            raise ValueError
        if wanted in (str, Marked):
            quoted = 1 if node.style in ("'", '"') else 0
            mark = self.mark(node)
            return Marked.at(text, mark._replace(column=mark.column + quoted))
        return wanted(text)


_TEXTS = (str, Marked, Secret, Path)


def _truth(text: str) -> bool:
    return text.lower() in ("true", "yes", "on")


_TAGS: dict[Any, tuple[tuple[str, ...], Callable[[str], Any]]] = {
    bool: (("bool",), _truth),
    int: (("int",), lambda text: int(text.replace("_", ""), 0)),
    float: (("int", "float"), lambda text: float(text.replace("_", ""))),
}


def _chosen(text: str, options: tuple[Any, ...]) -> Any:
    for option in options:
        if str(option) == text:
            return option
    words = [str(option) for option in options]
    raise ValueError(f"`{text}` is none of {_listed(words)}{nearest(text, words)}")


def _listed(words: typing.Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _described(wanted: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Marked: "text"}
    return names.get(wanted, f"a {getattr(wanted, '__name__', 'value').lower()}")


def _fields(wanted: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(wanted)


def _hints(wanted: type[msgspec.Struct]) -> dict[str, Any]:
    return typing.get_type_hints(wanted, include_extras=True)
