"""The simulated site: its faults are forecast whenever it begins, and history and live answers are one series."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

import rules
from agent.app import SystemClock
from agent.profiles.files import load_folder
from agent.settings.target import Target
from forewarn.demo import history
from forewarn.demo.courses import DAY, HOUR
from forewarn.demo.history import Past, Pattern
from forewarn.demo.site import FILLED, SCRIPT, Simulated, devices
from forewarn.demo.stage import Stage
from forewarn.quantities import Duration
from forewarn.vocabulary import DeviceKind
from forewarn.wire import Record
from rules.engine import Engine
from rules.finding import Finding, Turn
from rules.ruleset import ruleset
from tests.rule_batches import Poll, batch, shape

PROFILES = Path(history.__file__).parent / "profiles"
NOON = 1_795_348_800_000
VOLUME = shape(("volume", ["volume 1"], ["used_percent", "overwrite"]), kind=DeviceKind.RECORDER)
POWER = shape(("ups", [""], ["on_battery", "charge_percent", "runtime_seconds"]), kind=DeviceKind.UPS)


def role(begun: int, name: str) -> Simulated:
    return next(each for each in devices(begun) if each.name == name)


def course(of: Simulated, field: str):
    return next(each.course for each in of.moving if each.field == field)


def found(polls: list[Poll], library: str) -> list[Finding]:
    text = (Path(rules.__file__).parent / "library" / library).read_text(encoding="utf-8")
    return Engine(ruleset([(library, text)])).apply(batch(polls))


@pytest.mark.parametrize("minute", [0, 11, 23, 37, 49, 59])
@pytest.mark.parametrize("hour", [0, 9, 17])
def test_the_filling_volume_is_foretold_in_the_last_hours_of_the_history(hour: int, minute: int) -> None:
    begun = NOON + hour * HOUR + minute * 60_000
    recorder = role(begun, "nvr-1")
    used = course(recorder, "used_percent")
    times = range(recorder.since, begun + 3 * HOUR, 60_000)
    polls = [Poll(at, t, "nvr-1", VOLUME, [used(t), 0.0]) for at, t in enumerate(times, 1)]
    findings = found(polls, "storage.yaml")
    assert [finding.turn for finding in findings] == [Turn.OPENED]
    opened = findings[0]
    assert (opened.rule, opened.severity) == ("recorder.filling", "warning")
    assert begun - 5 * HOUR < opened.t < begun
    hours = float(opened.title["en"].partition("full in about ")[2].partition(" h")[0])
    assert 38 <= hours <= 46, opened.title


def test_the_volume_never_loses_what_was_recorded() -> None:
    recorder = role(NOON, "nvr-1")
    used = course(recorder, "used_percent")
    hourly = [used(t) for t in range(recorder.since, NOON + 30 * HOUR, HOUR)]
    assert all(later > earlier - 0.2 for earlier, later in itertools.pairwise(hourly))
    assert abs(used(NOON) - FILLED) < 2


def test_the_weak_battery_is_told_before_the_demo_begins_and_not_days_ago() -> None:
    lasts = course(role(NOON, "ups-1"), "runtime_seconds")
    polls = [
        Poll(at, t, "ups-1", POWER, [0.0, 100.0, lasts(t)])
        for at, t in enumerate(range(NOON - 7 * DAY, NOON, 60_000), 1)
    ]
    findings = [each for each in found(polls, "power.yaml") if each.rule == "ups.runtime_low"]
    assert [finding.turn for finding in findings] == [Turn.OPENED]
    assert findings[0].t > NOON - 12 * HOUR


def test_the_script_names_only_devices_of_the_site() -> None:
    names = {each.name for each in devices(NOON)}
    assert {name for act in SCRIPT for name in act.devices} <= names
    assert [act.after for act in SCRIPT] == sorted(act.after for act in SCRIPT)


@pytest.fixture(scope="module")
def polled() -> list[Past]:
    """What the agent's own poller makes of the whole site."""
    begun = time.time_ns() // 1_000_000
    with Stage(devices(begun)) as stage:
        targets = {
            actor.role.name: Target(
                name=actor.role.name,
                address=actor.device.address,
                port=actor.device.port,
                profile=actor.role.profile,
                interval=Duration(5),
            )
            for actor in stage.actors
        }
        return asyncio.run(history.pasts(stage.actors, targets, load_folder(PROFILES), SystemClock()))


def test_every_device_is_matched_as_what_it_is(polled: list[Past]) -> None:
    profiles = {past.role.name: past.pattern.shape.profile for past in polled}
    assert profiles == {
        **dict.fromkeys(["cam-gate-1", "cam-yard-2", "cam-dock-3", "cam-hall-4"], "hikvision.camera"),
        "cam-office-5": "hanwha.camera",
        "nvr-1": "hikvision.recorder.keeps-all",
        "sw-1": "switch.h3c",
        "ups-1": "ups.apc",
        "srv-1": "server.host-resources",
    }


def test_every_moving_field_is_one_that_is_polled(polled: list[Past]) -> None:
    for past in polled:
        assert len(past.pattern.moving) == len(past.role.moving), past.role.name


def test_the_history_ends_where_the_live_values_begin(polled: list[Past]) -> None:
    """What the poller read just now is what the courses say for now; rates were measured over a moment only."""
    now = time.time_ns() // 1_000_000
    for past in polled:
        columns = list(past.pattern.shape.columns())
        for place, follows in past.pattern.moving:
            table, _, field = columns[place]
            if field.endswith("per_second") or field in ("rtt_seconds", "poll_seconds"):
                continue
            live, told = past.pattern.values[place], follows(now)
            assert live is not None
            assert abs(live - told) <= max(0.12 * abs(told), 12), (past.role.name, table, field, live, told)


def test_before_its_disk_was_fitted_the_recorder_has_no_volume(polled: list[Past]) -> None:
    recorder = next(past for past in polled if past.role.name == "nvr-1")
    before, shape_before = recorder.record(recorder.role.since - 60_000)
    after, shape_after = recorder.record(recorder.role.since)
    assert "volume" not in {part.table for part in shape_before.tables}
    assert "volume" in {part.table for part in shape_after.tables}
    assert len(before.values) == shape_before.width
    assert len(after.values) == shape_after.width


def test_steps_come_in_the_order_of_time_and_end_before_the_end(polled: list[Past]) -> None:
    end = 1_700_000_040_000
    made = [record for record, _ in history.steps(polled, end, length=10 * 60_000, step=60_000)]
    assert len(made) == 10 * len(polled)
    assert [record.t for record in made] == sorted(record.t for record in made)
    assert end - 10 * 60_000 <= made[0].t
    assert made[-1].t < end


def test_a_dark_stretch_is_a_failed_poll_and_not_a_zero(polled: list[Past]) -> None:
    camera = next(past for past in polled if past.role.dark)
    begin, end = camera.role.dark[0]
    dark, _ = camera.record(begin)
    light, _ = camera.record(end)
    assert not dark.ok
    assert dark.values[0] == 0.0
    assert dark.values[1] == 0.0, "snmp_up"
    assert set(dark.values[2:]) == {None}
    assert isinstance(light, Record)
    assert light.ok


def test_a_pattern_moves_only_what_follows_a_course(polled: list[Past]) -> None:
    pattern: Pattern = polled[0].pattern
    places = {place for place, _ in pattern.moving}
    for place, (then, now) in enumerate(zip(pattern.at(NOON), pattern.values, strict=True)):
        assert place in places or then == now
