"""What a doctor says of a broker that takes us in and yet cannot serve us, and of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from forewarn.bus import Broker, Node
from forewarn.doctor import broker as brokers
from forewarn.doctor.broker import Wanted
from tests import servers
from tests.brokers import Nats
from tests.doctoring import Told

WANTED = Wanted("doctor", ["fw/1/t/#"], ["fw/1/k/forewarn.doctor"], "its own page")


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        ("max_packet_size 20000", "takes no message of 64 KiB, as a full block is", "max_packet_size"),
        ("message_size_limit 20000", "takes no message of 64 KiB, as a full block is", "message_size_limit"),
        ("retain_available false", "keeps no message for those who come later (retain)", "retain_available true"),
        ("max_qos 0", "confirms no message (QoS 1)", "max_qos 1"),
    ],
)
def test_a_broker_that_cannot_serve_us_is_named_with_its_setting(
    line: str, what: str, remedy: str, tmp_path: Path
) -> None:
    with servers.mosquitto(tmp_path / "mosquitto", "allow_anonymous true", line) as running:
        told = Told(brokers.tried(Broker(host="127.0.0.1", port=running.port), WANTED))
    told.fails("broker", what, remedy)
    assert len(told.failing()) == 1


def test_a_broker_of_mqtt_3_that_hangs_up_on_a_full_block_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "nats"
    folder.mkdir()
    small = Nats(folder, options="stream_replicas: {replicas} }}\nmax_payload: 20000 #")
    try:
        small.start()
        told = Told(brokers.tried(Broker(host="127.0.0.1", port=small.ports[0]), WANTED))
    finally:
        small.stop()
    told.fails("broker", "takes no message of 64 KiB, as a full block is", "max_payload")
    assert len(told.failing()) == 1


def test_a_node_that_is_away_is_a_warning_while_another_one_answers(broker: servers.Mosquitto) -> None:
    away = servers.free_port()
    cluster = Broker(host="127.0.0.1", port=away, others=[Node(host="127.0.0.1", port=broker.port)])
    told = Told(brokers.reached(cluster))
    told.warns(f"broker 127.0.0.1:{away}", "nothing listens", "start it there")
    told.well(f"broker 127.0.0.1:{broker.port}", "answers")
    tried = Told(brokers.tried(cluster, WANTED))
    tried.well(f"broker 127.0.0.1:{broker.port}", "accepts `anybody`")
    assert tried.failing() == []
    broker.stop()
    assert len(Told(brokers.reached(cluster)).failing()) == 2
