"""Kills every program of a site at every moment that matters, and proves that nothing was lost, doubled or decided anew.

Real programs: an agent that polls simulated devices over SNMP and puts a script of days through its door, mosquitto at
default settings, PostgreSQL, a series store (InfluxDB 1.x; with `--store 1` VictoriaMetrics behind the same adapter,
with `--store 2` DuckDB inside the collector), a collector. A cell of the matrix is who is killed (agent, broker,
collector, database, store, all of them) and when (idle; while a block is being published; after the broker's
acknowledgement; between the journal's commit and ours; between a write to the store and its cursor). The program that
reaches the moment waits there until the victims are dead. After each kill the journal's stretches are checked, at the
end the agent's own tap, its ledger, the journal and the store are compared value by value, and the tickets with those
of a run over the same days that nobody disturbed.

`lost` are promised records that are not committed as they were promised, and committed values that are not stored;
`duplicated` are records committed or rows stored twice, or that nobody ever spooled.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench._chaos import programs, script
from bench._chaos.agent import Plan
from bench._chaos.gate import AT, IDLE, until
from bench._chaos.proof import Account, account, tickets, tiled
from bench._chaos.site import ALL, Site, running
from bench._processes import ROOT
from forewarn.demo.responder import Responder

TARGETS: dict[str, str | float] = {
    "kills": ">= 10",
    "lost": "<= 0",
    "duplicated": "<= 0",
    "ticket_differences": "<= 0",
    "tickets": ">= 5",
}
OPTIONS = {"minutes": 10, "store": 0, "seed": 20_261_122}
STORES = ("influxdb", "victoria", "duckdb")
VICTIMS = ("agent", "broker", "collector", "database", "store", ALL)
MOMENTS = (IDLE, *AT)
Cell = tuple[str, str]
QUICK_KILLS = 10
FEWEST_STEPS = 400
"""Enough of the script for a disk to be foretold full."""


def run(*, quick: bool, minutes: int = 10, store: int = 0, seed: int = OPTIONS["seed"]) -> dict[str, float]:
    begun = time.monotonic()
    seconds = 30.0 if quick else minutes * 60.0
    pace = 0.1
    steps = max(FEWEST_STEPS, int(seconds / pace))
    plan = Plan(programs.now() - 600_000 - steps * script.STEP, steps, pace)
    with tempfile.TemporaryDirectory(prefix="fw-chaos-") as name, live() as devices:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's account must come through.
        database = made_database(folder)
        try:
            expected = undisturbed(folder, plan, database)
            print(
                f"the undisturbed run took {time.monotonic() - begun:.1f} s and made {len(expected)} tickets",
                flush=True,
            )
            site = made_site(folder, "killed", plan, database, STORES[store], devices)
            with running(site):
                kills = _struck(site, random.Random(seed), quick=quick, end=time.monotonic() + seconds)
                found, differences = closed(site, expected)
        finally:
            database.kill()
    return _figures(kills, found, len(expected), differences) | {"seconds": time.monotonic() - begun}


@contextmanager
def live() -> Iterator[list[dict[str, object]]]:
    """Two cameras that answer, polled every second."""
    recording = (ROOT / "tests/fixtures/recordings/hikvision.camera.snmprec").read_text()
    with Responder() as responder:
        ports = [responder.add(recording).port for _ in range(2)]
        of = {"address": "127.0.0.1", "interval": "1s", "timeout": "500ms"}
        yield [{"name": f"live-{at}", "port": port, **of} for at, port in enumerate(ports)]


def made_database(folder: Path) -> programs.Program:
    database = programs.postgres(folder / "postgres", programs.free_port())
    database.start()
    return database


def made_site(
    folder: Path, name: str, plan: Plan, database: programs.Program, store: str, devices: Sequence[dict[str, object]]
) -> Site:
    port = int(database.command[database.command.index("-p") + 1])
    with psycopg.connect(programs.address(port), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return Site(folder / name, plan, database, programs.address(port, name), store, list(devices))


def undisturbed(folder: Path, plan: Plan, database: programs.Program) -> list[tuple[object, ...]]:
    """The tickets of the same days when nobody is killed."""
    rushed = Plan(plan.begin, plan.steps, plan.pace, rush=True)
    site = made_site(folder, "quiet", rushed, database, "duckdb", [])
    with running(site):
        site.finish()
        return tickets(site)


def cells(dice: random.Random, *, store: bool) -> Iterator[Cell]:
    """The whole matrix again and again, each time in another order; in any few cells all victims and moments change."""
    victims, moments = [victim for victim in VICTIMS if store or victim != "store"], list(MOMENTS)
    while True:
        dice.shuffle(victims)
        dice.shuffle(moments)
        both = math.lcm(len(victims), len(moments))
        for at in range(len(victims) * len(moments)):
            yield victims[at % len(victims)], moments[(at + at // both) % len(moments)]


def _struck(site: Site, dice: random.Random, *, quick: bool, end: float) -> Counter[Cell]:
    """Kills until the time is over, in a quick run ten times; says how often in each cell."""
    kills: Counter[Cell] = Counter()
    for cell in cells(dice, store="store" in site.parts):
        if kills.total() >= QUICK_KILLS if quick else time.monotonic() >= end:
            break
        begun = time.monotonic()
        strike(site, *cell)
        kills[cell] += 1
        print(f"{kills.total()}: {cell[0]}, {cell[1]}, level after {time.monotonic() - begun:.1f} s", flush=True)
    return kills


def strike(site: Site, victim: str, moment: str) -> None:
    """Kills at a moment, starts again what was killed, waits until all that was promised by then is committed.

    Raises:
        SystemExit: the moment never comes, delivery does not go on, or the journal's stretches do not fit.
    """
    if moment == IDLE:
        site.gates.tell("agent", "pause")
        until(site.level, lambda: f"nothing waits any more: {site.tails()}", 60)
    else:
        site.gates.arm(moment)
        if not site.gates.reached(moment, 60):
            raise SystemExit(f"the moment `{moment}` never came: {site.tails()}")
    site.kill(victim)
    promised = site.heads()
    if moment != IDLE:
        site.gates.go(moment)
    site.revive(victim)
    site.gates.tell("agent", "on")
    until(lambda: site.has(promised), lambda: f"what was promised before is committed: {site.tails()}", 90)
    wrong = tiled(site)
    if wrong:
        raise SystemExit(f"after {victim} was killed {moment}: {wrong}")


def closed(site: Site, expected: list[tuple[object, ...]]) -> tuple[Account, int]:
    """Lets everything come to rest, and compares."""
    site.finish()
    found = tickets(site)
    site.parts["collector"].end()
    proof = account(site)
    for line in proof.said:
        print(line)
    different = list((Counter(map(repr, found)) - Counter(map(repr, expected))).elements())
    different += list((Counter(map(repr, expected)) - Counter(map(repr, found))).elements())
    for line in different[:10]:
        print(f"ticket in one run only: {line}")
    return proof, len(different)


def _figures(kills: Counter[Cell], found: Account, tickets_made: int, differences: int) -> dict[str, float]:
    figures = {
        "kills": float(kills.total()),
        "records": float(found.records),
        "values": float(found.values),
        "lost": float(found.lost),
        "duplicated": float(found.duplicated),
        "tickets": float(tickets_made),
        "ticket_differences": float(differences),
        "cells": float(len(kills)),
    }
    for at, named in ((0, VICTIMS), (1, MOMENTS)):
        for name in named:
            count = sum(number for cell, number in kills.items() if cell[at] == name)
            figures[f"kills {name}"] = float(count)
    return figures
