"""`forewarn collector ...` as a person types it, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.settings import Settings as AgentSettings
from collector.opening import open_databases
from collector.register import Register
from collector.settings import Settings, load
from forewarn.consent import Consent, document, new_key, sign
from forewarn.settings import read
from forewarn.vocabulary import Source
from tests import servers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = (
        f"folder: data\nbroker: {{host: broker.example, port: 8883, tls: {{}}}}\napi: {{port: {servers.free_port()}}}\n"
    )
    (tmp_path / "collector.yaml").write_text(text)
    return tmp_path


def typed(folder: Path, *words: str, code: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forewarn", "collector", *words]
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
    done = subprocess.run(
        command, check=False, cwd=folder, env=env, capture_output=True, text=True, input=given, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_sample_is_a_valid_settings_file(folder: Path) -> None:
    text = typed(folder, "sample-config").stdout
    assert read(Settings, text, "sample").api.host == "127.0.0.1"
    assert "## Address to listen on." in text


def test_an_agent_gets_its_settings_once_and_the_collector_knows_its_secret(folder: Path) -> None:
    typed(folder, "add-site", "s1", "Harbour North")
    made = yaml.safe_load(typed(folder, "add-agent", "s1", "--id", "a1").stdout)
    assert (made["site"], made["agent"], made["broker"]) == (
        "s1",
        "a1",
        {"host": "broker.example", "port": 8883, "tls": {}},
    )
    assert read(AgentSettings, yaml.safe_dump(made), "agent.yaml").revealed() == made["secret"]
    again = typed(folder, "add-agent", "s1", "--id", "a1", code=2)
    assert "there is an agent `a1` already" in again.stderr
    assert made["secret"] not in again.stdout + again.stderr + typed(folder, "status", code=1).stdout


def test_what_a_command_changes_a_running_collector_sees(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(folder, "add-site", "s1", "Harbour North")
    monkeypatch.chdir(folder)
    databases = open_databases(load(folder / "collector.yaml"))
    now = [0.0]
    register = Register(databases, monotonic=lambda: now[0])
    assert register.known().agents == {}
    typed(folder, "add-agent", "s1", "--id", "a1")
    now[0] += 2.0
    assert register.known().agents["a1"].site == "s1"
    databases.close()


def test_a_consent_is_taken_when_its_key_is_trusted_and_withdrawn_by_its_id(folder: Path) -> None:
    typed(folder, "add-site", "s1", "Harbour North")
    private, public = new_key()
    draft = Consent(
        id="c-1",
        site="s1",
        customer="Harbour Ltd",
        signed_by="Li",
        scopes=[Source.SNMP],
        networks=["10.0.0.0/8"],
        valid_from="2026-01-01T00:00:00Z",
        valid_until="2036-01-01T00:00:00Z",
    )
    (folder / "consent.json").write_bytes(document(sign(draft, private)))
    assert "not trusted" in typed(folder, "add-consent", "consent.json", code=2).stderr
    told = typed(folder, "add-consent", "consent.json", "--key", public).stdout
    assert told == "Consent `c-1` of Harbour Ltd for site `s1` is in force until 2036-01-01T00:00:00Z.\n"
    assert typed(folder, "withdraw-consent", "c-1").stdout == "Consent `c-1` is withdrawn.\n"
    assert "there is no consent `c-2`" in typed(folder, "withdraw-consent", "c-2", code=2).stderr


def test_a_token_is_told_once_and_can_be_revoked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = typed(folder, "add-token", "Mei").stdout.strip()
    monkeypatch.chdir(folder)
    databases = open_databases(load(folder / "collector.yaml"))
    register = Register(databases)
    assert register.actor(token) == "Mei"
    typed(folder, "revoke-token", given=token + "\n")
    assert register.actor(token) is None
    databases.close()


def test_broker_files_are_written_and_named(folder: Path) -> None:
    told = typed(folder, "broker-files", "broker").stdout.split()
    assert told == ["broker/passwords", "broker/acl", "broker/mosquitto.conf"]
    assert all((folder / name).exists() for name in told)


def test_broker_files_tells_what_the_settings_lack_and_only_that(folder: Path) -> None:
    told = typed(folder, "broker-files", "broker").stderr
    assert "  user: collector\n  password_file: broker/collector.password\n" in told
    login = "broker: {host: x, user: collector, password_file: broker/collector.password}"
    (folder / "collector.yaml").write_text(f"folder: data\n{login}\n")
    assert (
        typed(folder, "broker-files", "broker").stderr
        == "A running Mosquitto reads them again on SIGHUP: kill -HUP PID.\n"
    )


def test_status_says_that_no_collector_answers_and_lists_agents(folder: Path) -> None:
    typed(folder, "add-site", "s1", "Harbour North")
    typed(folder, "add-agent", "s1", "--id", "a1")
    (folder / "collector.yaml").write_text("folder: data\nbroker: {host: x}\napi: {port: 9}\n")
    told = typed(folder, "status", code=1).stdout
    assert "The collector does not answer at http://127.0.0.1:9/readyz" in told
    assert "never" in told
    assert "a1" in told


def test_a_wrong_setting_is_told_with_its_place_and_the_nearest_key(folder: Path) -> None:
    (folder / "collector.yaml").write_text("folder: data\nbroker: {host: x}\napi: {prot: 1}\n")
    wrong = typed(folder, "status", code=2).stderr
    assert wrong == "forewarn collector: collector.yaml:3:7: unknown key `prot`; did you mean `port`?\n"


def test_a_settings_file_that_is_not_there_is_named(folder: Path) -> None:
    assert "nothing.yaml:1:1: cannot be read" in typed(folder, "status", "-c", "nothing.yaml", code=2).stderr


def test_an_unknown_command_is_answered_with_the_nearest(folder: Path) -> None:
    assert "add-site" in typed(folder, "add-sight", code=2).stderr


def test_the_description_of_the_api_is_printed(folder: Path) -> None:
    assert json.loads(typed(folder, "openapi").stdout)["info"]["title"] == "forewarn collector"


def test_a_wrong_rule_of_ones_own_ends_the_run_with_its_place(folder: Path) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "mine.yaml").write_text("- id: mine.one\n  on: {table: volum}\n")
    settings = "folder: data\nbroker: {host: x}\napi: {port: 0}\nrules: {folders: [own]}\n"
    (folder / "collector.yaml").write_text(settings)
    assert "own/mine.yaml:" in typed(folder, "run", code=2).stderr


def test_a_data_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "data").write_text("in the way")
    assert "data" in typed(folder, "run", code=2).stderr


def test_the_settings_of_an_agent_name_the_authority_that_the_collector_trusts(folder: Path) -> None:
    text = (folder / "collector.yaml").read_text(encoding="utf-8")
    (folder / "collector.yaml").write_text(text.replace("tls: {}", "tls: {ca: /etc/forewarn/our ca.pem}"))
    typed(folder, "add-site", "s1", "Harbour North")
    printed = typed(folder, "add-agent", "s1", "--id", "a1").stdout
    assert yaml.safe_load(printed)["broker"]["tls"] == {"ca": "our ca.pem"}
    assert "bring the collector's /etc/forewarn/our ca.pem along" in printed


def test_a_name_that_cannot_be_is_refused_with_what_it_may_hold(folder: Path) -> None:
    told = typed(folder, "add-agent", "s1", "--id", "a/1", code=2).stderr
    assert told.startswith("forewarn collector: `a/1` cannot name an agent: letters, digits")


def test_a_draft_or_a_missing_file_given_as_consent_is_told_as_a_person_would(folder: Path) -> None:
    (folder / "consent.yaml").write_text("site: s1\n")
    told = typed(folder, "add-consent", "consent.yaml", code=2).stderr
    assert told.startswith("forewarn collector: unreadable consent: consent.yaml: JSON is malformed")
    assert told.endswith("`forewarn agent consent sign` makes one of a draft\n")
    told = typed(folder, "add-consent", "nothing.json", code=2).stderr
    assert told == "forewarn collector: nothing.json: No such file or directory\n"
