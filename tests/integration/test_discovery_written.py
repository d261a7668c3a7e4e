"""What `agent discover` finds over WS-Discovery, writes to a file of its own, and notes for the customer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agent.commands import main
from agent.discovery import search
from agent.settings import load
from forewarn.demo.responder import Responder
from forewarn.vocabulary import Source
from tests.announcing import Announcing
from tests.integration.test_discovery import CREDENTIALS, looked, placed, settled

NETWORK = "127.77.8.0/29"
FOLDER = "devices_folder: more\n"


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "WAIT", 0.3)
    return tmp_path


@pytest.fixture
def responder():
    with Responder() as running:
        yield running


def test_a_camera_that_speaks_onvif_alone_is_proposed_with_what_it_says_of_itself(site, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.ONVIF), networks=(NETWORK,), more="")
    with Announcing("127.77.8.2") as camera:
        assert main(["discover", "--run", "--rate", "100"]) == 0
    told = capsys.readouterr()
    assert "ONVIF's WS-Discovery, two datagrams to UDP 3702." in told.err
    row = next(line for line in told.out.splitlines() if line.startswith("127.77.8.2 "))
    assert row.split()[1:6] == ["bc:ad:28:00:00:09", "Hikvision", "Gate", "camera", "-"]
    assert "named" in row
    assert "# DS-2CD2143: answers ONVIF" in told.out
    assert "# speaks ONVIF at http://127.77.8.2/onvif/device_service: with a user of it" in told.out
    assert "127.9.9.9" not in told.out
    proposed = told.out.partition("look through them first.\n")[2]
    [entry] = yaml.safe_load(proposed)
    known = {"name": "Gate-camera", "address": "127.77.8.2", "use_snmp": False, "kind": "camera"}
    assert entry == known | {"probes": [{"tcp": 80}]}
    assert len(camera.heard) == 2


def test_without_the_scope_nobody_is_asked_over_onvif(site, responder, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,))
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    with Announcing("127.77.8.2") as camera:
        assert main(looked(switch)) == 0
    assert camera.heard == []
    assert "No WS-Discovery: the consent does not grant `onvif`." in capsys.readouterr().err


def test_what_is_new_is_written_once_below_what_a_person_wrote(site, responder, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,), more=CREDENTIALS + FOLDER)
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    file = site / "more" / "found.yaml"
    file.parent.mkdir()
    assert main(["discover", "--write", str(file)]) == 0
    assert not file.exists(), "a dry run writes nothing"
    assert main(looked(switch, "--write", str(file))) == 0
    assert f"1 written to {file}: look through it, and start the agent anew." in capsys.readouterr().err
    assert [device.address for device in load(site / "agent.yaml").devices] == ["127.77.8.1"]
    mine = file.read_text().replace("- name:", "# mine\n- name:") + "# the end"
    file.write_text(mine)
    file.chmod(0o640)
    before = switch.requests
    assert main(looked(switch, "--write", str(file))) == 0
    assert file.read_text() == mine
    assert switch.requests == before
    assert f"{file} stays as it is." in capsys.readouterr().err
    placed(responder, "ups.apc", "127.77.8.3", switch.port)
    assert main(looked(switch, "--write", str(file))) == 0
    assert file.read_text().startswith(mine + "\n")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [device.address for device in load(site / "agent.yaml").devices] == ["127.77.8.1", "127.77.8.3"]
    assert load(site / "agent.yaml").devices[1].access().community == "sight"


def test_a_list_that_a_person_set_in_goes_on_as_it_is(site, responder):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,), more=CREDENTIALS + "devices_folder: .\n")
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    (site / "agent.yaml").rename(site / "agent.yml.txt")
    mine = "devices:\n  # by hand\n  - name: a\n    address: 10.0.0.1\n    probes:\n      - icmp: true\n"
    (site / "devices.yaml").write_text(mine)
    words = looked(switch, "--config", "agent.yml.txt", "--write", "devices.yaml")
    assert main(words) == 0
    assert (site / "devices.yaml").read_text().startswith(mine + "  # ")
    assert [device.address for device in load(site / "agent.yml.txt").devices] == ["10.0.0.1", "127.77.8.1"]


def test_a_file_outside_the_settings_is_not_proposed_from_again(site, responder, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,))
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    assert main(looked(switch, "--write", "found.yaml")) == 0
    assert "1 written to found.yaml: `devices_folder: .` takes it in." in capsys.readouterr().err
    before = (site / "found.yaml").read_bytes()
    assert main(looked(switch, "--write", "found.yaml")) == 0
    assert "No new device." in capsys.readouterr().out
    assert (site / "found.yaml").read_bytes() == before


@pytest.mark.parametrize("content", ["site: s\n", "devices: []\n", "devices:\n  - address: 10.0.0.1\n"])
def test_a_file_of_another_form_is_left_alone(site, responder, capsys, content):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,))
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    (site / "other.yaml").write_text(content)
    assert main(looked(switch, "--write", "other.yaml")) == 1
    assert "name another one to write to" in capsys.readouterr().err
    assert (site / "other.yaml").read_text() == content


def test_the_log_shows_the_customer_what_was_sent_and_found(site, responder, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,))
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    assert main(["discover", "--snmp-port", str(switch.port)]) == 0
    assert not (site / "agent" / "log").exists(), "what was not sent is not noted"
    assert main(looked(switch)) == 0
    capsys.readouterr()
    assert main(["log"]) == 0
    began, ended = [line for line in capsys.readouterr().out.splitlines() if "devices in" in line]
    where = f"{NETWORK} (6 addresses, by `agent discover`)"
    assert f"* Looking for devices in {where}: No ping and no TCP connection" in began
    assert ended.endswith(f"* Looked for devices in {where}: 6 asked, found 127.77.8.1 (SNMP)")
    assert main(["log", "--kind", "discovery", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one["state"], one["networks"]) for one in told] == [
        ("discovery", "began", NETWORK),
        ("discovery", "ended", NETWORK),
    ]


def test_nothing_is_sent_that_cannot_be_noted(site, responder, capsys):
    settled(site, scopes=(Source.DISCOVERY, Source.SNMP), networks=(NETWORK,))
    switch = placed(responder, "switch.h3c", "127.77.8.1")
    (site / "agent" / "log").write_text("in the way")
    assert main(looked(switch)) == 1
    assert "nothing is sent that is not in it" in capsys.readouterr().err
    assert switch.requests == 0
