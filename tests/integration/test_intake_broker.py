"""The intake behind a real Mosquitto: a block is committed and acknowledged, and a broker's death costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from collector.intake.intake import Intake
from collector.journal.disk import DatabaseJournal
from collector.register import Register
from collector.storage.database import Databases
from forewarn.bus import Backoff, Broker, Done
from forewarn.bus.mqtt import MqttBus
from forewarn.signals import Ack, ack_topic, derive, open_ack
from tests import blocks
from tests.blocks import NOW, Script
from tests.servers import Mosquitto


def wait(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Agent:
    """An agent's connection: publishes blocks, keeps what it is told."""

    def __init__(self, broker: Mosquitto, agent: str, secret: str) -> None:
        self.acks: list[Ack] = []
        self.key = derive(secret, "ack")
        self.bus = MqttBus(Broker(host="127.0.0.1", port=broker.port), agent, backoff=Backoff(0.05, 0.2))
        self.bus.subscribe([ack_topic(agent)], self.hear)
        self.bus.connect()
        wait(lambda: self.bus.state.connected)

    def hear(self, _topic: str, payload: bytes, done: Done) -> None:
        self.acks.append(open_ack(payload, self.key))
        done()


def test_blocks_are_acknowledged_through_a_broker_that_dies(sqlite_databases: Databases, broker: Mosquitto) -> None:
    secret = blocks.enrolled(sqlite_databases, "a1")["a1"].secret
    bus = MqttBus(Broker(host="127.0.0.1", port=broker.port), "collector", backoff=Backoff(0.05, 0.2))
    journal = DatabaseJournal(sqlite_databases)
    intake = Intake(journal, Register(sqlite_databases), bus, now=lambda: NOW, monotonic=time.monotonic)
    intake.start()
    bus.connect()
    wait(lambda: bus.state.connected)
    agent, script = Agent(broker, "a1", secret), Script().poll(20)
    agent.bus.publish(script.topic, script.block(1, 5)).result(10)
    wait(lambda: bool(agent.acks))
    assert (agent.acks[-1].upto, agent.acks[-1].boot) == (5, intake.boot)

    broker.kill()
    wait(lambda: not agent.bus.state.connected and not bus.state.connected)
    told = len(agent.acks)
    broker.start()
    wait(lambda: len(agent.acks) > told)  # greeted again, though the broker forgot everything
    assert agent.acks[-1].upto == 5
    agent.bus.publish(script.topic, script.block(6, 20)).result(10)
    wait(lambda: agent.acks[-1].upto == 20)
    agent.bus.close()
    intake.stop()
    bus.close()
    assert [entry.last for entry in journal.read(0, 100) if entry.received] == [5, 20]
    assert "ingest" not in [thread.name for thread in threading.enumerate()]


def test_what_arrived_before_the_stop_is_committed(sqlite_databases: Databases, broker: Mosquitto) -> None:
    blocks.enrolled(sqlite_databases, "a1")
    bus = MqttBus(Broker(host="127.0.0.1", port=broker.port), "collector")
    journal = DatabaseJournal(sqlite_databases)
    intake = Intake(journal, Register(sqlite_databases), bus, now=lambda: NOW, monotonic=time.monotonic)
    intake.start()
    script = Script().poll(10)
    for seq in range(1, 11):
        intake.receive(script.topic, script.block(seq, seq), lambda: None)
    intake.stop()
    assert [entry.last for entry in journal.read(0, 100) if entry.received] == list(range(1, 11))
