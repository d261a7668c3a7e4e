"""From a turn of a ticket to the notice on the other side: what is told, when, and that nothing is lost on the way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest
from sqlalchemy import select

from collector.notify import outbox
from collector.notify.memory import Shelf
from collector.notify.outbox import GIVE_UP_AFTER, HELD_AT_MOST, Outbox, Sender, delay, netted
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.tickets.book import Book
from collector.tickets.holding import LAGGING
from collector.tickets.lifecycle import Kind
from rules.finding import Turn
from tests.contract.test_notifiers import hook_at
from tests.findings import HOUR, START, finding
from tests.receivers import receiver

LATE = START + 3 * HOUR
"""When a backlog arrives."""


class Desk:
    """A book, its outbox and two channels, at a time the test sets."""

    def __init__(self, databases: Databases) -> None:
        self.service = databases.service
        self.now = START
        self.shelves = [Shelf("smtp"), Shelf("webhook")]
        self.box = Outbox([shelf.name for shelf in self.shelves], now=lambda: self.now)
        self.book = Book(self.service, now=lambda: self.now, teller=self.box)
        self.sender = Sender(self.service, self.shelves, now=lambda: self.now, chance=lambda: 0.0)

    def take(self, *findings, caught_up=()):
        with self.service.begin() as connection:
            last = findings[-1].position
            self.book.apply(findings, last, connection, caught_up=[(last, agent) for agent in caught_up])

    def send(self) -> list[str]:
        """Sends what is due; gives the events told on the first channel since the last time."""
        for shelf in self.shelves:
            self.sender.send_due(shelf.name)
        told = [notice.event for notice in self.shelves[0].taken]
        assert told == [notice.event for notice in self.shelves[1].taken]
        for shelf in self.shelves:
            shelf.taken.clear()
        return told

    def rows(self):
        with self.service.connect() as connection:
            return connection.execute(select(tables.outbox).order_by(tables.outbox.c.id)).all()


@pytest.fixture
def desk(databases: Databases) -> Desk:
    return Desk(databases)


def test_each_turn_is_told_on_each_channel_with_what_a_person_needs(desk):
    desk.take(finding(position=1))
    desk.sender.send_due("smtp")
    (notice,) = desk.shelves[0].taken
    (ticket,) = desk.book.search().tickets
    assert (notice.event, notice.ticket, notice.severity) == ("opened", ticket.id, "warning")
    assert notice.body["zh"].splitlines()[:3] == ["新工单 (警告)", "nvr1 的 /data 约 41 小时后写满", ""]
    english = notice.body["en"]
    for line in (
        "New ticket (warning)",
        "nvr1: /data is full in about 41 h",
        "Device: nvr1 · /data",
        "Time: 2027-01-15 08:00:00 UTC",
        "Advice: Extend storage, or cut bit rate or retention.",
        "  ttt(used_percent, 98) < 72h → 41 h (fires unless used_percent < 61.2)",
    ):
        assert line in english.splitlines()
    assert len(desk.rows()) == 2


def test_worse_recovered_and_back_are_told_but_repeats_and_improvements_are_not(desk):
    told = []
    for found in (
        finding(position=1),
        finding(position=2),
        finding(Turn.CHANGED, position=3, severity="critical"),
        finding(Turn.CHANGED, position=4, severity="warning"),
        finding(Turn.RECOVERED, position=5),
        finding(position=6),
    ):
        desk.take(found)
        told.append(desk.send())
    assert told == [["opened"], [], ["changed"], [], ["recovered"], ["occurrence"]]


def test_no_transaction_no_notice(desk):
    with desk.service.connect() as connection:
        desk.book.apply([finding(position=1)], 1, connection)
        connection.rollback()
    assert desk.rows() == []


def late(turn: Turn = Turn.OPENED, *, position: int, t: int = START, **facts):
    return finding(turn, position=position, t=t, arrived=LATE, **facts)


@pytest.mark.parametrize("cut", [1, 2], ids=["in two transactions", "in one transaction"])
def test_what_opened_and_recovered_inside_a_backlog_is_not_told(desk, cut):
    desk.now = LATE
    both = [late(position=7), late(Turn.RECOVERED, position=8, t=START + HOUR)]
    if cut == 1:
        desk.take(both[0])
        assert desk.send() == []
        desk.take(both[1], caught_up={"agent-1"})
    else:
        desk.take(*both, caught_up={"agent-1"})
    desk.now = LATE + 2 * HELD_AT_MOST
    assert desk.send() == []
    assert {row.why for row in desk.rows()} == {
        "withdrawn: what it told had passed before the agent's backlog was through"
    }
    (ticket,) = desk.book.search().tickets
    assert ticket.recovered == START + HOUR


def test_what_opened_inside_a_backlog_and_still_holds_is_told_when_the_backlog_is_through(desk):
    desk.now = LATE
    desk.take(late(position=7), caught_up={"agent-2"})
    assert desk.send() == []
    desk.take(late(Turn.CHANGED, position=8, t=START + HOUR, severity="critical"), caught_up={"agent-1"})
    desk.sender.send_due("webhook")
    (notice,) = desk.shelves[1].taken
    assert (notice.event, notice.severity, notice.occurred_at) == ("opened", "critical", START)


def test_a_backlog_without_end_holds_a_notice_only_so_long(desk):
    desk.now = LATE
    desk.take(late(position=7))
    desk.now = LATE + HELD_AT_MOST - 1
    assert desk.send() == []
    desk.now += 1
    assert desk.send() == ["opened"]


def test_a_fault_known_before_the_backlog_is_told_to_have_recovered_in_it(desk):
    desk.take(finding(position=1))
    assert desk.send() == ["opened"]
    desk.now = LATE
    desk.take(late(Turn.RECOVERED, position=2, t=START + HOUR), caught_up={"agent-1"})
    assert desk.send() == ["recovered"]


def test_a_record_just_under_the_limit_is_live(desk):
    desk.take(finding(position=1, arrived=START + LAGGING))
    assert desk.send() == ["opened"]


@pytest.mark.parametrize(
    ("held", "new", "told"),
    [
        (Kind.OPENED, Kind.RECOVERED, None),
        (Kind.OPENED, Kind.CHANGED, Kind.OPENED),
        (Kind.RECOVERED, Kind.OCCURRENCE, None),
        (Kind.RECOVERED, Kind.CHANGED, Kind.CHANGED),
        (Kind.CHANGED, Kind.RECOVERED, Kind.RECOVERED),
        (Kind.OCCURRENCE, Kind.RECOVERED, None),
    ],
)
def test_turns_that_nobody_heard_of_are_netted(held, new, told):
    assert netted(held, new) == told


def test_what_does_not_get_through_is_tried_again_ever_later_under_the_same_id(desk):
    desk.take(finding(position=1))
    ids = {row.channel: row.id for row in desk.rows()}
    for _ in range(3):
        desk.shelves[0].fail("451 later")
    waits = []
    for _ in range(3):
        desk.sender.send_due("smtp")
        row = next(row for row in desk.rows() if row.channel == "smtp")
        assert row.why == "smtp: 451 later"
        waits.append(row.due - desk.now)
        desk.sender.send_due("smtp")
        desk.now = row.due
    assert waits == [5000, 10_000, 20_000]
    assert [(one.channel, one.notices, one.why) for one in desk.sender.waiting()] == [
        ("smtp", 1, "smtp: 451 later"),
        ("webhook", 1, ""),
    ]
    assert desk.send() == ["opened"]
    assert {row.channel: row.id for row in desk.rows() if row.sent} == ids
    assert desk.sender.waiting() == []


def test_the_wait_doubles_to_an_hour_and_jitter_takes_at_most_half():
    waits = [delay(n, 0.0) for n in range(1, 40)]
    assert waits[:4] == [5000, 10_000, 20_000, 40_000]
    assert max(waits) == waits[-1] == 3_600_000
    assert [delay(n, 1.0) for n in range(1, 40)] == [wait // 2 for wait in waits]


def test_a_permanent_refusal_closes_the_notice_with_its_reason_and_others_go_on(desk):
    desk.take(finding(position=1), finding(position=1, device="nvr2"))
    desk.shelves[0].fail("550 no such user", permanent=True)
    assert desk.sender.send_due("smtp") == 2
    given_up = [row for row in desk.rows() if row.failed]
    assert [(row.channel, row.why, row.attempts) for row in given_up] == [("smtp", "smtp: 550 no such user", 1)]
    desk.now += HOUR
    assert desk.sender.send_due("smtp") == 0


def test_a_notice_that_never_got_through_is_given_up_after_a_week(desk):
    desk.take(finding(position=1))
    desk.now += GIVE_UP_AFTER + 1
    desk.shelves[0].fail("still down")
    desk.sender.send_due("smtp")
    assert [row.why for row in desk.rows() if row.failed] == ["smtp: still down"]


def test_a_notice_that_breaks_its_sender_is_pushed_back_first(desk):
    class Broken(Shelf):
        def send(self, notice):
            raise ZeroDivisionError

    desk.take(finding(position=1), finding(position=1, device="nvr2"))
    sender = Sender(desk.service, [Broken("smtp")], now=lambda: desk.now, chance=lambda: 0.0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            sender.send_due("smtp")
    assert sender.send_due("smtp") == 0
    assert [row.due for row in desk.rows() if row.channel == "smtp"] == [START + 5000] * 2


def test_several_senders_share_the_work_and_send_nothing_twice(desk):
    desk.take(*(finding(position=1, device=f"nvr{n}") for n in range(30)))
    senders = [Sender(desk.service, desk.shelves, now=lambda: desk.now) for _ in range(4)]
    threads = [threading.Thread(target=sender.send_due, args=("smtp",)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({notice.id for notice in desk.shelves[0].taken}) == len(desk.shelves[0].taken) == 30


def test_a_running_sender_sends_by_itself_and_one_channel_does_not_wait_for_another(desk):
    class Slow(Shelf):
        def send(self, notice):
            gate.wait(20)
            super().send(notice)

    gate = threading.Event()
    slow, quick = Slow("smtp"), Shelf("webhook")
    sender = Sender(desk.service, [slow, quick], now=lambda: desk.now)
    sender.start()
    desk.take(finding(position=1))
    try:
        end = time.monotonic() + 20
        while not quick.taken and time.monotonic() < end:
            time.sleep(0.02)
        assert len(quick.taken) == 1
        assert slow.taken == []
    finally:
        gate.set()
        sender.close()
    assert sender.channels == ["smtp", "webhook"]


def _send_and_die(folder, port) -> None:
    """Sends one notice for real, and is killed before it can write down that it did."""
    service = open_sqlite(folder).service
    sender = Sender(service, [hook_at(port)], now=lambda: START)
    sender._settle = _dying(sender._settle)  # type: ignore[method-assign]
    sender.send_due("webhook")


def _dying(settle):
    def settled(id_, attempts, values):
        if "sent" in values:
            os.kill(os.getpid(), signal.SIGKILL)
        return settle(id_, attempts, values)

    return settled


def test_killed_between_sending_and_noting_it_is_sent_again_with_the_same_id(tmp_path):
    databases = open_sqlite(tmp_path)
    databases.migrate()
    book = Book(databases.service, now=lambda: START, teller=Outbox(["webhook"], now=lambda: START))
    with databases.service.begin() as connection:
        book.apply([finding(position=1)], 1, connection)
    with receiver() as there:
        process = multiprocessing.get_context("spawn").Process(target=_send_and_die, args=(tmp_path, there.port))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        again = Sender(databases.service, [hook_at(there.port)], now=lambda: START + HOUR)
        assert again.send_due("webhook") == 1
        assert again.send_due("webhook") == 0
    assert len(there.posts) == 2
    assert len({headers["webhook-id"] for headers, _ in there.posts}) == 1
    databases.close()


def test_held_agents_are_known_again_after_a_restart(desk):
    desk.now = LATE
    desk.take(late(position=7))
    with desk.service.connect() as connection:
        assert outbox.held_agents(connection) == {"agent-1"}


def test_what_is_over_for_a_month_is_forgotten_and_what_waits_is_not(desk):
    desk.take(finding(position=1))
    assert desk.send() == ["opened"]
    desk.take(finding(Turn.RECOVERED, position=2))
    made = int(time.time() * 1000)
    assert outbox.prune(desk.service, made + outbox.KEPT - 60_000) == 0
    later = made + outbox.KEPT + 60_000
    assert [outbox.prune(desk.service, later, most=1) for _ in range(3)] == [1, 1, 0]
    assert [row.notice["event"] for row in desk.rows()] == ["recovered", "recovered"]
    assert len(desk.book.history(desk.book.search().tickets[0].id)) == 2
