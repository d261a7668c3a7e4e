"""Rules over the journal into tickets: the same tickets, whatever crashes or fails, and wherever."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from sqlalchemy import select

from collector.evaluation import devices as devices_module
from collector.evaluation import happenings
from collector.evaluation import snapshots as snapshots_module
from collector.evaluation.evaluate import Evaluation
from collector.evaluation.snapshots import Snapshots
from collector.notify.outbox import Outbox
from collector.storage import tables
from collector.storage.database import Databases, open_sqlite
from collector.tickets.book import Book
from collector.tickets.lifecycle import State, Verdict
from rules.engine import Engine
from rules.finding import Finding, Turn
from rules.ruleset import ruleset
from rules.samples import Batch
from tests.findings import HOUR, START, finding
from tests.journals import EVERY, SERVER, Journal, cut, inventory, poll

FULL, NEARLY = 95.0, 90.0


class Watcher:
    """A rule engine small enough to see through: a volume is warning above 90, critical above 95."""

    def __init__(self, parts: Mapping[str, bytes] | None = None) -> None:
        self.holding: dict[str, str] = {}
        self.seen = 0
        if parts is not None:
            if "holding" not in parts:
                raise ValueError("a snapshot of other rules")
            self.holding = msgspec.json.decode(parts["holding"])
            self.seen = msgspec.json.decode(parts["seen"])

    def snapshot(self) -> dict[str, bytes]:
        return {"holding": msgspec.json.encode(self.holding), "seen": msgspec.json.encode(self.seen)}

    def apply(self, batch: Batch) -> list[Finding]:
        polls = [
            (int(rows.position[n]), int(rows.rank[n]), device.device, rows, n)
            for rows in batch.rows
            for n, device in enumerate(rows.devices)
        ]
        found = []
        for position, _, device, rows, n in sorted(polls, key=lambda row: row[:3]):
            self.seen += 1
            at = {"position": position, "t": int(rows.t[n]), "arrived": int(rows.arrived[n])}
            for instance, value in zip(rows.shape.tables[0].instances, rows.values[n], strict=True):
                found += self._judge(f"{device}{instance}", value, device=device, instance=instance, **at)
        return found

    def _judge(self, key: str, value: float, **facts) -> list[Finding]:
        before = self.holding.get(key, "")
        now = "critical" if value > FULL else "warning" if value > NEARLY else ""
        if np.isnan(value) or now == before:
            return []
        self.holding[key] = now
        turn = Turn.RECOVERED if not now else Turn.CHANGED if before else Turn.OPENED
        return [finding(turn, severity=now or before, **facts)]


class World:
    """A collector's rules on real databases, that can be ended and begun again."""

    def __init__(self, databases: Databases, folder, journal: Journal, *, make=Watcher) -> None:
        self.databases = databases
        self.folder = folder
        self.journal = journal
        self.make = make
        self.now = START
        self.time = 0.0
        self.begin()

    def begin(self) -> None:
        box = Outbox(["webhook"], now=lambda: self.now)
        self.book = Book(self.databases.service, now=lambda: self.now, teller=box)
        self.rules = Evaluation(
            self.make,
            service=self.databases.service,
            journal=self.journal,
            book=self.book,
            snapshots=Snapshots(self.folder),
            every=10.0,
            monotonic=lambda: self.time,
        )

    def run(self, most: int = 7) -> None:
        """Takes all there is, as the runner of projections does."""
        while entries := self.journal.read(self.rules.cursor(), most):
            self.time += 1.0
            self.rules.apply(entries)

    def outcome(self) -> list:
        """Everything people would see, without the ids and the times of writing."""
        tickets = sorted(self.book.search(limit=10_000).tickets, key=lambda one: (one.position, one.fault))
        numbers = {one.id: at for at, one in enumerate(tickets)}
        told = []
        with self.databases.service.connect() as connection:
            for row in connection.execute(select(tables.outbox)):
                notice = row.notice
                told.append((numbers[row.ticket], notice["event"], notice["severity"], notice["occurred_at"], row.why))
            registered = sorted(map(tuple, connection.execute(select(tables.device))))
        histories = [
            [(event.kind, event.occurred_at, event.position, str(event.detail)) for event in self.book.history(one.id)]
            for one in tickets
        ]
        seen = [(*one.fault, one.state, one.severity, one.position, one.recovered, one.reason) for one in tickets]
        return [seen, histories, sorted(told), registered]


