"""What the doctor says of the port where traps are heard, and of words of one's own for them."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import msgspec
import pytest

from agent.app import SystemClock
from agent.doctor import traps
from agent.itself import STATUS, Status
from agent.settings import Settings
from agent.traps.state import State
from forewarn.settings import read
from tests.doctoring import Told
from tests.integration.test_traps import heard
from tests.polling import until
from tests.servers import free_port

LEAST = "site: s\nagent: gate\nshard: 0\nsecret: x\nbroker: {host: b}\nfolder: %s\n"


def look(folder: Path, given: str) -> Told:
    return Told(traps.look(read(Settings, LEAST % folder + given, "agent.yaml", env={})))


def test_where_traps_are_off_nothing_is_looked_at(tmp_path: Path) -> None:
    assert look(tmp_path, "") == []


def test_a_free_port_is_well_and_one_that_is_taken_says_how_to_find_who_has_it(tmp_path: Path) -> None:
    port = free_port()
    given = f"traps: {{enabled: true, address: 127.0.0.1, port: {port}}}\n"
    look(tmp_path, given).well(f"traps on UDP port {port}", "free, and this account may open it")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        look(tmp_path, given).fails(f"traps on UDP port {port}", "another program has it", f"ss -lunp sport = :{port}")


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    told = look(tmp_path, "traps: {enabled: true, address: 192.0.2.7}\n")
    told.fails("traps on UDP port 1162", "`192.0.2.7` is no address of this machine", "correct `traps: address`")


def test_a_port_that_needs_a_right_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_right(_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    # Tests run as root here, who may open any port.
    monkeypatch.setattr(traps, "_tried", without_right)
    told = look(tmp_path, "traps: {enabled: true, port: 162}\n")
    told.fails("traps on UDP port 162", "this account may not open it", "CAP_NET_BIND_SERVICE")


def test_a_port_that_the_running_agent_has_is_asked_of_its_status(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        given = f"traps: {{enabled: true, address: 127.0.0.1, port: {port}}}\n"
        said(tmp_path, State(port=port))
        look(tmp_path, given).well(f"traps on UDP port {port}", "the running agent hears there; 0 read")
    said(tmp_path, State(why="its process cannot be started"))
    look(tmp_path, given).warns(
        f"traps on UDP port {port}", "the running agent does not listen: its process cannot be started", "log"
    )


def said(folder: Path, state: State) -> None:
    """Writes a status as an agent that runs does."""
    numbers = dict.fromkeys(("pid", "oldest", "head", "acked", "records", "bytes", "in_flight", "rewinds", "forged"), 0)
    words = dict.fromkeys(("epoch", "stuck", "consent", "forbidden", "why", "held"), "")
    status = Status(at=SystemClock().now(), connected=True, traps=state, **numbers, **words)
    (folder / STATUS).write_bytes(msgspec.json.encode(status))


OWN = """\
src: the maker's manual
traps:
  - {oid: 1.3.6.1.4.1.4242.0.1, event: door opened, zh: 机柜门打开, severity: warning, instance: [1.3.6.1.4.1.4242.1.*]}
  - {oid: 1.3.6.1.6.3.1.1.5.3, event: port lost, zh: 端口丢失, severity: critical}
"""


def test_words_of_one_s_own_stand_in_events_and_over_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "door.yaml").write_text(OWN)

    async def steps() -> None:
        async with heard(tables=tmp_path) as site:
            await site.trap("1.3.6.1.4.1.4242.1.7", "i", "1", oid="1.3.6.1.4.1.4242.0.1")
            await until(lambda: len(site.texts) == 1)
            await site.trap(oid="1.3.6.1.6.3.1.1.5.3")
            await until(lambda: len(site.texts) == 2)
            door, port = site.texts
            assert (door["event"], door["zh"], door["instance"]) == ("door opened", "机柜门打开", "7")
            assert (port["event"], port["severity"]) == ("port lost", "critical")

    asyncio.run(steps())


def test_a_mistake_in_a_table_of_one_s_own_has_its_place(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    given = f"traps: {{enabled: true, port: {free_port()}, tables: {tables}}}\n"
    look(tmp_path, given).fails("trap tables", "there is no such folder", "correct line 1")
    tables.mkdir()
    (tables / "door.yaml").write_text(OWN)
    look(tmp_path, given).well("trap tables", f"with those of {tables}")
    (tables / "door.yaml").write_text(OWN.replace("4242.0.1,", "door,").replace("severity: critical", "severity: bad"))
    look(tmp_path, given).fails("trap tables", "`severity`: `bad` is none of", "correct line 4")
    (tables / "door.yaml").write_text(OWN.replace("4242.0.1,", "door,"))
    look(tmp_path, given).fails("trap tables", "`1.3.6.1.4.1.door` is no OID", "correct line 3")
