"""The broker configuration of docker-compose.yml, in a real mosquitto with the files the collector writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from collector import broker_files
from tests import servers

CONFIG = Path(__file__).parents[2] / "deploy/compose/mosquitto.conf"


def publish(port: int, topic: str, *login: str) -> int:
    command = [servers.program("mosquitto_pub", "mosquitto-clients"), "-p", str(port), "-t", topic, "-m", "x", *login]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


def test_only_who_is_registered_gets_in(tmp_path: Path) -> None:
    files = broker_files.write(tmp_path / "forewarn", {"agent-1": "secret"}, user="collector")
    text = CONFIG.read_text(encoding="utf-8").replace("/mosquitto/forewarn", str(tmp_path / "forewarn"))
    lines = [line for line in text.splitlines() if not line.startswith("listener")]
    password = files.password.read_text().strip()
    with servers.mosquitto(tmp_path / "mosquitto", *lines) as broker:
        assert publish(broker.port, "fw/1/k/agent-1", "-u", "collector", "-P", password) == 0
        assert publish(broker.port, "fw/1/k/agent-1", "-u", "collector", "-P", "wrong") != 0
        assert publish(broker.port, "fw/1/k/agent-1") != 0
