"""Kill -9 at the moments that hurt most: committed and not acknowledged, stored and not noted.

A few cells of the matrix that `python -m bench chaos` goes through as a whole.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import chaos
from bench._chaos import programs, script
from bench._chaos.agent import Plan
from bench._chaos.gate import COMMITTED, WRITTEN
from bench._chaos.proof import tickets
from bench._chaos.site import ALL, running
from tests import servers

CELLS = [("database", COMMITTED), ("collector", COMMITTED), (ALL, WRITTEN)]
STEPS = 250


def test_kills_at_the_worst_moments_lose_nothing_double_nothing_and_change_no_ticket() -> None:
    homes = [str(home) for home in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    servers.program("mosquitto", "mosquitto")
    servers.program("postgres", "postgresql", *homes)
    plan = Plan(programs.now() - 600_000 - STEPS * script.STEP, STEPS, 0.1)
    with tempfile.TemporaryDirectory(prefix="fw-chaos-") as name, chaos.live() as devices:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's account must come through.
        database = chaos.made_database(folder)
        try:
            expected = chaos.undisturbed(folder, plan, database)
            site = chaos.made_site(folder, "killed", plan, database, "duckdb", devices)
            with running(site):
                for cell in CELLS:
                    chaos.strike(site, *cell)
                found, differences = chaos.closed(site, expected)
                assert tickets(site) == expected
        finally:
            database.kill()
    assert {ticket[1] for ticket in expected} >= {"device.unreachable", "ups.on_battery"}
    assert found.said == []
    assert (found.lost, found.duplicated, differences) == (0, 0, 0)
    assert found.records > STEPS * len(script.DEVICES)
