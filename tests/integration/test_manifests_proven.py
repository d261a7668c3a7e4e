"""What a real spool states of its hours is what a real collector proves: through overflow, age, a roll and lost answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector.intake.verify import Account, verify
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.storage.proof_tables import proof
from tests.integration.test_overflow import Line

HOUR = 3600.0


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = open_sqlite(tmp_path / "databases")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def line(tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr("collector.intake.acks.INTERVAL", 0.02)
    one = Line(tmp_path, databases)
    yield one
    one.bus.close()
    one.collector.close()


def lived(line: Line, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await line.spool.open()
        task = asyncio.create_task(line.uplink.run())
        await story()
        await line.emptied()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await line.spool.close()

    asyncio.run(whole())


async def hour(line: Line, hours: float = 1.0) -> None:
    await line.spool.tend(hours * HOUR, hour=HOUR, consent=line.consent.id)


def verdicts(databases: Databases) -> list[str]:
    with databases.journal.connect() as connection:
        return [row.verdict for row in connection.execute(sa.select(proof).order_by(proof.c.last))]


def accounts(databases: Databases) -> list[Account]:
    return list(verify(databases))


def test_a_calm_day_is_proven_hour_by_hour(line: Line, databases: Databases) -> None:
    async def story() -> None:
        for _ in range(5):
            await line.put(15)
            await hour(line)
            await line.emptied()

    lived(line, story)
    (account,) = accounts(databases)
    assert account.problems == []
    assert verdicts(databases) == ["whole"] * 5
    assert account.waiting == 0


@pytest.mark.parametrize("muted", [False, True])
def test_overflow_and_age_are_declared_and_leave_the_proofs_whole(
    line: Line, databases: Databases, muted: bool
) -> None:
    async def story() -> None:
        for _ in range(4):
            line.collector.mute = muted
            await line.put(100)
            await hour(line)
            if muted:
                await line.turn(1)
                await line.put(40)
                await hour(line)
            line.collector.mute = False
            await line.emptied()
        await line.put(10)
        await hour(line, 31 * 24)

    lived(line, story)
    (account,) = accounts(databases)
    assert account.problems == []
    assert set(verdicts(databases)) == {"whole"}
    assert {str(one.why).partition(":")[0] for one in account.holes} >= {"overflow"}


def test_a_roll_is_proven_in_both_epochs(line: Line, databases: Databases) -> None:
    async def story() -> None:
        await line.put(20)
        await hour(line)
        await line.emptied()
        line.collector.mute = True
        await line.put(10)
        await hour(line)
        await line.spool.roll("another machine has our numbers")
        line.collector.mute = False
        await line.put(5)
        await hour(line)

    lived(line, story)
    found = accounts(databases)
    assert len(found) == 2
    assert [account.problems for account in found] == [[], []]
    assert set(verdicts(databases)) == {"whole"}


def test_a_block_missing_from_the_journal_is_not_proven(line: Line, databases: Databases) -> None:
    async def story() -> None:
        for _ in range(3):
            await line.put(15)
            await line.emptied()
        await hour(line)

    lived(line, story)
    entry = tables.entry
    with databases.journal.begin() as connection:
        middle = sorted(connection.execute(sa.select(entry.c.first).where(entry.c.agent != "")).scalars())[1]
        connection.execute(sa.delete(entry).where(entry.c.agent != "", entry.c.first == middle))
    (account,) = accounts(databases)
    assert [one.first for one in account.problems] == [middle]
