"""Dead letters: what could not be applied is kept, shown, dropped, or given again exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from collector.journal.deadletter import DeadLetters, NoSuchLetter, give_again
from collector.journal.entry import Entry
from collector.series.memory import MemoryStore
from collector.series.projection import SeriesProjection
from collector.series.store import Refused
from collector.storage.database import Databases
from forewarn.signals import block_topic
from rules.samples import Batch
from tests import blocks
from tests.blocks import NOW, Script
from tests.intakes import Collector


class Refusing(MemoryStore):
    """Refuses the values of some times, once each when they come."""

    def __init__(self, *times: int) -> None:
        super().__init__()
        self.times = set(times)
        self.written: list[int] = []

    def write(self, batch: Batch) -> None:
        super().write(batch)
        told = [int(t) for rows in batch.rows for t in rows.t]
        self.written += [t for t in told if t not in self.times]
        refused = self.times & set(told)
        if refused:
            raise Refused("another type there", [str(t) for t in refused], len(refused), {"cam1": frozenset(refused)})


@pytest.fixture
def collector(databases: Databases) -> Collector:
    blocks.enrolled(databases, "a1")
    return Collector(databases)


@pytest.fixture
def letters(collector: Collector) -> DeadLetters:
    return DeadLetters(collector.databases.journal, now=lambda: collector.now)


def entries(collector: Collector) -> Sequence[Entry]:
    return collector.journal.read(0, 1000)


def refused_once(collector: Collector, letters: DeadLetters) -> Refusing:
    """Three blocks, of which the store refuses the second."""
    script = Script().poll(6)
    collector.send(script.topic, script.block(1, 2), script.block(3, 4), script.block(5, 6))
    store = Refusing(NOW + 4000)
    SeriesProjection(store, unable=letters).apply(entries(collector))
    return store


def test_a_block_with_refused_values_becomes_one_letter(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    [letter] = letters.listed()
    assert (letter.name, letter.state, letter.where, letter.reason) == ("d1", "waiting", "series", "refused")
    assert (letter.site, letter.agent, letter.epoch, letter.first, letter.last) == ("s1", "a1", "E1", 3, 4)
    assert "another type there" in letter.detail
    assert letter.remedy == "retry"
    assert letters.show("d1")[1] == Script().poll(6).block(3, 4)


def test_a_letter_is_noted_once_however_often_its_entry_comes(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    letters.note("series", entries(collector)[2], "refused", "again")
    letters.note("rules", entries(collector)[2], "ValueError", "a rule's mistake")
    assert [one.where for one in letters.listed()] == ["rules", "series"]


def test_a_letter_is_given_again_once_and_to_its_projection_alone(collector: Collector, letters: DeadLetters) -> None:
    store = refused_once(collector, letters)
    store.times.clear()
    head = collector.journal.head()
    assert give_again(collector.journal, collector.now) == 0, "nobody asked for it"
    letters.ask("d1")
    assert letters.listed()[0].state == "asked"
    assert [give_again(collector.journal, collector.now) for _ in range(3)] == [1, 0, 0]
    [given] = collector.journal.read(head, 10)
    assert (given.only, given.first, given.last, given.concerns("series"), given.concerns("rules")) == (
        "series",
        3,
        4,
        True,
        False,
    )
    [letter] = letters.listed()
    assert (letter.state, letter.again, letter.remedy) == ("retried", given.position, "drop")
    before = len(store.written)
    SeriesProjection(store, unable=letters).apply([given])
    assert store.written[before:] == [NOW + 3000, NOW + 4000]
    assert [one.state for one in letters.listed()] == ["retried"]
    with pytest.raises(NoSuchLetter, match="`d1` is retried: only one that is `waiting` is tried again"):
        letters.ask("d1")


def test_what_is_refused_again_becomes_another_letter(collector: Collector, letters: DeadLetters) -> None:
    store = refused_once(collector, letters)
    letters.ask("d1")
    give_again(collector.journal, collector.now)
    SeriesProjection(store, unable=letters).apply(entries(collector)[-1:])
    assert [one.state for one in letters.listed()] == ["waiting", "retried"]


def test_two_collectors_give_a_letter_once(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    other = Collector(collector.databases)
    letters.ask("d1")
    given = give_again(collector.journal, 1) + give_again(other.journal, 1)
    assert given == 1
    assert [one.only for one in Collector(collector.databases).journal.read(0, 100)].count("series") == 1


def test_the_running_intake_gives_what_was_asked_for(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    letters.ask("d1")
    collector.intake._next_tick = 0.0
    collector.intake.turn(0)
    assert letters.listed()[0].state == "retried"


def test_a_dropped_letter_keeps_its_line_and_loses_its_payload(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    letters.drop("d1")
    letter, payload = letters.show("d1")
    assert (letter.state, letter.remedy, letter.size, payload) == ("dropped", "nothing", 0, None)
    with pytest.raises(NoSuchLetter, match="is dropped"):
        letters.ask("d1")


def test_what_was_set_aside_is_shown_beside_them_and_can_be_dropped(collector: Collector, letters: DeadLetters) -> None:
    collector.send(block_topic(0, "a1"), b"garbage")
    [aside] = letters.aside()
    assert (aside.name, aside.state, aside.where, aside.reason, aside.remedy) == (
        "s1",
        "set_aside",
        "intake",
        "not_json",
        "drop",
    )
    assert letters.show("s1")[1] == b"garbage"
    with pytest.raises(NoSuchLetter, match="only `drop` can be done"):
        letters.ask("s1")
    letters.drop("s1")
    assert letters.aside() == []


@pytest.mark.parametrize("name", ["d9", "s9", "x1", "d", "d1; drop"])
def test_a_name_that_is_no_letter_is_named(letters: DeadLetters, name: str) -> None:
    with pytest.raises(NoSuchLetter, match="letter"):
        letters.show(name)


def test_old_letters_are_forgotten(collector: Collector, letters: DeadLetters) -> None:
    refused_once(collector, letters)
    collector.now += 89 * 86_400_000
    assert letters.prune() == 0
    collector.now += 2 * 86_400_000
    assert letters.prune() == 1
    assert letters.listed() == []


def test_the_newest_thousand_are_kept(
    collector: Collector, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.journal.deadletter.LETTERS", 3)
    script = Script().poll(5)
    collector.send(script.topic, *(script.block(seq, seq) for seq in range(1, 6)))
    for entry in entries(collector):
        if not entry.is_tick:
            letters.note("series", entry, "refused", "")
    assert [one.first for one in letters.listed()] == [5, 4, 3]


def test_a_letter_that_cannot_be_noted_is_noted_by_the_next_call(
    collector: Collector, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script().poll(2)
    collector.send(script.topic, script.block(1, 2))
    projection = SeriesProjection(Refusing(NOW + 1000), unable=letters)
    note = letters.note
    monkeypatch.setattr(letters, "note", lambda *_: (_ for _ in ()).throw(OSError("the database is away")))
    with pytest.raises(OSError, match="away"):
        projection.apply(entries(collector))
    monkeypatch.setattr(letters, "note", note)
    projection.apply([])
    assert [one.first for one in letters.listed()] == [1]
