"""A service company of full size in a collector's data folder: sites, agents, devices, tickets, and newest values.

Everything lies in it as the collector itself would have written it, but for the journal's blocks. One site is large.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import Engine, Table, insert
from ulid import ULID

from collector.register import Register
from collector.series.opening import open_store
from collector.settings import Series
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.tickets.rows import storable
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import SHARDS, Shape, TableShape
from rules.finding import Evidence, Reason
from rules.samples import Batch, Device, Rows

LARGE = "s-00000"
LARGE_DEVICES = 500
_DAY = 86_400_000
_AT_ONCE = 5000
_REACHED = ("device", [""], ["up", "rtt_seconds", "uptime_seconds", "poll_seconds"])
_PORTS = ("interface", [f"Gi1/0/{port}" for port in range(1, 25)], ["up", "in_bits_per_second", "out_bits_per_second"])
_HOST = ("host", [""], ["cpu_percent", "memory_used_percent"])
_VOLUMES = ("volume", ["1", "2"], ["used_percent", "total_bytes", "overwrite"])
_UPS = ("ups", [""], ["on_battery", "charge_percent", "runtime_seconds", "status"])
_RULES = ("device.unreachable", "recorder.filling", "ups.on_battery", "interface.errors", "disk.hot")


def _shape(kind: DeviceKind, profile: str, *parts: tuple[str, list[str], list[str]]) -> Shape:
    return Shape(kind, profile, Source.SNMP, [TableShape(*part) for part in (_REACHED, *parts)])


SHAPES = {
    "sw": _shape(DeviceKind.SWITCH, "switch.generic", _PORTS),
    "nvr": _shape(DeviceKind.RECORDER, "hikvision.recorder", _VOLUMES),
    "ups": _shape(DeviceKind.UPS, "ups.apc", _UPS),
    "cam": _shape(DeviceKind.CAMERA, "hikvision.camera", _HOST),
}


class Size(NamedTuple):
    """How much there is."""

    sites: int
    devices: int
    tickets: int


def fill(folder: Path, size: Size) -> str:
    """Fills an empty data folder; gives a token."""
    chance, now = random.Random(1), int(time.time() * 1000)
    databases = open_sqlite(folder)
    databases.migrate()
    try:
        named = _devices(size)
        _register(databases, size, now)
        _put(databases.service, tables.device, (_described(site, name, now) for site, name in named))
        _tickets(databases, size.tickets, named, chance, now)
        _delivered(databases, size, chance, now)
        return Register(databases).add_token("Mei")
    finally:
        databases.close()
        _values(folder, named, now)


def _put(engine: Engine, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        some: list[dict[str, Any]] = []
        for row in rows:
            some.append(row)
            if len(some) == _AT_ONCE:
                connection.execute(insert(table), some)
                some = []
        if some:
            connection.execute(insert(table), some)


def _site(number: int) -> str:
    return f"s-{number:05}"


def _devices(size: Size) -> list[tuple[str, str]]:
    """(site, device): of twenty one is a switch, one a recorder, one a UPS; the first site has many."""
    named = []
    for number in range(size.sites):
        rest = (size.devices - LARGE_DEVICES) // max(size.sites - 1, 1)
        count = LARGE_DEVICES if number == 0 else rest
        kinds = ["sw", "nvr", "ups"]
        named += [(_site(number), f"{kinds[at % 20] if at % 20 < len(kinds) else 'cam'}-{at}") for at in range(count)]
    return named


def _register(databases: Databases, size: Size, now: int) -> None:
    numbers = range(size.sites)
    service = databases.service
    names = ({"id": _site(at), "name": f"第 {at} 号园区 Campus {at}", "created": now - 400 * _DAY} for at in numbers)
    _put(service, tables.site, names)
    agent = {"secret": "0" * 64, "created": now - 400 * _DAY, "retired": None}
    agents = ({**agent, "id": f"a-{at:05}", "site": _site(at), "shard": at % SHARDS} for at in numbers)
    _put(service, tables.agent, agents)
    private, _ = new_key()
    _put(service, tables.consent, (_consent(at, private, now) for at in numbers))


def _consent(at: int, private: str, now: int) -> dict[str, Any]:
    draft = Consent(
        id=f"c-{at}",
        site=_site(at),
        customer=f"Campus {at}",
        signed_by="Chen Hui",
        scopes=[Source.SNMP, Source.HOST],
        networks=["10.20.0.0/16"],
        valid_from=instant(now - 90 * _DAY),
        valid_until=instant(now + 275 * _DAY),
    )
    return {"id": draft.id, "site": draft.site, "document": document(sign(draft, private)), "added": now}


def _described(site: str, name: str, now: int) -> dict[str, Any]:
    kind, _, number = name.partition("-")
    shape, group = SHAPES[kind], int(number) // 20 * 20
    inventory = {"model": f"M-{kind}", "serial": f"SN-{site}-{name}", "firmware": "V4.62.210", "location": "Rack 2"}
    if kind == "cam":
        port = {"switch": f"sw-{group}", "switch_port": f"Gi1/0/{int(number) - group}"}
        inventory |= {**port, "recorder": f"nvr-{group + 1}", "recorder_channel": str(int(number) - group)}
    told = {"kind": shape.kind.value, "profile": shape.profile, "inventory": inventory}
    seen = {"first_seen": now - 400 * _DAY, "last_seen": now - _DAY}
    return {"site": site, "device": name, "agent": f"a-{site[2:]}", **told, **seen}


def _tickets(
    databases: Databases, count: int, named: Sequence[tuple[str, str]], chance: random.Random, now: int
) -> None:
    """Over a year, in the order of time; of twenty about one is open, and of those half are not acknowledged."""
    step = 360 * _DAY // count
    times = [now - (count - at) * step for at in range(count)]
    ids = [str(ULID.from_timestamp(t / 1000)) for t in times]
    rows = [_ticket(id_, t, at, named, chance) for at, (id_, t) in enumerate(zip(ids, times, strict=True))]
    _put(databases.service, tables.ticket, iter(rows))
    _put(databases.service, tables.ticket_event, (event for row in rows for event in _events(row)))


def _ticket(id_: str, t: int, at: int, named: Sequence[tuple[str, str]], chance: random.Random) -> dict[str, Any]:
    (site, device), rule = chance.choice(named), chance.choice(_RULES)
    severity = chance.choice(("warning", "warning", "critical"))
    state = "open" if chance.random() < 0.05 else chance.choice(("closed", "closed", "resolved"))
    detail = {"slope": 5.6e-5, "low": 1.3e5, "high": 1.7e5, "p": 0.001, "samples": 168.0}
    evidence = [
        Evidence("ttt(used_percent, 98) < 72h", 147600.0, 259200.0, held=True, unit="s", detail=detail),
        Evidence("used_percent >= 60", 61.8, 60.0, held=True, unit="%", spare="fires unless used_percent < 60"),
    ]
    reason = Reason(rule, f"library/{rule}.yaml:12", "d41d8cd98f00b204", severity, t, evidence, {"used_percent": 61.8})
    title = {"zh": f"{device} 的 1 约 41 小时后写满", "en": f"{device}: 1 is full in about 41 h (37 to 46 h)"}
    advice = {"zh": "扩容,或降低码率或缩短保留时间。", "en": "Extend storage, or cut bit rate or retention."}
    said = storable({"severity": severity, "title": title, "advice": advice, "reason": msgspec.to_builtins(reason)})
    ended = t + 3_600_000 if state != "open" else None
    done = {"closed_at": ended if state == "closed" else None, "ended_at": ended, "recovered": ended}
    who = chance.choice(("", "Mei", "Wei", "Lan")) if state == "open" else "Mei"
    about = {"site": site, "device": device, "rule": rule, "table": "volume", "instance": str(at), "position": at + 1}
    kept = {"acknowledged_by": who, "assignee": who, "version": reason.version, "occurred_at": t, "recorded_at": t}
    return {"id": id_, **about, **said, "state": state, **done, **kept}


def _events(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"ticket": row["id"], "occurred_at": row["occurred_at"], "recorded_at": row["recorded_at"]}
    said = {name: row[name] for name in ("severity", "title", "advice", "reason")}
    yield {**at, "kind": "opened", "actor": "forewarn", "position": row["position"], "detail": said}
    if row["acknowledged_by"]:
        yield {**at, "kind": "acknowledged", "actor": row["acknowledged_by"], "position": None, "detail": {}}
    if row["state"] != "open":
        cause = {"cause": "A drive was added"}
        yield {**at, "kind": "resolved", "actor": "Mei", "position": None, "detail": cause}


def _delivered(databases: Databases, size: Size, chance: random.Random, now: int) -> None:
    """Three spools each; of a hundred agents one is silent and one held."""
    epochs = [f"01JD{at:022}" for at in range(3)]
    agents = [f"a-{at:05}" for at in range(size.sites)]
    head = {"epoch": epochs[-1], "oldest": 9000, "blocks": 4000, "records": 90_000, "duplicates": 3}
    told = (
        {
            **head,
            "agent": agent,
            "head": 90_000 + chance.randrange(40),
            "heard": now + _DAY - (2 * _DAY if chance.random() < 0.01 else 0),
            "held_reason": "unknown consent" if chance.random() < 0.01 else "",
        }
        for agent in agents
    )
    _put(databases.journal, tables.ingest, told)
    mark = {"upto": 90_000, "chain": bytes(16), "begun": now - 90 * _DAY, "moved": now}
    marks = ({**mark, "agent": agent, "epoch": epoch} for agent in agents for epoch in epochs)
    _put(databases.journal, tables.watermark, marks)


def _values(folder: Path, named: Sequence[tuple[str, str]], now: int) -> None:
    """Two polls of every device, and a day of those of the large site's first twenty."""
    chance = np.random.default_rng(1)
    store = open_store(Series(), folder)
    for kind, shape in SHAPES.items():
        mine = [Device(site, f"a-{site[2:]}", name) for site, name in named if name.startswith(f"{kind}-")]
        polls = [(device, now - age) for age in (60_000, 0) for device in mine]
        few = [device for device in mine if device.site == LARGE and int(device.device.partition("-")[2]) < 20]
        polls = [(device, now - age * 60_000) for age in range(1440, 1, -1) for device in few] + polls
        for begin in range(0, len(polls), 20_000):
            store.write(Batch(1, 1, [_rows(shape, polls[begin : begin + 20_000], chance)]))
    store.close()


def _rows(shape: Shape, polls: Sequence[tuple[Device, int]], chance: np.random.Generator) -> Rows:
    n = len(polls)
    t = np.array([at for _, at in polls], np.int64)
    values = np.round(chance.random((n, shape.width)) * 50, 1)
    ups = [place for place, (_, _, field) in enumerate(shape.columns()) if field == "up"]
    values[:, ups] = 1.0
    ones, devices = np.ones(n, np.int64), [device for device, _ in polls]
    return Rows(shape, devices, t, t, ones, np.arange(n, dtype=np.int64), np.zeros(n, np.bool_), values)
