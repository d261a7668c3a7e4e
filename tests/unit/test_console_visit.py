"""A store that hangs holds up its own readers and nobody else; a page that stands open acts in no name that is gone."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest

from collector.console import visit as module
from collector.console.sessions import Sessions
from collector.console.visit import LoggedOut, Threads, Unanswered, Visit
from collector.console.words import Say
from collector.series.store import Unavailable
from collector.storage.database import Unreachable

NOTHING: Any = None


class Clock:
    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now


def made(threads: Threads, *, actor: str | None = "Mei", parts: Any = NOTHING, zone: Any = UTC) -> Visit:
    sessions = Sessions("s" * 64, lambda _digest: actor)
    return Visit(parts, NOTHING, threads, sessions, Say("en"), "auto", zone, "digest", "Mei")


@pytest.fixture
def threads() -> Any:
    pool = Threads.started()
    yield pool
    pool.close()


def test_a_store_that_hangs_leaves_the_databases_readable(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STORE_SECONDS", 0.05)
    visit, hang = made(threads), threading.Event()

    async def asked() -> str:
        for _ in range(6):
            with pytest.raises(Unanswered, match="The series store cannot answer now: TimeoutError"):
                await visit.ask_store(hang.wait)
        return await visit.ask(lambda: "tickets")

    try:
        assert asyncio.run(asked()) == "tickets"
    finally:
        hang.set()


def test_what_cannot_answer_is_named(threads: Threads) -> None:
    visit = made(threads)

    def down() -> None:
        raise Unavailable("InfluxDB does not answer")

    def locked() -> None:
        raise Unreachable("service")

    async def asked() -> None:
        with pytest.raises(Unanswered, match="InfluxDB does not answer"):
            await visit.ask_store(down)
        with pytest.raises(Unanswered, match=r"The database cannot answer now \(Unreachable\)"):
            await visit.ask(locked)

    asyncio.run(asked())


def test_an_act_is_done_in_a_name_that_is_good_now(threads: Threads) -> None:
    assert asyncio.run(made(threads).acting()) == "Mei"
    with pytest.raises(LoggedOut):
        asyncio.run(made(threads, actor=None).acting())


def test_instants_are_read_in_the_visitors_zone_and_as_how_long_ago(threads: Threads) -> None:
    visit = made(threads, parts=Clock(1_770_000_000_000), zone=timezone(timedelta(hours=8)))
    assert visit.at(1_770_000_000_000) == "2026-02-02 10:40:00"
    spans = [(30, "just now"), (90, "1 min ago"), (300, "5 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
    assert [visit.ago(1_770_000_000_000 - seconds * 1000) for seconds, _ in spans] == [text for _, text in spans]
    assert (visit.at(None), visit.ago(None)) == ("—", "—")
