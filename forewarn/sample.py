"""The commented example of a file that people write, from the struct that reads it.

Prose comes from each field's `msgspec.Meta(description=...)`, shown values from its `examples` or its default. Keys
one may leave out stand commented, so that the sample with its `...` filled in is a valid file. One `# ` taken off every
line of a section one may leave out gives that section with its defaults; only keys without a default need another.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union

import msgspec
import yaml

from forewarn.quantities import SIZES, UNITS, Duration, Secret, Size

STANDS = "stands"
"""In a field's `Meta(extra={STANDS: True})`: it is shown as if required, being the usual one of two ways to give it."""


def sample(wanted: type[msgspec.Struct]) -> str:
    """The commented example of a settings file: each key with its description and default.

    A required key stands with the example from its Meta (`examples=[...]`); optional ones are commented out.
    """
    return "\n".join(_sampled(wanted, "")) + "\n"


def _sampled(wanted: type[msgspec.Struct], indent: str, *, within: bool = False) -> list[str]:
    """The lines of a struct; `within` a section that is commented as a whole, defaults need no mark of their own."""
    lines: list[str] = []
    hints = typing.get_type_hints(wanted, include_extras=True)
    for field in msgspec.structs.fields(wanted):
        inner, meta = _unwrapped(hints[field.name])
        if meta and meta.description:
            lines += [f"{indent}## {line}" for line in meta.description.splitlines()]
        usual = within and field.default is not None and not _is_list_of_structs(inner)
        stands = field.required or (meta and (meta.extra or {}).get(STANDS)) or usual
        quiet = "" if stands else "# "
        given = meta is not None and meta.examples and typing.get_origin(inner) is list
        nested = [] if given else _nested(inner, f"{indent}  ", within=within or not stands)
        key = f"{field.encode_name}:"
        shown = [f"{indent}{key}", *nested] if nested else [f"{indent}{key} {_flow(_shown(field, meta))}"]
        lines += [f"{indent}{quiet}{line.removeprefix(indent)}" for line in shown]
    return lines


def _nested(inner: Any, indent: str, *, within: bool) -> list[str]:
    """The lines below a key that holds a struct or a list of them; empty for a plain value."""
    if typing.get_origin(inner) is list:
        item = typing.get_args(inner)[0]
        lines = _nested(item, f"{indent}  ", within=within)
        return [f"{indent}-", *lines] if lines else []
    return _sampled(inner, indent, within=within) if _is_struct(inner) else []


def _is_struct(inner: Any) -> bool:
    return isinstance(inner, type) and issubclass(inner, msgspec.Struct)


def _is_list_of_structs(inner: Any) -> bool:
    """Whether a key holds a list that is shown by an example, which is no default."""
    return typing.get_origin(inner) is list and _is_struct(typing.get_args(inner)[0])


def _shown(field: msgspec.structs.FieldInfo, meta: msgspec.Meta | None) -> Any:
    if meta and meta.examples:
        return meta.examples[0]
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return "..." if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _unwrapped(hint: Any) -> tuple[Any, msgspec.Meta | None]:
    meta = None
    if typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
        meta = next((note for note in notes if isinstance(note, msgspec.Meta)), None)
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    return hint, meta


def _flow(value: Any) -> str:
    if isinstance(value, Duration):
        return _written(value, UNITS)
    if isinstance(value, Size):
        return _written(value, {unit: size for unit, size in SIZES.items() if "i" in unit or unit == "B"})
    if isinstance(value, Path | str):
        value = value.reveal() if isinstance(value, Secret) else str(value)
    if isinstance(value, enum.Enum):
        value = value.value
    dumped: str = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return dumped.removesuffix("\n...\n").strip()


def _written(value: float, units: Mapping[str, float]) -> str:
    for unit, size in sorted(units.items(), key=lambda pair: -pair[1]):
        if value >= size and value % size == 0:
            return f"{int(value // size)}{unit}"
    smallest = min(units, key=lambda unit: units[unit])
    return f"{value / units[smallest]:.12g}{smallest}"
