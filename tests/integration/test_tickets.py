"""Tickets on both databases: from finding to person and back, and what two writers at once may not break."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, event, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from collector.notify import outbox
from collector.storage import tables
from collector.storage.database import Databases
from collector.tickets import maintenance, rows
from collector.tickets.book import Book
from collector.tickets.holding import Holding
from collector.tickets.lifecycle import SYSTEM, Kind, Refusal, State, Verdict
from collector.tickets.ticket import NotAllowed, Search, Unknown
from rules.finding import Turn
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


def take(book: Book, *findings):
    """Applies findings one transaction each, as a live collector would."""
    verdicts = []
    for one in findings:
        with book._service.begin() as connection:
            verdicts += book.apply([one], one.position, connection)
    return verdicts


def kinds(book: Book, id_: str) -> list[str]:
    return [str(event.kind) for event in book.history(id_)]


def only(book: Book):
    (ticket,) = book.search().tickets
    return ticket


def test_a_finding_opens_a_ticket_that_says_what_why_and_when(book, clock):
    clock.now = START + 5000
    found = finding(position=7)
    assert take(book, found) == [Verdict.OPEN]
    ticket = only(book)
    assert (ticket.site, ticket.device, ticket.rule, ticket.table, ticket.instance) == (
        "s1",
        "nvr1",
        "volume.filling",
        "volume",
        "/data",
    )
    assert (ticket.state, ticket.severity, ticket.position) == (State.OPEN, "warning", 7)
    assert ticket.title["en"] == "nvr1: /data is full in about 41 h"
    assert ticket.title["zh"] == "nvr1 的 /data 约 41 小时后写满"
    assert ticket.reason == found.reason
    assert (ticket.occurred_at, ticket.recorded_at, ticket.recovered) == (START, START + 5000, None)
    (opened,) = book.history(ticket.id)
    assert (opened.kind, opened.actor, opened.position) == (Kind.OPENED, SYSTEM, 7)
    assert opened.detail["reason"]["evidence"][0]["spare"] == "fires unless used_percent < 61.2"
    assert book.cursor() == 7


def test_a_fault_has_one_ticket_through_worse_recovery_and_return(book):
    take(
        book,
        finding(position=1),
        finding(Turn.CHANGED, position=2, t=START + HOUR, severity="critical"),
        finding(Turn.RECOVERED, position=3, t=START + 2 * HOUR),
        finding(position=4, t=START + 3 * HOUR),
        finding(Turn.RECOVERED, position=5, t=START + 4 * HOUR),
    )
    ticket = only(book)
    assert (ticket.state, ticket.severity, ticket.recovered) == (State.OPEN, "warning", START + 4 * HOUR)
    assert kinds(book, ticket.id) == ["opened", "changed", "recovered", "occurrence", "recovered"]


def test_the_reasons_of_the_opening_and_of_the_last_change_are_both_kept(book):
    take(book, finding(position=1), finding(Turn.CHANGED, position=2, severity="critical"))
    ticket = only(book)
    assert ticket.reason is not None
    assert ticket.reason.severity == "critical"
    assert book.history(ticket.id)[0].detail["reason"]["severity"] == "warning"


def test_what_was_taken_already_changes_nothing(book):
    found = [finding(position=1), finding(Turn.RECOVERED, position=2), finding(position=3)]
    take(book, *found)
    before = (only(book), book.history(only(book).id))
    with book._service.begin() as connection:
        assert book.apply(found, 3, connection) == []
        assert book.apply(found[:1], 1, connection) == []
    assert (only(book), book.history(only(book).id)) == before
    assert book.cursor() == 3


def test_a_transaction_that_fails_leaves_neither_ticket_nor_cursor(book):
    with book._service.connect() as connection:
        book.apply([finding(position=5)], 5, connection)
        connection.rollback()
    assert book.search().tickets == []
    assert book.cursor() == 0


def test_within_a_day_of_closing_the_fault_reopens_its_ticket(book, clock):
    take(book, finding(position=1), finding(Turn.RECOVERED, position=2, t=START + HOUR))
    ticket = only(book)
    clock.now = START + 2 * HOUR
    book.acknowledge(ticket.id, "li")
    book.resolve(ticket.id, "li", "cleaned up")
    book.close(ticket.id, "wang")
    assert take(book, finding(position=3, t=START + 2 * HOUR + DAY)) == [Verdict.REOPEN]
    again = only(book)
    assert (again.id, again.state, again.closed_at, again.recovered) == (ticket.id, State.OPEN, None, None)
    assert again.acknowledged_by == ""
    assert kinds(book, again.id) == ["opened", "recovered", "acknowledged", "resolved", "closed", "reopened"]


def test_later_the_fault_gets_a_new_ticket_that_names_the_old_one(book, clock):
    take(book, finding(position=1), finding(Turn.RECOVERED, position=2, t=START + HOUR))
    old = only(book)
    clock.now = START + 2 * HOUR
    book.close(old.id, "wang")
    assert take(book, finding(position=3, t=START + 2 * HOUR + DAY + 1)) == [Verdict.SUCCEED]
    new, kept = book.search().tickets
    assert (kept.id, kept.state) == (old.id, State.CLOSED)
    assert (new.previous, new.state, new.position) == (old.id, State.OPEN, 3)


def test_a_recovered_ticket_nobody_took_is_closed_by_its_successor(book):
    take(book, finding(position=1), finding(Turn.RECOVERED, position=2, t=START + HOUR))
    old = only(book)
    take(book, finding(position=3, t=START + 2 * DAY))
    new, kept = book.search().tickets
    assert (kept.id, kept.state, new.previous) == (old.id, State.CLOSED, old.id)
    last = book.history(old.id)[-1]
    assert (last.kind, last.actor, last.detail) == (Kind.CLOSED, SYSTEM, {"successor": new.id})


def test_a_recovered_ticket_in_hand_goes_on(book):
    take(book, finding(position=1), finding(Turn.RECOVERED, position=2, t=START + HOUR))
    book.assign(only(book).id, "li", "wang")
    assert take(book, finding(position=3, t=START + 5 * DAY)) == [Verdict.RECUR]
    assert only(book).assignee == "wang"


def test_recovery_after_closing_is_still_noted(book):
    take(book, finding(position=1))
    ticket = only(book)
    book.close(ticket.id, "li", "decommissioned tomorrow")
    assert take(book, finding(Turn.RECOVERED, position=2, t=START + HOUR)) == [Verdict.RECOVER]
    assert (only(book).state, only(book).recovered) == (State.CLOSED, START + HOUR)
    assert take(book, finding(Turn.RECOVERED, position=3, t=START + HOUR)) == [Verdict.UNMATCHED]


def test_what_people_do_stands_in_the_history_with_their_names(book, clock):
    take(book, finding(position=1))
    id_ = only(book).id
    clock.now = START + HOUR
    book.acknowledge(id_, "li", "looking")
    book.assign(id_, "li", " wang ")
    book.comment(id_, "wang", "on my way")
    ticket = book.resolve(id_, "wang", "retention set to 30 days")
    assert (ticket.state, ticket.acknowledged_by, ticket.assignee) == (State.RESOLVED, "li", "wang")
    told = [(event.kind, event.actor, event.detail) for event in book.history(id_)[1:]]
    assert told == [
        (Kind.ACKNOWLEDGED, "li", {"note": "looking", "holds": True}),
        (Kind.ASSIGNED, "li", {"assignee": "wang", "holds": True}),
        (Kind.COMMENTED, "wang", {"note": "on my way", "holds": True}),
        (Kind.RESOLVED, "wang", {"cause": "retention set to 30 days", "holds": True}),
    ]
    assert {event.recorded_at for event in book.history(id_)[1:]} == {START + HOUR}
    assert book.close(id_, "li").closed_at == START + HOUR
    reopened = book.reopen(id_, "li", "it is back")
    assert (reopened.state, reopened.closed_at) == (State.OPEN, None)


def test_tickets_are_found_by_a_part_of_what_they_say(book, clock):
    titles = {"门禁电源 100% 掉线": "Wei", "Door controller off": "Mei", "a_b": "Li"}
    for title, device in titles.items():
        book.create("Mei", site="s1", device=device, severity="warning", title={"zh": title, "en": title})

    def found(text: str) -> list[str]:
        return [ticket.title["en"] for ticket in book.search(Search(text=text)).tickets]

    assert found("电源") == ["门禁电源 100% 掉线"]
    assert found("DOOR") == ["Door controller off"]
    assert found("mei") == ["Door controller off"]
    assert found("100%") == ["门禁电源 100% 掉线"]
    assert found("a%b") == []
    assert found('"') == []


def test_a_refused_act_says_why_and_changes_nothing(book):
    take(book, finding(position=1))
    id_ = only(book).id
    with pytest.raises(NotAllowed, match="the condition still holds: say why") as refused:
        book.close(id_, "li")
    assert refused.value.refusal is Refusal.STILL_HOLDS
    with pytest.raises(NotAllowed, match="a text is needed"):
        book.resolve(id_, "li", " ")
    assert kinds(book, id_) == ["opened"]
    for act in (book.get, book.history, lambda unknown: book.close(unknown, "li")):
        with pytest.raises(Unknown, match="there is no ticket `01NONE`"):
            act("01NONE")


def test_tickets_made_by_hand_are_as_many_as_people_make(book, clock):
    made = [
        book.create("li", site="s1", device="cam7", severity="warning", title={"zh": "画面模糊", "en": "Blurred"})
        for _ in range(2)
    ]
    assert len({ticket.id for ticket in made}) == 2
    assert {ticket.state for ticket in made} == {State.OPEN}
    (event,) = book.history(made[0].id)
    assert (event.kind, event.actor, event.position) == (Kind.OPENED, "li", None)
    assert book.close(made[0].id, "li").state is State.CLOSED


def test_search_finds_by_what_people_filter_for_and_pages_to_the_end(book):
    take(book, *(finding(position=n, device=f"nvr{n}", t=START + n) for n in range(1, 6)))
    take(book, finding(Turn.RECOVERED, position=6, device="nvr2"))
    book.assign(book.search(Search(device="nvr3")).tickets[0].id, "li", "wang")
    found = {
        "holds": book.search(Search(holds=True)),
        "assignee": book.search(Search(assignee="wang", states=(State.OPEN,))),
        "closed": book.search(Search(states=(State.CLOSED, State.RESOLVED))),
    }
    devices = {name: sorted(ticket.device for ticket in page.tickets) for name, page in found.items()}
    assert devices == {"holds": ["nvr1", "nvr3", "nvr4", "nvr5"], "assignee": ["nvr3"], "closed": []}
    seen, after = [], None
    while True:
        page = book.search(after=after, limit=2)
        seen += [ticket.id for ticket in page.tickets]
        after = page.after
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert book.counts() == {("open", "warning"): 5}


def test_numbers_and_text_no_database_takes_do_not_stop_a_ticket(book):
    odd = finding(position=1, device="a\x00b")
    reason = odd.reason.evidence[0]
    reason.detail["slope"] = float("nan")
    reason.detail["high"] = float("inf")
    take(book, odd)
    ticket = only(book)
    assert ticket.device == "a\ufffdb"
    assert ticket.reason is not None
    assert ticket.reason.evidence[0].detail == {"low": 37 * 3600.0}
    assert take(book, finding(position=2, device="a\x00b")) == [Verdict.REPEAT]


def row(**columns):
    plain = {"site": "s1", "device": "d", "rule": "r", "instance": "", "position": 1, "state": "open"}
    texts = {"severity": "warning", "title": {}, "advice": {}, "occurred_at": 1, "recorded_at": 1}
    return insert(tables.ticket).values({**plain, **texts, **columns})


@pytest.mark.parametrize(
    ("second", "refused"),
    [
        ({"position": 2}, "a second ticket of one fault that is not closed"),
        ({"position": 2, "state": "resolved"}, "a second ticket of one fault that is not closed"),
        ({"position": 1, "state": "closed"}, "a second ticket of one opening"),
    ],
)
def test_the_database_itself_refuses(databases, second, refused):
    with databases.service.begin() as connection:
        connection.execute(row(id="a"))
    with pytest.raises(IntegrityError), databases.service.begin() as connection:
        connection.execute(row(id="b", **second))
    with databases.service.begin() as connection:
        connection.execute(row(id="c", rule="", position=1))
        connection.execute(row(id="d", rule="", position=1))


def test_history_cannot_be_rewritten(book, databases):
    take(book, finding(position=1))
    for statement in (update(tables.ticket_event).values(actor="nobody"), delete(tables.ticket_event)):
        with pytest.raises(DBAPIError, match="append-only"), databases.service.begin() as connection:
            connection.execute(statement)
    assert [event.actor for event in book.history(only(book).id)] == [SYSTEM]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (rows._NEWEST, "ticket_once_per_opening"),
        (rows._HISTORY, "event_of_ticket"),
        (outbox._HELD_OF, "outbox_held"),
        (maintenance._COVERING, "maintenance_of_site"),
        (maintenance._UNSETTLED, "maintenance_unsettled"),
    ],
)
def test_what_every_finding_asks_is_found_by_an_index_however_many_there_are(databases, statement, index):
    asked = []
    with databases.service.connect() as connection:
        values = {**dict.fromkeys(("site", "device", "rule", "instance", "wanted", "of", "what"), "x"), "at": 1}
        event.listen(connection, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
        connection.execute(statement, {name: value for name, value in values.items() if f":{name}" in str(statement)})
        text, given = asked[-1]
        if connection.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given).all()
        else:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {text}", given).all()
    assert index in str(plan)


def at_once(*jobs):
    """Runs jobs together, and gives what each returned or raised."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait(10)
        try:
            return job()
        except NotAllowed as refused:
            return refused.refusal

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_one_finding_taken_by_eight_writers_at_once_is_one_ticket(book):
    found = finding(position=9)

    def write():
        with book._service.begin() as connection:
            return book.apply([found], 9, connection)

    verdicts = at_once(*[write] * 8)
    assert sorted(map(len, verdicts)) == [0] * 7 + [1]
    assert kinds(book, only(book).id) == ["opened"]


