"""What a customer reads of the agent on his site: `forewarn agent status` and `forewarn agent log`, of real processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.app import SystemClock
from agent.guard import withdraw
from agent.logbook import pages
from forewarn import __main__ as command_line
from forewarn.demo.responder import Responder
from forewarn.wire import unpack
from tests import servers
from tests.agents import until
from tests.e2e import collector_run
from tests.e2e.test_agent_run import RECORDING, Site, forewarn, listening, site
from tests.e2e.whole_site import WholeSite

__all__ = ["site"]
ROOT = Path(__file__).parents[2]


def typed(folder: Path, *words: str) -> tuple[int, str, str]:
    """What `forewarn agent` answers, asked in this process: (exit code, what it printed, what it complained of)."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as wrong:
        code = command_line.main(["agent", *words, "--folder", str(folder)])
    return code, out.getvalue(), wrong.getvalue()


def said(site: Site, *words: str) -> list[dict[str, Any]]:
    """What `forewarn agent log --json` says."""
    return [json.loads(line) for line in told(site, "--json", *words).splitlines()]


def told(site: Site, *words: str) -> str:
    """What `forewarn agent log` says."""
    code, out, wrong = typed(site.data, "log", *words)
    assert code == 0, wrong
    return out


def states(site: Site, device: str) -> set[str]:
    return {line["state"] for line in said(site, "--device", device)}


def status(site: Site) -> str:
    return typed(site.data, "status")[1]


def start(site: Site) -> None:
    site.start()
    until(lambda: bool(pages.pages(site.data / "log")))


def kill(site: Site) -> None:
    assert site.process is not None
    site.process.kill()
    site.process.wait()


def test_a_record_waits_then_leaves_then_is_confirmed_and_the_log_says_so_each_time(
    site: Site, broker: servers.Mosquitto
) -> None:
    broker.stop()
    start(site)
    until(lambda: states(site, "cam-1") == {"waiting"})
    broker.start()
    with listening(broker.port) as taker:
        taker.mute = True
        until(lambda: "left" in states(site, "cam-1"))
        until(lambda: taker.duplicates > 0)
        taker.mute = False
        until(lambda: "confirmed" in states(site, "cam-1"))
        assert site.stop() == 0
    first = said(site, "--device", "cam-1", "--kind", "poll")[0]
    assert (first["state"], first["consent"]) == ("confirmed", site.consent.id)
    assert first["t"] <= first["left"][0] <= first["confirmed"]
    assert len(first["left"]) > 1
    assert first["values"]["device"][""]["up"] == 1.0
    seqs = [line["seq"] for line in said(site) if "seq" in line]
    assert seqs == list(range(1, len(seqs) + 1))
    shown = told(site, "--device", "cam-1")
    assert f"…{site.consent.id[-6:]}" in shown
    assert "volume card used 40 %" in shown
    (consent,) = [line for line in told(site, "--kind", "consent").splitlines() if "*" in line]
    assert f"Consent in force: signed by A. Person for ACME, valid until {site.consent.valid_until}" in consent


def test_full_shows_the_bytes_that_left_and_those_are_what_the_collector_has(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port) as taker:
        start(site)
        until(lambda: "confirmed" in states(site, "cam-1"))
        assert site.stop() == 0
        taken = {(epoch, record.seq): record.hash for epoch, record in taker.taken}
    sent: set[bytes] = set()
    for page in pages.pages(site.data / "log"):
        for stored in pages.read(page).stored:
            sent |= set(unpack(stored.payload).bodies) if stored.payload else set()
    shown = [
        msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in told(site, "--json", "--full").splitlines()
    ]
    records = [line for line in shown if "record" in line and bytes(line["state"]) == b'"confirmed"']
    assert records
    for line in records:
        body = bytes(line["record"])
        key = msgspec.json.decode(line["epoch"], type=str), msgspec.json.decode(line["seq"], type=int)
        assert body in sent
        assert taken[key] == json.loads(body)["hash"]
    pretty = told(site, "--full", "--device", "cam-1", "--kind", "poll")
    record = pretty.split("the record as sent:\n")[1].split("  what its values are")[0]
    assert msgspec.json.format(record.strip().encode(), indent=-1) in sent


