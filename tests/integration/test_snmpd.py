"""A real SNMP agent, net-snmp's, in every version and with every key: what simulated devices cannot teach."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from agent.polling.contact import Contact
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.credential import Access, Credential
from agent.settings.target import Target
from agent.snmp import gufo, pysnmp
from agent.snmp.opening import opener
from agent.snmp.requester import Requester
from agent.snmp.session import Denied, Exchange, Locked, SnmpError
from forewarn.settings import Duration, Secret
from tests.clocks import SteppedClock
from tests.servers import free_port, program, stop

T = TypeVar("T")
Open = Callable[[str, int, Access, float], Exchange]
UPTIME, RESOURCES = "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.9.1.2"
AUTH, PRIVACY = "authpass1", "privpass1"
NAMES = {"md5": "MD5", "sha": "SHA", "sha224": "SHA-224", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
CIPHERS = {"des": "DES", "aes128": "AES", "aes192": "AES-192", "aes256": "AES-256", "aes256c": "AES-256-C"}
PAIRS = [("md5", "des"), ("sha", "aes128"), ("sha224", "aes192"), ("sha256", "aes256"), ("sha", "aes256c")]
PAIRS += [("sha384", "aes128"), ("sha512", "aes256"), ("md5", "aes256")]


@dataclass
class Snmpd:
    """snmpd with all of `PAIRS` as users named alike; `restart` keeps its engine, `renew` gives it another."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    lines: list[str] = field(default_factory=lambda: ["rocommunity site", "sysName net-snmp", "sysLocation here"])

    def start(self) -> None:
        users = [f"createUser {a}{p} {NAMES[a]} {AUTH} {CIPHERS[p]} {PRIVACY}\nrouser {a}{p} priv" for a, p in PAIRS]
        users += [f"createUser only SHA-256 {AUTH}\nrouser only auth", "createUser bare\nrouser bare noauth"]
        config = self.folder / "snmpd.conf"
        config.write_text("\n".join([*self.lines, *users, ""]))
        command = [program("snmpd", "snmpd"), "-f", "-Lf", str(self.folder / "log"), "-C", "-c", str(config)]
        command += [f"--persistentDir={self.folder}", "-p", str(self.folder / "pid"), f"udp:127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        asyncio.run(_ready(self.port))

    def stop(self) -> None:
        assert self.process is not None
        stop(self.process)

    def restart(self) -> None:
        self.stop()
        self.start()

    def renew(self) -> None:
        self.stop()
        for file in self.folder.glob("snmpd.conf*"):
            file.unlink()
        self.start()


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    server = Snmpd(tmp_path_factory.mktemp("snmpd"), free_port(socket.SOCK_DGRAM))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=[gufo.connect, pysnmp.connect], ids=["gufo", "pysnmp"])
def adapter(request: pytest.FixtureRequest) -> Open:
    return request.param


async def _ready(port: int) -> None:
    end = time.monotonic() + 15
    session = opener()(Target(name="it", address="127.0.0.1", port=port, community=Secret("site"), timeout=Duration(1)))
    while not await _answers(session):
        assert time.monotonic() < end, "snmpd does not answer"
        await asyncio.sleep(0.1)
    session.close()


async def _answers(session: Requester) -> bool:
    try:
        return bool(await session.get_many([UPTIME]))
    except SnmpError:
        return False


def user(name: str, auth: str | None = None, privacy: str | None = None, **changed: str) -> Access:
    given: dict[str, Any] = {"version": "3", "user": name, "authentication": auth, "privacy": privacy}
    given |= {"authentication_key": AUTH if auth else "", "privacy_key": PRIVACY if privacy else ""}
    return Access(**(given | changed))


def asked(
    adapter: Open, port: int, access: Access, ask: Callable[[Requester], Awaitable[T]], timeout: float = 3, retries=1
) -> T:
    async def run() -> T:
        session = Requester(adapter("127.0.0.1", port, access, timeout), retries=retries)
        try:
            return await ask(session)
        finally:
            session.close()

    return asyncio.run(run())


async def read(session: Requester) -> tuple[int, int]:
    """How many of two scalars it has, and how many rows."""
    got = await session.get_many([UPTIME, "1.3.6.1.2.1.1.5.0"])
    return len(got), len(await session.rows(RESOURCES))


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_real_server_is_read_by_its_community(snmpd, adapter, version):
    scalars, rows = asked(adapter, snmpd.port, Access(version, "site"), read)
    assert scalars == 2
    assert rows > 5


