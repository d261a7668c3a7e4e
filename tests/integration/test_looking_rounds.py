"""The running agent looks for devices that nobody watches: it tells each once, polls none, and notes what it sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.devices.remembered import Memory
from agent.discovery import rounds
from agent.discovery.rounds import Rounds
from agent.discovery.search import Search
from agent.guard import GLANCE, Guard
from agent.logbook import pages, wording
from agent.logbook.book import LogBook
from agent.logbook.pages import Entry
from agent.profiles.files import shipped
from agent.reading import Happening
from agent.settings import load
from agent.snmp.opening import opener
from forewarn import consent as consents
from forewarn.demo.responder import Device, Responder
from forewarn.vocabulary import Source
from tests.agents import AGENT, SECRET, SITE, SystemClock, signed, write_consent
from tests.polling import RECORDINGS, Kept

NETWORK = "127.77.7.0/29"
DAY = 86_400_000


class Looked:
    """An agent's folder, what it put into the spool, and what its log book says."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.clock = folder, port, SystemClock()
        self.kept = Kept()
        self.private, self.public = consents.new_key()
        (folder / "agent").mkdir()
        self.consent()
        self.settle()

    def consent(self, scopes: tuple[Source, ...] = (Source.DISCOVERY, Source.SNMP), network: str = NETWORK) -> None:
        write_consent(
            self.folder / "agent" / "consent.json", signed(self.private, scopes=list(scopes), networks=[network])
        )

    def settle(self, more: str = "") -> None:
        (self.folder / "agent.yaml").write_text(
            f"site: {SITE}\nagent: {AGENT}\nshard: 7\nsecret: '{SECRET}'\nfolder: {self.folder / 'agent'}\n"
            f"broker: {{host: 127.0.0.1}}\ntrusted_keys: ['{self.public}']\ncredentials: {{floor: {{community: sight}}}}\n"
            f"discovery: {{enabled: true, rate: 200, snmp_port: {self.port}}}\n{more}"
        )

    def look(self, times: int = 1, *, run: bool = False) -> None:
        """One start of the agent, so many looks; what it remembers is read from its file anew."""
        settings = load(self.folder / "agent.yaml", env={})
        data = settings.folder
        guard = Guard(data, settings.consent_file, site=SITE, trusted=[self.public], clock=self.clock)
        book = LogBook(data / pages.FOLDER, clock=self.clock)
        book.start("E", 0)
        begin = partial(Search, permit=guard.refuses, profiles=shipped(), open_session=opener(), snmp_port=self.port)
        self.memory = Memory(data, [device.name for device in settings.devices])
        looking = Rounds(
            settings,
            guard=guard,
            permit=guard.refuses,
            sink=self.kept,
            log_book=book,
            memory=self.memory,
            begin=begin,
            clock=self.clock,
        )

        async def steps() -> None:
            for _ in range(times):
                await looking.look()

        async def running() -> None:
            before = len(self.kept.items)
            task = asyncio.create_task(looking.run())
            async with asyncio.timeout(15):
                while len(self.kept.items) == before:
                    await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(running() if run else steps())
        book.close()

    def told(self, kind: str) -> list[Happening]:
        return [item for item in self.kept.items if isinstance(item, Happening) and item.kind == kind]

    def noted(self) -> list[Entry]:
        stored = [one for page in pages.pages(self.folder / "agent" / pages.FOLDER) for one in pages.read(page).stored]
        return [one.entry for one in stored if one.entry.kind == pages.LOOKED]


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


def switch(responder: Responder, address: str = "127.77.7.1", port: int = 0) -> Device:
    text = (RECORDINGS / "switch.h3c.snmprec").read_text()
    return responder.add(text, address=address, port=port, community="sight")


def test_one_that_nobody_watches_is_told_once_and_again_only_when_it_is_another_or_a_day_later(responder, tmp_path):
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    site.look(times=2)
    site.look()
    [event], [inventory] = site.told("event"), site.told("inventory")
    assert (event.device, event.address) == (AGENT, "127.77.7.1")
    assert event.text["event"] == "device nobody watches"
    known = {"address": "127.77.7.1", "answers": "SNMP", "profile": "switch.h3c"}
    assert known.items() <= event.text.items()
    told = {word: text for word, text in event.text.items() if word != "event"}
    assert inventory.text == told | {"watched": "no"}
    assert inventory.device == inventory.text["serial"]
    device.set("1.3.6.1.2.1.1.5.0", 4, "other name")
    site.look()
    assert [one.text["name"] for one in site.told("inventory")] == [inventory.text["name"], "other name"]
    site.clock.shift += DAY
    site.consent()
    write_later(site)
    site.look()
    assert len(site.told("inventory")) == 3
    assert len(site.told("event")) == 1


