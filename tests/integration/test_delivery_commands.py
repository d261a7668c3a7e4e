"""`forewarn collector verify` and `deadletter` as a person types them, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.journal.deadletter import DeadLetters
from collector.journal.witness import Witness
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.storage.proof_tables import identity
from forewarn.signals import block_topic
from tests import blocks
from tests.blocks import Script
from tests.intakes import Collector


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Databases]:
    (tmp_path / "collector.yaml").write_text("folder: data\nbroker: {host: broker.example}\n")
    databases = open_sqlite(tmp_path / "data")
    databases.migrate()
    blocks.enrolled(databases, "a1")
    yield databases
    databases.close()


def typed(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forewarn", "collector", *words]
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_verify_says_complete_and_names_a_hole_with_agent_epoch_range_and_time(
    opened: Databases, tmp_path: Path
) -> None:
    collector = Collector(opened)
    assert "There is nothing to prove" in typed(tmp_path, "verify").stdout
    script = Script(epoch="01JEPOCH").poll(9)
    for first in (1, 4, 7):
        collector.send(script.topic, script.block(first, first + 2))
    assert "Complete: nothing is missing" in typed(tmp_path, "verify", "--site", "s1").stdout
    with opened.journal.begin() as connection:
        connection.execute(sa.delete(tables.entry).where(tables.entry.c.first == 4))
    told = typed(tmp_path, "verify", code=1).stdout
    at = "2026-06-01T00:00:00Z"
    assert f"gone: agent a1, epoch 01JEPOCH, records 4 to 6, between {at} and {at}: the journal holds nothing" in told
    said = json.loads(typed(tmp_path, "verify", "--json", code=1).stdout)
    assert said["complete"] is False
    [epoch] = said["epochs"]
    assert (epoch["agent"], epoch["spooled"], epoch["committed"], epoch["walked"]) == ("a1", 9, 9, 6)
    assert [(one["fault"], one["first"], one["last"]) for one in epoch["problems"]] == [("gone", 4, 6)]
    assert json.loads(typed(tmp_path, "verify", "--json", "--from", "2027-01-01").stdout)["complete"] is True


def test_verify_proves_nothing_over_a_journal_that_was_cut_or_replaced(opened: Databases, tmp_path: Path) -> None:
    collector = Collector(opened)
    script = Script().poll(2)
    collector.send(script.topic, script.block(1, 2))
    witness = Witness(opened.journal, opened.service)
    witness.check("rules")
    witness.seen("rules", 2, collector.now)
    assert "Complete" in typed(tmp_path, "verify").stdout
    for table in (tables.entry, tables.watermark, tables.ingest):
        with opened.journal.begin() as connection:
            connection.execute(sa.delete(table))
    said = typed(tmp_path, "verify", code=1).stdout
    assert "another journal: `rules` took entry 2 of the journal, which ends at 0. Stop the collector" in said
    with opened.journal.begin() as connection:
        connection.execute(sa.update(identity).values(id="another"))
    told = json.loads(typed(tmp_path, "verify", "--json", code=1).stdout)
    assert told["complete"] is False
    assert told["another_journal"][0].startswith("`rules` was made from another journal.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--site", "s9"], "there is no site `s9`"),
        (["--from", "yesterday"], "--from is written like 2026-11-22T00:00:00Z or 2026-11-22, not `yesterday`"),
        (["--until", "x"], "No such option"),
    ],
)
def test_wrong_use_of_verify_is_told_apart_from_a_hole(
    opened: Databases, tmp_path: Path, words: list[str], says: str
) -> None:
    assert opened
    assert says in typed(tmp_path, "verify", *words, code=2).stderr


def test_letters_are_listed_shown_tried_again_and_dropped(opened: Databases, tmp_path: Path) -> None:
    collector = Collector(opened)
    script = Script().poll(3)
    assert "There are no dead letters." in typed(tmp_path, "deadletter", "list").stdout
    collector.send(script.topic, script.block(1, 3))
    collector.send(block_topic(0, "a1"), b"garbage")
    letters = DeadLetters(opened.journal, now=lambda: collector.now)
    entry = next(one for one in collector.journal.read(0, 10) if not one.is_tick)
    letters.note("rules", entry, "ValueError", "ValueError: a rule's mistake")
    listed = typed(tmp_path, "deadletter", "list").stdout
    assert [line.split()[1:8:2] for line in listed.splitlines() if " d1 " in line] == [
        ["d1", "waiting", "rules", "ValueError"]
    ]
    assert " s1 " in listed
    shown = json.loads(typed(tmp_path, "deadletter", "show", "d1").stdout)
    assert (shown["first"], shown["last"], shown["what_can_be_done"]) == (1, 3, "retry")
    assert typed(tmp_path, "deadletter", "show", "s1", "--payload").stdout == "garbage"
    assert "only `drop` can be done" in typed(tmp_path, "deadletter", "retry", "s1", code=2).stderr
    typed(tmp_path, "deadletter", "retry", "d1")
    assert [one.state for one in letters.listed()] == ["asked"]
    assert "is asked" in typed(tmp_path, "deadletter", "retry", "d1", code=2).stderr
    typed(tmp_path, "deadletter", "drop", "d1")
    typed(tmp_path, "deadletter", "drop", "s1")
    assert "There are no dead letters." in typed(tmp_path, "deadletter", "list").stdout
    assert [one["state"] for one in json.loads(typed(tmp_path, "deadletter", "list", "--all", "--json").stdout)] == [
        "dropped"
    ]
    assert "there is no letter `d9`" in typed(tmp_path, "deadletter", "drop", "d9", code=2).stderr
