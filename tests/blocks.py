"""A scripted agent for tests of the collector: makes records, seals them, and packs any of them into blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from collector.register import Enrolled, Register
from collector.storage.database import Databases
from forewarn.consent import Consent, document, milliseconds, new_key, sign
from forewarn.signals import block_topic
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Header, Record, Shape, TableShape, pack, resealed_lost, seal

NOW = milliseconds("2026-06-01T00:00:00Z")
PRIVATE, PUBLIC = new_key()
CAMERA = Shape(DeviceKind.CAMERA, "cam", Source.SNMP, [TableShape("device", [""], ["up", "rtt_seconds"])])
HOST = Shape(DeviceKind.SERVER, "host", Source.HOST, [TableShape("host", [""], ["cpu_percent"])])


def consent(**changes: Any) -> Consent:
    """A signed consent for SNMP during 2026."""
    draft = Consent(
        id="c-1",
        site="s1",
        customer="Customer",
        signed_by="Person",
        scopes=[Source.SNMP],
        networks=["192.0.2.0/24"],
        valid_from="2026-01-01T00:00:00Z",
        valid_until="2027-01-01T00:00:00Z",
    )
    return sign(msgspec.structs.replace(draft, **changes), PRIVATE)


def enrolled(databases: Databases, *agents: str) -> dict[str, Enrolled]:
    """Registers site `s1` with its consent and these agents."""
    register = Register(databases)
    register.add_site("s1", "Site")
    register.add_consent(document(consent()), key=PUBLIC)
    return {agent: register.add_agent("s1", agent) for agent in agents}


@dataclass
class Script:
    """An agent's spool: records stay in it, so that any stretch can be sent at any time."""

    agent: str = "a1"
    epoch: str = "E1"
    shard: int = 0
    site: str = "s1"
    consent: str = "c-1"
    oldest: int = 1
    chain: bytes = GENESIS
    records: list[Record] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=lambda: {shape.digest: shape for shape in (CAMERA, HOST)})

    @property
    def topic(self) -> str:
        return block_topic(self.shard, self.agent)

    def poll(self, count: int = 1, shape: Shape = CAMERA, **changes: Any) -> Script:
        """Adds polls of one camera, a second apart."""
        for _ in range(count):
            seq = len(self.records) + 1
            made: dict[str, Any] = {"t": NOW + seq * 1000, "device": "cam1", "values": [float(seq)] * shape.width}
            self.add(Record(seq=seq, shape=shape.digest, **(made | changes)))
        return self

    def add(self, record: Record) -> Script:
        """Seals a record as the next."""
        body, self.chain = seal(record, self.chain)
        record.hash = self.chain.hex()
        self.records.append(record)
        self.bodies.append(body)
        return self

    def lose(self, first: int, last: int, why: str = "spool full") -> tuple[Record, bytes]:
        """The record that replaces some records in place."""
        record = Record(seq=last, t=NOW, kind="lost", why=why, first=first)
        return record, resealed_lost(record, bytes.fromhex(self.records[last - 1].hash))

    def block(self, first: int, last: int, *, lost: tuple[Record, bytes] | None = None, **changes: Any) -> bytes:
        """A block of the records first..last, after a lost record where one is given."""
        records, bodies = self.records[first - 1 : last], self.bodies[first - 1 : last]
        if lost is not None:
            records, bodies = [lost[0], *records], [lost[1], *bodies]
        of: dict[str, Any] = {
            "site": self.site,
            "agent": self.agent,
            "epoch": self.epoch,
            "boot": "B",
            "oldest": self.oldest,
            "head": len(self.records),
            "consent": self.consent,
            "sent": NOW,
        }
        return pack(
            Header(**(of | changes)),
            [self.shapes[digest] for digest in dict.fromkeys(record.shape for record in records if record.shape)],
            bodies,
        )
