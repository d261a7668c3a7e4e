"""False alarms on both databases: the mark and its history, and what a rule's tickets say of the rule."""

from __future__ import annotations

from pathlib import Path

import alembic.command
import alembic.config
import msgspec
import pytest
import sqlalchemy as sa

import collector
from collector.storage import tables
from collector.storage.database import Databases, open_postgres, open_sqlite
from collector.tickets.book import Book
from collector.tickets.lifecycle import SYSTEM, Refusal, State, Verdict
from collector.tickets.maintenance import Maintenances
from collector.tickets.precision import HELD, QUERY, Precision, Tally, precisions
from collector.tickets.ticket import NotAllowed, Search, Ticket
from rules.finding import Turn
from tests import servers
from tests.findings import HOUR, START, finding

DAY = 24 * HOUR


class Clock:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(databases: Databases, clock: Clock) -> Book:
    return Book(databases.service, now=clock)


def take(book: Book, *findings) -> list[Verdict]:
    verdicts = []
    for one in findings:
        with book._service.begin() as connection:
            verdicts += book.apply([one], one.position, connection)
    return verdicts


def opened(book: Book, position: int, *, version: str = "v1", **also) -> Ticket:
    """A new ticket of the fault at its own instance."""
    found = finding(position=position, instance=f"/{position}", **also)
    take(book, msgspec.structs.replace(found, reason=msgspec.structs.replace(found.reason, version=version)))
    return book.search().tickets[0]


def kinds(book: Book, id_: str) -> list[str]:
    return [str(event.kind) for event in book.history(id_)]


def test_an_open_ticket_called_a_false_alarm_is_resolved_by_it_in_one_act(book, clock):
    ticket = opened(book, 1)
    clock.now = START + HOUR
    marked = book.mark_false(ticket.id, "mei", "threshold too tight")
    assert (marked.state, marked.false_at, marked.false_by, marked.false_why) == (
        State.RESOLVED,
        START + HOUR,
        "mei",
        "threshold too tight",
    )
    assert marked == book.get(ticket.id)
    _, mark, resolved = book.history(ticket.id)
    assert (mark.kind, mark.actor, mark.detail["why"]) == ("marked_false", "mei", "threshold too tight")
    assert (resolved.kind, resolved.actor) == ("resolved", "mei")
    assert resolved.detail["cause"] == "false alarm: threshold too tight"


def test_a_closed_ticket_stays_closed_under_the_mark_and_without_it(book, clock):
    ticket = opened(book, 1)
    book.close(ticket.id, "mei", "nothing there")
    clock.now = START + HOUR
    assert book.mark_false(ticket.id, "li", "sensor wrong").state is State.CLOSED
    assert book.get(ticket.id).ended_at == START
    back = book.unmark_false(ticket.id, "li", "the sensor was right")
    assert (back.state, back.false_at, back.false_by, back.false_why) == (State.CLOSED, None, "", "")
    assert kinds(book, ticket.id) == ["opened", "closed", "marked_false", "unmarked_false"]
    assert book.history(ticket.id)[-1].detail["note"] == "the sensor was right"


def test_taking_the_mark_off_does_not_open_the_ticket_again(book):
    ticket = opened(book, 1)
    book.mark_false(ticket.id, "mei", "sensor wrong")
    assert book.unmark_false(ticket.id, "mei").state is State.RESOLVED


def test_a_refused_mark_changes_nothing_and_says_why(book):
    ticket = opened(book, 1)
    with pytest.raises(NotAllowed, match="a text is needed: `why` is empty") as silent:
        book.mark_false(ticket.id, "mei", "  ")
    assert silent.value.refusal is Refusal.SAYS_NOTHING
    with pytest.raises(NotAllowed, match="not marked as a false alarm"):
        book.unmark_false(ticket.id, "mei")
    by_hand = book.create("mei", site="s1", device="", severity="warning", title={"zh": "x", "en": "x"})
    with pytest.raises(NotAllowed, match="made by hand: no rule raised"):
        book.mark_false(by_hand.id, "mei", "x")
    assert kinds(book, ticket.id) == ["opened"]
    assert book.get(by_hand.id).state is State.OPEN


def test_a_fault_that_comes_back_soon_opens_the_ticket_again_with_its_mark(book, clock):
    ticket = opened(book, 1)
    book.mark_false(ticket.id, "mei", "sensor wrong")
    take(book, finding(Turn.RECOVERED, position=2, t=START + HOUR, instance="/1"))
    assert take(book, finding(position=3, t=START + 2 * HOUR, instance="/1")) == [Verdict.REOPEN]
    again = book.get(ticket.id)
    assert (again.state, again.ended_at, again.false_why) == (State.OPEN, None, "sensor wrong")


def test_tickets_are_found_by_their_mark(book):
    marked, plain = opened(book, 1), opened(book, 2)
    book.mark_false(marked.id, "mei", "sensor wrong")
    assert [one.id for one in book.search(Search(false_alarm=True)).tickets] == [marked.id]
    assert [one.id for one in book.search(Search(false_alarm=False)).tickets] == [plain.id]
    assert len(book.search().tickets) == 2