def write_later(site: Looked) -> None:
    """A consent that is in force on the clock's day too."""
    now = site.clock.now()
    times = {"valid_from": consents.instant(now - 60_000), "valid_until": consents.instant(now + 3_600_000)}
    given = signed(site.private, scopes=[Source.DISCOVERY, Source.SNMP], networks=[NETWORK], **times)
    write_consent(site.folder / "agent" / "consent.json", given)


def test_it_is_never_polled_and_what_is_sent_stands_in_the_log_book_first(responder, tmp_path, monkeypatch):
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    asked_at_note: list[int] = []
    before = LogBook.looked

    def watched(book, text):
        asked_at_note.append(device.requests)
        before(book, text)

    monkeypatch.setattr(LogBook, "looked", watched)
    site.look()
    assert asked_at_note[0] == 0 < asked_at_note[1] == device.requests
    began, ended = site.noted()
    assert wording.act(began).startswith(f"Looking for devices in {NETWORK} (6 addresses, by the agent): No ping")
    assert "with each of floor" in began.text["how"]
    says = f"Looked for devices in {NETWORK} (6 addresses, by the agent): 6 asked, found 127.77.7.1 (SNMP)"
    assert wording.act(ended) == says


def test_once_it_is_in_the_settings_that_is_told_and_it_is_asked_no_more(responder, tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "SETTLE", 0.05)
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    site.look()
    before, key = device.requests, site.told("inventory")[0].device
    site.settle("devices: [{name: sw-9, address: 127.77.7.1}]\n")
    site.look(run=True)
    last = site.told("inventory")[-1]
    assert (last.device, last.text) == (key, {"address": "127.77.7.1", "watched": "yes"})
    assert device.requests == before
    assert site.memory.unwatched == {}


def test_one_of_the_settings_that_moved_is_no_stranger(responder, tmp_path):
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    site.look()
    serial = site.told("inventory")[0].text["serial"]
    (tmp_path / "agent" / "devices.json").unlink()
    site.kept.items.clear()
    site.settle("devices: [{name: sw-9, address: 127.77.9.9}]\n")
    memory = Memory(tmp_path / "agent", ["sw-9"])
    memory.devices["sw-9"].identity = {"serial": serial}
    memory.save()
    site.look()
    assert site.kept.items == []


@pytest.mark.parametrize(
    ("scopes", "network", "why"),
    [
        ((Source.SNMP,), NETWORK, "scope not granted"),
        ((Source.DISCOVERY,), NETWORK, "no way of asking that the consent grants"),
        ((Source.DISCOVERY, Source.SNMP), "127.77.0.0/20", "name `discovery: {networks: [...]}` where to look"),
        ((Source.DISCOVERY, Source.SNMP), "127.0.0.0/8", "has more than 65536 addresses"),
    ],
)
def test_without_consent_or_bounds_nothing_is_sent_and_the_log_says_why(
    responder, tmp_path, caplog, scopes, network, why
):
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    site.consent(scopes, network)
    with caplog.at_level(logging.WARNING):
        site.look(times=2)
    said = [record.facts["why"] for record in caplog.records if record.message == "nobody is looked for"]
    assert [why in each for each in said] == [True]
    assert device.requests == 0
    assert site.noted() == []


def test_so_many_are_remembered_and_the_rest_is_counted(responder, tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "MOST", 1)
    device = switch(responder)
    for host in (2, 3):
        switch(responder, f"127.77.7.{host}", device.port)
    site = Looked(tmp_path, device.port)
    site.look(times=2)
    events = [one.text for one in site.told("event")]
    assert [text["event"] for text in events] == ["device nobody watches", "more devices nobody watches"]
    assert events[1]["count"] == "2"
    assert len(site.memory.unwatched) == 1


def test_what_a_consent_that_ended_meanwhile_kept_back_is_told_later(responder, tmp_path, monkeypatch):
    device = switch(responder)
    site = Looked(tmp_path, device.port)
    stop = tmp_path / "agent" / "STOP"
    asked = Search.run

    async def stopped(self):
        found = await asked(self)
        stop.touch()
        await asyncio.sleep(GLANCE * 1.2)  # So long an answer of the file system is trusted.
        return found

    monkeypatch.setattr(Search, "run", stopped)
    site.look()
    assert site.kept.items == []
    assert site.memory.unwatched == {}
    monkeypatch.setattr(Search, "run", asked)
    stop.unlink()
    site.look()
    assert len(site.told("event")) == 1