def test_a_collector_in_earnest_confirms_and_status_says_it_in_words(tmp_path: Path) -> None:
    (tmp_path / "collector").mkdir()
    with Responder() as responder, collector_run.collector(tmp_path / "collector") as run:
        device = responder.add(RECORDING.read_text())
        whole = WholeSite(run, tmp_path / "site")
        whole.folder.mkdir()
        whole.enrol([{"name": "cam-1", "address": "127.0.0.1", "port": device.port, "interval": "500ms"}])
        run.reload_broker()
        whole.start()
        home = whole.folder / "agent"
        until(lambda: bool(pages.pages(home / "log")))
        words = ("log", "--json", "--device", "cam-1")
        until(lambda: '"state":"confirmed"' in typed(home, *words)[1], timeout=30)
        until(lambda: re.search(r"answered, \d+ values", typed(home, "status")[1]) is not None)
        shown = forewarn(whole.folder, "agent", "status")
        assert shown.returncode == 0, shown.stdout
        assert "Agent a1 of site s1 runs." in shown.stdout
        assert "consent    c-whole is in force\n           signed by Li for Harbour Ltd" in shown.stdout
        assert "for devices over SNMP and this machine itself, reading only" in shown.stdout
        assert "devices in 127.0.0.0/8 and nowhere else" in shown.stdout
        (row,) = [line for line in shown.stdout.splitlines() if line.startswith("cam-1 ")]
        assert row.split()[:4] == ["cam-1", "127.0.0.1", "500", "ms"]
        assert "hikvision.camera" in row
        found = json.loads(typed(home, "status", "--json")[1])
        assert (found["well"], found["consent"]["signed_by"]) == (True, "Li")
        assert min(found["last_left"], found["last_confirmed"]) > found["status"]["at"] - 60_000
        whole.end()
        assert json.loads(typed(home, "status", "--json")[1])["status"]["acked"] > 0


def test_of_an_agent_that_was_killed_status_says_nothing_as_if_it_held_now(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port):
        start(site)
        until(lambda: "takes our records; has confirmed" in status(site))
        kill(site)
    file = site.data / "status.json"
    last = json.loads(file.read_bytes())
    file.write_text(json.dumps(last | {"at": last["at"] - 3_600_000}))
    code, shown, _ = typed(site.data, "status")
    assert code == 1
    assert "does not run, or not here: its last word is 1 h old.\nWhat follows is how it stood then. Times are" in shown
    assert f"consent    {site.consent.id} was in force" in shown
    assert "broker     was connected" in shown
    assert "collector  has confirmed everything up to record" in shown
    assert "disk       took our records" in shown


def test_withdrawal_stop_and_what_is_refused_stand_in_log_and_status_and_what_had_left_stays(
    site: Site, broker: servers.Mosquitto
) -> None:
    settings = site.folder / "agent.yaml"
    settings.write_text(
        settings.read_text().replace("devices:\n", "devices:\n  - {name: 门口, address: 10.9.9.9, interval: 500ms}\n")
    )
    with listening(broker.port) as taker:
        start(site)
        until(lambda: "confirmed" in states(site, "cam-1"))
        (site.data / "STOP").touch()
        until(lambda: "stopped on the site" in told(site, "--kind", "consent"))
        (site.data / "STOP").unlink()
        until(lambda: told(site, "--kind", "consent").count("Consent in force") == 2)
        until(lambda: re.search(r"10\.9\.9\.9: address outside the consent, \d+ times since", status(site)) is not None)
        before = [line for line in said(site, "--device", "cam-1") if line["state"] == "confirmed"]
        taker.held = "unknown_consent"
        until(lambda: "does not take our records, which wait here: unknown_consent" in status(site))
        until(lambda: "waiting    nothing" not in status(site))
        withdraw(site.data, site.consent.id, SystemClock().now())
        until(lambda: "Dropped within the last 7 days" in status(site))
        until(lambda: "consent    NOTHING IS READ AND NOTHING LEAVES: withdrawn" in status(site))
        shown = status(site)
        assert f"{site.consent.id}, signed by A. Person for ACME" in shown
        assert "withdrawn by the customer on 20" in shown
        assert "dropped here: consent withdrawn" in shown
        withdrawn = f"Nothing is read and nothing leaves: withdrawn: consent {site.consent.id}"
        until(lambda: withdrawn in told(site, "--kind", "consent"))
        acts = told(site, "--kind", "refused", "--kind", "lost")
        assert "Not read: 10.9.9.9: address outside the consent" in acts
        assert "dropped here: consent withdrawn" in acts
        after = said(site, "--device", "cam-1")
        assert [line for line in after if line["state"] == "confirmed"][: len(before)] == before
        assert "waiting" not in {line["state"] for line in after}
        assert site.stop() == 0


