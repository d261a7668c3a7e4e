"""`forewarn agent doctor`: each trouble made for real, and the line that a person reads of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agent.app import SystemClock
from agent.delivery.spoolfile import SpoolFile
from agent.doctor.look import look
from agent.guard import withdraw
from agent.itself import Status
from agent.profiles.files import shipped
from collector import broker_files
from forewarn import consent as consents
from forewarn import signals
from forewarn.bus import Broker, State
from forewarn.bus.mqtt import MqttBus
from forewarn.demo.responder import Device, Mood, Responder
from forewarn.settings import Secret
from forewarn.signals import Ack
from forewarn.vocabulary import Source
from forewarn.wire import Record
from tests import servers
from tests.agents import AGENT, SECRET, SHAPE, SHARD, SITE, signed, until, write_consent
from tests.doctoring import SMALL, Told, another_account, own_world, told
from tests.e2e.collector_run import certificates

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests/fixtures/recordings/hikvision.camera.snmprec"


class Site:
    """An agent's folder, as the working folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.private, public = consents.new_key()
        self.data = folder / "data"
        self.data.mkdir()
        self.settings: dict[str, Any] = {
            "site": SITE,
            "agent": AGENT,
            "shard": SHARD,
            "secret": SECRET,
            "folder": "data",
            "broker": {"host": "127.0.0.1", "port": port},
            "trusted_keys": [public],
            "devices": [],
        }
        self.consent()

    def consent(self, **changed: object) -> None:
        lasting = {"valid_until": consents.instant(int((time.time() + 90 * 86400) * 1000))}
        write_consent(self.data / "consent.json", signed(self.private, **(lasting | changed)))

    def device(self, name: str, port: int, **more: Any) -> dict[str, Any]:
        made = {"name": name, "address": "127.0.0.1", "port": port, "timeout": "200ms", "retries": 0, **more}
        self.settings["devices"].append(made)
        return made

    def look(self) -> Told:
        file = self.folder / "agent.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(self.settings))
        return told(look, "agent.yaml")

    def status(self, **changed: object) -> None:
        """Leaves the status that a running agent would have written just now."""
        words = dict.fromkeys(("epoch", "stuck", "consent", "forbidden", "why", "held"), "")
        counts = dict.fromkeys(("pid", "oldest", "head", "acked", "records", "bytes", "in_flight"), 7)
        fixed = {"rewinds": 0, "forged": 0, "at": SystemClock().now(), "connected": True}
        status = msgspec.convert({**words, **counts, **fixed, **changed}, Status)
        (self.data / "status.json").write_bytes(msgspec.json.encode(status))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Mosquitto]:
    """A broker with passwords and access list, as `collector broker-files` writes them."""
    folder = tmp_path_factory.mktemp("guarded")
    files = broker_files.write(folder / "files", {AGENT: SECRET}, user="collector")
    lines = ["allow_anonymous false", f"password_file {files.passwords}", f"acl_file {files.acl}"]
    with servers.mosquitto(folder / "mosquitto", *lines, "use_username_as_clientid true") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, guarded: servers.Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    return Site(tmp_path, guarded.port)


@pytest.fixture
def camera() -> Iterator[Device]:
    with Responder() as responder:
        yield responder.add(RECORDING.read_text())


def collector_says(guarded: servers.Mosquitto, payload: bytes) -> None:
    """Leaves a retained acknowledgement."""
    password = Secret((guarded.folder.parent / "files" / "collector.password").read_text().strip())
    bus = MqttBus(Broker(host="127.0.0.1", port=guarded.port, user="collector", password=password), "collector")
    bus.connect()
    until(lambda: bus.state.connected)
    bus.publish(signals.ack_topic(AGENT), payload, retain=True).result(10)
    bus.close()


