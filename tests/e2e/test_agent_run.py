"""`forewarn agent` as people use it: real processes, a real mosquitto, a device that answers on real UDP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.app import SystemClock
from agent.guard import withdraw
from agent.itself import Status
from agent.settings import load
from forewarn import consent as consents
from forewarn.bus import Broker
from forewarn.bus.mqtt import MqttBus
from forewarn.demo.responder import Responder
from tests import servers
from tests.agents import AGENT, SECRET, SHARD, SITE, ScriptedCollector, signed, until, write_consent

PATHS: list[str] = []
"""Folders whose modules the processes find first."""
RECORDING = Path("tests/fixtures/recordings/hikvision.camera.snmprec")


def forewarn(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forewarn", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=_env(), timeout=60, check=False)


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*PATHS, str(Path.cwd())]), "TERM": "dumb"}


class Site:
    """An agent's folder with settings, key and consent."""

    def __init__(self, folder: Path, broker: int, device: int) -> None:
        self.folder = folder
        self.private, self.public = consents.new_key()
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        (folder / "agent.yaml").write_text(f"""\
site: {SITE}
agent: {AGENT}
shard: {SHARD}
secret: "{SECRET}"
folder: data
broker: {{host: 127.0.0.1, port: {broker}}}
trusted_keys: [{self.public}]
devices:
  - {{name: cam-1, address: 127.0.0.1, port: {device}, interval: 500ms, timeout: 1s}}
host: {{interval: 500ms}}
spool: {{ledger: data/ledger}}
delivery: {{patience: 1s, gather: 50ms}}
report: 500ms
""")
        self.consent = signed(self.private)
        write_consent(self.data / "consent.json", self.consent)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *within: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"],
                cwd=self.folder,
                env=_env(),
                stdout=log,
                stderr=log,
            )

    def said(self) -> list[dict[str, object]]:
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def told(self, event: str) -> bool:
        return any(said["event"] == event for said in self.said())

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def site(tmp_path: Path, broker: servers.Mosquitto) -> Iterator[Site]:
    with Responder() as responder:
        device = responder.add(RECORDING.read_text())
        one = Site(tmp_path / "site", broker.port, device.port)
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@contextlib.contextmanager
def listening(port: int) -> Iterator[ScriptedCollector]:
    collector = ScriptedCollector(MqttBus(Broker(host="127.0.0.1", port=port), "collector"))
    collector.bus.connect()
    until(lambda: collector.bus.state.connected)
    try:
        yield collector
    finally:
        collector.bus.close()


def devices(collector: ScriptedCollector) -> set[str]:
    with collector.lock:
        return {record.device for _, record in collector.taken if not record.kind and record.ok}


def test_an_agent_delivers_its_devices_its_host_and_itself_and_ends_in_order(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port) as collector:
        site.start()
        until(lambda: {"cam-1", f"{AGENT}.host", AGENT} <= devices(collector), (site.folder / "log").read_text)
        assert site.stop() == 0
        assert collector.wrong == []
        kinds = {shape.kind for block in collector.blocks for shape in block.shapes.values()}
        assert {"camera", "server", "agent"} <= kinds
        ledger = [line.split() for line in (site.data / "ledger").read_text().splitlines()]
        assert [int(seq) for _, seq, _ in ledger] == list(range(1, len(ledger) + 1))
        taken = [[epoch, str(record.seq), record.hash] for epoch, record in collector.taken]
        assert taken == ledger[: len(taken)]


def test_a_killed_agent_goes_on_where_it_was(site: Site, broker: servers.Mosquitto) -> None:
    with listening(broker.port) as collector:
        site.start()
        until(lambda: len(collector.taken) > 3)
        assert site.process is not None
        site.process.kill()
        site.process.wait()
        before = len(collector.taken)
        site.start()
        until(lambda: len(collector.taken) > before + 3)
        assert site.stop() == 0
        assert collector.wrong == []
        assert len({block.epoch for block in collector.blocks}) == 1
        assert len({block.boot for block in collector.blocks}) == 2


