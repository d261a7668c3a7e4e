r"""InfluxDB's line protocol, from arrays.

measurement = table; tags = site, device, instance; fields = floats; time in milliseconds. An empty tag cannot be
written and is left out, which reads back as ''. What the protocol cannot carry in a tag (control characters, a
backslash at the end) becomes `_`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from rules.samples import Device, Rows

_SPECIAL = re.compile(r"([,= ])")
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f]|\\$")


def tag(value: str) -> str:
    """The value of a tag as the database will have it."""
    return _IMPOSSIBLE.sub("_", value)


def _escaped(word: str) -> str:
    return _SPECIAL.sub(r"\\\1", tag(word))


def _head(device: Device, table: str, instance: str) -> str:
    tags = (("device", device.device), ("instance", instance), ("site", device.site))
    return table + "".join(f",{name}={_escaped(value)}" for name, value in tags if value)


def lines(rows: Rows) -> Iterator[str]:
    """Yields a line for every poll, table and instance that has a value."""
    groups = [(part.table, instance, part.fields) for part in rows.shape.tables for instance in part.instances]
    heads: dict[Device, list[str]] = {}
    for device, t, values in zip(rows.devices, rows.t.tolist(), rows.values.tolist(), strict=True):
        if device not in heads:
            heads[device] = [_head(device, table, instance) for table, instance, _ in groups]
        at = 0
        for head, (_, _, fields) in zip(heads[device], groups, strict=True):
            part = values[at : at + len(fields)]
            at += len(fields)
            written = [f"{name}={value!r}" for name, value in zip(fields, part, strict=True) if math.isfinite(value)]
            if written:
                yield f"{head} {','.join(written)} {t}"


_DEVICE = re.compile(r"^(?:\\.|[^,\\ ])+,device=((?:\\.|[^,\\ ])*)").match


def times_of(some: Iterable[str]) -> dict[str, frozenset[int]]:
    """The times of some lines by their device, as its tag reads back."""
    found: dict[str, set[int]] = {}
    for line in some:
        device = _DEVICE(line)
        name = re.sub(r"\\(.)", r"\1", device[1]) if device else ""
        found.setdefault(name, set()).add(int(line.rpartition(" ")[2]))
    return {name: frozenset(times) for name, times in found.items()}


def without(line: str, table: str, field: str) -> str | None:
    """The line without a field, None when nothing else is in it; a line of another table as it is."""
    if not line.startswith(f"{table},"):
        return line
    head, fields, t = line.rsplit(" ", 2)
    kept = [one for one in fields.split(",") if not one.startswith(f"{field}=")]
    return f"{head} {','.join(kept)} {t}" if kept else None
