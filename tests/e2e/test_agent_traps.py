"""A trap's way through the whole agent: net-snmp → its process → guard → spool → broker, and what kills do to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forewarn.demo.responder import Responder
from forewarn.vocabulary import Source
from forewarn.wire import Record
from tests import servers
from tests.agents import ScriptedCollector, signed, until, write_consent
from tests.e2e.test_agent_run import RECORDING, Site, forewarn, listening


@pytest.fixture
def site(tmp_path: Path, broker: servers.Mosquitto) -> Iterator[Site]:
    with Responder() as responder:
        device = responder.add(RECORDING.read_text())
        one = Site(tmp_path / "site", broker.port, device.port)
        port = servers.free_port(socket.SOCK_DGRAM)
        config = one.folder / "agent.yaml"
        text = config.read_text().replace("interval: 500ms, timeout", "interval: 1h, timeout")
        config.write_text(f"{text}traps: {{enabled: true, address: 127.0.0.1, port: {port}}}\n")
        grant(one, [Source.SNMP, Source.TRAP])
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def grant(site: Site, scopes: list[Source]) -> None:
    write_consent(site.data / "consent.json", signed(site.private, scopes=scopes))


def port_of(site: Site) -> int:
    return int((site.folder / "agent.yaml").read_text().rpartition("port: ")[2].strip().rstrip("}"))


def state(site: Site) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads((site.data / "status.json").read_text())["traps"]
    except (OSError, ValueError):
        return {}
    return found


def heard(site: Site) -> bool:
    return bool(state(site).get("port"))


def inform(site: Site, number: int) -> int:
    """Sends one inform and waits for its answer; 0 when it came."""
    command = [servers.program("snmpinform", "snmp"), "-v2c", "-cpublic", "-r3", "-t1", f"127.0.0.1:{port_of(site)}"]
    command += ["55", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.7", "i", str(number)]
    env = {**os.environ, "MIBS": "", "SNMPCONFPATH": "/nonexistent"}
    return subprocess.run(command, capture_output=True, timeout=30, check=False, env=env).returncode


def events(collector: ScriptedCollector) -> list[Record]:
    with collector.lock:
        return [record for _, record in collector.taken if record.kind == "event" and "trap" in record.text]


def children(pid: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(process.name))
    return found


def traps_process(site: Site) -> int:
    assert site.process is not None
    mine = [pid for pid in children(site.process.pid) if b"agent.traps" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(mine) == 1
    return mine[0]


def test_what_was_answered_arrives_whatever_is_killed(site: Site, broker: servers.Mosquitto) -> None:
    with listening(broker.port) as collector:
        site.start()
        until(lambda: heard(site), (site.folder / "log").read_text)
        assert inform(site, 1) == 0
        until(lambda: len(events(collector)) == 1)
        first = events(collector)[0]
        assert (first.device, first.text["event"], first.text["instance"]) == ("cam-1", "link down", "1")
        shapes = {digest: shape for block in collector.blocks for digest, shape in block.shapes.items()}
        assert shapes[first.shape].source is Source.TRAP
        until(lambda: any(record.device == "cam-1" and not record.kind for _, record in collector.taken), "its poll")

        child = traps_process(site)
        os.kill(child, signal.SIGKILL)
        until(lambda: state(site).get("restarts") == 1 and heard(site))
        assert inform(site, 2) == 0

        child = traps_process(site)
        assert site.process is not None
        site.process.kill()
        site.process.wait()
        until(lambda: not Path(f"/proc/{child}").exists(), "the process ends with the agent")
        (site.data / "status.json").unlink()
        site.start()
        until(lambda: heard(site))
        assert inform(site, 3) == 0
        until(lambda: {event.text["instance"] for event in events(collector)} == {"1", "2", "3"})
        assert collector.wrong == []
        line = f"traps      heard on port {port_of(site)}; 1 read"
        until(lambda: line in forewarn(site.folder, "agent", "status").stdout)
        assert "event: event link down" in forewarn(site.folder, "agent", "log").stdout
        assert site.stop() == 0


def test_without_the_scope_nobody_listens_until_it_is_granted(site: Site, broker: servers.Mosquitto) -> None:
    grant(site, [Source.SNMP])
    with listening(broker.port) as collector:
        site.start()
        until(lambda: "NOT HEARD" in forewarn(site.folder, "agent", "status").stdout)
        assert site.process is not None
        assert [
            pid for pid in children(site.process.pid) if b"agent.traps" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ] == []
        grant(site, [Source.SNMP, Source.TRAP])
        until(lambda: heard(site))
        assert inform(site, 1) == 0
        grant(site, [Source.SNMP])
        until(lambda: not heard(site))
        assert inform(site, 2) != 0
        assert {event.text["instance"] for event in events(collector)} <= {"1"}
