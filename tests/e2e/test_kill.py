"""Kill -9 of agent, broker and collector while a backlog and live records flow: nothing lost, nothing twice.

The broker runs with default settings on purpose: what it had acknowledged is gone when it is killed, and nothing
depends on it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from forewarn.demo.responder import Responder
from tests.e2e import collector_run
from tests.e2e.collector_run import ROOT, until
from tests.e2e.whole_site import (
    Place,
    WholeSite,
    copied,
    journal_of,
    points,
    seed_history,
    settle,
    stored_in,
    tickets_of,
)

SEED = 20_261_122
KILLS = 20
DEVICES, MINUTES = 40, 5 * 1440
HISTORY = "history-%"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A spool after five days without a collector."""
    folder = tmp_path_factory.mktemp("seeded")
    now = int(time.time() * 1000)
    return folder, seed_history(folder, devices=DEVICES, minutes=MINUTES, end=now - 120_000, seed=SEED)


@pytest.fixture
def devices() -> Iterator[list[dict[str, object]]]:
    """One camera that answers, polled every second."""
    recording = (ROOT / "tests/fixtures/recordings/hikvision.camera.snmprec").read_text()
    with Responder() as responder:
        port = responder.add(recording).port
        yield [{"name": "live-cam", "address": "127.0.0.1", "port": port, "interval": "1s", "timeout": "500ms"}]


def strike(site: WholeSite, victim: str) -> None:
    """Kills one program as a power cut would, and starts it again."""
    if victim == "agent":
        site.kill()
        site.start()
    elif victim == "broker":
        site.run.broker.kill()
        site.run.broker.start()
    else:
        assert site.run.process is not None
        site.run.process.kill()
        site.run.process.wait()
        site.run.start()


def disturbed(site: WholeSite, head: int) -> Counter[str]:
    """Lets the backlog flow and kills at seeded watermarks; says how often each program was killed."""
    dice = random.Random(SEED)
    struck: Counter[str] = Counter()
    for at in points(dice, KILLS, head):
        until(lambda at=at: site.committed() >= at, f"the watermark reaches {at}: {site.run.log()[-1500:]}", 90)
        victim = dice.choice(["agent", "broker", "collector"])
        strike(site, victim)
        struck[victim] += 1
    return struck


@pytest.mark.timeout(420)
def test_kills_lose_nothing_double_nothing_and_change_no_ticket(
    tmp_path: Path, seeded: tuple[Path, int], devices: list[dict[str, object]]
) -> None:
    spool, head = seeded
    tickets = []
    for name, kills in (("quiet", False), ("killed", True)):
        (tmp_path / name).mkdir()
        with collector_run.collector(tmp_path / name) as run:
            site = WholeSite(run, tmp_path / name / "site")
            site.enrol(devices)
            run.reload_broker()
            copied(spool, site)
            site.start()
            try:
                if kills:
                    struck = disturbed(site, head)
                    assert sum(struck.values()) == KILLS
                    assert len(struck) == 3, struck
                settle(site)
            finally:
                site.kill()
            check_complete(site, head)
            tickets.append(tickets_of(tmp_path / name, HISTORY))
    quiet, killed = tickets
    assert quiet
    assert {ticket[1] for ticket in quiet} >= {"device.unreachable", "ups.on_battery", "recorder.filling"}
    assert killed == quiet


def check_complete(site: WholeSite, head: int) -> None:
    """The agent's own ledger, the journal and the store say the same."""
    ledger = site.ledger()
    assert len(ledger) > head
    committed, counts, values = journal_of(site.run.folder)
    assert Counter(committed) == Counter(ledger)
    stored_counts, stored = stored_in(site.run.folder)
    assert stored.keys() == values.keys()
    assert {place: n for place, n in stored_counts.items() if n != counts[place]} == {}
    assert {place: (value, values[place]) for place, value in stored.items() if value != values[place]} == {}
    assert any(place.device == "live-cam" and place.field == "up" for place in stored)
    assert isinstance(next(iter(stored)), Place)
