"""What the doctor says of this machine when something of it cannot be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.app import SystemClock
from agent.doctor import host
from agent.settings import Settings
from forewarn.consent import Refusal
from forewarn.settings import read
from forewarn.vocabulary import Source
from tests.doctoring import Told

FIXTURES = Path(__file__).parents[1] / "fixtures" / "smartctl"
LEAST = "site: s\nagent: gate\nshard: 0\nsecret: x\nbroker: {host: b}\n"
SMARTCTL = """\
#!{python}
import pathlib, sys
name = "scan" if "--scan" in sys.argv else "permission-denied"
print(pathlib.Path({folder!r}, name + ".json").read_text())
sys.exit(0 if name == "scan" else 2)
"""
REFUSING = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


def look(given: str, refusal: Refusal | None = None) -> Told:
    def refuses(source: Source) -> Refusal | None:
        assert source is Source.HOST
        return refusal

    settings = read(Settings, LEAST + given, "agent.yaml", env={})
    return Told(host.look(settings, SimpleNamespace(refuses=refuses), SystemClock()))  # type: ignore[arg-type]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that come before those of the system."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_disks_that_may_not_be_opened_are_told_with_the_line_that_allows_it(commands: Path) -> None:
    command(commands, "smartctl", SMARTCTL.format(python=sys.executable, folder=str(FIXTURES)))
    command(commands, "sudo", REFUSING)
    found = look("")
    found.well("host gate.host", "fields read")
    found.warns("host gate.host: SMART", "this account may not open sda, nvme0", "visudo -f /etc/sudoers.d/forewarn")
    assert found.failing() == []


def test_services_that_cannot_be_asked_are_told(commands: Path) -> None:
    command(commands, "systemctl", "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    look("host: {smart: 0s, services: [ssh]}").warns("host gate.host: services", "Failed to connect", "beside systemd")


def test_a_service_there_is_none_of_is_told_by_name(commands: Path) -> None:
    command(commands, "systemctl", "#!/bin/sh\nprintf 'LoadState=not-found\\nActiveState=inactive\\n'\n")
    found = look("host: {smart: 0s, services: [shh]}")
    found.warns("host gate.host: service shh", "there is no service of this name", "systemctl list-units")


def test_nothing_is_read_that_is_off_or_not_consented() -> None:
    assert look("host: {enabled: false}") == []
    assert look("", Refusal.SCOPE) == []