def test_nothing_fails_where_all_is_well_and_nothing_is_left_behind(site: Site, camera: Device) -> None:
    site.device("cam-1", camera.port, timeout="2s")
    before = sorted(site.data.iterdir())
    found = site.look()
    assert found.failing() == []
    found.well("settings", f"site {SITE}, agent {AGENT}, 1 device")
    found.well("secrets", "kept to this account: agent.yaml")
    found.well("folder data", "takes files")
    found.well("consent", "snmp, host in 127.0.0.0/8; until ")
    found.well("broker", f"accepts `{AGENT}`")
    found.well("collector", "has not answered this agent yet")
    found.well("profiles", str(len(shipped())))
    found.well("host", "fields read")
    seen = found.about("device cam-1 at 127.0.0.1")[0].what
    assert seen.startswith("hikvision.camera ("), seen
    assert seen.endswith(" values")
    assert sorted(site.data.iterdir()) == before


def test_a_broker_that_is_down_is_told_from_one_that_no_name_leads_to(site: Site) -> None:
    site.settings["broker"]["port"] = port = servers.free_port()
    site.look().fails("broker", f"nothing listens at 127.0.0.1:{port}", "start it there, or correct `broker.port`")
    site.settings["broker"]["host"] = "nowhere.invalid"
    site.look().fails("broker", "knows no address of `nowhere.invalid`", "correct `broker.host`")


def test_a_wrong_secret_is_told_as_such(site: Site) -> None:
    site.settings["secret"] = "11" * 32
    remedy = "those that `forewarn collector add-agent` printed"
    site.look().fails("broker", f"does not accept `{AGENT}` with its password", remedy)


def test_a_certificate_is_refused_for_its_authority_or_its_name_each_with_its_remedy(
    site: Site, tmp_path: Path
) -> None:
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    lines = ["allow_anonymous true", f"certfile {ours.certificate}", f"keyfile {ours.key}"]
    with servers.mosquitto(tmp_path / "tls", *lines) as broker:
        site.settings["broker"] = {"host": "127.0.0.1", "port": broker.port, "tls": {"ca": str(others.ca)}}
        site.look().fails("broker", "the certificate of 127.0.0.1", "set `broker.tls.ca`")
        site.settings["broker"] = {"host": "localhost", "port": broker.port, "tls": {"ca": str(ours.ca)}}
        site.look().fails("broker", "Hostname mismatch", "by a name that is in its certificate")
        site.settings["broker"] = {"host": "127.0.0.1", "port": broker.port, "tls": {"ca": str(ours.ca)}}
        found = site.look()
        found.warns("broker", "its certificate ends in ", "renew it")
        found.well("broker", f"accepts `{AGENT}`")
        site.settings["broker"] = {"host": "127.0.0.1", "port": broker.port, "tls": {"ca": "nowhere.crt"}}
        site.look().fails("broker", "TLS files nowhere.crt", "correct `broker.tls`")
    site.settings["broker"] = {"host": "127.0.0.1", "port": servers.free_port(), "tls": {}}
    assert not any("certificate" in each.what for each in site.look())


def test_a_broker_without_tls_says_so_to_who_wants_it(site: Site) -> None:
    site.settings["broker"]["tls"] = {}
    site.look().fails("broker", "does not shake hands for TLS", "take the port it speaks TLS at for `broker.port`")


def test_a_broker_that_hangs_up_for_a_topic_is_told_as_such(site: Site) -> None:
    def serve(listener: socket.socket) -> None:
        for answer in (b"", b"\x20\x03\x00\x00\x00"):  # The first is only looked at; the second is a CONNACK of MQTT 5.
            with listener.accept()[0] as client:
                if answer and client.recv(4096):
                    client.sendall(answer)
                    client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        site.settings["broker"]["port"] = listener.getsockname()[1]
        serving = threading.Thread(target=serve, args=(listener,))
        serving.start()
        site.look().fails("broker", f"hangs up when `{AGENT}` asks for its topics", "broker-files DIR")
        serving.join()


