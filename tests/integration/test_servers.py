"""The servers that other tests lean on do start and answer."""

from __future__ import annotations

import urllib.request

import sqlalchemy

from tests.servers import Mosquitto


def test_postgres_answers(postgres_server: str) -> None:
    engine = sqlalchemy.create_engine(postgres_server, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1


def test_influxdb_answers(influxdb_port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{influxdb_port}/ping", timeout=5) as answer:
        assert answer.status == 204


def test_victoria_metrics_answers(victoria_port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{victoria_port}/health", timeout=5) as answer:
        assert answer.read() == b"OK"


def test_mosquitto_starts_again_after_a_kill(broker: Mosquitto) -> None:
    broker.kill()
    broker.start()
    assert broker.process is not None
    assert broker.process.poll() is None
