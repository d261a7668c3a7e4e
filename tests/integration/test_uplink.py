"""Delivery over a real mosquitto to a collector that misbehaves: every record arrives once, in order, or is declared."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.delivery.cutting import Identity
from agent.delivery.pace import Tempo
from agent.delivery.presence import Presences
from agent.delivery.spool import Barred, Spool
from agent.delivery.spoolfile import SpoolFile
from agent.delivery.uplink import Status, Uplink
from agent.guard import STOP, Guard, withdraw
from forewarn import consent as consents
from forewarn import signals
from forewarn.bus import Backoff, Broker, Bus, Done
from forewarn.bus.mqtt import MqttBus
from forewarn.manifest import Manifest
from forewarn.signals import Presence
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Record, Shape, TableShape
from tests import servers
from tests.agents import AGENT, SECRET, SHAPE, SHARD, SITE, ScriptedCollector, SystemClock, signed, until, write_consent

QUICK = Tempo(patience=0.6, patience_most=2.0, held=0.2, held_most=0.5, gather=0.05, glance=0.1, spread=0.05)


class Sender:
    """A spool, a guard and an uplink in a thread of their own, and a hand to put records with."""

    def __init__(self, folder: Path, port: int, tempo: Tempo = QUICK) -> None:
        self.folder = folder
        self.clock = SystemClock()
        private, public = consents.new_key()
        self.private = private
        self.consent = signed(private)
        folder.mkdir(exist_ok=True)
        write_consent(folder / "consent.json", self.consent)
        self.guard = Guard(folder, folder / "consent.json", site=SITE, trusted=[public], clock=self.clock)
        self.spool = Spool(folder / "spool", clock=self.clock, linger=0.001)
        self.bus = _bus(port, AGENT)
        who = Identity(SITE, AGENT, SHARD, signals.derive(SECRET, "ack"), "run-1")
        presences = Presences(folder, AGENT, "run-1")
        self.uplink = Uplink(
            self.bus, self.spool, self.guard, who=who, presences=presences, clock=self.clock, tempo=tempo
        )
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def start(self) -> None:
        self.thread.start()
        self.do(self.spool.open())
        self.task = asyncio.run_coroutine_threadsafe(self.uplink.run(), self.loop)

    def do(self, coroutine) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def put(self, *times: int) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(one(t) for t in times))

        async def one(t: int) -> None:
            with contextlib.suppress(Barred):  # As the door does.
                await self.spool.put(_record(t), SHAPE, self.consent.id)

        self.do(all_of_them())

    @property
    def status(self) -> Status:
        return self.uplink.status

    def stop(self) -> None:
        self.task.cancel()
        self.do(self.spool.close())
        self.bus.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def _record(t: int) -> Record:
    return Record(seq=0, t=t, device="cam", values=[1.0])


def _bus(port: int, name: str) -> MqttBus:
    return MqttBus(Broker(host="127.0.0.1", port=port), name, backoff=Backoff(0.05, 0.2))


@contextlib.contextmanager
def going(sender: Sender, *buses: Bus) -> Iterator[None]:
    for bus in buses:
        bus.connect()
    for bus in buses:
        until(lambda bus=bus: bus.state.connected)  # type: ignore[misc]
    sender.start()
    try:
        yield
        if not sender.task.done():
            return
        sender.task.result()
    finally:
        sender.stop()
        for bus in buses:
            bus.close()


@pytest.fixture
def sender(tmp_path: Path, broker: servers.Mosquitto) -> Sender:
    return Sender(tmp_path / "agent", broker.port)


@pytest.fixture
def collector(broker: servers.Mosquitto) -> ScriptedCollector:
    return ScriptedCollector(_bus(broker.port, "collector"))


def arrived(collector: ScriptedCollector, expected: list[int]) -> None:
    until(lambda: len(collector.times()) >= len(expected), lambda: f"{len(collector.times())} of {len(expected)}")
    assert collector.times() == expected
    assert collector.wrong == []


def emptied(sender: Sender) -> None:
    until(lambda: sender.spool.standing.records == 0, lambda: (sender.spool.standing, sender.status))


def test_records_arrive_once_in_order_and_leave_the_spool_when_acknowledged(
    sender: Sender, collector: ScriptedCollector
) -> None:
    with going(sender, collector.bus):
        sender.put(*range(3000))
        arrived(collector, list(range(3000)))
        emptied(sender)
        assert set(collector.consents) == {sender.consent.id}
        assert sender.status.window > 4
        assert max(len(block.records) for block in collector.blocks) == 200
        assert collector.blocks[-1].boot == "run-1"


def test_a_live_record_leaves_within_a_second(sender: Sender, collector: ScriptedCollector) -> None:
    with going(sender, collector.bus):
        for t in range(5):
            sender.put(t)
            began = time.monotonic()
            arrived(collector, list(range(t + 1)))
            assert time.monotonic() - began < 5  # A deadline of the test, not a measure: it says "not after patience".
            emptied(sender)


def test_nothing_leaves_the_spool_on_the_brokers_word_alone(sender: Sender, collector: ScriptedCollector) -> None:
    collector.mute = True
    with going(sender, collector.bus):
        sender.put(*range(10))
        arrived(collector, list(range(10)))
        until(lambda: sender.status.rewinds >= 2)
        assert sender.spool.standing.records == 10
        collector.mute = False
        emptied(sender)
        assert collector.times() == list(range(10))
        assert collector.duplicates > 0


def test_blocks_that_vanish_are_sent_again(sender: Sender, collector: ScriptedCollector) -> None:
    with going(sender, collector.bus):
        for round_ in range(5):
            collector.deaf = 2
            sender.put(*range(round_ * 1000, round_ * 1000 + 1000))
        arrived(collector, [t for r in range(5) for t in range(r * 1000, r * 1000 + 1000)])
        emptied(sender)


def test_a_forged_acknowledgement_deletes_nothing_and_is_counted(sender: Sender, collector: ScriptedCollector) -> None:
    collector.mute = True
    with going(sender, collector.bus):
        sender.put(*range(5))
        arrived(collector, list(range(5)))
        collector.mute = False
        epoch = sender.spool.standing.epoch
        collector.ack(epoch, 5, key="11" * 32)
        until(lambda: sender.status.forged == 1)
        assert sender.spool.standing.records == 5
        collector.ack(epoch, 5)
        emptied(sender)


def test_held_blocks_stay_the_reason_is_shown_and_they_leave_when_taken(
    sender: Sender, collector: ScriptedCollector
) -> None:
    collector.held = "unknown_consent"
    with going(sender, collector.bus):
        sender.put(*range(5))
        until(lambda: sender.status.held == "unknown_consent")
        assert sender.spool.standing.records == 5
        collector.held = ""
        arrived(collector, list(range(5)))
        emptied(sender)
        until(lambda: sender.status.held == "")


def test_the_answer_to_what_is_under_way_tells_how_far_our_clock_is_ahead_and_an_old_one_does_not(
    sender: Sender, collector: ScriptedCollector
) -> None:
    with going(sender, collector.bus):
        sender.put(0)
        emptied(sender)
        assert sender.status.clock_ahead is None, "a collector that does not tell the time"
        assert sender.status.answered == pytest.approx(time.time() * 1000, abs=60_000)
        collector.behind = 86_400_000
        collector.again()
        collector.behind = 300_000
        sender.put(1)
        until(lambda: sender.status.clock_ahead is not None)
        assert sender.status.clock_ahead == pytest.approx(300, abs=60)


def test_a_collector_without_our_key_can_hold_us_but_not_delete(sender: Sender, collector: ScriptedCollector) -> None:
    collector.held, collector.key = "unknown_agent", None
    with going(sender, collector.bus):
        sender.put(1, 2)
        until(lambda: sender.status.held == "unknown_agent (unproven)")
        assert sender.spool.standing.records == 2


def test_a_new_run_of_the_collector_makes_the_agent_send_again_at_once(
    broker: servers.Mosquitto, tmp_path: Path, collector: ScriptedCollector
) -> None:
    sender = Sender(tmp_path / "agent", broker.port, QUICK._replace(patience=3600.0))
    with going(sender, collector.bus):
        sender.put(*range(5))
        emptied(sender)
        collector.deaf = 1
        sender.put(*range(5, 10))
        until(lambda: collector.deaf == 0)
        collector.boot = "boot-2"
        collector.again()
        arrived(collector, list(range(10)))
        emptied(sender)


def test_a_killed_broker_costs_nothing(sender: Sender, collector: ScriptedCollector, broker: servers.Mosquitto) -> None:
    with going(sender, collector.bus):
        sender.put(*range(2000))
        broker.kill()
        sender.put(*range(2000, 2500))
        until(lambda: not sender.status.connected)
        broker.start()
        arrived(collector, list(range(2500)))
        emptied(sender)


def test_a_connection_that_comes_back_begins_with_one_block_and_no_burst(
    broker: servers.Mosquitto, tmp_path: Path, collector: ScriptedCollector
) -> None:
    sender = Sender(tmp_path / "agent", broker.port, QUICK._replace(patience=3600.0))
    with going(sender, collector.bus):
        sender.put(*range(2000))
        emptied(sender)
        assert sender.status.window >= 8
        broker.stop()
        until(lambda: not sender.status.connected)
        sender.put(*range(2000, 6000))
        collector.mute = True
        before = sender.status.blocks
        broker.start()
        until(lambda: sender.status.blocks > before)
        until_steady(lambda: sender.status.blocks)
        assert sender.status.blocks - before == 1, (
            "what waits for an answer is one block, no queue of the old connection"
        )
        until(lambda: collector.bus.state.connected)
        collector.mute, collector.boot = False, "boot-2"
        collector.again()
        arrived(collector, list(range(6000)))
        emptied(sender)


def test_a_broker_that_reads_nothing_is_never_handed_more_than_a_window(
    broker: servers.Mosquitto, tmp_path: Path, collector: ScriptedCollector
) -> None:
    sender = Sender(tmp_path / "agent", broker.port, QUICK._replace(patience=0.3, patience_most=0.4))
    with going(sender, collector.bus):
        sender.put(*range(2000))
        emptied(sender)
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        sender.put(*range(2000, 6000))
        before = sender.status.rewinds
        until(lambda: sender.status.rewinds >= before + 4)
        assert 1 <= sender.uplink._unsent_count() <= QUICK.window
        broker.process.send_signal(signal.SIGCONT)
        arrived(collector, list(range(6000)))
        emptied(sender)


@pytest.mark.parametrize("how", ["beyond", "forked"])
def test_a_cloned_machine_is_told_by_the_collector_and_numbers_anew(
    sender: Sender, collector: ScriptedCollector, how: str
) -> None:
    collector.mute = True
    with going(sender, collector.bus):
        sender.put(*range(5))
        arrived(collector, list(range(5)))
        old = sender.spool.standing.epoch
        collector.mute = False
        if how == "beyond":
            collector.ack(old, 99)
        else:
            collector.ack(old, 0, held="forked")
        emptied(sender)
        answered = sender.status.answered
        collector.ack(old, 0, held="forked")  # The answer to another block that was under way.
        until(lambda: sender.status.answered > answered)
        assert sender.status.held == "", "what is said of an epoch that is over holds nobody back"
        assert sender.spool.standing.epoch != old
        new = [record for epoch, record in collector.taken if epoch != old]
        assert [record.kind for record in new] == ["event"] + [""] * 5
        assert new[0].text["from"] == old
        assert collector.times() == [*range(5), *range(5)]
        assert collector.wrong == []


def test_what_a_withdrawn_consent_covered_never_leaves_even_when_the_next_one_is_there_at_once(
    sender: Sender, collector: ScriptedCollector
) -> None:
    withdrawn, following = sender.consent, signed(sender.private)
    withdraw(sender.folder, withdrawn.id, sender.clock.now())
    write_consent(sender.folder / "consent.json", following)
    with going(sender, collector.bus):
        sender.put(*range(300))
        sender.consent = following
        sender.put(1000)
        emptied(sender)
        taken = [record for _, record in collector.taken]
        assert [record.t for record in taken if not record.kind] == [1000]
        assert {record.why for record in taken if record.kind} == {"consent withdrawn"}
        assert withdrawn.id not in {block.consent for block in collector.blocks}


def test_a_spool_that_does_not_answer_for_a_while_ends_nothing(
    sender: Sender, collector: ScriptedCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    cut = SpoolFile.cut

    def failing(file: SpoolFile, after: int, most: int, room: int) -> object:
        nonlocal failures
        failures += 1
        if failures < 5:
            raise sqlite3.OperationalError("disk I/O error")
        return cut(file, after, most, room)

    monkeypatch.setattr(SpoolFile, "cut", failing)
    with going(sender, collector.bus):
        sender.put(*range(5))
        arrived(collector, list(range(5)))


def test_blocks_are_cut_so_that_they_fit_and_what_never_fits_is_declared(
    sender: Sender, collector: ScriptedCollector
) -> None:
    names = [secrets.token_hex(1000) for _ in range(90)]
    huge = Shape(DeviceKind.OTHER, "huge", Source.SNMP, [TableShape("disk", names, ["status"])])

    async def put_all() -> None:
        for t in range(12):
            text = {"noise": secrets.token_hex(15_000)}
            await sender.spool.put(Record(seq=0, t=t, kind="event", text=text), None, sender.consent.id)
        await sender.spool.put(Record(seq=0, t=99, device="huge", values=[None] * 90), huge, sender.consent.id)

    with going(sender, collector.bus):
        sender.do(put_all())
        sender.put(100)
        arrived(collector, [100])
        emptied(sender)
        kinds = [record.kind for _, record in collector.taken]
        assert kinds == ["event"] * 12 + ["lost", ""]
        assert "could never travel" in collector.taken[12][1].why
        assert max(len(block.records) for block in collector.blocks) < 12


@pytest.mark.parametrize("how", ["stop", "expired", "removed", "withdrawn"])
def test_nothing_leaves_without_consent_and_all_leaves_when_it_is_back(
    sender: Sender, collector: ScriptedCollector, how: str
) -> None:
    presences: list[Presence] = []

    def seen(_topic: str, payload: bytes, done: Done) -> None:
        presences.append(signals.open_presence(payload))
        done()

    collector.bus.subscribe([signals.presence_topic(AGENT)], seen)
    with going(sender, collector.bus):
        sender.put(1)
        emptied(sender)
        _forbid(sender, how)
        until(lambda: sender.status.forbidden != "", timeout=3)
        sender.put(2, 3)
        blocks = len(collector.blocks)
        until(lambda: presences[-1].state == "offline", timeout=3)
        assert presences[-1].why == sender.status.forbidden
        until_steady(lambda: len(collector.blocks))
        assert len(collector.blocks) == blocks
        _allow(sender, how)
        arrived(collector, [1, 2, 3] if how != "withdrawn" else [1])
        emptied(sender)
        until(lambda: presences[-1].state == "online", timeout=3)
        if how == "withdrawn":
            assert collector.taken[-1][1].why == "consent withdrawn"
            assert (collector.taken[-1][1].begins, collector.taken[-1][1].seq) == (2, 3)


def until_steady(value: Callable[[], int]) -> None:
    """Looks for longer than every timer of the uplink: whatever would still come has come."""
    end = time.monotonic() + 1.0
    first = value()
    while time.monotonic() < end and value() == first:
        time.sleep(0.05)


def _forbid(sender: Sender, how: str) -> None:
    path = sender.folder / "consent.json"
    if how == "stop":
        (sender.folder / STOP).touch()
    elif how == "expired":
        sender.clock.shift = 2 * 3_600_000
    elif how == "removed":
        path.unlink()
    else:
        withdraw(sender.folder, sender.consent.id, sender.clock.now())


def _allow(sender: Sender, how: str) -> None:
    path = sender.folder / "consent.json"
    if how == "stop":
        (sender.folder / STOP).unlink()
    elif how == "expired":
        sender.clock.shift = 0
    elif how == "removed":
        write_consent(path, sender.consent)
    else:
        sender.do(sender.spool.drop(sender.consent.id, "consent withdrawn"))
        write_consent(path, signed(sender.private))


def test_the_hours_manifest_arrives_with_the_records_and_in_the_presence(
    sender: Sender, collector: ScriptedCollector
) -> None:
    presences: list[Presence] = []

    def seen(_topic: str, payload: bytes, done: Done) -> None:
        presences.append(signals.open_presence(payload))
        done()

    collector.bus.subscribe([signals.presence_topic(AGENT)], seen)
    with going(sender, collector.bus):
        sender.put(*range(250))
        emptied(sender)
        assert presences[-1].manifest is None
        sender.do(sender.spool.tend(3600.0, hour=3600.0, consent=sender.consent.id))
        emptied(sender)
        epoch, stated = collector.taken[-1]
        manifest = Manifest.read(stated.text)
        assert (manifest.epoch, manifest.first, manifest.last, manifest.count) == (epoch, 1, 250, 250)
        assert manifest.hash == collector.taken[-2][1].hash, "what the collector came to by its own chain"
        until(lambda: presences[-1].manifest == manifest, lambda: presences[-1])
        assert collector.wrong == []


def test_the_will_of_a_broken_connection_is_told_from_the_birth_of_the_next(
    sender: Sender, collector: ScriptedCollector
) -> None:
    presences: list[Presence] = []

    def seen(_topic: str, payload: bytes, done: Done) -> None:
        presences.append(signals.open_presence(payload))
        done()

    collector.bus.subscribe([signals.presence_topic(AGENT)], seen)
    with going(sender, collector.bus):
        until(lambda: len(presences) == 1)
        connection = sender.bus._connection
        assert connection is not None
        sock = connection._client.socket()
        assert sock is not None
        sock.shutdown(2)  # type: ignore[union-attr]
        until(lambda: len(presences) >= 3, lambda: presences)
        states = sorted((presence.conn, presence.state) for presence in presences[:3])
        assert states == [(1, "offline"), (1, "online"), (2, "online")]
        standing: Presence | None = None
        for presence in [*presences, presences[1 if presences[1].state == "offline" else 0]]:
            standing = presence if signals.is_later(presence, standing) else standing
        assert standing is not None
        assert (standing.conn, standing.state) == (2, "online"), "however late the will comes"
    assert (sender.folder / "connections").read_text() == "2\n"
