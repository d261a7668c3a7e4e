"""An agent whose clock is an hour or a time zone off for a while: tickets are as with a right clock, none is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.storage.database import open_sqlite
from tests.findings import HOUR, START
from tests.integration.test_evaluate import World, real
from tests.journals import Journal, poll

MINUTE = 60_000
FAULTS = (range(10, 20), range(90, 110))
"""Minutes in which a volume is full; the clock is right then."""
WRONG = range(40, 60)


def story(shift: int) -> Journal:
    """Two hours of a poll a minute; the clock is off by `shift` ms meanwhile, and right before and after."""
    journal = Journal()
    for at in range(120):
        arrived = START + at * MINUTE
        t = arrived + (shift if at in WRONG else 0)
        level = 96.0 if any(at in fault for fault in FAULTS) else 50.0
        journal.block(poll("nvr1", level, 50.0, t=t), arrived=arrived)
        for second in range(0, 60, 10):
            journal.tick(arrived + second * 1000 + 1)
    return journal


def tickets(folder: Path, shift: int) -> list[tuple[object, ...]]:
    databases = open_sqlite(folder)
    databases.migrate()
    world = World(databases, folder / "state", story(shift), make=real)
    world.run(50)
    found = world.book.search(limit=100).tickets
    told = [
        (
            one.fault,
            one.severity,
            one.state,
            one.recovered,
            [(e.kind, e.occurred_at) for e in world.book.history(one.id)],
        )
        for one in sorted(found, key=lambda one: one.position)
    ]
    databases.close()
    return told


@pytest.mark.parametrize("hours", [1, -1, 8, -8])
def test_a_clock_that_was_wrong_for_a_while_changes_no_ticket(tmp_path: Path, hours: int) -> None:
    right = tickets(tmp_path / "right", 0)
    ((_, severity, _, _, events),) = right
    assert (severity, [str(kind) for kind, _ in events]) == (
        "critical",
        ["opened", "recovered", "occurrence", "changed", "recovered"],
    )
    assert tickets(tmp_path / "wrong", hours * HOUR) == right
