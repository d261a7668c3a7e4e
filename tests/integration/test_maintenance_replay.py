"""Maintenance through the real evaluation: whatever crashes, and however the journal is cut, the same is let go."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from collector.evaluation import devices as devices_module
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.tickets.holding import Holding
from tests.findings import START
from tests.integration.test_evaluate import Crash, Saboteur, World, eventful, filled, real
from tests.journals import Journal

MINUTE = 60_000
WINDOWS = [("m1", "", 3, 12), ("m2", "nvr2", 8, 17), ("m3", "nvr1", 20, 70)]
"""(id, device, from, until), minutes after START: two that overlap, and one for a single device."""


def opened(databases: Databases, *args, **facts) -> World:
    world = World(databases, *args, **facts)
    plain = {"site": "s1", "actor": "Mei", "note": "", "ended_by": "", "created": START}
    rows = [
        {**plain, "id": id_, "device": device, "begins": START + begin * MINUTE, "ends": START + end * MINUTE}
        for id_, device, begin, end in WINDOWS
    ]
    with databases.service.begin() as connection:
        connection.execute(insert(tables.site).values(id="s1", name="One", created=1))
        connection.execute(insert(tables.maintenance), rows)
    return world


def outcome(world: World) -> list:
    """What people would see, with what each maintenance held and what became of it."""
    numbers = {one.id: (*one.fault, one.position) for one in world.book.search(limit=1000).tickets}
    maintenance, held = tables.maintenance, tables.held_ticket
    seen = select(maintenance.c.id, maintenance.c.seen, maintenance.c.released).order_by(maintenance.c.id)
    with world.databases.service.connect() as connection:
        times = [tuple(row) for row in connection.execute(seen)]
        kept = sorted(
            (row.maintenance, numbers[row.ticket], row.agent, row.turn, row.arrived, row.became)
            for row in connection.execute(select(held))
        )
    return [times, kept, *world.outcome()]


def quiet(journal: Journal) -> Journal:
    """The journal with two hours of ticks after it, in which everything is let go."""
    last = journal.entries[-1].arrived
    for at in range(1, 30):
        journal.tick(last + at * 4 * MINUTE)
    return journal


def undisturbed(journal: Journal, tmp_path, make) -> list:
    databases = open_sqlite(tmp_path / "undisturbed")
    databases.migrate()
    world = opened(databases, tmp_path / "undisturbed-state", journal, make=make)
    world.run()
    found = outcome(world)
    databases.close()
    return found


JOURNALS = {"with a backlog of an hour": filled, "with an agent that falls silent": eventful}


@pytest.mark.parametrize("told", JOURNALS)
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_how_the_journal_is_cut_changes_nothing_of_what_is_held(sqlite_databases, tmp_path, told, most):
    journal = quiet(JOURNALS[told](1))
    world = opened(sqlite_databases, tmp_path / "state", journal, make=real)
    world.run(most)
    found = outcome(world)
    assert found == undisturbed(journal, tmp_path, real)
    assert all(released for _, _, released in found[0])
    assert found[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("told", JOURNALS)
def test_crashes_anywhere_hold_and_let_go_the_same(databases, tmp_path, monkeypatch, told, seed):
    journal = quiet(JOURNALS[told](seed))
    wanted = undisturbed(journal, tmp_path, real)
    saboteur = Saboteur(seed)
    for owner, name in (
        (Holding, "_hold"),
        (Holding, "_seen"),
        (Holding, "_settled"),
        (devices_module.Devices, "write"),
        (devices_module.Devices, "settle"),
    ):
        saboteur.watch(monkeypatch, owner, name)
    world = opened(databases, tmp_path / "state", journal, make=real)
    while (cursor := world.rules.cursor()) < journal.head():
        world.time += 4
        try:
            world.rules.apply(journal.read(cursor, saboteur.chance.randrange(1, 6)))
        except Crash:
            if saboteur.chance.random() < 0.6:
                world.begin()
    assert saboteur.crashes >= 8
    monkeypatch.undo()
    assert outcome(world) == wanted
    assert wanted[1]
