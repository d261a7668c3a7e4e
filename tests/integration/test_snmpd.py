"""A real SNMP agent, net-snmp's, polled by profile: what simulated devices cannot teach."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.contact import Contact
from agent.profile import shipped
from agent.reading import Happening, Reading
from agent.snmp.opening import opener
from agent.snmp.requester import Requester
from agent.target import Target
from forewarn.settings import Duration, Secret
from tests.clocks import SteppedClock
from tests.servers import free_port, program, stop


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("snmpd")
    port = free_port(socket.SOCK_DGRAM)
    config = folder / "snmpd.conf"
    config.write_text("rocommunity site\nsysName net-snmp\nsysLocation here\n")
    command = [program("snmpd", "snmpd"), "-f", "-Lf", str(folder / "log"), "-C", "-c", str(config)]
    command += [f"--persistentDir={folder}", "-p", str(folder / "pid"), f"udp:127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        asyncio.run(_ready(port))
        yield port
    finally:
        stop(process)


async def _ready(port: int) -> None:
    end = time.monotonic() + 15
    session = opener()(Target(name="it", address="127.0.0.1", port=port, community=Secret("site"), timeout=Duration(1)))
    while not await _answers(session):
        assert time.monotonic() < end, "snmpd does not answer"
        await asyncio.sleep(0.1)
    session.close()


async def _answers(session: Requester) -> bool:
    from agent.snmp.session import SnmpError

    try:
        return bool(await session.get_many(["1.3.6.1.2.1.1.3.0"]))
    except SnmpError:
        return False


def test_a_real_server_is_found_and_read(snmpd):
    async def polled() -> list[Reading | Happening]:
        target = Target(
            name="server", address="127.0.0.1", port=snmpd, community=Secret("site"), timeout=Duration(5), retries=1
        )
        contact = Contact(target, shipped(), open_session=opener(), clock=SteppedClock())
        items = await contact.poll()
        contact.close()
        return items

    items = asyncio.run(polled())
    reading = next(item for item in items if isinstance(item, Reading))
    assert reading.ok, reading.why
    values = dict(zip(reading.shape.columns(), reading.values, strict=True))
    assert reading.shape.profile == "server.host-resources"
    total = values["host", "", "memory_total_bytes"]
    assert total == pytest.approx(psutil.virtual_memory().total, rel=0.1)
    uptime = values["host", "", "uptime_seconds"]
    assert uptime is not None
    assert uptime > 0
    inventory = next(item for item in items if isinstance(item, Happening))
    assert inventory.text["name"] == "net-snmp"
    assert inventory.text["location"] == "here"