@pytest.mark.parametrize(("auth", "privacy"), PAIRS)
def test_a_real_server_is_read_with_every_key(snmpd, adapter, auth, privacy):
    scalars, rows = asked(adapter, snmpd.port, user(f"{auth}{privacy}", auth, privacy), read)
    assert scalars == 2
    assert rows > 5


def test_a_user_without_keys_or_without_privacy_is_enough_where_the_server_says_so(snmpd, adapter):
    assert asked(adapter, snmpd.port, user("bare"), read)[0] == 2
    assert asked(adapter, snmpd.port, user("only", "sha256"), read)[0] == 2


@pytest.mark.parametrize(
    "access",
    [
        user("sha256aes256", "sha256", "aes256", authentication_key="wrongpass1"),
        user("sha256aes256", "sha512", "aes256"),
        user("nobody", "sha256", "aes256"),
        user("sha256aes256", "sha256"),
    ],
    ids=["wrong key", "wrong algorithm", "wrong user", "level too low"],
)
def test_a_wrong_user_or_key_is_named_at_once_and_never_called_silence(snmpd, adapter, access):
    with pytest.raises(Denied, match="authentication failed: wrong user or key"):
        asked(adapter, snmpd.port, access, read)


def test_a_wrong_privacy_key_is_named_too(snmpd, adapter):
    access = user("sha256aes256", "sha256", "aes256", privacy_key="wrongpass1")
    with pytest.raises(Locked, match="answers, but not to user `sha256aes256`: is the privacy key right"):
        asked(adapter, snmpd.port, access, read, timeout=0.5)


def test_an_engine_that_restarted_or_was_replaced_is_met_again(snmpd, adapter):
    async def through(session: Requester) -> list[int]:
        found = [len(await session.get_many([UPTIME]))]
        for change in (snmpd.restart, snmpd.renew):
            await asyncio.to_thread(change)
            found.append(len(await session.get_many([UPTIME])))
        return found

    assert (
        asked(adapter, snmpd.port, user("sha256aes256", "sha256", "aes256"), through, timeout=1, retries=2) == [1] * 3
    )


def polled(target: Target) -> tuple[Reading, list[Happening]]:
    async def run() -> list[Reading | Happening]:
        contact = Contact(target, shipped(), open_session=opener(), clock=SteppedClock())
        items = await contact.poll()
        contact.close()
        return items

    items = asyncio.run(run())
    return next(item for item in items if isinstance(item, Reading)), [i for i in items if isinstance(i, Happening)]


def test_a_real_server_is_found_and_read(snmpd):
    given = {"address": "127.0.0.1", "port": snmpd.port, "timeout": Duration(5), "retries": 1}
    reading, told = polled(Target(name="server", community=Secret("site"), **given))
    assert reading.ok, reading.why
    values = dict(zip(reading.shape.columns(), reading.values, strict=True))
    assert reading.shape.profile.startswith("server.")
    total = values["host", "", "memory_total_bytes"]
    assert total == pytest.approx(psutil.virtual_memory().total, rel=0.1)
    uptime = values["host", "", "uptime_seconds"]
    assert uptime is not None
    assert uptime > 0
    inventory = next(item for item in told if item.kind == "inventory")
    assert inventory.text["name"] == "net-snmp"
    assert inventory.text["location"] == "here"


def test_keys_come_from_files_and_a_wrong_one_is_a_device_that_is_there_without_its_snmp(snmpd, tmp_path):
    (tmp_path / "auth").write_text(f"{AUTH}\n")
    (tmp_path / "privacy").write_text(f"{PRIVACY}\n")
    keys = {"auth_file": tmp_path / "auth", "privacy_file": tmp_path / "privacy"}
    credential = Credential(version="3", user="sha256aes256", auth="sha256", privacy="aes256", **keys)
    given = {"address": "127.0.0.1", "port": snmpd.port, "timeout": Duration(3), "retries": 1, "snmp": credential}
    assert polled(Target(name="server", **given))[0].ok
    (tmp_path / "auth").write_text("wrongpass1\n")
    reading, told = polled(Target(name="server", **given))
    assert not reading.ok
    assert reading.why == f"127.0.0.1 port {snmpd.port}: authentication failed: wrong user or key"
    assert reading.values[:2] == [1.0, 0.0], "it is up, its SNMP is not"
    assert [(item.kind, item.text["event"]) for item in told] == [("event", "no SNMP")]
    assert "wrongpass1" not in repr((reading, told, given))