def test_a_rules_precision_counts_what_people_ended_or_marked_by_version_and_time(book, clock, databases):
    old = [opened(book, at, version="v1") for at in (1, 2, 3)]
    book.mark_false(old[0].id, "mei", "too tight")
    book.resolve(old[1].id, "mei", "disk replaced")
    clock.now += 91 * DAY
    new = [opened(book, at, version="v2") for at in (4, 5, 6, 7)]
    book.resolve(new[0].id, "mei", "disk replaced")
    book.close(new[1].id, "mei", "done")
    book.mark_false(new[1].id, "li", "customer knows")
    book.acknowledge(new[2].id, "mei")
    (made,) = precisions(databases.service, clock.now).values()
    assert made == {
        "v1": Tally(3, open=1, false=1, recent=Precision(0, 0), ever=Precision(2, 1)),
        "v2": Tally(4, open=2, false=1, recent=Precision(2, 1), ever=Precision(2, 1)),
    }
    assert sum(made.values(), Tally()).ever == Precision(4, 2)


def test_what_the_system_closed_or_opened_again_is_judged_by_nobody(book, clock, databases):
    left = opened(book, 1)
    take(book, finding(Turn.RECOVERED, position=2, t=START + HOUR, instance="/1"))
    take(book, finding(position=3, t=START + 3 * DAY, instance="/1"))
    assert (book.get(left.id).state, book.history(left.id)[-1].actor) == (State.CLOSED, SYSTEM)
    resolved = opened(book, 4)
    book.resolve(resolved.id, "mei", "fixed")
    book.reopen(resolved.id, "mei")
    totals = [sum(of.values(), Tally()) for of in precisions(databases.service, clock.now).values()]
    assert [(total.tickets, total.ever) for total in totals] == [(3, Precision(0, 0))]


def test_what_a_maintenance_holds_is_not_among_the_open_tickets_of_its_rule(book, clock, databases):
    with databases.service.begin() as connection:
        connection.execute(sa.insert(tables.site).values(id="s1", name="s1", created=1))
    seen = opened(book, 1)
    people = Maintenances(databases.service, now=clock)
    people.start("mei", site="s1", lasts=HOUR)
    held = opened(book, 2)
    assert [one.id for one in book.search(Search(states=(State.OPEN,), held=False)).tickets] == [seen.id]
    (of,) = precisions(databases.service, clock.now).values()
    assert of == {"v1": Tally(2, open=1)}
    book.mark_false(held.id, "mei", "it was I")
    (of,) = precisions(databases.service, clock.now).values()
    assert of == {"v1": Tally(2, open=1, false=1, recent=Precision(1, 0), ever=Precision(1, 0))}


def test_an_ended_and_succeeded_ticket_keeps_its_judgement(book, clock, databases):
    first = opened(book, 1)
    book.resolve(first.id, "mei", "fixed")
    take(book, finding(Turn.RECOVERED, position=2, t=START + HOUR, instance="/1"))
    take(book, finding(position=3, t=START + 3 * DAY, instance="/1"))
    assert book.get(first.id).state is State.CLOSED
    (of,) = precisions(databases.service, clock.now).values()
    assert sum(of.values(), Tally()).ever == Precision(1, 1)


def test_the_counts_read_their_indexes_however_many_tickets_there_are(sqlite_databases):
    engine = sqlite_databases.service
    for query, index in ((QUERY.params(since=0), "COVERING INDEX ticket_by_rule"), (HELD, "INDEX ticket_held")):
        said = str(query.compile(engine, compile_kwargs={"literal_binds": True})).replace("service.", "")
        with engine.begin() as connection:
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}").all())
        assert f"USING {index}" in plan, plan


def test_older_tickets_get_their_version_and_their_judgement_from_what_is_written(tmp_path, request):
    for databases in (
        open_sqlite(tmp_path),
        open_postgres(servers.new_database(request.getfixturevalue("postgres_server"))),
    ):
        bring(databases.service, "004")
        with databases.service.begin() as connection:
            connection.execute(
                sa.insert(BEFORE),
                [{**TICKET, "id": id_, "position": ord(id_), "state": state} for id_, state in STATES.items()],
            )
            connection.execute(sa.insert(tables.ticket_event), [{**EVENT, **event} for event in EVENTS])
        databases.migrate()
        book = Book(databases.service, now=Clock())
        assert {id_: (book.get(id_).version, book.get(id_).ended_at) for id_ in STATES} == {
            "a": ("0011223344556677", 30),
            "b": ("0011223344556677", None),
            "c": ("0011223344556677", None),
        }
        databases.close()


def bring(engine: sa.Engine, revision: str) -> None:
    """Migrates a new service database as far as a revision."""
    schema = None if engine.dialect.name == "sqlite" else "service"
    with engine.begin() as connection:
        if schema:
            connection.execute(sa.text("CREATE SCHEMA service"))
        config = alembic.config.Config(attributes={"connection": connection, "schema": schema})
        config.set_main_option("script_location", str(Path(collector.__file__).parent / "migrations" / "service"))
        alembic.command.upgrade(config, revision)


TICKET = {
    "site": "s1",
    "device": "d",
    "rule": "r.x",
    "severity": "warning",
    "title": {},
    "advice": {},
    "reason": msgspec.to_builtins(finding().reason),
}
TICKET |= {"occurred_at": 1, "recorded_at": 1}
STATES = {"a": "closed", "b": "open", "c": "closed"}
EVENT = {"kind": "resolved", "actor": "mei", "detail": {}}
EVENTS = [
    {"ticket": "a", "occurred_at": 20, "recorded_at": 20},
    {"ticket": "a", "kind": "closed", "occurred_at": 30, "recorded_at": 30},
    {"ticket": "b", "occurred_at": 40, "recorded_at": 40},
    {"ticket": "c", "kind": "closed", "actor": SYSTEM, "occurred_at": 50, "recorded_at": 50},
]
BEFORE = sa.Table("ticket", sa.MetaData(schema="service"))
for column in tables.ticket.c:
    if column.name not in ("ended_at", "version"):
        BEFORE.append_column(sa.Column(column.name, column.type))
