"""State as named parts of bytes: MessagePack with raw little-endian arrays, nothing that can run.

Errors:
    ValueError   a part is missing, cut short, or of another form
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

FORMAT = 2
CHUNK = 65_536
"""Slots a part: series that saw nothing new leave their part as it was."""

Arrays = dict[str, npt.NDArray[Any]]


class Packed(msgspec.Struct, array_like=True):
    """An array."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes


class EngineState(msgspec.Struct):
    """What the engine knows besides rules."""

    format: int
    devices: list[tuple[str, str]]
    last: Packed
    late: int
    attested: int
    tick: int
    agents: list[tuple[str, str]]
    heard: list[int]


class RuleParts(msgspec.Struct):
    """What one rule knows besides arrays: blocks as (device, first slot, index into `names`), clocks by slot."""

    used: int
    names: list[tuple[str, ...]]
    blocks: list[tuple[int, int, int]]
    clocks: dict[int, list[int]]


def packed(array: npt.NDArray[Any]) -> Packed:
    """Packs an array."""
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return Packed(plain.dtype.str, plain.shape, plain.tobytes())


def unpacked(packed: Packed) -> npt.NDArray[Any]:
    """The array again, its own and writable."""
    array = np.frombuffer(packed.raw, np.dtype(packed.dtype)).reshape(packed.shape)
    return array.astype(array.dtype.newbyteorder("="))


def chunks(arrays: Mapping[str, npt.NDArray[Any]], used: int) -> list[bytes]:
    """The first `used` slots of some arrays, a part each CHUNK slots."""
    return [
        msgspec.msgpack.encode({name: packed(array[at : min(at + CHUNK, used)]) for name, array in arrays.items()})
        for at in range(0, used, CHUNK)
    ]


def put_back(arrays: Arrays, chunk: bytes, at: int) -> None:
    """Writes one part back into arrays that have room for it.

    Raises:
        ValueError: the part does not fit the arrays.
    """
    parts = decoded(chunk, dict[str, Packed])
    if set(parts) != set(arrays):
        raise ValueError(f"a part has {sorted(parts)}, the rule keeps {sorted(arrays)}")
    for name, part in parts.items():
        array = unpacked(part)
        if array.dtype != arrays[name].dtype or array.shape[1:] != arrays[name].shape[1:]:
            raise ValueError(f"`{name}` is {array.dtype}{array.shape[1:]}, another form than this version keeps")
        arrays[name][at : at + len(array)] = array


def decoded(part: bytes, wanted: Any) -> Any:
    """Reads MessagePack into a type.

    Raises:
        ValueError: it is something else.
    """
    try:
        return msgspec.msgpack.decode(part, type=wanted)
    except msgspec.DecodeError as wrong:
        raise ValueError(f"a part of the snapshot cannot be read: {wrong}") from wrong