def test_each_way_a_consent_is_not_in_force_has_its_remedy(site: Site) -> None:
    site.status()  # Of an agent that runs: nobody logs in then, which takes a second.
    now = int(time.time() * 1000)
    day = 86_400_000
    site.consent(valid_from=consents.instant(now - 9 * day), valid_until=consents.instant(now - day))
    site.look().fails("consent", "expired", "forewarn agent consent new")
    site.consent(valid_from=consents.instant(now + day))
    site.look().fails("consent", "not yet valid", "set this machine's clock")
    site.consent(site="s-2")
    site.look().fails("consent", "given for another site", "correct `site`")
    site.consent(id="c-1")
    withdraw(site.data, "c-1", now)
    site.look().fails("consent", "was withdrawn on this site", "it stays withdrawn")
    (site.data / "STOP").touch()
    site.look().fails("consent", "STOP is there", "delete the file STOP")
    (site.data / "STOP").unlink()
    site.consent()
    known, site.settings["trusted_keys"] = site.settings["trusted_keys"], []
    site.look().fails("consent", "not trusted", "`trusted_keys` is empty: if it is the customer's key, add it")
    site.settings["trusted_keys"] = known
    (site.data / "consent.json").unlink()
    site.look().fails("consent", "there is no data/consent.json", "forewarn agent consent sign")


def test_what_a_consent_leaves_out_is_named(site: Site) -> None:
    site.status()
    site.device("cam-1", 9, address="192.0.2.7")
    site.consent(scopes=[Source.SNMP])
    site.settings["discovery"] = {"enabled": True}
    found = site.look()
    found.warns("consent", "does not grant `discovery`: nobody is looked for", "discovery: {enabled: false}")
    found.fails("consent", "does not cover cam-1 (192.0.2.7): not polled", "whose `networks` cover them")
    found.warns("consent", "does not grant `host`", "host: {enabled: false}")
    assert found.about("device") == found.about("host") == []
    site.consent(scopes=[Source.HOST])
    site.look().fails("consent", "does not grant `snmp`: 1 devices are not polled", "with the scope `snmp`")


def test_a_consent_that_ends_soon_and_a_key_left_lying_are_warned_of(site: Site) -> None:
    site.consent(valid_until=consents.instant(int(time.time() * 1000) + 10 * 86_400_000))
    (site.folder / "consent.key").write_text("00" * 32)
    found = site.look()
    found.warns("consent", "; ends in 10 d, on ", "before then the customer writes and signs one")
    found.warns(
        "consent", "consent.key in this folder is the customer's private key", "where the customer alone has it"
    )


def test_files_that_show_a_secret_to_others_are_named(site: Site) -> None:
    secret, community = site.folder / "secret.txt", site.folder / "community.txt"
    for file in (secret, community):
        file.write_text(SECRET)
    secret.chmod(0o640)
    community.chmod(0o644)
    del site.settings["secret"]
    site.settings["secret_file"] = "secret.txt"
    site.device("cam-1", 9, community_file="community.txt")
    found = site.look()
    found.warns("secrets in community.txt", "(mode 644)", "chmod 600 community.txt")
    assert found.about("secrets in secret.txt") == found.about("secrets in agent.yaml") == []
    secret.unlink()
    site.look().fails("secret", "secret.txt: No such file or directory", "put the secret")


def test_a_folder_that_is_closed_to_this_account_is_named_with_what_opens_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        place = Path(open_to_all)
        place.chmod(0o755)
        (place / "data").mkdir(mode=0o500)
        (place / "agent.yaml").write_text(yaml.safe_dump(site.settings))
        monkeypatch.chdir(place)
        with another_account():
            found = told(look, "agent.yaml")
        monkeypatch.chdir(site.folder)
    found.fails("folder data", "cannot be written (Permission denied)", "chown -R ")
    site.settings["folder"] = "agent.yaml"
    site.look().fails("folder agent.yaml", "is a file", "set `folder` to another folder")


