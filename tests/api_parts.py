"""An API on a real database and a store in memory, for tests: what it is built of, and somebody who asks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import httpx
import numpy as np
from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from collector.api.application import application
from collector.api.parts import Check, Parts
from collector.api.server import Server, bound
from collector.metrics import Figures, Gauges, registry
from collector.opening import rule_texts
from collector.series.memory import MemoryStore
from collector.settings import Rules
from collector.storage import tables
from collector.storage.database import Databases
from collector.tickets.book import Book
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.ruleset import ruleset
from rules.samples import Batch, Device, Rows

TOKEN = "t-of-mei"
NOW = 1_770_000_000_000
SHAPE = Shape(
    DeviceKind.UPS, "ups.rfc1628", Source.SNMP, [TableShape("ups", [""], ["charge_percent", "runtime_seconds"])]
)
RULES = ruleset(rule_texts(Rules()))
"""Those that ship."""


def now() -> int:
    return int(time.time() * 1000)


def batch(site: str, device: str, values: list[list[float]], begin: int = NOW, position: int = 1) -> Batch:
    """Polls of one UPS, a minute apart."""
    n = len(values)
    t = np.arange(n, dtype=np.int64) * 60_000 + begin
    rows = Rows(
        SHAPE,
        [Device(site, "a1", device)] * n,
        t,
        t,
        np.full(n, position, np.int64),
        np.arange(n, dtype=np.int64),
        np.zeros(n, np.bool_),
        np.array(values, np.float64),
    )
    return Batch(position, position, [rows])


@dataclass
class Asked:
    """An API and what it stands on."""

    parts: Parts
    databases: Databases
    store: MemoryStore
    checks: list[Check] = field(default_factory=list)

    @contextlib.contextmanager
    def client(self, token: str = TOKEN) -> Iterator[httpx.Client]:
        """Somebody who asks a real server on a real port."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        parts = replace(self.parts, registry=_registry(self.databases, self.checks))
        server = Server(application(parts), bound("127.0.0.1", 0))
        server.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as client:
                yield client
        finally:
            server.close()


def _registry(databases: Databases, checks: list[Check]) -> CollectorRegistry:
    return registry(Figures(databases.journal, databases.service, Gauges(lambda: 0.0, lambda: True, lambda: checks)))


def opened(databases: Databases) -> Asked:
    """Three sites, one agent, two UPSs, one of them with two polls."""
    databases.migrate()
    store = MemoryStore()
    store.write(batch("s1", "ups1", [[90.0, 3600.0], [80.0, float("nan")]]))
    inventory = {"model": "SMT1500"}
    device = {"agent": "a1", "kind": "ups", "profile": "ups.rfc1628", "first_seen": 1, "last_seen": 1}
    with databases.service.begin() as connection:
        connection.execute(
            insert(tables.site), [{"id": id_, "name": f"Site {id_}", "created": 1} for id_ in ("s1", "s2", "s3")]
        )
        connection.execute(
            insert(tables.agent), [{"id": "a1", "site": "s1", "shard": 3, "secret": "hush-hush", "created": 1}]
        )
        connection.execute(
            insert(tables.device),
            [{"site": "s1", "device": name, "inventory": inventory, **device} for name in ("ups1", "ups2")],
        )
    checks = [Check(name="bus", ok=True)]
    parts = Parts(
        journal=databases.journal,
        service=databases.service,
        store=store,
        tickets=Book(databases.service, now=now),
        look_up={TOKEN: "Mei"}.get,
        checks=lambda: checks,
        registry=CollectorRegistry(),
        now=now,
        rules=RULES,
    )
    return Asked(parts, databases, store, checks)
