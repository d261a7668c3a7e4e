"""What was promised, what is committed, what is stored: three accounts of the same records, compared."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from bench._chaos.agent import Promise
from bench._chaos.programs import asked
from bench._chaos.script import PREFIX
from bench._chaos.site import Site
from collector.journal.disk import DatabaseJournal
from collector.storage.database import open_postgres
from forewarn.wire import Record, Shape


class Place(NamedTuple):
    """Where one stored value belongs; `name` is table and field."""

    device: str
    name: str
    instance: str
    t: int


class Account(NamedTuple):
    """Differences, 0 each when nothing was lost, doubled or changed."""

    records: int
    lost: int
    duplicated: int
    values: int
    said: list[str]


class Committed(NamedTuple):
    """The journal, opened: how often each (epoch, seq, hash), the records themselves, each value, losses declared."""

    seen: Counter[tuple[str, int, str]]
    records: dict[tuple[str, int], Record]
    values: dict[Place, float]
    lost: set[tuple[str, int]]


def tiled(site: Site) -> list[str]:
    """What is wrong with the stretches that the journal holds: each epoch from 1 to its watermark, without overlap."""
    wrong: list[str] = []
    upto: dict[str, int] = {}
    rows, moved = site.asked(
        "SELECT epoch, first, last FROM journal.entry WHERE agent <> '' ORDER BY position",
        "SELECT epoch, upto FROM journal.watermark",
    )
    for epoch, first, last in rows:
        if first != upto.get(epoch, 0) + 1:
            wrong.append(f"epoch {epoch}: {first}..{last} is committed behind {upto.get(epoch, 0)}")
        upto[epoch] = last
    return wrong + [f"epoch {epoch}: the watermark is {mark}" for epoch, mark in moved if upto.get(epoch) != mark]


def committed(url: str) -> Committed:
    """Everything that the journal holds."""
    databases = open_postgres(url)
    found = Committed(Counter(), {}, {}, set())
    try:
        journal, after = DatabaseJournal(databases, ring_bytes=0), 0
        while entries := journal.read(after, 500):
            after = entries[-1].position
            for entry in entries:
                block = entry.received.block if entry.received is not None else None
                for record in block.records if block is not None else []:
                    if entry.first <= record.seq <= entry.last and block is not None:
                        _note(found, entry.epoch, record, block.shapes)
    finally:
        databases.close()
    return found


def _note(found: Committed, epoch: str, record: Record, shapes: dict[str, Shape]) -> None:
    found.seen[epoch, record.seq, record.hash] += 1
    found.records[epoch, record.seq] = record
    if record.kind == "lost" and record.first:
        found.lost.update((epoch, seq) for seq in range(record.first, record.seq + 1))
    if record.kind:
        return
    for (table, instance, name), value in zip(shapes[record.shape].columns(), record.values, strict=True):
        if value is not None:
            found.values[Place(record.device, f"{table}_{name}", instance, record.t)] = value


def account(site: Site) -> Account:
    """Compares tap, ledger, journal and store. The store must be readable, DuckDB's file free."""
    journal = committed(site.url)
    ledger = site.ledger
    said = tiled(site)
    kept = {(epoch, seq) for epoch, seq, _ in ledger} | {(one.epoch, one.seq) for one in site.promised()}
    missing = kept - journal.records.keys() - journal.lost - site.held
    strange = set(journal.seen) - set(ledger) - {key for key in journal.seen if key[:2] in journal.lost}
    untrue = [one for one in site.promised() if _differs(one, journal.records.get((one.epoch, one.seq)))]
    stored, doubled = stored_in(site)
    absent = [place for place, value in journal.values.items() if not _same(stored.get(place), value)]
    surplus = [place for place in stored if place not in journal.values]
    doubled += sum(count - 1 for count in journal.seen.values())
    said += [f"not committed: {sorted(missing)[:5]}"] * bool(missing) + [
        f"{len(absent)} values not stored: {absent[:5]}"
    ] * bool(absent)
    said += [f"nobody spooled {sorted(strange)[:5]}"] * bool(strange) + [f"changed: {untrue[:5]}"] * bool(untrue)
    said += [f"stored, never committed: {surplus[:5]}"] * bool(surplus)
    lost = len(missing) + len(untrue) + len(absent)
    return Account(len(kept), lost, doubled + len(strange) + len(surplus), len(journal.values), said)


