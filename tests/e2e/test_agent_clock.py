"""`forewarn agent run` on a machine whose time of day is set: delivery goes on, and the log names each jump once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from forewarn import consent as consents
from tests import servers
from tests.agents import ScriptedCollector, signed, until, write_consent
from tests.e2e.test_agent_run import Site, devices, listening, site

__all__ = ["site"]

SHIFTED = """
import pathlib, time
real = time.time_ns
def shifted():
    try:
        return real() + int(pathlib.Path({path!r}).read_text()) * 10**9
    except (OSError, ValueError):
        return real()
time.time_ns = shifted
"""
HOUR = 3600
INTERVAL = 0.5
"""Seconds between two polls of the site's camera."""


def test_a_clock_set_an_hour_forward_and_back_costs_no_record_and_no_delay(
    site: Site, broker: servers.Mosquitto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shift = tmp_path / "shift"
    (tmp_path / "sitecustomize.py").write_text(SHIFTED.format(path=str(shift)))
    monkeypatch.setattr("tests.e2e.test_agent_run.PATHS", [str(tmp_path)])
    lasting = signed(
        site.private, valid_until=consents.instant(consents.milliseconds(site.consent.valid_until) + 2 * HOUR * 1000)
    )
    write_consent(site.data / "consent.json", lasting)
    with listening(broker.port) as collector:
        site.start()
        until(lambda: "cam-1" in devices(collector), (site.folder / "log").read_text)
        for seconds, jumps in ((HOUR, 1), (0, 2)):
            shift.write_text(str(seconds))
            until(lambda jumps=jumps: len(named(site)) == jumps)  # type: ignore[misc]
            before, began = polls(collector), time.monotonic()
            until(lambda before=before: polls(collector) > before + 4, timeout=10)  # type: ignore[misc]
            slots = (time.monotonic() - began) / INTERVAL
            assert polls(collector) - before <= slots + 3, "no poll is made up for"
        assert site.stop() == 0
        assert named(site) == [HOUR, -HOUR]
        seqs = [record.seq for _, record in collector.taken]
        assert seqs == list(range(1, len(seqs) + 1))
        assert {epoch for epoch, _ in collector.taken} == {collector.taken[0][0]}
        assert {record.kind for _, record in collector.taken}.isdisjoint({"lost"})
        assert collector.wrong == []
        times = [record.t for _, record in collector.taken]
        assert max(times) - min(times) > HOUR * 1000, "the records carry the time of day of the machine"


def polls(collector: ScriptedCollector) -> int:
    with collector.lock:
        return sum(record.device == "cam-1" for _, record in collector.taken)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "Nowhere/Wrong"])
def test_a_machine_in_a_wrong_time_zone_tells_the_same_moments(
    site: Site, broker: servers.Mosquitto, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    with listening(broker.port) as collector:
        site.start()
        until(lambda: polls(collector) >= 2, (site.folder / "log").read_text)
        assert site.stop() == 0
        now = int(time.time() * 1000)
        assert all(abs(record.t - now) < 60_000 for _, record in collector.taken)
        assert named(site) == []


def named(site: Site) -> list[int]:
    """By how many seconds the log says the clock was set."""
    return [int(str(said["seconds"])) for said in site.said() if said["event"] == "the clock was set"]
