"""The page about delivery as an engineer reads it: last proof, presence, and what could not be applied."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.storage.database import open_sqlite
from collector.storage.proof_tables import dead_letter, presence, proof
from tests.console_site import Shown, running
from tests.e2e.browser import browser


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with running(tmp_path) as collector:
        [journal] = tmp_path.rglob("journal.db")
        _fill(journal.parent)
        yield collector


def _fill(folder: Path) -> None:
    now, databases = int(time.time() * 1000), open_sqlite(folder)
    of = {"epoch": "01JD0000000000000000000001", "first": 8000, "made": now, "arrived": now, "chain": b"x" * 16}
    letter = {"projection": "rules", "noted": now, "arrived": now, "site": "harbour", "agent": "a-harbour"}
    more = {"epoch": "E1", "first": 41, "last": 44, "reason": "ValueError", "detail": "ValueError: x", "payload": b"{}"}
    word = {"epoch": "E1", "boot": "B1", "heard": now}
    with databases.journal.begin() as connection:
        connection.execute(
            sa.insert(proof),
            [
                of | {"agent": "a-harbour", "last": 9070, "verdict": "whole", "missing": 0},
                of | {"agent": "a-depot", "last": 8100, "verdict": "missing", "missing": 7},
            ],
        )
        connection.execute(sa.insert(dead_letter).values(position=7, **letter, **more))
        connection.execute(sa.insert(presence).values(agent="a-harbour", state="online", conn=12, **word))
    databases.close()


def test_proof_presence_and_dead_letters_are_read_in_both_languages(shown: Shown, tmp_path: Path) -> None:
    said = {
        "zh": (
            "最近核对",
            "完整",
            "核对至 9,070",
            "缺 7 条",
            "在线",
            "第 12 次连接",
            "无法应用的数据",
            "deadletter retry|drop d1",
        ),
        "en": ("Last proof", "whole", "up to 9,070", "7 missing", "online", "connection 12", "could not be applied"),
    }
    with browser(shown.address, tmp_path / "downloads") as engineer:
        engineer.log_in(shown.token)
        for language, words in said.items():
            engineer.prefer(language, "light")
            engineer.open("/ingest")
            text = engineer.text()
            engineer.driver.save_screenshot(str(tmp_path / f"delivery-{language}.png"))
            assert [word for word in words if word not in text] == []
        assert engineer.complaints == []
    letter = shown.get("/dead-letters")["items"][0]
    assert (letter["name"], letter["state"], letter["where"], letter["size"]) == ("d1", "waiting", "rules", 2)
    mine = {one["agent"]: one for one in shown.get("/ingest")["items"]}
    assert mine["a-depot"]["proof"]["missing"] == 7
    assert mine["a-harbour"]["presence"]["state"] == "online"