def test_writers_with_cursors_of_their_own_still_make_one_ticket(book, databases):
    def write():
        with databases.service.begin() as connection:
            held = Holding(connection, [], now=lambda: START, teller=None)
            return book._take(held, finding(position=9))

    verdicts = at_once(*[write] * 8)
    assert sorted(verdicts) == sorted([Verdict.OPEN] + [Verdict.REPEAT] * 7)
    with databases.service.connect() as connection:
        assert connection.execute(select(func.count()).select_from(tables.ticket)).scalar() == 1


def test_a_person_and_a_rule_that_open_the_same_fault_at_once_leave_one_open_ticket(book, clock):
    clock.now = START + HOUR
    for n in range(10):
        device = f"nvr{n}"
        take(book, finding(position=3 * n + 1, device=device))
        (old,) = book.search(Search(device=device)).tickets
        book.close(old.id, "li", "gone")
        take(book, finding(Turn.RECOVERED, position=3 * n + 2, device=device))
        again = finding(position=3 * n + 3, device=device, t=START + 3 * DAY)
        at_once(lambda old=old: book.reopen(old.id, "li"), lambda again=again: take(book, again))
        unclosed = [one for one in book.search(Search(device=device)).tickets if one.state is not State.CLOSED]
        assert len(unclosed) == 1
        assert unclosed[0].holds


def test_a_ticket_is_acknowledged_once(book):
    take(book, finding(position=1))
    id_ = only(book).id
    answers = at_once(*[lambda name=name: book.acknowledge(id_, name) for name in "abcdef"])
    assert answers.count(Refusal.ALREADY_ACKNOWLEDGED) == 5
    assert kinds(book, id_) == ["opened", "acknowledged"]