def filled(seed: int = 1, polls: int = 30) -> Journal:
    """Three recorders of two agents fill up and are cleaned, with a backlog, ticks, gaps and inventories between."""
    chance, journal, t = random.Random(seed), Journal(), START
    levels = {("agent-1", "nvr1"): 80.0, ("agent-1", "nvr2"): 85.0, ("agent-2", "nvr3"): 88.0}
    for at in range(polls):
        t += EVERY
        for (agent, device), level in levels.items():
            levels[agent, device] = level + chance.choice([3.0, 2.0, -9.0])
            values = [level, None if chance.random() < 0.1 else level + 4]
            records = [poll(device, *values, t=t)]
            if chance.random() < 0.1:
                records.append(inventory(device, t, firmware=f"v{at}"))
            late = HOUR if agent == "agent-2" and at < polls / 2 else 0
            journal.block(*records, agent=agent, arrived=t + late, behind=chance.randrange(2) if late else 0)
        if chance.random() < 0.3:
            journal.tick(t + 1)
    return journal


@pytest.fixture
def world(databases: Databases, tmp_path) -> World:
    return World(databases, tmp_path / "state", filled())


def test_findings_become_tickets_and_devices_are_registered(databases, tmp_path):
    journal = Journal()
    happened = inventory("nvr1", event="device replaced", what="serial", before="1", after="123")
    happened.kind = "event"
    journal.block(poll("nvr1", 91.0, 50.0), inventory("nvr1", model="DS-7608", serial="123"), happened)
    journal.block(poll("pc1", 96.0, shape=SERVER, t=START + 5), agent="agent-2", shape=SERVER)
    world = World(databases, tmp_path, journal)
    world.run()
    faults = sorted((*ticket.fault, ticket.severity) for ticket in world.book.search().tickets)
    assert faults == [
        ("s1", "nvr1", "volume.filling", "/a", "warning"),
        ("s1", "pc1", "volume.filling", "/a", "critical"),
    ]
    with databases.service.connect() as connection:
        first, second = sorted(map(tuple, connection.execute(select(tables.device))))
        events = [dict(row["text"]) for row in happenings.of_device(connection, "s1", "nvr1")]
    assert events == [happened.text]
    told = {"model": "DS-7608", "serial": "123"}
    assert first == ("s1", "nvr1", "agent-1", "recorder", "hikvision.recorder", told, START, START)
    assert second == ("s1", "pc1", "agent-2", "server", "server.host", {}, START + 5, START + 5)
    assert world.rules.cursor() == 2
    assert world.rules.verdicts == {Verdict.OPEN: 2}


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_how_the_journal_is_cut_changes_nothing(world, sqlite_databases, tmp_path, most):
    world.run(most)
    other = World(sqlite_databases, tmp_path / "other", world.journal)
    other.run(5)
    assert other.outcome() == world.outcome()
    assert len(world.outcome()[0]) > 3


def test_entries_given_again_change_nothing(world):
    world.run()
    before = world.outcome()
    for stretch in cut(world.journal.entries, [9]):
        world.rules.apply(stretch)
    assert world.outcome() == before


def test_a_restart_replays_only_what_the_snapshot_does_not_cover(world):
    world.run()
    before = world.outcome()
    world.begin()
    replayed = []
    read = world.journal.read
    world.journal.read = lambda after, limit: replayed.append(after) or read(after, limit)  # type: ignore[method-assign]
    entry = world.journal.tick(START + HOUR)
    world.rules.apply([entry])
    snapshot = Snapshots(world.folder).load(10**9)
    assert snapshot is not None
    assert replayed[0] == snapshot.position > len(world.journal.entries) - 90
    assert world.outcome() == before
    world.rules.close()
    last = Snapshots(world.folder).load(10**9)
    assert last is not None
    assert last.position == entry.position
    assert world.rules.needed_after() == snapshot.position


@pytest.mark.parametrize("loss", ["all snapshots", "newest spoilt", "other rules"])
def test_without_its_snapshot_the_state_is_made_again_from_the_journal(world, tmp_path, loss):
    *most, last = cut(world.journal.entries, [40])
    for stretch in most:
        world.time += 30
        world.rules.apply(stretch)
    manifests = sorted(world.folder.glob("*.json"))
    assert len(manifests) == 2
    if loss == "all snapshots":
        for manifest in manifests:
            manifest.unlink()
    elif loss == "newest spoilt":
        manifests[-1].write_bytes(b"")
    else:
        Snapshots(world.folder).save(len(most) * 40, {"strange": b""})
    world.begin()
    world.rules.apply(last)
    assert world.outcome() == expected(world.journal, tmp_path)


def test_a_snapshot_ahead_of_a_database_restored_from_a_copy_is_not_used(world, sqlite_databases, tmp_path):
    half = len(world.journal.entries) // 2
    older = World(sqlite_databases, world.folder, world.journal)
    older.rules.apply(world.journal.entries[:half])
    older.rules.close()
    world.run(50)
    world.rules.close()
    assert [int(file.stem) for file in sorted(world.folder.glob("*.json"))] == [half, world.journal.head()]
    older.begin()
    older.run()
    assert older.outcome() == world.outcome()


