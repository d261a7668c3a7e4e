"""Keeps the register of devices up to date from what agents deliver: kind, profile, agent, inventory.

Only a change is written. What was compared is remembered when the caller's transaction is committed, not before, so
that a failed one is simply made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.evaluation import unwatched
from collector.storage import tables
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape
from rules.samples import Batch, Device, Rows

INVENTORY = "inventory"

Name = tuple[str, str]
"""(site, device): what the register knows a device by, whichever agent polls it."""

_d = tables.device


class _Description(NamedTuple):
    kind: str
    profile: str


class _Word(NamedTuple):
    """One record that may say something new about a device, at its place in the journal."""

    position: int
    rank: int
    device: Device
    arrived: int
    description: _Description | None = None
    inventory: dict[str, str] | None = None
    leads: bool = True


@dataclass
class Change:
    """What the register does not know yet of one device; None: nothing new. Times are arrivals."""

    agent: str
    first: int
    last: int
    description: _Description | None = None
    inventory: dict[str, str] | None = None


class Changes(dict[Name, Change]):
    """By device; and beside them what was said of devices that nobody watches, in the order of the journal."""

    def __init__(self) -> None:
        super().__init__()
        self.unwatched: list[unwatched.Said] = []


class Devices:
    """What is known of every device; one thread uses it. About 500 bytes of memory for each."""

    def __init__(self) -> None:
        self._polled: dict[_Description, set[Device]] = {}
        """The devices polled last under a description: what is in here needs no second look."""
        self._described: dict[Name, tuple[str, _Description]] = {}
        self._inventories: dict[Name, bytes] = {}

    def load(self, connection: Connection, shards: Collection[int] | None = None) -> None:
        """Reads the register, or what it has of the sites of some shards."""
        query = select(_d.c.site, _d.c.device, _d.c.agent, _d.c.kind, _d.c.profile, _d.c.inventory)
        if shards is not None:
            agent = tables.agent.c
            query = query.where(_d.c.site.in_(select(agent.site).where(agent.shard.in_(shards))))
        for site, device, agent, kind, profile, inventory in connection.execute(query):
            self._describe((site, device), agent, _Description(kind, profile))
            self._inventories[site, device] = _digest(inventory)

    def changes(self, batches: Iterable[Batch]) -> Changes:
        """What is new in some batches; how they were cut does not matter."""
        found = Changes()
        batches = list(batches)
        found.unwatched = unwatched.said(batches)
        for batch in batches:
            for word in self._words(batch):
                self._hear(word, found)
        return found

    def _words(self, batch: Batch) -> list[_Word]:
        unsure = {(device.site, device.device) for rows in batch.rows for device in self._unsure(rows) if device.device}
        words = [
            _Word(happened.position, 0, happened.device, happened.arrived, inventory=happened.text)
            for happened in batch.happened
            if happened.kind == INVENTORY and happened.device.device and not unwatched.speaks_of_one(happened)
        ]
        for rows in batch.rows if unsure else []:
            description = _description(rows)
            for at, device in enumerate(rows.devices):
                if (device.site, device.device) in unsure:
                    place = int(rows.position[at]), int(rows.rank[at])
                    words.append(_Word(*place, device, int(rows.arrived[at]), description, leads=_leads(rows.shape)))
        return sorted(words, key=lambda word: word[:2])

    def _unsure(self, rows: Rows) -> set[Device]:
        """The devices of which these rows may say something new."""
        if _leads(rows.shape):
            return set(rows.devices) - self._polled.get(_description(rows), set())
        return {device for device in rows.devices if (device.site, device.device) not in self._described}

    def _hear(self, word: _Word, found: Changes) -> None:
        name, agent = (word.device.site, word.device.device), word.device.agent
        change = found.get(name) or Change(agent, word.arrived, word.arrived)
        if word.inventory is not None:
            known = self._inventories.get(name) if change.inventory is None else _digest(change.inventory)
            if known == _digest(word.inventory):
                return
            change.inventory = word.inventory
        elif not word.leads and (change.description is not None or name in self._described):
            return
        else:
            known_as = self._described.get(name) if change.description is None else (change.agent, change.description)
            if known_as == (agent, word.description):
                return
            change.description = word.description
        change.agent, change.last = agent, word.arrived
        found[name] = change

    def write(self, connection: Connection, changes: Changes) -> None:
        """Writes what changed, in the caller's transaction."""
        unwatched.write(connection, changes.unwatched)
        by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for name, change in changes.items():
            said: dict[str, Any] = {} if change.description is None else change.description._asdict()
            said |= {} if change.inventory is None else {"inventory": change.inventory}
            row = {**_UNKNOWN, "site": name[0], "device": name[1], "agent": change.agent, **said}
            columns = ("agent", "last_seen", *said)
            by_columns.setdefault(columns, []).append({**row, "first_seen": change.first, "last_seen": change.last})
        for columns, rows in by_columns.items():
            _merge(connection, rows, columns)

    def settle(self, changes: Changes) -> None:
        """Remembers what was committed."""
        for name, change in changes.items():
            if change.description is not None:
                self._describe(name, change.agent, change.description)
            if change.inventory is not None:
                self._inventories[name] = _digest(change.inventory)

    def _describe(self, name: Name, agent: str, description: _Description) -> None:
        before = self._described.get(name)
        if before is not None:
            self._polled[before[1]].discard(Device(name[0], before[0], name[1]))
        self._described[name] = (agent, description)
        self._polled.setdefault(description, set()).add(Device(name[0], agent, name[1]))


_UNKNOWN: dict[str, Any] = {"kind": DeviceKind.OTHER.value, "profile": "", "inventory": {}}


def _leads(shape: Shape) -> bool:
    """Whether kind and profile of these rows are the device's: of several sources the one that says whether it is up."""
    beside = shape.source in (Source.PROBE, Source.ISAPI, Source.ONVIF)
    return not beside or any(part.table == "device" and "up" in part.fields for part in shape.tables)


def _description(rows: Rows) -> _Description:
    return _Description(rows.shape.kind.value, rows.shape.profile)


def _merge(connection: Connection, rows: list[dict[str, Any]], changed: tuple[str, ...]) -> None:
    """Adds devices, or changes only some columns of those that are there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(_d)
    new = {name: statement.excluded[name] for name in changed}
    connection.execute(statement.on_conflict_do_update(index_elements=["site", "device"], set_=new), rows)


def _digest(inventory: dict[str, str]) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(inventory, order="sorted"), digest_size=8).digest()
