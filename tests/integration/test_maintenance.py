"""Maintenance on both databases: what is held, when it is let go, and that nothing about it happens twice or is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from sqlalchemy import insert, select, update

from collector.notify.memory import Shelf
from collector.notify.outbox import Outbox, Sender
from collector.storage import tables
from collector.storage.database import Databases
from collector.tickets.book import Book
from collector.tickets.holding import LAGGING, WAIT, Holding, Moment
from collector.tickets.lifecycle import SYSTEM, Fate, Kind, State
from collector.tickets.maintenance import Maintenance, Maintenances, Refusal, Refused, Unknown
from collector.tickets.ticket import Search
from rules.finding import Finding, Turn
from tests.findings import HOUR, START, finding

MINUTE = 60_000
ENDS = START + 2 * HOUR


class Site:
    """A book with its outbox, a maintenance of two hours from START on, and a journal that the test writes by hand."""

    def __init__(self, databases: Databases) -> None:
        self.service = databases.service
        self.now = START
        self.position = 0
        self.shelf = Shelf("smtp")
        box = Outbox(["smtp"], now=lambda: self.now)
        self.book = Book(self.service, now=lambda: self.now, teller=box)
        self.sender = Sender(self.service, [self.shelf], now=lambda: self.now, chance=lambda: 0.0)
        self.people = Maintenances(self.service, now=lambda: self.now)
        with self.service.begin() as connection:
            connection.execute(insert(tables.site), [{"id": one, "name": one, "created": 1} for one in ("s1", "s2")])
            seen = {"agent": "agent-1", "kind": "recorder", "profile": "p", "inventory": {}}
            row = {"site": "s1", "device": "nvr1", **seen, "first_seen": 1, "last_seen": 1}
            connection.execute(insert(tables.device).values(row))

    def entry(self, arrived: int, *found: Finding, through: str = "") -> None:
        """One journal entry, taken as a live collector would; `through`: its agent had delivered all it held."""
        self.position += 1
        self.now = max(self.now, arrived)
        placed = [msgspec.structs.replace(one, position=self.position, arrived=arrived) for one in found]
        with self.service.begin() as connection:
            self.book.apply(placed, self.position, connection, moments=[Moment(self.position, arrived, through)])

    def live(self, *found: Finding) -> None:
        """Findings at their own time, from an agent that holds nothing back."""
        for one in found:
            self.entry(one.t, one, through=one.agent)

    def told(self) -> list[tuple[str, str, int]]:
        """(event, device, when it occurred) of each notice since the last time."""
        self.sender.send_due("smtp")
        told = [(notice.event, notice.device, notice.occurred_at) for notice in self.shelf.taken]
        self.shelf.taken.clear()
        return told

    def ticket(self, device: str = "nvr1"):
        (found,) = self.book.search(Search(device=device)).tickets
        return found

    def kinds(self, device: str = "nvr1") -> list[str]:
        return [str(event.kind) for event in self.book.history(self.ticket(device).id)]

    def seen(self) -> list[str]:
        """The devices of the open tickets that people are to see."""
        return sorted(one.device for one in self.book.search(Search(states=(State.OPEN,), held=False)).tickets)


@pytest.fixture
def site(databases: Databases) -> Site:
    return Site(databases)


@pytest.fixture
def working(site: Site) -> Maintenance:
    return site.people.start("Mei", site="s1", lasts=2 * HOUR, note="cabinet moved")


def at(minutes: int, turn: Turn = Turn.OPENED, **facts) -> Finding:
    """A finding some minutes after the maintenance began; what led to it began a minute before."""
    t = START + minutes * MINUTE
    made = finding(turn, t=t, **facts)
    return msgspec.structs.replace(made, reason=msgspec.structs.replace(made.reason, since=t - MINUTE))


OVER = Turn.RECOVERED


def test_what_opens_meanwhile_is_a_ticket_as_always_but_held_unseen_and_untold(site, working):
    site.live(at(10))
    ticket = site.ticket()
    assert (ticket.held, ticket.state, ticket.occurred_at) == (working.id, State.OPEN, START + 10 * MINUTE)
    assert site.seen() == []
    assert site.told() == []
    opened, held = site.book.history(ticket.id)
    assert (opened.kind, held.kind, held.actor) == (Kind.OPENED, Kind.HELD, SYSTEM)
    assert held.detail == {"maintenance": working.id, "by": "Mei"}
    (listed,) = site.people.tickets([working.id])[working.id]
    assert site.people.counts([working.id, "none"]) == {working.id: (1, 1), "none": (0, 0)}
    assert (listed.ticket, listed.became) == (ticket.id, None)


def test_what_still_holds_at_the_end_becomes_an_ordinary_ticket_and_is_told_with_the_time_it_began(site, working):
    site.live(at(10), at(20, Turn.CHANGED, severity="critical"))
    site.entry(ENDS - 1, through="agent-1")
    assert site.seen() == []
    site.entry(ENDS, through="agent-1")
    assert site.seen() == ["nvr1"]
    assert site.told() == [("opened", "nvr1", START + 10 * MINUTE)]
    assert (site.ticket().held, site.ticket().severity) == (None, "critical")
    assert site.kinds() == ["opened", "held", "changed", "released"]
    assert site.people.get(working.id).released == ENDS
    assert [one.became for one in site.people.tickets([working.id])[working.id]] == [Fate.OPEN]
    assert site.people.counts([working.id])[working.id] == (0, 1)


def test_what_recovered_meanwhile_is_closed_by_the_system_with_a_reason_that_names_the_maintenance(site, working):
    site.live(at(10), at(30, OVER))
    site.entry(ENDS + 5000)
    assert site.told() == []
    ticket = site.ticket()
    assert (ticket.state, ticket.held, ticket.closed_at) == (State.CLOSED, None, ENDS + 5000)
    last = site.book.history(ticket.id)[-1]
    assert (last.kind, last.actor, last.detail) == (Kind.CLOSED, SYSTEM, {"maintenance": working.id, "by": "Mei"})
    assert [one.became for one in site.people.tickets([working.id])[working.id]] == [Fate.RECOVERED]


def test_a_ticket_that_somebody_took_is_not_closed_for_him(site, working):
    site.live(at(10), at(30, OVER))
    site.book.acknowledge(site.ticket().id, "Wei")
    site.entry(ENDS, through="agent-1")
    assert (site.ticket().state, site.ticket().held) == (State.OPEN, None)
    assert site.told() == []
    assert site.kinds()[-1] == "released"


def test_a_ticket_that_was_open_before_stays_open_and_what_is_new_of_it_is_told_once_at_the_end(site):
    site.live(at(-30))
    assert [event for event, _, _ in site.told()] == ["opened"]
    site.now = START
    site.people.start("Mei", site="s1", lasts=2 * HOUR)
    site.live(at(10, Turn.CHANGED, severity="critical"), at(20, OVER), at(30), at(40, OVER))
    assert (site.ticket().held, site.seen()) == (None, ["nvr1"])
    assert site.told() == []
    site.entry(ENDS - 1)
    assert site.told() == []
    site.entry(ENDS)
    assert site.told() == [("recovered", "nvr1", START + 40 * MINUTE)]
    assert site.ticket().state is State.OPEN


def test_what_was_closed_before_and_comes_back_meanwhile_is_held_too(site):
    site.live(at(-60), at(-50, OVER))
    site.book.close(site.ticket().id, "Wei")
    site.told()
    site.now = START
    site.people.start("Mei", site="s1", lasts=2 * HOUR)
    site.live(at(10))
    assert (site.ticket().state, site.seen(), site.told()) == (State.OPEN, [], [])
    site.entry(ENDS, through="agent-1")
    assert (site.seen(), site.told()) == (["nvr1"], [("reopened", "nvr1", START + 10 * MINUTE)])


def test_only_the_device_named_is_held_where_one_is_named(site):
    site.people.start("Mei", site="s1", device="nvr1", lasts=2 * HOUR)
    site.live(at(10), at(10, device="nvr2"))
    assert site.seen() == ["nvr2"]
    assert site.told() == [("opened", "nvr2", START + 10 * MINUTE)]


def test_before_it_begins_and_from_its_end_on_nothing_is_held(site, working):
    site.live(at(0, device="first"), at(120, device="after"))
    site.entry(ENDS + 10, at(-1, device="before"), through="agent-1")
    assert (site.ticket("first").held, site.seen()) == (None, ["after", "before", "first"])
    assert site.kinds("first") == ["opened", "held", "released"]
    assert site.kinds("after") == site.kinds("before") == ["opened"]


def silence(minutes: int, turn: Turn = Turn.OPENED) -> Finding:
    return at(minutes, turn, device="agent-1", rule="agent.silent", instance="")


def test_a_cable_somebody_pulled_is_held_and_told_at_the_end_if_it_is_still_out(site, working):
    site.entry(START + 33 * MINUTE, silence(33))
    assert (site.seen(), site.told()) == ([], [])
    site.entry(ENDS)
    assert (site.seen(), site.told()) == (["agent-1"], [("opened", "agent-1", START + 33 * MINUTE)])


def test_a_cable_that_is_back_before_the_end_is_closed(site, working):
    site.entry(START + 33 * MINUTE, silence(33))
    site.entry(START + 60 * MINUTE, silence(60, OVER))
    site.entry(ENDS)
    assert (site.ticket("agent-1").state, site.told()) == (State.CLOSED, [])


def outcome(site: Site) -> list:
    tickets = sorted(site.book.search().tickets, key=lambda one: one.device)
    return [(one.device, one.state, one.severity, one.recovered, one.held) for one in tickets]


STORIES = {
    "recovered inside": [at(40), at(90, OVER)],
    "recovered after the end": [at(40), at(130, OVER)],
    "back within the window": [at(40), at(50, OVER), at(60)],
    "back after the end": [at(40), at(50, OVER), at(130)],
    "worse after the end": [at(40), at(125, Turn.CHANGED, severity="critical")],
    "over as the end came": [at(40), msgspec.structs.replace(at(121, OVER), reason=at(119).reason)],
    "outside": [at(125), at(130, OVER)],
}


@pytest.mark.parametrize("story", STORIES)
def test_whether_a_backlog_comes_before_or_after_the_end_leads_to_the_same_tickets(site, working, story):
    """Each story happens to three devices: heard as it happens, cut off until before the end, and until after it."""
    told = STORIES[story]
    late = START + 150 * MINUTE

    def of(device: str) -> list[Finding]:
        return [msgspec.structs.replace(one, device=device, agent=f"agent-{device}") for one in told]

    before = [one for one in of("before") if one.t < ENDS - MINUTE]
    rest = [one for one in of("before") if one.t >= ENDS - MINUTE]
    entries = [(one.t, [one], one.agent) for one in of("live")]
    entries += [(ENDS - MINUTE, before, "agent-before"), *((one.t, [one], one.agent) for one in rest)]
    entries += [(late, of("late")[:1], ""), (late + 1, of("late")[1:], "agent-late")]
    entries += [(ENDS + 30_000, [], agent) for agent in ("agent-live", "agent-before")]
    entries += [(late + 2 * WAIT, [], "")]
    for arrived, found, through in sorted(entries, key=lambda one: one[0]):
        site.entry(arrived, *found, through=through)
    endings = {tuple(one[1:]) for one in outcome(site)}
    assert len(outcome(site)) == 3
    assert len(endings) == 1
    assert site.people.get(working.id).released is not None


def test_what_was_heard_before_the_agent_fell_silent_waits_for_it_so_long_and_no_longer(site, working):
    site.live(at(20))
    site.entry(START + 33 * MINUTE, silence(33))
    site.entry(ENDS + 10)
    assert site.seen() == ["agent-1"]
    site.entry(ENDS + 10 + WAIT - 1)
    assert site.seen() == ["agent-1"]
    site.entry(ENDS + 10 + WAIT)
    assert site.seen() == ["agent-1", "nvr1"]
    site.entry(ENDS + 2 * HOUR, at(60, OVER), through="agent-1")
    assert site.ticket().state is State.CLOSED, "it was over within the maintenance, as was learned now"
    assert site.kinds() == ["opened", "held", "released", "recovered", "closed"]


def test_a_finding_of_the_window_that_comes_after_its_end_waits_for_the_end_of_the_backlog(site, working):
    site.entry(ENDS)
    assert site.people.get(working.id).released == ENDS
    site.entry(ENDS + HOUR, at(30))
    assert (site.seen(), site.people.get(working.id).released) == ([], None)
    site.entry(ENDS + HOUR + 1, through="agent-2")
    assert site.seen() == []
    site.entry(ENDS + HOUR + 2, through="agent-1")
    assert (site.seen(), site.told()) == (["nvr1"], [("opened", "nvr1", START + 30 * MINUTE)])
    assert site.people.get(working.id).released == ENDS + HOUR + 2


def test_what_else_of_the_window_comes_with_the_backlog_lets_nothing_go(site, working):
    site.entry(ENDS + HOUR, at(30))
    site.entry(ENDS + HOUR + 1, at(40, Turn.CHANGED, severity="critical"))
    assert (site.seen(), site.kinds()) == ([], ["opened", "held", "changed"])
    site.entry(ENDS + HOUR + 2, through="agent-1")
    assert site.told() == [("opened", "nvr1", START + 30 * MINUTE)]


def test_a_recovery_that_began_within_it_closes_the_ticket_when_the_rule_is_sure(site, working):
    site.live(at(10))
    site.entry(ENDS, through="agent-1")
    sure = at(123, OVER)
    site.live(msgspec.structs.replace(sure, reason=at(119).reason))
    assert (site.ticket().state, site.ticket().recovered) == (State.CLOSED, sure.t)
    assert site.kinds()[-2:] == ["recovered", "closed"]


@pytest.mark.parametrize("in_hand", [False, True])
def test_a_recovery_that_began_after_it_or_of_a_ticket_in_hand_leaves_it_open(site, working, in_hand):
    site.live(at(10))
    site.entry(ENDS, through="agent-1")
    if in_hand:
        site.book.assign(site.ticket().id, "Mei", "Wei")
    began = at(119) if in_hand else at(122)
    site.live(msgspec.structs.replace(at(123, OVER), reason=began.reason))
    assert (site.ticket().state, site.kinds()[-1]) == (State.OPEN, "recovered")


def test_entries_that_another_writer_has_taken_already_let_nothing_go(site, working):
    site.entry(ENDS, through="agent-1")
    site.entry(ENDS + HOUR, at(30))
    with site.service.begin() as connection:
        site.book.apply([], 2, connection, moments=[Moment(2, ENDS + HOUR, "agent-1")])
    assert (site.ticket().held, site.seen()) == (working.id, [])


def test_a_collector_that_was_down_over_the_end_does_not_take_its_own_absence_for_the_agents(site, working):
    site.live(at(20))
    site.entry(ENDS + 6 * HOUR)
    assert site.seen() == []
    site.entry(ENDS + 6 * HOUR + 1, at(30, OVER), through="agent-1")
    assert (site.ticket().state, site.told()) == (State.CLOSED, [])


def test_while_another_one_goes_on_the_ticket_goes_over_to_it(site, working):
    site.live(at(10))
    site.now = START + 30 * MINUTE
    other = site.people.start("Wei", site="s1", device="nvr1", lasts=5 * HOUR // 2)
    site.entry(ENDS, through="agent-1")
    assert (site.ticket().held, site.seen()) == (other.id, [])
    assert [one.became for one in site.people.tickets([working.id])[working.id]] == [Fate.HANDED_OVER]
    site.entry(ENDS + HOUR, through="agent-1")
    assert (site.seen(), site.told()) == (["nvr1"], [("opened", "nvr1", START + 10 * MINUTE)])


def test_ended_early_it_lets_go_then_and_extended_only_later(site, working):
    site.live(at(10))
    site.now = START + 30 * MINUTE
    extended = site.people.extend(working.id, ENDS + HOUR, "Li")
    assert (extended.ends, extended.extended_by, extended.ended_by) == (ENDS + HOUR, "Li", "")
    site.entry(ENDS, through="agent-1")
    assert site.seen() == []
    site.now = ENDS + 10
    ended = site.people.end(working.id, "Wei")
    assert (ended.ends, ended.ended_by, ended.extended_by, ended.actor) == (ENDS + 10, "Wei", "Li", "Mei")
    assert ended == site.people.get(working.id)
    site.entry(ENDS + 10, through="agent-1")
    assert site.seen() == ["nvr1"]


def test_an_end_that_was_moved_just_now_is_not_seen(site, working, monkeypatch):
    """As on PostgreSQL, where somebody may extend it between reading and locking."""
    passes = Holding.passes

    def extended_meanwhile(held: Holding, moment: Moment) -> None:
        held.connection.execute(update(tables.maintenance).values(ends=ENDS + HOUR))
        passes(held, moment)

    site.live(at(10))
    monkeypatch.setattr(Holding, "passes", extended_meanwhile)
    site.entry(ENDS, through="agent-1")
    assert (site.seen(), site.people.get(working.id).seen) == ([], None)


@pytest.mark.parametrize(
    ("lasts", "refusal"),
    [(14 * MINUTE, Refusal.TOO_SHORT), (15 * 24 * HOUR, Refusal.TOO_LONG)],
)
def test_it_lasts_from_a_quarter_of_an_hour_to_two_weeks(site, lasts, refusal):
    with pytest.raises(Refused) as refused:
        site.people.start("Mei", site="s1", lasts=lasts)
    assert refused.value.refusal is refusal


def test_what_cannot_be_is_refused_by_name(site, working):
    for refusal, act in (
        (Refusal.RUNNING, lambda: site.people.start("Wei", site="s1", lasts=2 * HOUR)),
        (Refusal.NOT_LATER, lambda: site.people.extend(working.id, ENDS, "Li")),
        (Refusal.TOO_LONG, lambda: site.people.extend(working.id, START + 15 * 24 * HOUR, "Li")),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.refusal is refusal
    for unknown in (
        lambda: site.people.start("Mei", site="nowhere", lasts=2 * HOUR),
        lambda: site.people.start("Mei", site="s1", device="nothing", lasts=2 * HOUR),
        lambda: site.people.end("none", "Mei"),
        lambda: site.people.get("none"),
    ):
        with pytest.raises(Unknown, match=r"`\w+`"):
            unknown()
    site.now = ENDS
    longer = ENDS + HOUR
    for over in (lambda: site.people.end(working.id, "Mei"), lambda: site.people.extend(working.id, longer, "Mei")):
        with pytest.raises(Refused) as refused:
            over()
        assert refused.value.refusal is Refusal.OVER
    assert site.people.start("Wei", site="s1", lasts=HOUR).begins == ENDS
    assert [one.actor for one in site.people.of_site("s1")] == ["Wei", "Mei"]
    assert [one.actor for one in site.people.running()] == ["Wei"]


def at_once(*jobs):
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait(10)
        try:
            return job()
        except Refused as refused:
            return refused.refusal

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_started_by_six_at_once_it_is_one(site):
    made = at_once(*[lambda: site.people.start("Mei", site="s1", lasts=2 * HOUR)] * 6)
    assert made.count(Refusal.RUNNING) == 5
    assert len(site.people.of_site("s1")) == 1


def test_the_end_seen_by_eight_writers_at_once_lets_go_and_tells_once(site, working):
    site.live(at(10), at(10, device="nvr2"), at(20, OVER, device="nvr2"))

    def write() -> None:
        with site.service.begin() as connection:
            site.book.apply([], 9, connection, moments=[Moment(9, ENDS, "agent-1")])

    site.now = ENDS
    at_once(*[write] * 8)
    assert site.kinds() == ["opened", "held", "released"]
    assert site.kinds("nvr2") == ["opened", "held", "recovered", "closed"]
    assert site.told() == [("opened", "nvr1", START + 10 * MINUTE)]


def test_a_transaction_that_fails_leaves_everything_held(site, working):
    site.live(at(10))
    with site.service.connect() as connection:
        site.book.apply([], 9, connection, moments=[Moment(9, ENDS, "agent-1")])
        connection.rollback()
    assert (site.seen(), site.people.get(working.id).seen) == ([], None)
    with site.service.connect() as connection:
        assert connection.execute(select(tables.outbox)).all() == []


def test_a_record_of_a_clock_that_is_ahead_lets_nothing_go_before_the_end(site, working):
    site.live(at(10))
    ahead = at(121, Turn.CHANGED, severity="critical")
    site.entry(ENDS - MINUTE, ahead, through="agent-1")
    assert (site.seen(), site.told(), site.ticket().held) == ([], [], working.id)
    site.entry(ENDS, through="agent-1")
    assert site.told() == [("opened", "nvr1", START + 10 * MINUTE)]


def test_what_a_backlog_lets_go_is_told_when_the_backlog_is_through(site, working):
    site.live(at(10))
    site.entry(ENDS)
    late = at(121, Turn.CHANGED, severity="critical")
    site.entry(late.t + LAGGING + 1, late)
    assert (site.seen(), site.told()) == (["nvr1"], [])
    site.position += 1
    with site.service.begin() as connection:
        site.book.apply([], site.position, connection, caught_up=[(site.position, "agent-1")])
    assert ("opened", "nvr1", START + 10 * MINUTE) in site.told()


def test_of_two_it_is_held_for_the_one_that_ends_last(site, working):
    longer = site.people.start("Li", site="s1", device="nvr1", lasts=3 * HOUR)
    site.live(at(10))
    assert site.ticket().held == longer.id
    site.entry(ENDS, through="agent-1")
    assert site.kinds() == ["opened", "held"]


def test_what_a_person_ended_meanwhile_is_let_go_at_the_end_without_waiting_for_its_agent(site, working):
    site.live(at(10))
    site.book.resolve(site.ticket().id, "Mei", "plugged in again")
    site.entry(ENDS)
    assert (site.ticket().held, site.people.get(working.id).released) == (None, ENDS)
    assert [one.became for one in site.people.tickets([working.id])[working.id]] == [Fate.ENDED]


def test_nothing_goes_over_to_a_maintenance_that_is_over_too(site, working):
    site.live(at(10))
    site.now = START + 30 * MINUTE
    other = site.people.start("Li", site="s1", device="nvr1", lasts=HOUR)
    site.now = ENDS
    site.entry(ENDS, through="agent-1")
    assert (site.seen(), site.kinds()) == (["nvr1"], ["opened", "held", "released"])
    assert site.people.tickets([other.id])[other.id] == []
