"""A machine that was cloned: two real agents with one spool, one name and one secret, before a real collector.

Both go on, each in an epoch of its own; nothing of the one is taken for the other's, and people can read why.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forewarn.demo.responder import Responder
from tests.e2e import collector_run
from tests.e2e.collector_run import ROOT, until
from tests.e2e.whole_site import WholeSite, journal_of


@pytest.fixture
def devices() -> Iterator[list[dict[str, object]]]:
    recording = (ROOT / "tests/fixtures/recordings/hikvision.camera.snmprec").read_text()
    with Responder() as responder:
        port = responder.add(recording).port
        yield [{"name": "live-cam", "address": "127.0.0.1", "port": port, "interval": "500ms", "timeout": "400ms"}]


def epochs(run: collector_run.Run) -> dict[str, int]:
    """The watermark of each epoch."""
    with closing(sqlite3.connect(f"file:{run.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
        return dict(db.execute("SELECT epoch, upto FROM watermark").fetchall())


def rolled(site: WholeSite) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in (site.folder / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch rolled"]


@pytest.mark.timeout(240)
def test_two_agents_on_a_copied_folder_are_told_apart_and_both_delivered(
    tmp_path: Path, devices: list[dict[str, object]]
) -> None:
    with collector_run.collector(tmp_path) as run:
        site = WholeSite(run, tmp_path / "site")
        site.enrol(devices)
        run.reload_broker()
        site.start()
        until(lambda: site.committed() >= 5, "the first agent delivers")
        site.kill()
        (old,) = epochs(run)
        clone = WholeSite(run, tmp_path / "clone", settings=site.settings)
        shutil.copytree(site.folder, clone.folder)
        site.start()
        clone.start()
        try:
            until(lambda: rolled(site) or rolled(clone), "one of them is told that another has its numbers", 60)
            until(lambda: len(epochs(run)) >= 2 + (len(rolled(site)) > 0) * (len(rolled(clone)) > 0), "both", 90)
            whose = {one.ledger()[-1][0] for one in (site, clone)}
            assert len(whose) == 2, "each numbers in an epoch of its own"
            until(lambda: all(epochs(run).get(epoch, 0) >= 5 for epoch in whose), "both are delivered", 90)
        finally:
            site.kill()
            clone.kill()
        assert run.end() == 0, run.log()[-3000:]
        told = [*rolled(site), *rolled(clone)]
        assert told
        assert all("another" in one["why"] or "cloned" in one["why"] or "only" in one["why"] for one in told), told
        committed, _, _ = journal_of(run.folder)
        assert max(Counter((epoch, seq) for epoch, seq, _ in committed).values()) == 1
        known = {(epoch, seq): chained for one in (site, clone) for epoch, seq, chained in one.ledger() if epoch != old}
        for epoch, seq, chained in committed:
            assert epoch == old or known[epoch, seq] == chained
        mine = [(epoch, seq, chained) for epoch, seq, chained in committed if epoch == old]
        assert any(set(mine) <= set(one.ledger()) for one in (site, clone)), "of the old epoch, only one's was taken"