def _same(stored: float | None, value: float) -> bool:
    """VictoriaMetrics keeps decimal numbers, which the last bits of a double are not."""
    return stored is not None and math.isclose(stored, value, rel_tol=1e-12)


def _differs(promise: Promise, record: Record | None) -> bool:
    """Whether what is committed is not what was promised; absence is counted elsewhere."""
    if record is None or record.kind:
        return False
    return (record.device, record.t, record.values) != (promise.device, promise.t, promise.values)


def stored_in(site: Site) -> tuple[dict[Place, float], int]:
    """Every value that the store has, and how many rows more than values there are."""
    if site.store == "duckdb":
        return _in_duckdb(next((site.folder / "kept").glob("**/*.duckdb")))
    if site.store == "victoria":
        return _in_victoria(site.store_port), 0
    return _in_influxdb(site.store_port), 0


def _in_duckdb(file: Path) -> tuple[dict[Place, float], int]:
    values: dict[Place, float] = {}
    rows = 0
    with duckdb.connect(str(file), read_only=True) as store:
        known = store.execute('SELECT DISTINCT series, device, "table", instance, field FROM series').fetchall()
        names = {number: (device, f"{table}_{field}", instance) for number, device, table, instance, field in known}
        for (day,) in store.execute("SELECT name FROM day").fetchall():
            for series, t, value in store.execute(f'SELECT series, t, value FROM "{day}"').fetchall():
                values[Place(*names[series], t)] = value
                rows += 1
    return values, rows - len(values)


def _in_victoria(port: int) -> dict[Place, float]:
    """Rows of the same series and time are one to VictoriaMetrics' queries; here too."""
    asked(port, "/internal/force_flush", {})
    values: dict[Place, float] = {}
    for line in asked(port, "/api/v1/export", {"match[]": '{__name__!=""}'}).splitlines():
        series = json.loads(line)
        of = series["metric"]
        if "device" in of:
            for t, value in zip(series["timestamps"], series["values"], strict=True):
                values[Place(of["device"], of["__name__"], of.get("instance", ""), t)] = value
    return values


def _in_influxdb(port: int) -> dict[Place, float]:
    values: dict[Place, float] = {}
    question = "SELECT * FROM /.*/ GROUP BY device, instance"
    said = json.loads(asked(port, "/query", {"db": "forewarn", "epoch": "ms", "q": question}))
    for series in said["results"][0].get("series", []):
        for row in series["values"]:
            for name, value in zip(series["columns"][1:], row[1:], strict=True):
                if isinstance(value, float | int) and series["name"] != "forewarn_cursor":
                    of = series["tags"]
                    place = Place(of["device"], f"{series['name']}_{name}", of["instance"], row[0])
                    values[place] = float(value)
    return values


def tickets(site: Site) -> list[tuple[Any, ...]]:
    """What the tickets about the script's devices say, each with its events."""
    rows, happened = site.asked(
        "SELECT id, device, rule, instance, severity, state, occurred_at, recovered, title FROM service.ticket "
        f"WHERE device LIKE '{PREFIX}%' ORDER BY device, rule, instance, occurred_at",
        "SELECT ticket, kind, occurred_at FROM service.ticket_event ORDER BY id",
    )
    events: dict[str, list[tuple[Any, ...]]] = {}
    for ticket, kind, at in happened:
        events.setdefault(ticket, []).append((kind, at))
    return [(*row[1:], *events.get(row[0], [])) for row in rows]
