"""Presence at the collector: the newest word of an agent is kept, whatever order a broker delivers in."""

from __future__ import annotations

import pytest

from collector.intake.presences import PresenceBook, presences_of
from collector.register import Register
from collector.storage.database import Databases, StorageError
from forewarn.bus.loopback import Exchange, LoopbackBus
from forewarn.manifest import Manifest
from forewarn.signals import Presence, presence_topic, seal_presence
from tests import blocks
from tests.blocks import NOW

MANIFEST = Manifest(epoch="E1", first=1, last=40, count=40, hash="ab" * 16, since=NOW)


class Heard:
    """A presence book and who speaks to it."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        blocks.enrolled(databases, "a1")
        bus = LoopbackBus(Exchange(), "collector")
        self.book = PresenceBook(databases.journal, Register(databases), bus, now=lambda: NOW)

    def say(self, state: str, conn: int, boot: str = "B1", agent: str = "a1", **more: object) -> None:
        said = Presence(state=state, epoch="E1", boot=boot, conn=conn, **more)  # type: ignore[arg-type]
        self.raw(presence_topic(agent), seal_presence(said))

    def raw(self, topic: str, payload: bytes) -> None:
        done: list[bool] = []
        self.book.receive(topic, payload, lambda: done.append(True))
        assert done == [True], "the broker is never kept waiting"

    def kept(self) -> list[tuple[str, int, str]]:
        rows = presences_of(self.databases.journal, ["a1", "a2"])
        return [(row.state, row.conn, row.why) for row in rows.values()]


@pytest.fixture
def heard(databases: Databases) -> Heard:
    return Heard(databases)


@pytest.mark.parametrize("written", [True, False])
def test_a_late_will_of_an_older_connection_does_not_overwrite_a_newer_birth(heard: Heard, written: bool) -> None:
    heard.say("online", 3)
    heard.say("online", 4)
    if written:
        heard.book.keep()
    heard.say("offline", 3, why="the connection broke")
    heard.book.keep()
    assert heard.kept() == [("online", 4, "")]
    assert heard.book.late == 1
    heard.say("offline", 4, why="the connection broke")
    heard.book.keep()
    assert heard.kept() == [("offline", 4, "the connection broke")]


def test_an_agent_that_lost_its_folder_is_believed_when_it_is_born_again(heard: Heard) -> None:
    heard.say("online", 30, boot="B1")
    heard.book.keep()
    heard.say("offline", 1, boot="B2")
    heard.book.keep()
    assert heard.kept() == [("online", 30, "")]
    heard.say("online", 1, boot="B2")
    heard.book.keep()
    assert heard.kept() == [("online", 1, "")]


def test_the_newest_manifest_is_kept_as_a_promise(heard: Heard) -> None:
    heard.say("online", 1, manifest=MANIFEST)
    heard.book.keep()
    assert presences_of(heard.databases.journal, ["a1"])["a1"].promised == 40


def test_nothing_is_kept_of_agents_that_nobody_registered(heard: Heard) -> None:
    heard.say("online", 1, agent="a2")
    heard.book.keep()
    assert heard.kept() == []


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("fw/1/p/a1", b"garbage"),
        ("fw/1/p/a1", b"x" * 20_000),
        ("fw/1/p/a1", b'{"state":1}'),
        ("fw/1/p", b"{}"),
        ("fw/1/p/a1/b", b"{}"),
    ],
)
def test_what_is_no_presence_is_counted(heard: Heard, topic: str, payload: bytes) -> None:
    heard.raw(topic, payload)
    heard.book.keep()
    assert (heard.book.refused, heard.kept()) == (1, [])


def test_made_up_names_do_not_fill_the_memory(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.intake.presences.MOST", 10)
    for number in range(50):
        heard.say("online", 1, agent=f"x{number}")
    assert len(heard.book._heard) == 10
    assert heard.book.refused == 40


def test_what_could_not_be_written_is_written_by_the_next_call(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    heard.say("online", 1)
    with monkeypatch.context() as patched:
        patched.setattr(heard.book, "_keep", lambda _: (_ for _ in ()).throw(StorageError("away")))
        with pytest.raises(StorageError):
            heard.book.keep()
    heard.book.keep()
    assert heard.kept() == [("online", 1, "")]
