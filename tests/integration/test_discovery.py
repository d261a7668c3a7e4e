"""Devices are looked for within the consent and nowhere else, and proposed as the settings want them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agent.commands import main
from agent.devices.remembered import Memory, Remembered
from agent.discovery import makers, search
from agent.discovery.found import one_line
from agent.profiles.files import shipped
from agent.settings import load
from agent.settings.credential import Credential
from agent.snmp.opening import opener
from forewarn import consent as consents
from forewarn.consent import Refusal
from forewarn.demo.responder import Device, Responder
from forewarn.settings import Secret
from forewarn.vocabulary import Source
from tests.agents import AGENT, SECRET, SITE, signed, write_consent
from tests.polling import RECORDINGS

NETWORK = "127.77.1.0/29"
ALL = (Source.DISCOVERY, Source.SNMP, Source.PROBE)
CREDENTIALS = "credentials: {wrong: {community: not-this}, floor: {community: sight}}\n"


class Silent:
    """UDP sockets that answer nothing and keep what they were sent."""

    def __init__(self, addresses: list[str], port: int) -> None:
        self.sockets: list[socket.socket] = []
        self.add(addresses, port)

    def add(self, addresses: list[str], port: int) -> None:
        for address in addresses:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((address, port))
            opened.setblocking(False)
            self.sockets.append(opened)

    def heard(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for opened in self.sockets:
            try:
                while True:
                    datagram = opened.recv(4096)
                    found.setdefault(opened.getsockname()[0], []).append(datagram)
            except BlockingIOError:
                continue
        return found

    def close(self) -> None:
        for opened in self.sockets:
            opened.close()


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def placed(responder: Responder, profile: str, address: str, port: int = 0) -> Device:
    text = (RECORDINGS / f"{profile}.snmprec").read_text()
    return responder.add(text, address=address, port=port, community="sight")


def settled(
    folder: Path, *, scopes: tuple[Source, ...] = ALL, networks: tuple[str, ...] = (NETWORK,), more: str = CREDENTIALS
) -> None:
    private, public = consents.new_key()
    (folder / "agent").mkdir()
    write_consent(folder / "agent" / "consent.json", signed(private, scopes=list(scopes), networks=list(networks)))
    (folder / "agent.yaml").write_text(
        f"site: {SITE}\nagent: {AGENT}\nshard: 7\nsecret: '{SECRET}'\nbroker: {{host: 127.0.0.1}}\n"
        f"trusted_keys: ['{public}']\n{more}"
    )


def looked(device: Device, *words: str) -> list[str]:
    return ["discover", "--run", "--rate", "100", "--snmp-port", str(device.port), *words]


def test_what_is_found_is_told_and_its_proposal_stands_in_the_settings_as_it_is(responder, site, capsys):
    switch = placed(responder, "switch.h3c", "127.77.1.1")
    placed(responder, "hikvision.camera", "127.77.1.2", switch.port)
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP))
    assert main(looked(switch)) == 0
    told = capsys.readouterr()
    assert "6 addresses to ask, 100 a second in random order" in told.err
    assert "Nothing was sent" not in told.out
    camera = next(line for line in told.out.splitlines() if line.startswith("127.77.1.2 "))
    assert "hikvision.camera" in camera
    assert "matched" in camera
    assert "127.77.1.3" not in told.out
    proposed = told.out.partition("look through them first.\n")[2]
    with (site / "agent.yaml").open("a") as file:
        file.write("devices:\n" + proposed)
    devices = {device.address: device for device in load(site / "agent.yaml").devices}
    assert devices.keys() == {"127.77.1.1", "127.77.1.2"}
    assert devices["127.77.1.2"].access().community == "sight"
    before = switch.requests
    assert main(looked(switch)) == 0
    told = capsys.readouterr()
    assert "2 in the settings" in told.err
    assert "No new device." in told.out
    assert switch.requests == before, "what is known is not asked"


def test_a_dry_run_is_the_default_and_sends_nothing(responder, site, capsys):
    device = placed(responder, "ups.apc", "127.77.1.1")
    settled(site)
    assert main(["discover", "--snmp-port", str(device.port)]) == 0
    told = capsys.readouterr().out
    assert "6 addresses to ask, 20 a second in random order: about 2 s. Left out: 0 outside the consent" in told
    assert "a TCP connection to 554, 80, 443, 8000, 37777" in told
    assert "its sysObjectID once with each of wrong, floor" in told
    assert "Nothing was sent. `--run` asks them." in told
    assert device.requests == 0


def test_nothing_is_sent_outside_the_consent_and_each_credential_once(responder, site, capsys):
    device = placed(responder, "ups.apc", "127.77.1.1")
    inside = [f"127.77.1.{host}" for host in range(2, 7)]
    outside = [*(f"127.77.1.{host}" for host in (0, 7, *range(8, 15))), "127.77.2.1"]
    silent = Silent([*inside, *outside], device.port)
    try:
        settled(site, scopes=(Source.DISCOVERY, Source.SNMP))
        words = looked(device, "--network", "127.77.1.0/28", "--network", "127.77.2.1/32", "--json")
        assert main(words) == 0
        heard = silent.heard()
    finally:
        silent.close()
    told = json.loads(capsys.readouterr().out)
    assert told["addresses"] == 6
    assert told["outside"] == 9
    assert [each["credential"] for each in told["found"]] == ["floor"]
    assert heard.keys() == set(inside), "all in the consent, without its network and broadcast address"
    for datagrams in heard.values():
        communities = [b"not-this" if b"not-this" in each else b"sight" for each in datagrams]
        assert communities == [b"not-this", b"sight"], "no other, and none twice"


@pytest.mark.parametrize(
    ("scopes", "more", "code", "says"),
    [
        ((Source.SNMP, Source.PROBE), CREDENTIALS, 1, "Nobody is looked for: scope not granted"),
        ((Source.DISCOVERY, Source.SNMP), "", 1, "No SNMP: the settings name no `credentials`"),
        ((Source.DISCOVERY,), CREDENTIALS, 1, "the consent does not grant `probe`"),
    ],
)
def test_without_a_scope_or_a_credential_of_the_settings_nobody_is_asked(
    responder, site, capsys, scopes, more, code, says
):
    device = placed(responder, "ups.apc", "127.77.1.1")
    settled(site, scopes=scopes, more=more)
    assert main(looked(device)) == code
    told = capsys.readouterr()
    assert says in told.out + told.err
    assert device.requests == 0


def test_a_network_that_is_too_large_or_none_is_refused_and_a_large_one_wants_a_word(site, capsys):
    settled(site, networks=("127.0.0.0/8",))
    assert main(["discover", "--run"]) == 2
    assert "127.0.0.0/8 has more than 65536 addresses: look through a part of it" in capsys.readouterr().err
    assert main(["discover", "-n", "127.77.0.0/16", "-n", "127.78.0.0/16"]) == 2
    assert "the networks have more than 65536 addresses together" in capsys.readouterr().err
    assert main(["discover", "-n", "127.77.0.0/33"]) == 2
    assert main(["discover", "-n", "127.77.0.0/21", "--run"]) == 2
    assert "`--yes` says that it is meant" in capsys.readouterr().err


def test_a_device_of_the_settings_is_not_looked_for_however_its_address_is_written(site, capsys):
    settled(site, networks=("fd00::/126",), more=f"{CREDENTIALS}devices: [{{name: cam, address: 'FD00:0::1'}}]\n")
    assert main(["discover"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("1 addresses to ask")
    assert "1 in the settings" in told


def test_a_consent_that_is_narrowed_meanwhile_counts_for_each_question(responder):
    first = placed(responder, "switch.h3c", "127.77.6.1")
    others = [placed(responder, "switch.h3c", f"127.77.6.{last}", first.port) for last in (2, 3)]
    planned = search.plan(
        ["127.77.6.0/29"],
        consented=["127.77.6.0/29"],
        permit=lambda *_: None,
        known=(),
        credentials={"floor": Credential(community=Secret("sight"))},
        rate=200,
    )
    left_out = {(Source.DISCOVERY, "127.77.6.2"), (Source.SNMP, "127.77.6.3")}
    looking = search.Search(
        planned,
        permit=lambda source, address: Refusal.ADDRESS if (source, address) in left_out else None,
        profiles=shipped(),
        open_session=opener(),
        snmp_port=first.port,
    )
    found = {each.address: each for each in asyncio.run(looking.run())}
    assert found["127.77.6.1"].credential == "floor"
    assert "127.77.6.2" not in found
    assert [device.requests for device in others] == [0, 0]


def test_the_file_stop_ends_it_at_once_and_nothing_is_sent_any_more(site, capsys):
    silent = Silent(["127.77.3.1"], 0)
    port = silent.sockets[0].getsockname()[1]
    silent.add([f"127.77.3.{host}" for host in range(2, 255)], port)
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=("127.77.3.0/24",))
    stopped: list[float] = []

    def stop() -> None:
        deadline = time.monotonic() + 20
        while not silent.heard() and time.monotonic() < deadline:
            time.sleep(0.01)
        (site / "agent" / "STOP").touch()
        stopped.append(time.monotonic())

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        # At this rate the whole of it takes two minutes.
        assert main(["discover", "--run", "--rate", "2", "--snmp-port", str(port)]) == 1
        stopping.join()
        assert time.monotonic() - stopped[0] < 10
        assert len(silent.heard()) < 20
    finally:
        silent.close()
    assert "stopped: stopped on the site" in capsys.readouterr().err


def test_an_open_door_without_snmp_is_proposed_with_a_probe_of_it(site, capsys, monkeypatch):
    with socket.socket() as door:
        door.bind(("127.77.1.1", 0))
        door.listen()
        port = door.getsockname()[1]
        monkeypatch.setattr("agent.discovery.search.PORTS", (port,))
        settled(site, more="", networks=("127.77.1.1/32",))
        assert main(["discover", "--run"]) == 0
    told = capsys.readouterr().out
    assert "no credential of the settings to ask SNMP with" in told
    [entry] = yaml.safe_load(told.partition("look through them first.\n")[2])
    assert entry["name"] == "device-127.77.1.1"
    assert entry["use_snmp"] is False
    assert {"tcp": port} in entry["probes"]


def test_a_device_of_the_settings_that_answers_elsewhere_is_that_device(responder, site, capsys):
    device = placed(responder, "switch.h3c", "127.77.1.1")
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), more=CREDENTIALS)
    assert main(looked(device, "--json")) == 0
    found = json.loads(capsys.readouterr().out)["found"][0]["inventory"]
    with (site / "agent.yaml").open("a") as file:
        file.write("devices: [{name: sw-hall, address: 127.77.9.9}]\n")
    memory = Memory(site / "agent", ["sw-hall"])
    memory.devices["sw-hall"] = Remembered(identity={"serial": found["serial"]})
    memory.save()
    assert main(looked(device)) == 0
    told = capsys.readouterr().out
    assert "127.77.1.1 is `sw-hall` of the settings: its address changed." in told
    assert "No new device." in told


def test_names_are_unique_and_a_device_s_own_words_steer_no_terminal_and_end_no_comment(responder, site, capsys):
    device = placed(responder, "ups.apc", "127.77.1.1")
    for each in (device, placed(responder, "ups.apc", "127.77.1.2", device.port)):
        each.set("1.3.6.1.2.1.1.5.0", 4, "ups: [evil] # x")
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP))
    assert main(looked(device)) == 0
    told = capsys.readouterr().out
    names = [entry["name"] for entry in yaml.safe_load(told.partition("look through them first.\n")[2])]
    assert len(set(names)) == 2
    assert names[1] == f"{names[0]}-2"
    assert names[0] == "ups---evil----x"
    assert one_line("a\x1b[2J\nb\u202e") == "a [2J b"


def test_makers_are_known_by_their_addresses():
    assert makers.maker("44-19-B6-01-02-03") == "Hikvision"
    assert makers.maker("3c:ef:8c:01:02:03") == "Dahua"
    assert makers.maker("00:00:5e:00:53:01") == makers.maker("no mac") == ""
