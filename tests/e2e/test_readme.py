"""What the README and docs/getting-started.md say to type, run as it is written, brings records and a ticket."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers

ROOT = Path(__file__).parents[2]
LONGEST = 60.0


def section(page: str, title: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return next(part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith(title))


def blocks() -> list[str]:
    """The shell blocks of the first steps, without the one that makes the environment."""
    setup, *others = re.findall(r"```sh\n(.*?)```", section("docs/getting-started.md", "On one machine"), re.DOTALL)
    assert "make setup" in setup
    return others


def walk(address: str, ticket: str) -> str:
    """The commands of the section on tickets, for one that is there."""
    commands = "\n".join(re.findall(r"^    (.*)$", section("docs/getting-started.md", "Tickets"), re.MULTILINE))
    assert "at=http://127.0.0.1:8080/" in commands
    return commands.replace("http://127.0.0.1:8080", address).replace("TICKET", ticket).replace("curl -s", "curl -sSf")


def here(script: str, broker: int, api: int) -> str:
    """A script with ports that are free on this machine; what needs the broker waits until it is there."""
    ours = f"sed -i 's/listener 1883/listener {broker}/' broker/mosquitto.conf\nmosquitto -c"
    waits = f"mosquitto.conf &\nuntil (: < /dev/tcp/127.0.0.1/{broker}) 2> /dev/null; do sleep 0.1; done\n"
    script = script.replace("port: 1883", f"port: {broker}").replace("mosquitto -c", ours)
    script = script.replace("\nbroker:\n", f"\napi:\n  port: {api}\nbroker:\n")
    script = script.replace(
        "broker: {host: 127.0.0.1,", f"api: {{port: {api}}}\\nbroker: {{host: 127.0.0.1, port: {broker},"
    )
    return re.sub(r"mosquitto\.conf & *", waits, script, count=1)


def device(port: int, token: str, log: Path) -> None:
    """Waits until the agent's own machine has sent a record."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if any(found["device"] == "gate.host" for found in asked(port, "devices", token)["items"]):
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8"))


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder for PATH with `forewarn` of this tree and the system's mosquitto."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "forewarn").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m forewarn "$@"\n')
    (folder / "forewarn").chmod(0o755)
    (folder / "mosquitto").symlink_to(servers.program("mosquitto", "mosquitto"))
    return folder


@contextlib.contextmanager
def shell(script: str, folder: Path, env: dict[str, str]) -> Iterator[Path]:
    """Runs a script to its end, what it left in the background going on; gives its output."""
    log = folder / "log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        code = started.wait(LONGEST)
        assert code == 0, log.read_text(encoding="utf-8")
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)


def ran(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=30, check=False)


def asked(port: int, path: str, token: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def test_the_quick_start_brings_the_first_record_and_the_first_ticket(commands: Path, tmp_path: Path) -> None:
    folder = tmp_path / "try"
    folder.mkdir()
    broker, api = servers.free_port(), servers.free_port()
    script = here("\n".join(blocks()[:-1]), broker, api)
    env = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with shell(script, folder, env) as log:
        token = (folder / "token").read_text(encoding="utf-8").strip()
        device(api, token, log)
        assert "other accounts" not in log.read_text(encoding="utf-8")
        end = time.monotonic() + LONGEST
        tickets: list[Any] = []
        while not tickets and time.monotonic() < end:
            tickets = [found for found in asked(api, "tickets", token)["items"] if found["rule"] == "try.memory"]
            time.sleep(0.2)
        assert tickets, log.read_text(encoding="utf-8")
        assert re.fullmatch(r"gate\.host uses [\d.]+ ?% of its memory", tickets[0]["title"]["en"])
        walked = ran(["bash", "-euc", walk(f"http://127.0.0.1:{api}", tickets[0]["id"])], folder, env)
        assert walked.returncode == 0, walked.stderr
        events = [event["kind"] for event in asked(api, f"tickets/{tickets[0]['id']}", token)["events"]]
        steps = ["opened", "acknowledged", "assigned", "commented", "resolved", "closed", "reopened"]
        assert [kind for kind in events if kind in steps] == steps
        shown = ran(["forewarn", "collector", "status"], folder, env)
        assert "gate" in shown.stdout, shown.stderr
    assert shutil.which("forewarn", path=env["PATH"]) == str(commands / "forewarn")


def test_the_ten_lines_of_the_readme_bring_the_first_record(commands: Path, tmp_path: Path) -> None:
    [lines] = re.findall(r"```sh\n(.*?)```", section("README.md", "On real machines"), re.DOTALL)
    assert len(lines.splitlines()) == 10
    folder = tmp_path / "try"
    folder.mkdir()
    broker, api = servers.free_port(), servers.free_port()
    env = {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with shell(here(lines, broker, api), folder, env) as log:
        token = ran(["forewarn", "collector", "add-token", "Mei"], folder, env).stdout.strip()
        device(api, token, log)
        assert "other accounts" not in log.read_text(encoding="utf-8")