def test_the_stop_file_silences_the_agent_and_the_log_says_why(site: Site, broker: servers.Mosquitto) -> None:
    with listening(broker.port) as collector:
        site.start()
        until(lambda: len(collector.taken) > 3)
        (site.data / "STOP").touch()
        until(lambda: any("stopped on the site" in str(said.get("why")) for said in site.said()), timeout=5)
        until(lambda: forewarn(site.folder, "agent", "status").returncode == 1)
        assert "stopped on the site" in forewarn(site.folder, "agent", "status").stdout
        poll = forewarn(site.folder, "agent", "poll", "cam-1")
        assert poll.returncode == 1
        assert "stopped on the site" in poll.stderr
        kept = len((site.data / "ledger").read_text())
        blocks = len(collector.blocks)
        (site.data / "STOP").unlink()
        until(lambda: len(collector.blocks) > blocks)
        assert len((site.data / "ledger").read_text()) > kept
        assert site.stop() == 0


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_status_from_another_hour_is_of_no_running_agent_whichever_way_the_clock_was_set(
    site: Site, hours: int
) -> None:
    status = Status(
        at=SystemClock().now() + hours * 3_600_000, pid=1, epoch="E", oldest=1, head=0, acked=0, records=0, bytes=0,
        stuck="", consent="c-1", forbidden="", connected=True, why="", held="", in_flight=0, rewinds=0, forged=0,
    )  # fmt: skip
    (site.data / "status.json").write_bytes(msgspec.json.encode(status))
    shown = forewarn(site.folder, "agent", "status")
    assert shown.returncode == 1
    assert "does not run" in shown.stdout


_SMALL = "mkdir -p data/spool && mount -t tmpfs -o size=2m tmpfs data/spool && head -c 3m /dev/zero >data/spool/ballast 2>/dev/null; "


def test_a_full_disk_under_the_spool_is_named_at_start_and_later_and_ends_nothing(
    site: Site, broker: servers.Mosquitto
) -> None:
    world = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*world, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here: max_page_count stands in for a full disk in the unit tests")
    site.start(*world, "sh", "-c", _SMALL + 'exec "$@"', "sh")
    assert site.process is not None
    ballast = Path(f"/proc/{site.process.pid}/root{site.data}/spool/ballast")
    until(lambda: site.told("spool cannot be opened yet"))
    ballast.unlink()
    until(lambda: site.told("agent started"))
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    until(lambda: site.told("spool cannot write"))
    withdraw(site.data, site.consent.id, SystemClock().now())
    until(lambda: site.told("records of a withdrawn consent not dropped yet"))
    assert site.process.poll() is None
    ballast.unlink()
    until(lambda: site.told("records of a withdrawn consent dropped"))
    site.consent = signed(site.private)
    write_consent(site.data / "consent.json", site.consent)
    with listening(broker.port) as collector:
        until(lambda: "cam-1" in devices(collector))
        assert collector.wrong == []
        assert {block.consent for block in collector.blocks} == {site.consent.id}
    assert site.stop() == 0


def test_a_broker_that_is_not_there_is_waited_for(site: Site, broker: servers.Mosquitto) -> None:
    broker.stop()
    site.start()
    until((site.data / "status.json").exists)
    until(lambda: "not reached" in forewarn(site.folder, "agent", "status").stdout)
    broker.start()
    with listening(broker.port) as collector:
        until(lambda: "cam-1" in devices(collector))
    assert site.stop() == 0


def test_wrong_settings_are_one_line_each_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("site: s\nagent: a\nshard: 77\nsecrett: x\nbroker: {host: h}\n")
    ended = forewarn(tmp_path, "agent", "run")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "agent.yaml:3:8: `shard` is at most 63, not 77",
        "agent.yaml:4:1: unknown key `secrett`; did you mean `secret`?",
    ]
    missing = forewarn(tmp_path, "agent", "run", "--config", "none.yaml")
    assert missing.returncode == 2
    assert missing.stderr == "none.yaml:1:1: cannot be read: No such file or directory\n"


def test_poll_prints_the_record_that_would_be_sent(site: Site) -> None:
    polled = forewarn(site.folder, "agent", "poll", "cam-1")
    assert polled.returncode == 0, polled.stderr
    first = json.JSONDecoder().raw_decode(polled.stdout)[0]
    record = first["records"][0]
    shape = first["shapes"][record["shape"]]
    assert shape["kind"] == "camera"
    assert record["device"] == "cam-1"
    assert len(record["values"]) == sum(len(t["instances"]) * len(t["fields"]) for t in shape["tables"])
    outside = forewarn(site.folder, "agent", "poll", "10.0.0.1")
    assert outside.returncode == 1
    assert "10.0.0.1 is not polled: address outside the consent" in outside.stderr