@pytest.mark.parametrize(
    ("options", "line", "remedy"),
    [
        ("size=8m", "[fail] disk of data/spool: 8.0 MiB of 8.0 MiB free", "make room now"),
        (
            "size=200m",
            "[warn] disk of data/spool: 200.0 MiB of 200.0 MiB free, the spool may take 2.0 GiB",
            "`spool.limit`",
        ),
        ("ro", "[fail] folder data: cannot be written (Read-only file system)", "mount -o remount,rw "),
    ],
)
def test_a_disk_that_is_small_full_or_read_only_is_named(site: Site, options: str, line: str, remedy: str) -> None:
    own_world()
    site.look()
    command = [sys.executable, "-m", "forewarn", "agent", "doctor"]
    world = [*SMALL, f'mount -t tmpfs -o {options} none data && exec "$@"', "sh"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*world, *command], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    at = next((at for at, said in enumerate(done.stdout.splitlines()) if said.startswith(line)), None)
    assert at is not None, done.stdout
    assert remedy in done.stdout.splitlines()[at + 1]


def spooled(site: Site, t: int) -> Path:
    """A spool with a record that waits, as an agent that ended has left it."""
    folder = site.data / "spool"
    folder.mkdir()
    path = folder / "01EPOCH.spool"
    file = SpoolFile(path)
    with file.changing():
        for at in range(200):
            file.append(Record(seq=0, t=t + at, device="cam-1", values=[1.0]), SHAPE, "c-1")
    file.close()
    return path


def test_what_waits_in_the_spool_is_told_with_its_age_and_the_file_is_left_as_it_is(site: Site) -> None:
    path = spooled(site, int(time.time() * 1000) - 3 * 3_600_000)
    before = path.read_bytes()
    found = site.look()
    assert found.about("spool")[0].what.startswith("200 records wait, ")
    assert found.about("spool")[0].what.endswith(" of 2.0 GiB, since 3 h")
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == [path]
    site.settings["spool"] = {"limit": "40KiB"}
    site.look().warns("spool", "soon the oldest are dropped", "raise `spool.limit`")


def test_a_damaged_spool_and_one_set_aside_are_named(site: Site) -> None:
    path = spooled(site, 1_700_000_000_000)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 8192)
    site.look().fails("spool", "data/spool/01EPOCH.spool is damaged", "start the agent")
    path.rename(path.with_name(f"{path.name}.damaged"))
    site.look().warns("spool", "01EPOCH.spool.damaged was damaged and set aside", "smartctl")


def test_a_mistake_in_a_profile_of_ones_own_is_told_with_its_place(site: Site) -> None:
    (site.folder / "own").mkdir()
    (site.folder / "own" / "mine.yaml").write_text("id: mine\nkind: camera\nscr: x\n")
    site.settings["profiles"] = "own"
    found = site.look()
    assert [each for each in found.failing() if "own/mine.yaml:3:1: unknown key `scr`" in each], found.failing()


def test_a_device_that_keeps_silent_is_told_apart_from_one_that_is_there(site: Site, camera: Device) -> None:
    site.status()
    site.consent(scopes=[Source.SNMP, Source.PROBE])
    site.device("typo", camera.port, community="privat")
    site.device("off", servers.free_port())
    site.device("odd", camera.port, profile="hikvison.camera")
    found = site.look()
    found.fails("device typo", "answers: the community is wrong, or SNMP is closed to us", "correct `community`")
    found.fails("device off", "nothing listens there", "switch SNMP on in the device, or correct `port`")
    found.fails("device odd", "there is no profile `hikvison.camera`; did you mean", "correct `profile`")
    site.consent(scopes=[Source.SNMP])
    unprobed = "a wrong one gets no answer either"
    site.look().fails("device typo", "did not answer", unprobed)


