"""A whole agent as people run it, beside a broker, for what it needs while it polls."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import yaml

from bench._processes import CONSENT, Running, ending, free_port
from forewarn.consent import Consent, document, instant, new_key, sign
from forewarn.vocabulary import Source

INTERVAL = 5
"""Seconds between polls of a device; each round makes a record of every one."""
SECRET = "00" * 32
SYSTEM = ":/usr/sbin:/usr/local/sbin"


def most_resident(places: Sequence[tuple[str, int]], *, rounds: int) -> float:
    """MiB: the most that the agent held while it took `rounds` records of every device at `places`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        write_settings(folder, port, places)
        with broker(folder / "broker", port) as connected:
            command = [sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"]
            agent = Running(command, folder)
            with ending(agent):
                return _watched(agent, rounds * len(places), connected=connected)


def _watched(agent: Running, records: int, *, connected: bool) -> float:
    process = psutil.Process(agent.process.pid)
    status: dict[str, object] = {}
    most = 0
    end = time.monotonic() + 120
    while int(str(status.get("records", 0))) < records:
        if time.monotonic() > end or agent.process.poll() is not None:
            raise SystemExit(f"the agent did not take {records} records: {status} {(agent.folder / 'log').read_text()}")
        most = max(most, process.memory_info().rss)
        with contextlib.suppress(OSError, ValueError):
            status = json.loads((agent.folder / "agent" / "status.json").read_text())
        time.sleep(0.1)
    if bool(status["connected"]) is not connected:
        raise SystemExit(f"the agent and its broker: {status}")
    return most / 2**20


@contextlib.contextmanager
def broker(folder: Path, port: int) -> Iterator[bool]:
    """Runs mosquitto when it is installed; gives whether it is."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + SYSTEM)
    if found is None:
        print("mosquitto is not installed (`make servers` brings it): the agent is measured without a connection")
        yield False
        return
    folder.mkdir()
    (folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with ending(Running([found, "-c", str(folder / "conf")], folder)):
        yield True


def write_settings(folder: Path, port: int, places: Sequence[tuple[str, int]], *, only_devices: bool = False) -> None:
    """Settings, consent and folders of an agent; `only_devices`: no records of its host and of itself."""
    private, public = new_key()
    now = int(time.time() * 1000)
    draft = Consent(
        id=CONSENT,
        site="s-1",
        customer="Bench",
        signed_by="Bench",
        scopes=[Source.SNMP, Source.HOST],
        networks=["127.0.0.0/8"],
        valid_from=instant(now - 60_000),
        valid_until=instant(now + 86_400_000),
    )
    (folder / "agent").mkdir()
    (folder / "agent" / "consent.json").write_bytes(document(sign(draft, private)))
    settings = {
        "site": "s-1",
        "agent": "a-1",
        "shard": 0,
        "secret": SECRET,
        "folder": "agent",
        "broker": {"host": "127.0.0.1", "port": port},
        "trusted_keys": [public],
        "report": "1h" if only_devices else "1s",
        "host": {"enabled": False} if only_devices else {"interval": "1s"},
        "devices": [
            {"name": f"sw-{at}", "address": address, "port": udp, "interval": f"{INTERVAL}s", "timeout": "1s"}
            for at, (address, udp) in enumerate(places)
        ],
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(settings))
