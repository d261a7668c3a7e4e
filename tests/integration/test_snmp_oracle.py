"""Two client libraries that share no code read the same recordings alike: pysnmp is the oracle of gufo-snmp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.profiles.files import shipped
from agent.snmp import gufo, pysnmp
from forewarn.demo.recordings import packaged
from forewarn.demo.responder import Responder
from tests.replaying import Connect, polled_twice

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
REAL = ("camera/hikvision", "camera/samsung-ipolis", "os/linux/unknown-006", "os/windows/server-2003-5-2")
"""Recordings of devices, with the odd octets that nobody writes by hand."""


def read(recording: Any, later: str, connect: Connect) -> dict[str, Any]:
    with Responder() as responder:
        told = polled_twice(responder.add(recording), later, connect)
    for poll in told.values():
        # How far a clock that stands is behind ours depends on when it is read.
        poll["values"]["device"][""].pop("clock_offset_seconds", None)
    return told


@pytest.mark.parametrize("profile", sorted(shipped()))
def test_pysnmp_reads_of_every_profile_s_recording_what_gufo_reads(profile):
    recording = (RECORDINGS / f"{profile}.snmprec").read_text()
    changed = RECORDINGS / f"{profile}.later.snmprec"
    later = changed.read_text() if changed.exists() else ""
    by_gufo, by_pysnmp = (read(recording, later, adapter.connect) for adapter in (gufo, pysnmp))
    assert by_pysnmp == by_gufo
    assert by_gufo["first"]["profile"] == profile


@pytest.mark.parametrize("name", REAL)
def test_pysnmp_reads_of_a_real_device_s_recording_what_gufo_reads(name):
    recording = packaged(name, ["1.3.6.1"])
    assert read(recording, "", pysnmp.connect) == read(recording, "", gufo.connect)