def test_many_dead_devices_are_asked_at_the_same_time(site: Site) -> None:
    with Responder() as responder:
        dead = [responder.add(RECORDING.read_text()) for _ in range(50)]
        for number, device in enumerate(dead):
            device.mood = Mood.SILENT
            site.device(f"cam-{number}", device.port, timeout="1s")
        (site.folder / "agent.yaml").write_text(yaml.safe_dump(site.settings))
        asked: list[int] = []

        def progress(what: str, done: int, of: int) -> None:
            assert (what, of) == ("devices", 50)
            if done == 1:
                asked.append(sum(device.requests > 0 for device in dead))

        found = told(look, "agent.yaml", progress)
    assert asked == [50], "all were asked before the first was given up"
    assert len([each for each in found.failing() if "did not answer" in each]) == 50


def test_what_the_collector_last_answered_is_read_and_proven(site: Site, guarded: servers.Mosquitto) -> None:
    key, now = signals.derive(SECRET, "ack"), int(time.time() * 1000)
    ack = Ack(agent=AGENT, epoch="e", upto=42, boot="b", at=now - 2 * 3_600_000)
    collector_says(guarded, signals.seal_ack(ack, key))
    site.look().well("collector", "has acknowledged up to record 42, 2 h ago")
    held = msgspec.structs.replace(ack, held="unknown_consent c-1")
    collector_says(guarded, signals.seal_ack(held, key))
    site.look().fails("collector", "did not take our records, 2 h ago: unknown_consent c-1", "add-consent")
    collector_says(guarded, signals.seal_ack(msgspec.structs.replace(ack, at=now + 600_000), key))
    site.look().warns("clock", "at least 10 min behind the collector's", "NTP")
    collector_says(guarded, signals.seal_ack(ack, signals.derive("another", "ack")))
    site.look().fails("collector", "made with another secret than ours", "put the secret of this agent")
    collector_says(guarded, b"")


def test_beside_a_running_agent_it_asks_the_status_file_and_leaves_the_connection_alone(
    site: Site, guarded: servers.Mosquitto
) -> None:
    password = Secret(signals.derive(SECRET, "mqtt"))
    bus = MqttBus(Broker(host="127.0.0.1", port=guarded.port, user=AGENT, password=password), AGENT)
    states: list[State] = []
    bus.watch(states.append)
    bus.connect()
    until(lambda: bus.state.connected)
    site.status(acked=5, head=9, records=4, answered=SystemClock().now())
    found = site.look()
    bus.publish(signals.block_topic(SHARD, AGENT), b"").result(10)
    assert [state.connected for state in states] == [True], "a second login would have pushed it off"
    bus.close()
    found.well("agent", "runs (process 7)")
    found.well("broker", "the running agent is connected")
    found.well("collector", "has acknowledged up to record 5 of 9")


def test_what_a_running_agent_says_is_wrong_is_handed_on(site: Site) -> None:
    site.status(connected=False, why="the broker refuses us: not authorized", stuck="disk full")
    found = site.look()
    found.fails("broker", "the running agent is not connected: the broker refuses us", "with the agent stopped")
    found.fails("spool", "disk full", "make room")
    site.status(records=3)
    site.look().warns("collector", "has not answered since the agent started, and 3 records wait", "collector doctor")
    site.status(records=3, answered=SystemClock().now() - 600_000)
    site.look().warns("collector", "has not answered for 10 min, and 3 records wait", "collector doctor")
    site.status(clock_ahead=-7_200.0)
    site.look().warns("clock", "2 h behind the collector's", "NTP")
    site.status(held="withdrawn")
    site.look().fails("collector", "which wait here: withdrawn", "forewarn agent consent sign")


def test_an_agent_that_does_not_run_and_a_clock_set_back_are_told(site: Site) -> None:
    site.look().well("agent", "has not run here yet")
    site.status(at=SystemClock().now() - 3_600_000)
    site.look().warns("agent", "does not run; its last word is 60 min old", "forewarn agent run")
    site.status(at=SystemClock().now() + 7_200_000)
    site.look().warns("agent", "in the future: this machine's clock was set back", "see that the clock is right")