def test_a_consent_is_written_signed_shown_and_withdrawn_offline(site: Site) -> None:
    (site.data / "consent.json").unlink()
    assert forewarn(site.folder, "agent", "consent", "new").returncode == 0
    draft = site.folder / "consent.yaml"
    text = draft.read_text()
    assert f"site: {SITE}" in text
    draft.write_text(text.replace("192.168.1.0/24", "192.168.1.0/33"))
    refused = forewarn(site.folder, "agent", "consent", "sign", "--make-key")
    assert refused.returncode == 2
    line = next(at for at, said in enumerate(text.splitlines(), 1) if said.startswith("networks"))
    assert refused.stderr.startswith(f"consent.yaml:{line}:11: `networks`: '192.168.1.0/33'")
    draft.write_text(text)
    done = forewarn(site.folder, "agent", "consent", "sign", "--make-key")
    assert done.returncode == 0, done.stderr
    public = (site.folder / "consent.key.pub").read_text().strip()
    assert f"trusted_keys: [{public}]" in done.stdout
    assert "not trusted" in forewarn(site.folder, "agent", "consent", "show").stdout
    settings = site.folder / "agent.yaml"
    settings.write_text(settings.read_text().replace(site.public, public))
    shown = forewarn(site.folder, "agent", "consent", "show")
    assert shown.returncode == 0
    assert shown.stdout.startswith("In force.")
    assert forewarn(site.folder, "agent", "consent", "withdraw", "--yes").returncode == 0
    gone = forewarn(site.folder, "agent", "consent", "show")
    assert gone.returncode == 1
    assert gone.stdout.startswith("Not in force: withdrawn")
    assert oct((site.folder / "consent.key").stat().st_mode)[-3:] == "600"


def test_a_consent_for_another_site_is_not_put_in_the_place_of_ours(site: Site) -> None:
    before = (site.data / "consent.json").read_bytes()
    assert forewarn(site.folder, "agent", "consent", "new").returncode == 0
    draft = site.folder / "consent.yaml"
    draft.write_text(draft.read_text().replace(f"site: {SITE}", "site: elsewhere"))
    refused = forewarn(site.folder, "agent", "consent", "sign", "--make-key")
    assert refused.returncode == 2
    assert "consent.yaml:3:7: `site` is `elsewhere`, but the agent of agent.yaml works for" in refused.stderr
    assert (site.data / "consent.json").read_bytes() == before
    assert forewarn(site.folder, "agent", "consent", "sign", "--make-key", "--out", "other.json").returncode == 0


def test_a_file_that_is_no_key_is_told_in_a_line(site: Site) -> None:
    assert forewarn(site.folder, "agent", "consent", "new").returncode == 0
    (site.folder / "consent.key").write_text("not a key \u00e9\n")
    refused = forewarn(site.folder, "agent", "consent", "sign")
    assert (refused.returncode, refused.stderr) == (
        2,
        "consent.key:1:1: is no private key: one is 64 hexadecimal digits, as --make-key writes it\n",
    )


def running(site: Site, held: str = "") -> None:
    """Leaves the status that an agent at work here would have written just now."""
    words = dict.fromkeys(("epoch", "stuck", "consent", "forbidden", "why"), "")
    counts = dict.fromkeys(("pid", "oldest", "head", "acked", "records", "bytes", "in_flight", "rewinds", "forged"), 1)
    status = {**words, **counts, "at": SystemClock().now(), "connected": True, "held": held}
    (site.data / "status.json").write_bytes(msgspec.json.encode(msgspec.convert(status, Status)))


@pytest.mark.parametrize(
    ("held", "to_do"),
    [
        ("unknown_consent", "forewarn collector add-consent consent.json"),
        ("unknown_agent (unproven)", "forewarn collector add-agent"),
        ("withdrawn", "forewarn agent consent sign"),
        ("newer_version", "brings its collector up to date"),
    ],
)
def test_status_says_who_has_to_do_what_about_records_that_are_held(site: Site, held: str, to_do: str) -> None:
    running(site, held)
    said = forewarn(site.folder, "agent", "status")
    assert said.returncode == 1
    assert f"collector  does not take our records, which wait here: {held}; " in said.stdout
    assert to_do in said.stdout


def test_the_doctor_finds_a_secret_that_cannot_be_read_though_an_agent_runs_here(site: Site) -> None:
    running(site)
    given = (site.folder / "agent.yaml").read_text().replace(f'secret: "{SECRET}"', "secret_file: nowhere")
    (site.folder / "agent.yaml").write_text(given)
    looked = forewarn(site.folder, "agent", "doctor")
    assert looked.returncode == 1
    assert "[fail] secret: nowhere: No such file or directory\n       -> put the secret" in looked.stdout
    assert forewarn(site.folder, "agent", "run").stderr == "nowhere: No such file or directory\n"


def test_the_sample_settings_are_valid_as_they_are_printed(tmp_path: Path) -> None:
    printed = forewarn(tmp_path, "agent", "sample-config")
    assert printed.returncode == 0
    path = tmp_path / "agent.yaml"
    path.write_text(printed.stdout)
    assert load(path, env={}).site == "s-1"