RULES = """
- id: volume.full
  on: {table: volume, device: recorder}
  when:
    warning: used_percent > 90 for 2m
    critical: avg(used_percent, 10m) > 93
  recover: {when: used_percent < 85, for: 1m}
  ticket:
    title: {zh: "{device} {instance} {used_percent}", en: "{device} {instance} {used_percent}"}
    advice: {zh: "清理", en: "Make room."}
- id: agent.silent
  on: {table: agent}
  when: {warning: absent() >= 3m}
  recover: {when: absent() < 30s}
  ticket:
    title: {zh: "{device} 没有消息", en: "{device} is silent"}
    advice: {zh: "检查", en: "Look after it."}
"""


def real(parts: Mapping[str, bytes] | None = None) -> Engine:
    """The engine that ships, with rules over values, time and silence."""
    rules = ruleset([("rules.yaml", RULES)])
    return Engine(rules) if parts is None else Engine.restore(rules, parts)


def eventful(seed: int) -> Journal:
    """Half an hour with a tick every 10 s; volumes fill and are cleaned, and one agent is silent for a while."""
    chance, journal, level = random.Random(seed), Journal(), 80.0
    for at in range(180):
        t = START + at * 10_000
        if at % 6 == 0:
            level += chance.choice([4.0, 3.0, 2.0, -16.0])
            journal.block(poll("nvr1", level, chance.choice([level - 2, None]), t=t))
            if not 40 < at < 80:
                journal.block(poll("nvr2", level + 1, 96.0, t=t), agent="agent-2")
        journal.tick(t + 1)
    return journal


def expected(journal: Journal, tmp_path, make=Watcher) -> list:
    """The outcome of a run that nothing disturbs."""
    databases = open_sqlite(tmp_path / "undisturbed")
    databases.migrate()
    world = World(databases, tmp_path / "undisturbed-state", journal, make=make)
    world.run()
    outcome = world.outcome()
    databases.close()
    return outcome


class Crash(Exception):
    """What a test throws into the works."""


