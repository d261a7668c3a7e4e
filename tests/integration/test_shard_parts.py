"""The book takes several shards in one transaction: each with its own cursor and its own time; and pruning by several."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select

from collector.journal.disk import DatabaseJournal
from collector.storage import tables
from collector.storage.database import Databases, open_postgres
from collector.tickets import cursors
from collector.tickets.book import Book, Part
from collector.tickets.holding import Moment
from collector.tickets.lifecycle import Verdict
from tests.findings import HOUR, START, finding
from tests.servers import new_database

HERE, THERE = 3, 9


@pytest.fixture
def book(databases: Databases) -> Book:
    return Book(databases.service, now=lambda: START)


def told(databases: Databases, book: Book, *parts: Part) -> list[Verdict]:
    with databases.service.begin() as connection:
        return book.apply_parts(parts, connection)


def stand(databases: Databases) -> dict[str, int]:
    with databases.service.connect() as connection:
        return cursors.under(connection, "rules")


def test_each_shard_has_its_own_cursor_and_findings_at_or_below_it_change_nothing(
    databases: Databases, book: Book
) -> None:
    first = Part(50, [finding(position=40)], shard=HERE)
    late = Part(20, [finding(position=15, device="nvr2")], shard=THERE)
    assert told(databases, book, first, late) == [Verdict.OPEN, Verdict.OPEN]
    assert stand(databases) == {"rules/03": 50, "rules/09": 20}
    again = Part(60, [finding(position=40), finding(position=55)], shard=HERE)
    assert told(databases, book, again, late) == [Verdict.REPEAT]
    assert stand(databases) == {"rules/03": 60, "rules/09": 20}
    assert book.cursor() == 0


def maintained(databases: Databases, **shards: int) -> None:
    """A maintenance of each of these sites that ends in an hour, and an agent of it in this shard."""
    with databases.service.begin() as connection:
        for site, shard in shards.items():
            connection.execute(insert(tables.site).values(id=site, name=site, created=1))
            agent = {"id": f"a-{site}", "site": site, "shard": shard, "secret": "00", "created": 1}
            connection.execute(insert(tables.agent).values(agent))
            times = {"begins": START, "ends": START + HOUR, "created": START}
            connection.execute(insert(tables.maintenance).values(id=site, site=site, actor="Mei", **times))


def seen(databases: Databases) -> dict[str, int | None]:
    of = tables.maintenance.c
    with databases.service.connect() as connection:
        return dict(connection.execute(select(of.id, of.seen)).tuples().all())


def test_the_time_of_one_shard_ends_no_maintenance_of_another(databases: Databases, book: Book) -> None:
    maintained(databases, here=HERE, there=THERE)
    over, early = START + HOUR + 1, START + 1
    told(databases, book, Part(9, [], (), [Moment(9, over)], HERE), Part(8, [], (), [Moment(8, early)], THERE))
    assert seen(databases) == {"here": over, "there": None}
    told(databases, book, Part(12, [], (), [Moment(12, over + 5)], THERE))
    assert seen(databases) == {"here": over, "there": over + 5}


def test_one_process_alone_ends_every_maintenance(databases: Databases, book: Book) -> None:
    maintained(databases, here=HERE, there=THERE)
    over = START + HOUR + 1
    told(databases, book, Part(9, [], (), [Moment(9, over)]))
    assert seen(databases) == {"here": over, "there": over}


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[Databases]:
    opened = open_postgres(new_database(postgres_server))
    opened.migrate()
    yield opened
    opened.close()


def test_several_processes_prune_at_once_and_every_entry_goes_once(postgres: Databases) -> None:
    rows = [{"position": at, "arrived": at} for at in range(1, 5001)]
    with postgres.journal.begin() as connection:
        connection.execute(insert(tables.entry), rows)
    gone: list[int] = []

    def prune() -> None:
        journal, mine = DatabaseJournal(postgres), 0
        while some := journal.prune(4500, 10**9):
            mine += some
        gone.append(mine)

    threads = [threading.Thread(target=prune) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One that finds its rows deleted by another gives up its turn, and goes on a minute later.
    while DatabaseJournal(postgres).prune(4500, 10**9):
        gone.append(0)
    with postgres.journal.connect() as connection:
        assert connection.execute(select(tables.entry.c.position)).scalars().all() == list(range(4501, 5001))
    assert len(gone) >= 4
