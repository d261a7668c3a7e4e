"""`forewarn agent match`, `record` and `profiles`, as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import main
from agent.profiles.files import library
from forewarn import consent as consents
from forewarn.demo import ber
from forewarn.demo.responder import Device, Responder
from forewarn.vocabulary import Source
from tests.agents import AGENT, SECRET, SITE, signed, write_consent
from tests.polling import recorded


@pytest.fixture
def responder() -> Iterator[Responder]:
    with Responder() as running:
        yield running


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settled(folder: Path, device: Device, *, scopes=(Source.SNMP,), more: str = "") -> None:
    private, public = consents.new_key()
    (folder / "agent").mkdir()
    write_consent(folder / "agent" / "consent.json", signed(private, scopes=list(scopes)))
    (folder / "agent.yaml").write_text(
        f"site: {SITE}\nagent: {AGENT}\nshard: 7\nsecret: '{SECRET}'\nbroker: {{host: 127.0.0.1}}\n"
        f"trusted_keys: ['{public}']\n{more}"
        f"devices: [{{name: it, address: 127.0.0.1, port: {device.port}, timeout: 200ms, retries: 0}}]\n"
    )


def test_a_match_says_which_profile_and_of_all_why_or_why_not(responder, site, capsys):
    settled(site, recorded(responder, "ups.apc"))
    assert main(["match", "it"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "sysDescr     APC Web/SNMP Management Card (sample)",
        "sysObjectID  1.3.6.1.4.1.318.1.3.27",
        "profile      ups.apc: sysObjectID is `1.3.6.1.4.1.318.1.3.27`, 1.3.6.1.4.1.318.1.1.1.2.1.1.0 exists",
    ]
    assert main(["match", "it", "--explain"]) == 0
    told = capsys.readouterr().out
    assert "*    30  ups.apc " in told
    assert "+  -100  generic                      fits every device" in told
    line = next(line for line in told.splitlines() if "hikvision.recorder" in line)
    assert "sysObjectID is `1.3.6.1.4.1.318.1.3.27`, not `1.3.6.1.4.1.50001*`" in line
    assert "sysDescr has no `^Hikvision company products`, no 1.3.6.1.4.1.50001.1.100.0" in line


def test_a_device_is_neither_matched_nor_recorded_outside_the_consent(responder, site, capsys):
    device = recorded(responder, "ups.apc")
    settled(site, device, scopes=[Source.HOST])
    for command in ("match", "record"):
        assert main([command, "it"]) == 1
        assert "127.0.0.1 is not polled" in capsys.readouterr().err
    assert device.requests == 0
    assert not list(site.glob("*.snmprec"))


def test_a_recording_and_its_record_are_written_and_what_was_replaced_is_told(responder, site, capsys):
    settled(site, recorded(responder, "switch.generic"))
    assert main(["record", "it", "--out", "for-support.snmprec"]) == 0
    told = capsys.readouterr().out
    assert "replaced: 1 location, 1 name, 1 serial" in told
    assert "Look through it before you give it away" in told
    text = (site / "for-support.snmprec").read_text()
    assert "switch-1" not in text
    assert ber.recorded(text)
    records = json.loads((site / "for-support.json").read_text())
    assert [record["records"][0].get("kind") for record in records] == [None, "inventory"]
    assert records[0]["shapes"]
    assert "switch-1" not in json.dumps(records)


def test_a_device_that_does_not_answer_and_one_that_is_not_there_are_told(responder, site, capsys):
    device = recorded(responder, "ups.apc")
    settled(site, device)
    device.lose = 1000
    for command in ("match", "record"):
        assert main([command, "it"]) == 1
        assert "did not answer within 0.2 s" in capsys.readouterr().err
    assert main(["match", "itt"]) == 2
    assert "did you mean `it`?" in capsys.readouterr().err


def test_profiles_are_checked_with_their_places(site, capsys):
    folder = site / "mine"
    folder.mkdir()
    (folder / "a.yaml").write_text("id: a\nextends: [switch.generc]\n")
    assert main(["profiles", "check", "mine"]) == 2
    assert "mine/a.yaml:2:11: no profile is called `switch.generc`; did you mean `switch.generic`?" in (
        capsys.readouterr().err
    )
    (folder / "a.yaml").write_text(
        "id: a\nkind: camera\nsrc: x\nscalars:\n  - table: host\n    columns:\n"
        "      load1: {oid: 1.3.1.0, type: gauge}\n      load5: {oid: 1.3.1.0, type: gauge}\n"
    )
    assert main(["profiles", "check", "mine/a.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "mine/a.yaml:5:12: group `host` does not say in `src` where its facts are from (allowed)",
        "mine/a.yaml:8:7: `load5` and `load1` are the same object 1.3.1.0 (allowed)",
        "1 profile without a mistake: a",
    ]
    (folder / "a.yaml").write_text("id: a\nextends: [switch.generic]\n")
    assert main(["profiles", "check", "mine"]) == 0
    assert main(["profiles", "check", "nowhere"]) == 2


def test_a_profile_is_shown_with_what_it_extends_and_reads_back_as_the_same(site, capsys):
    assert main(["profiles", "show", "switch.generic"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("# With what it extends: std.system, std.entity")
    (site / "copy").mkdir()
    (site / "copy" / "switch.generic.yaml").write_text(told)
    assert main(["profiles", "check", "copy"]) == 0
    capsys.readouterr()
    assert main(["profiles", "show", "switch.generic", "--folder", "copy"]) == 0
    assert capsys.readouterr().out == told.partition("\n")[2]
    assert main(["profiles", "show", "switch.generc"]) == 2
    assert "did you mean `switch.generic`?" in capsys.readouterr().err


def test_the_list_has_shipped_profiles_bases_and_one_s_own(responder, site, capsys):
    (site / "mine").mkdir()
    (site / "mine" / "a.yaml").write_text("id: my.switch\nextends: [switch.generic]\nmatch: {priority: 70}\n")
    settled(site, recorded(responder, "generic"), more="profiles: mine\n")
    assert main(["profiles", "list", "--config", "agent.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["70", "my.switch", "switch"]
    bases = [name for name in library() if name.startswith("std.")]
    assert [line.split()[2] for line in lines if " std." in line] == ["base"] * len(bases)