class Saboteur:
    """Lets the n-th call of any watched function fail, before or after it did its work."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.crashes = 0
        self.fuse = 0
        self.light()

    def light(self) -> None:
        self.fuse = self.chance.randrange(1, 14)

    def watch(self, monkeypatch, owner, name: str) -> None:
        work = getattr(owner, name)

        def watched(*args, **kwargs):
            self.fuse -= 1
            after = self.chance.random() < 0.5
            if self.fuse == 0 and not after:
                self.crash()
            result = work(*args, **kwargs)
            if self.fuse == 0:
                self.crash()
            return result

        monkeypatch.setattr(owner, name, watched)

    def crash(self) -> None:
        self.crashes += 1
        self.light()
        raise Crash


@pytest.mark.parametrize("seed", range(4))
def test_crashes_anywhere_lead_to_the_tickets_of_a_run_without(databases, tmp_path, monkeypatch, seed):
    disturbed(filled(seed), Watcher, Watcher, databases, tmp_path, monkeypatch, seed)


@pytest.mark.parametrize("seed", range(4))
def test_crashes_anywhere_lead_to_the_same_tickets_with_the_real_engine(sqlite_databases, tmp_path, monkeypatch, seed):
    wanted = disturbed(eventful(seed), Engine, real, sqlite_databases, tmp_path, monkeypatch, seed)
    assert {fault[2] for fault in wanted[0]} == {"volume.full", "agent.silent"}


def disturbed(journal, engine, make, databases, tmp_path, monkeypatch, seed) -> list:
    """Runs a journal through with crashes, and compares with the run without."""
    wanted = expected(journal, tmp_path, make)
    saboteur = Saboteur(seed)
    for owner, name in (
        (engine, "apply"),
        (Book, "apply"),
        (devices_module.Devices, "write"),
        (devices_module.Devices, "settle"),
        (snapshots_module, "_write"),
        (Evaluation, "_rebuild"),
    ):
        saboteur.watch(monkeypatch, owner, name)
    world = World(databases, tmp_path / "state", journal, make=make)
    while (cursor := world.rules.cursor()) < journal.head():
        stretch = journal.read(cursor, saboteur.chance.randrange(1, 12))
        world.time += 4
        try:
            world.rules.apply(stretch)
        except Crash:
            if saboteur.chance.random() < 0.6:
                world.begin()
    assert saboteur.crashes >= 8
    monkeypatch.undo()
    assert world.outcome() == wanted
    return wanted


def test_a_database_that_is_down_loses_nothing_and_the_engine_is_asked_once(world, tmp_path):
    world.rules.apply(world.journal.entries[:20])
    write, calls = world.book.apply, []

    def down(*args, **kwargs):
        calls.append(args[1])
        raise Crash

    world.book.apply = down
    for end in (40, 40, 45):
        with pytest.raises(Crash):
            world.rules.apply(world.journal.entries[20:end])
    assert calls == [40, 40, 40]
    world.book.apply = write
    world.run()
    assert world.outcome() == expected(world.journal, tmp_path)
    snapshot = Snapshots(world.folder).load(10**9)
    assert snapshot is not None
    world.rules.close()


def test_a_journal_that_was_cut_short_is_said_and_evaluation_goes_on(world, caplog):
    world.rules.apply(world.journal.entries[:60])
    for manifest in world.folder.glob("*.json"):
        manifest.unlink()
    del world.journal.entries[:30]
    world.begin()
    world.run()
    assert "the journal no longer has all that the rules had seen" in caplog.text
    assert world.rules.cursor() == world.journal.head()


def test_a_full_disk_under_the_snapshots_is_said_and_stops_nothing(world, caplog, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots_module, "_write", full)
    world.run()
    assert world.rules.cursor() == world.journal.head()
    assert "the state of the rules could not be kept" in caplog.text


def test_a_device_that_changes_its_kind_or_agent_is_registered_anew_and_only_then(databases, tmp_path):
    journal = Journal()
    journal.block(poll("d1", 1.0, 1.0), poll("d1", 2.0, 2.0, t=START + 1))
    world = World(databases, tmp_path, journal)
    world.run()
    journal.block(poll("d1", 1.0, shape=SERVER, t=START + 2), shape=SERVER)
    journal.block(poll("d1", 1.0, shape=SERVER, t=START + 3), shape=SERVER, agent="agent-2")
    journal.block(poll("d1", 1.0, shape=SERVER, t=START + 4), shape=SERVER, agent="agent-2")
    world.run()
    with databases.service.connect() as connection:
        (row,) = connection.execute(select(tables.device)).all()
    assert (row.kind, row.agent, row.first_seen, row.last_seen) == ("server", "agent-2", START + 1, START + 3)
    journal.block(poll("d1", 1.0, 1.0, t=START + 5), agent="agent-2")
    world.begin()
    world.run()
    with databases.service.connect() as connection:
        (row,) = connection.execute(select(tables.device)).all()
    assert (row.kind, row.profile, row.last_seen) == ("recorder", "hikvision.recorder", START + 5)


def test_a_tick_alone_moves_the_cursor(databases, tmp_path):
    journal = Journal()
    journal.tick(START)
    world = World(databases, tmp_path, journal)
    world.run()
    assert world.rules.cursor() == 1
    assert world.book.search().tickets == []


def test_open_tickets_stay_open_while_nothing_is_known(databases, tmp_path):
    journal = Journal()
    journal.block(poll("nvr1", 99.0, 1.0))
    for n in range(1, 5):
        journal.block(poll("nvr1", None, None, t=START + n))
    world = World(databases, tmp_path, journal)
    world.run()
    (ticket,) = world.book.search().tickets
    assert (ticket.state, ticket.recovered) == (State.OPEN, None)


class Choosy(Watcher):
    """A watcher whose rules make a mistake at one value, after they have changed part of their state."""

    def _judge(self, key: str, value: float, **facts) -> list[Finding]:
        if value == POISON:
            self.holding.clear()
            raise ZeroDivisionError("float division by zero")
        return super()._judge(key, value, **facts)


POISON = -7.0


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_an_entry_that_the_rules_cannot_take_is_set_aside_and_named_and_all_else_is_evaluated(
    sqlite_databases, tmp_path, caplog, most
):
    journal = filled()
    wanted = expected(journal, tmp_path)
    for at in (50, 21, 20):
        journal.entries.insert(at, journal.block(poll("nvr9", POISON, 99.0), agent="agent-9"))
        journal.entries.pop()
    journal.entries = [entry._replace(position=n) for n, entry in enumerate(journal.entries, 1)]
    world = World(sqlite_databases, tmp_path / "choosy", journal, make=Choosy)
    world.run(most)
    assert world.rules.cursor() == journal.head()
    assert world.rules.set_aside == 3
    named = [record for record in caplog.records if record.message == "an entry was set aside for the rules"]
    assert len(named) == 3
    tickets, _, told, registered = world.outcome()
    assert [(*one[:6], one[7]) for one in tickets] == [(*one[:6], one[7]) for one in wanted[0]]
    assert (told, registered) == (wanted[2], wanted[3])
    for manifest in (tmp_path / "choosy").glob("*.json"):
        manifest.unlink()
    world.begin()
    journal.tick(START + HOUR * 100)
    world.run()
    assert world.rules.cursor() == journal.head()
    assert world.rules.set_aside == 3