def test_an_agent_that_was_killed_has_in_its_log_what_left_or_says_which_numbers_it_has_not(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port) as taker:
        for _ in range(4):
            before = len(taker.taken)
            start(site)
            until(lambda seen=before: len(taker.taken) > seen + 4)  # type: ignore[misc]
            kill(site)
        start(site)
        before = len(taker.taken)
        until(lambda: len(taker.taken) > before + 4)
        assert site.stop() == 0
        left = {seq for _, record in taker.taken for seq in range(record.begins, record.seq + 1)}
    shown = said(site)
    records = [line["seq"] for line in shown if "seq" in line and line["state"] != "waiting"]
    missing = [range(line["first"], line["last"] + 1) for line in shown if line["kind"] == "log" and "first" in line]
    assert len(set(records)) == len(records)
    assert set(records) | {seq for span in missing for seq in span} >= left
    assert not set(records) & {seq for span in missing for seq in span}
    assert any(line["kind"] == "agent" for line in shown)


_SMALL = "mount -t tmpfs -o size=6m tmpfs small && cp -a data/. small && mount --bind small data && "


def test_on_a_full_disk_the_log_gives_way_to_the_spool_and_delivery_goes_on(
    site: Site, broker: servers.Mosquitto
) -> None:
    world = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*world, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here: the unit tests stand in a failing write for a full disk")
    (site.folder / "small").mkdir()
    with (site.folder / "agent.yaml").open("a") as settings:
        settings.write("log_book: {limit: 4MiB}\n")
    fill_log(site.data / "log", 3_500_000)
    with listening(broker.port) as taker:
        site.start(*world, "sh", "-c", _SMALL + 'exec "$@"', "sh")
        assert site.process is not None
        inside = Path(f"/proc/{site.process.pid}/root{site.data}")
        until(lambda: site.told("agent started"))
        until(lambda: len(taker.taken) > 5)
        size = sum(page.stat().st_size for page in pages.pages(inside / "log"))
        assert size > 3_000_000
        with contextlib.suppress(OSError), (inside / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        until(lambda: site.told("log book pauses"), timeout=40)
        before = len(taker.taken)
        until(lambda: len(taker.taken) > before + 20)
        assert sum(page.stat().st_size for page in pages.pages(inside / "log")) < size
        assert site.process.poll() is None
        assert taker.wrong == []
        assert site.stop() == 0


def fill_log(folder: Path, size: int) -> None:
    """A log book as a long time leaves it."""
    folder.mkdir()
    now = SystemClock().now()
    entries = [
        pages.Entry(at=now, kind=pages.LEFT, epoch="E0", first=seq, last=seq) for seq in range(1, size // 50_000)
    ]
    for number, some in enumerate((entries[at : at + 10] for at in range(0, len(entries), 10)), 1):
        pages.named(folder, number).write_bytes(b"".join(pages.encoded(one, os.urandom(50_000)) for one in some))


def test_another_account_of_the_same_group_reads_status_and_log_without_the_settings(
    broker: servers.Mosquitto,
) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("changing the account needs root and setpriv (Debian package util-linux)")
    as_customer = ["setpriv", "--reuid=7778", "--regid=7777", "--clear-groups"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/tmp", "TERM": "dumb"}

    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*as_customer, sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, cwd="/tmp", env=env, check=False, timeout=60)

    if asked("-c", "import typer, forewarn.bus.mqtt").returncode:
        pytest.skip("the interpreter or this tree lies where no other account may read it")
    with tempfile.TemporaryDirectory(prefix="forewarn-") as name, Responder() as responder:
        Path(name).chmod(0o711)
        one = Site(Path(name) / "site", broker.port, responder.add(RECORDING.read_text()).port)
        (one.folder / "agent.yaml").chmod(0o600)
        os.chown(one.data, 0, 7777)
        one.data.chmod(0o2750)
        with listening(broker.port):
            start(one)
            until(lambda: "confirmed" in states(one, "cam-1") and "is in force" in status(one))
            forewarn_agent = ("-m", "forewarn", "agent")
            folder = ("--folder", str(one.data))
            assert '"state":"confirmed"' in asked(*forewarn_agent, "log", "--json", *folder).stdout
            assert "is in force" in asked(*forewarn_agent, "status", *folder).stdout
            refused = asked(*forewarn_agent, "log", "--erase", "--yes", *folder)
            assert (refused.returncode, "Permission denied" in refused.stderr) == (2, True)
            assert "confirmed" in states(one, "cam-1")
            assert one.stop() == 0
            (one.data / "log").chmod(0o700)
            (one.data / "status.json").chmod(0o600)
            for verb, file in (("log", "log"), ("status", "status.json")):
                ended = asked(*forewarn_agent, verb, *folder)
                assert ended.returncode == 2
                assert ended.stderr == f"{one.data / file}: Permission denied\n"


def test_follow_shows_records_as_they_leave_and_confirmations_as_they_come(
    site: Site, broker: servers.Mosquitto, tmp_path: Path
) -> None:
    with listening(broker.port):
        start(site)
        until(lambda: "confirmed" in states(site, "cam-1"))
        out = tmp_path / "followed"
        command = [sys.executable, "-m", "forewarn", "agent", "log", "--follow", "--json", "--device", "cam-1"]
        with out.open("wb") as file:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            following = subprocess.Popen(command, cwd=site.folder, env=env, stdout=file, stderr=file)

        def shown() -> list[dict[str, Any]]:
            return [json.loads(line) for line in out.read_text().splitlines(keepends=True) if line.endswith("\n")]

        try:
            until(lambda: sum(line["kind"] == "confirmed" for line in shown()) > 2)
            assert site.stop() == 0
            every = {line["seq"] for line in said(site, "--device", "cam-1") if line["left"]}
            until(lambda: every <= {line["seq"] for line in shown() if "seq" in line})
            following.send_signal(signal.SIGINT)
            assert following.wait(10) == 0
        finally:
            following.kill()
            following.wait()
        left = [line["seq"] for line in shown() if line["kind"] != "confirmed" and line["state"] != "waiting"]
        assert len(left) == len(set(left))
        assert max(line["upto"] for line in shown() if line["kind"] == "confirmed") >= left[-2]


def test_the_customer_erases_the_log_and_a_running_agent_begins_a_new_one(
    site: Site, broker: servers.Mosquitto
) -> None:
    with listening(broker.port):
        start(site)
        until(lambda: "confirmed" in states(site, "cam-1"))
        asked = subprocess.run(
            [sys.executable, "-m", "forewarn", "agent", "log", "--erase"], cwd=site.folder, input="n\n", text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert asked.returncode == 1
        assert "Erase the log of what left since" in asked.stdout
        assert "confirmed" in states(site, "cam-1")
        gone = max(line["seq"] for line in said(site, "--device", "cam-1") if line["state"] == "confirmed")
        assert "Erased the log of what left since" in told(site, "--erase", "--yes")
        until(lambda: "This log: erased, and begun anew" in told(site))
        until(lambda: "confirmed" in states(site, "cam-1"))
        assert min(line["seq"] for line in said(site) if "seq" in line) > gone
        assert site.stop() == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--kind", "polls"), 2, "forewarn: --kind polls: the kinds are poll, event, inventory, lost, result, consent"),
        (("--since", "yesterday"), 2, "forewarn: --since yesterday: a duration is written like 250ms, 30s, 5m"),
        (("--from", "now"), 2, "forewarn: --from now: a time is written like 2026-03-01 or 2026-03-01T12:30"),
        (
            ("--from", "2026-03-02", "--to", "2026-03-01"),
            2,
            "forewarn: --to 2026-03-01 lies before what is to be shown",
        ),
        (("--since", "1h", "--from", "2026-03-01"), 2, "forewarn: --since and --from say the same thing twice"),
        ((), 1, "forewarn: there is no log in data: did the agent run here?"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_in_a_line(
    site: Site, words: tuple[str, ...], code: int, says: str
) -> None:
    ended = forewarn(site.folder, "agent", "log", *words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(says)
    assert len(ended.stderr.splitlines()) == 1


def test_a_range_of_time_shows_what_left_within_it_alone(site: Site, broker: servers.Mosquitto) -> None:
    with listening(broker.port):
        start(site)
        until(lambda: "confirmed" in states(site, "cam-1"))
        time.sleep(1.1)
        middle = time.strftime("%Y-%m-%dT%H:%M:%S")
        until(lambda: len(said(site, "--from", middle, "--kind", "poll", "--device", "cam-1")) > 2)
        assert site.stop() == 0
    early, late = (said(site, option, middle, "--kind", "poll") for option in ("--to", "--from"))
    every = said(site, "--since", "1d", "--kind", "poll")
    assert said(site, "--since", "99999999d", "--kind", "poll") == every
    assert told(site, "--since", "99999999d").startswith("What left this site since the log begins.")
    assert early
    assert late
    assert [line["seq"] for line in early + late] == [line["seq"] for line in every]
