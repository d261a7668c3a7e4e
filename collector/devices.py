"""Keeps the register of devices up to date from what agents deliver: kind, profile, agent, inventory.

Only a change is written. What was compared is remembered when the caller's transaction is committed, not before, so
that a failed one is simply made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from collector import tables
from forewarn.vocabulary import DeviceKind
from rules.samples import Batch, Device

INVENTORY = "inventory"

_d = tables.device


class _Description(NamedTuple):
    kind: str
    profile: str


@dataclass
class Changes:
    """What the register does not know yet: by device, (what it is, when it arrived)."""

    described: dict[Device, tuple[_Description, int]] = field(default_factory=dict)
    inventories: dict[Device, tuple[dict[str, str], int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.described or self.inventories)


class Devices:
    """What is known of every device; one thread uses it. About 300 bytes of memory for each."""

    def __init__(self) -> None:
        self._known: dict[_Description, set[Device]] = {}
        self._inventories: dict[Device, bytes] = {}

    def load(self, connection: Connection) -> None:
        """Reads the register."""
        query = select(_d.c.site, _d.c.agent, _d.c.device, _d.c.kind, _d.c.profile, _d.c.inventory)
        for site, agent, name, kind, profile, inventory in connection.execute(query):
            device = Device(site, agent, name)
            self._known.setdefault(_Description(kind, profile), set()).add(device)
            self._inventories[device] = _digest(inventory)

    def changes(self, batches: Iterable[Batch]) -> Changes:
        """What is new in some batches; the last word counts."""
        found = Changes()
        for batch in batches:
            for rows in batch.rows:
                description = _Description(rows.shape.kind, rows.shape.profile)
                for device in set(rows.devices) - self._known.get(description, set()):
                    if device.device:
                        arrived = int(rows.arrived[rows.devices.index(device)])
                        found.described[device] = (description, arrived)
            for happened in batch.happened:
                if happened.kind == INVENTORY and happened.device.device:
                    found.inventories[happened.device] = (happened.text, happened.arrived)
        known = self._inventories
        found.inventories = {
            device: new for device, new in found.inventories.items() if known.get(device) != _digest(new[0])
        }
        return found

    def write(self, connection: Connection, changes: Changes) -> None:
        """Writes what changed, in the caller's transaction."""
        described = [
            _row(device, arrived, kind=what.kind, profile=what.profile)
            for device, (what, arrived) in changes.described.items()
        ]
        inventories = [_row(device, arrived, inventory=text) for device, (text, arrived) in changes.inventories.items()]
        _merge(connection, described, ("agent", "kind", "profile", "last_seen"))
        _merge(connection, inventories, ("agent", "inventory", "last_seen"))

    def settle(self, changes: Changes) -> None:
        """Remembers what was committed."""
        for device, (description, _) in changes.described.items():
            for others in self._known.values():
                others.discard(device)
            self._known.setdefault(description, set()).add(device)
        for device, (text, _) in changes.inventories.items():
            self._inventories[device] = _digest(text)


def _row(device: Device, arrived: int, **known: Any) -> dict[str, Any]:
    plain = {"kind": DeviceKind.OTHER.value, "profile": "", "inventory": {}}
    return {**plain, **device._asdict(), **known, "first_seen": arrived, "last_seen": arrived}


def _merge(connection: Connection, rows: list[dict[str, Any]], changed: tuple[str, ...]) -> None:
    """Adds devices, or changes only some columns of those that are there."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(_d)
    new = {name: statement.excluded[name] for name in changed}
    connection.execute(statement.on_conflict_do_update(index_elements=["site", "device"], set_=new), rows)


def _digest(inventory: dict[str, str]) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(inventory, order="sorted"), digest_size=8).digest()
