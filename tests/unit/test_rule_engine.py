from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forewarn.vocabulary import DeviceKind
from forewarn.wire import Shape
from rules.engine import Engine
from rules.finding import Finding, Turn
from rules.ruleset import Ruleset
from rules.samples import Arrival, Batch
from rules.snapshots import EngineState, Packed, RuleParts, unpacked
from tests.rule_batches import BEGIN, Poll, batch, one_rule, rules, series, shape, told

NAN = math.nan
VOLUME = shape(("volume", ["a"], ["used_percent", "overwrite"]))
UP = shape(("device", [""], ["up"]))


def turns(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.turn.value, finding.severity, (finding.t - BEGIN) // 60_000) for finding in findings]


def ups(text: str) -> list[list[float]]:
    return [[NAN if sign == "_" else float(sign)] for sign in text]


def test_a_condition_opens_when_it_has_held_for_its_time_and_recovers_likewise() -> None:
    engine = Engine(one_rule("up == 0 for 3m", table="device", recover="when: up == 1, for: 2m"))
    found = told(engine, batch(series(ups("1100000011111"), UP)))
    assert turns(found) == [("opened", "critical", 5), ("recovered", "critical", 10)]
    assert found[0].reason.since == BEGIN + 2 * 60_000


def test_unknown_neither_opens_nor_breaks_nor_recovers() -> None:
    rule = one_rule("up == 0 for 3m", table="device", recover="when: up == 1, for: 3m")
    assert turns(told(Engine(rule), batch(series(ups("10____"), UP)))) == []
    assert turns(told(Engine(rule), batch(series(ups("10____0"), UP)))) == [("opened", "critical", 6)]
    held = told(Engine(rule), batch(series(ups("10000_____________"), UP)))
    assert turns(held) == [("opened", "critical", 4)]
    assert turns(told(Engine(rule), batch(series(ups("10000 1__1".replace(" ", "")), UP))))[1:] == [
        ("recovered", "critical", 8)
    ]


def test_a_break_begins_the_time_anew() -> None:
    engine = Engine(one_rule("up == 0 for 3m", table="device", recover="when: up == 1"))
    assert turns(told(engine, batch(series(ups("1001001000"), UP)))) == []


def test_severity_rises_at_once_and_falls_only_after_the_time_of_recovery() -> None:
    text = """
- id: test.rule
  on: {table: volume}
  when: {warning: used_percent > 80, critical: used_percent > 90}
  recover: {when: used_percent < 70, for: 3m}
  TICKET
"""
    values = [[v, 0.0] for v in (50, 85, 95, 89, 91, 89, 89, 89, 89, 75, 60, 60, 75, 60, 60, 60, 60)]
    found = told(Engine(rules(text)), batch(series(values, VOLUME)))
    assert turns(found) == [
        ("opened", "warning", 1),
        ("changed", "critical", 2),
        ("changed", "warning", 8),
        ("recovered", "warning", 16),
    ]


def test_what_never_recovers_stays() -> None:
    engine = Engine(one_rule("used_percent > 90"))
    assert turns(told(engine, batch(series([[95, 0], [10, 0], [95, 0]], VOLUME)))) == [("opened", "critical", 0)]


def test_where_leaves_out_only_what_is_known_to_be_outside() -> None:
    text = """
- id: test.rule
  on: {table: volume, where: overwrite == 0}
  when: {critical: used_percent > 90}
  recover: {when: used_percent < 70}
  TICKET
"""
    of = shape(("volume", ["in", "out", "unknown"], ["used_percent", "overwrite"]))
    found = told(Engine(rules(text)), batch(series([[95, 0, 95, 1, 95, NAN]], of)))
    assert sorted(finding.instance for finding in found) == ["in", "unknown"]


def test_unless_holds_a_rule_back_and_an_unknown_unless_does_too() -> None:
    engine = Engine(one_rule("used_percent > 90", more="  unless: overwrite == 1\n"))
    found = told(engine, batch(series([[95, 1], [95, NAN], [95, 0]], VOLUME)))
    assert turns(found) == [("opened", "critical", 2)]


def test_a_rule_looks_only_at_its_kinds_of_device() -> None:
    text = """
- id: test.rule
  on: {table: device, device: camera}
  when: {critical: up == 0}
  recover: {never: true}
  TICKET
"""
    engine = Engine(rules(text))
    camera = shape(("device", [""], ["up"]), kind=DeviceKind.CAMERA)
    found = told(engine, batch([Poll(1, BEGIN, "srv", UP, [0]), Poll(2, BEGIN, "cam", camera, [0])]))
    assert [finding.device for finding in found] == ["cam"]


def test_a_poll_from_the_future_and_one_out_of_order_are_left_out() -> None:
    engine = Engine(one_rule("up == 0", table="device"))
    polls = [
        Poll(1, BEGIN + 60_000, "dev", UP, [1]),
        Poll(2, BEGIN, "dev", UP, [0]),
        Poll(3, BEGIN + 10_000_000, "dev", UP, [0], arrived=BEGIN),
        Poll(4, BEGIN + 90_000, "dev", UP, [1]),
    ]
    assert told(engine, batch(polls)) == []
    assert engine.late == 1


def test_a_finding_says_what_was_seen_and_what_would_have_prevented_it() -> None:
    engine = Engine(one_rule("used_percent >= 60 + 1.2 and overwrite == 0"))
    reason = told(engine, batch(series([[61.5, 0]], VOLUME)))[0].reason
    first = reason.evidence[0]
    assert (first.text, first.value, first.threshold, first.held) == ("used_percent >= 60 + 1.2", 61.5, 61.2, True)
    assert first.spare == "used_percent below 61.2 %"
    assert reason.values == {"used_percent": 61.5, "overwrite": 0.0}
    assert reason.source == "test.yaml:1"


def test_findings_travel_as_json() -> None:
    engine = Engine(one_rule("rate(used_percent) / 0 > 3 or used_percent > 1"))
    found = told(engine, batch(series([[5, 0], [6, 0]], VOLUME)))
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Finding]) == found


def test_functions_of_one_step_look_at_the_last_known_value() -> None:
    values = [[v, 0.0] for v in (10, 16, NAN, 40)]
    for when, opens in (
        ("prev(used_percent) == 16", 3),
        ("delta(used_percent) == 24", 3),
        ("rate(used_percent) == 0.2", 3),
    ):
        assert turns(told(Engine(one_rule(when)), batch(series(values, VOLUME)))) == [("opened", "critical", opens)]


def test_a_window_forgets_what_lies_behind_it() -> None:
    values = [[v, 0.0] for v in [100.0] * 10 + [0.0] * 80]
    for function, last in (("max", 70), ("avg", 60)):
        engine = Engine(
            one_rule(f"{function}(used_percent, 1h) > 5", recover=f"when: '{function}(used_percent, 1h) < 1'")
        )
        opened, recovered = told(engine, batch(series(values, VOLUME)))
        assert turns([opened]) == [("opened", "critical", 0)]
        # The last 100 is at minute 9; a window of an hour reaches back 60 to 65 minutes.
        assert 69 <= (recovered.t - BEGIN) / 60_000 <= 75, (function, last)


@pytest.mark.parametrize(("away", "seen"), [(30, 50.0), (90, 2.0)])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_series_that_was_away_comes_back_with_its_window_moved_on(away: int, seen: float, at_once: bool) -> None:
    both, alone = shape(("volume", ["a", "b"], ["used_percent"])), shape(("volume", ["a"], ["used_percent"]))
    when = "max(used_percent, 1h) - used_percent >= 0 and used_percent == 2"
    engine = Engine(one_rule(when))
    course = [(both, [1.0, 50.0])] * 10 + [(alone, [1.0])] * away + [(both, [1.0, 2.0])] * 5
    polls = [Poll(at + 1, BEGIN + at * 60_000, "dev", of, values) for at, (of, values) in enumerate(course)]
    found = told(engine, batch(polls)) if at_once else told(engine, *(batch([poll]) for poll in polls))
    assert [one.instance for one in found] == ["b"]
    assert found[0].reason.evidence[0].value == seen - 2.0


def test_an_average_is_the_mean_of_what_is_known() -> None:
    engine = Engine(one_rule("avg(used_percent, 1h) == 20"))
    values = [[v, 0.0] for v in (10, NAN, 20, 30)]
    assert turns(told(engine, batch(series(values, VOLUME)))) == [("opened", "critical", 3)]


def test_a_smoothed_value_follows_with_its_time_constant() -> None:
    engine = Engine(one_rule("ewma(used_percent, 10m) > 63.2"))
    values = [[0.0, 0.0]] + [[100.0, 0.0]] * 20
    opened = told(engine, batch(series(values, VOLUME)))[0]
    assert (opened.t - BEGIN) / 60_000 == 10


def test_silence_counts_only_what_ticks_attest() -> None:
    text = """
- id: agent.silent
  on: {table: agent}
  when: {critical: absent() >= 3m}
  recover: {when: absent() < 30s}
  TICKET
"""
    engine = Engine(rules(text))
    found: list[Finding] = []
    now, position = BEGIN, 0

    def pass_ticks(seconds: int, *, heard: bool) -> None:
        nonlocal now, position
        for _ in range(seconds // 10):
            now, position = now + 10_000, position + 1
            arrivals = [Arrival("site", "agent", now, position)] if heard else []
            found.extend(engine.apply(Batch(position, position, arrivals=arrivals, tick=now)))

    pass_ticks(60, heard=True)
    pass_ticks(120, heard=False)
    now += 3_600_000  # the collector was down for an hour, which nobody attests
    pass_ticks(20, heard=False)
    assert found == []
    pass_ticks(60, heard=False)
    assert [(one.turn, one.device, one.table, one.instance) for one in found] == [(Turn.OPENED, "agent", "agent", "")]
    pass_ticks(10, heard=True)
    assert found[-1].turn is Turn.RECOVERED


def test_another_agent_that_takes_a_device_over_goes_on_with_its_state() -> None:
    engine = Engine(one_rule("up == 0 for 3m", table="device", recover="when: up == 1"))
    before, after = batch(series(ups("000"), UP)), batch(series(ups("___01"), UP)[3:])
    after.rows[0].devices[:] = [device._replace(agent="other") for device in after.rows[0].devices]
    found = told(engine, before, after)
    assert turns(found) == [("opened", "critical", 3), ("recovered", "critical", 4)]
    assert found[0].agent == "other"


FULL = """
- id: test.everything
  on: {table: volume}
  when:
    warning: avg(used_percent, 6h) > 45 and max(used_percent, 6m) < 99 for 2m
    critical: ewma(used_percent, 5m) > 80 or rate(used_percent) > 1 or ttt(used_percent, 98) < 72h
  unless: overwrite == 1
  recover: {when: 'min(used_percent, 5m) < 40', for: 1m}
  TICKET
- id: test.device
  on: {table: device}
  when: {critical: up == 0 for 2m}
  recover: {when: up == 1, for: 1m}
  TICKET
"""
EVERYTHING = rules(FULL)
SHAPES = (
    shape(("device", [""], ["up"]), ("volume", ["a", "b"], ["used_percent", "overwrite"])),
    shape(("volume", ["b", "c"], ["overwrite", "used_percent"]), ("device", [""], ["up"])),
)


def content(engine: Engine) -> dict[str, Any]:
    """The state by series instead of by slot: the order in which series were first seen does not count."""
    parts = engine.snapshot()
    whole = msgspec.msgpack.decode(parts["engine"], type=EngineState)
    last = unpacked(whole.last)
    out: dict[str, Any] = {
        "late": whole.late,
        "attested": whole.attested,
        "heard": dict(zip(whole.agents, whole.heard, strict=True)),
    }
    for number, device in enumerate(whole.devices):
        out[f"last {device}"] = int(last[number])
    for rule in engine.ruleset.rules:
        name = f"{rule.id}@{rule.version}"
        own = msgspec.msgpack.decode(parts[name], type=RuleParts)
        arrays = msgspec.msgpack.decode(parts.get(f"{name}.0", b"\x80"), type=dict[str, Packed])
        for device, first, names in own.blocks:
            for at, instance in enumerate(own.names[names]):
                key = f"{rule.id} {whole.devices[device]} {instance}"
                out[f"{key} clock"] = own.clocks.get(first + at)
                for array, packed in arrays.items():
                    out[f"{key} {array}"] = unpacked(packed)[first + at].tobytes()
    return out


@st.composite
def journals(draw: st.DrawFn) -> list[Poll]:
    devices = draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    length = draw(st.integers(1, 120))
    step = draw(st.sampled_from([60_000, 240_000, 3_600_000]))
    changing = draw(st.booleans())
    random = np.random.default_rng(seed)
    polls: list[Poll] = []
    for at in range(length):
        for device in range(devices):
            if random.random() < 0.1:
                continue
            of = SHAPES[int(random.random() < 0.2)] if changing else SHAPES[device % 2]
            values = np.round(40 + at * 0.4 + random.normal(0, 15, of.width), 3)
            values[random.random(of.width) < 0.1] = NAN
            for column, (_, _, field) in enumerate(of.columns()):
                if field != "used_percent":
                    values[column] = float(random.random() < 0.3)
            late = -90_000 if random.random() < 0.03 else int(random.integers(0, 30_000))
            polls.append(Poll(len(polls) + 1, BEGIN + at * step + late, f"dev{device}", of, values.tolist()))
    return polls


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(journal=journals(), cuts=st.lists(st.integers(1, 400), max_size=8), restart=st.booleans())
def test_how_the_journal_was_cut_changes_neither_findings_nor_state(
    journal: list[Poll], cuts: list[int], restart: bool
) -> None:
    if not journal:
        return
    one_by_one, whole, cut = Engine(EVERYTHING), Engine(EVERYTHING), Engine(EVERYTHING)
    by_record = [finding for poll in journal for finding in one_by_one.apply(batch([poll]))]
    at_once = whole.apply(batch(journal))
    in_parts: list[Finding] = []
    edges = sorted({0, len(journal), *(at for at in cuts if at < len(journal))})
    for first, end in pairwise(edges):
        in_parts += cut.apply(batch(journal[first:end]))
        if restart:
            cut = Engine.restore(EVERYTHING, cut.snapshot())
    assert at_once == by_record
    assert in_parts == by_record
    assert content(whole) == content(one_by_one)
    assert content(cut) == content(one_by_one)


def test_a_long_run_of_one_device_and_many_devices_at_once_decide_alike() -> None:
    random = np.random.default_rng(7)
    of = SHAPES[0]
    polled, devices = 900, 12
    steps = random.normal(0, 0.4, (polled, devices, of.width)) + np.linspace(-0.05, 0.1, devices)[:, None]
    values = 50 + np.cumsum(steps, axis=0)
    values[:, :, 0] = random.random((polled, devices)) > 0.2
    values[:, :, 2] = values[:, :, 4] = 0
    polls = [
        [
            Poll(
                at * devices + number + 1,
                BEGIN + at * 300_000 + number,
                f"dev{number}",
                of,
                values[at, number].tolist(),
            )
            for number in range(devices)
        ]
        for at in range(polled)
    ]
    wide, long = Engine(EVERYTHING), Engine(EVERYTHING)
    across = [finding for step in polls for finding in wide.apply(batch(step))]
    along = [finding for number in range(devices) for finding in long.apply(batch([step[number] for step in polls]))]
    assert len(across) > 100
    assert any("slope_per_day" in one.detail for finding in across for one in finding.reason.evidence)
    assert sorted(along, key=lambda one: (one.position, one.rule, one.instance)) == across
    assert content(long) == content(wide)


def test_a_rule_that_changed_its_meaning_begins_anew_and_the_others_keep_their_state() -> None:
    def two(limit: int) -> Ruleset:
        return rules(
            "".join(
                f"- id: test.{name}\n  on: {{table: device}}\n  when: {{critical: up == 0 for {held}m}}\n  recover: {{never: true}}\n  TICKET\n"
                for name, held in (("kept", 3), ("changed", limit))
            )
        )

    engine = Engine(two(3))
    engine.apply(batch(series(ups("000"), UP)))
    again = Engine.restore(two(4), engine.snapshot())
    found = again.apply(batch(series(ups("000000"), UP)[3:]))
    assert [(one.rule, (one.t - BEGIN) // 60_000) for one in found] == [("test.kept", 3)]


@pytest.mark.parametrize("harm", ["missing", "cut", "form", "chunk"])
def test_a_damaged_snapshot_is_refused(harm: str) -> None:
    engine = Engine(EVERYTHING)
    engine.apply(batch(series([[1, 50, 0, 60, 0]], SHAPES[0])))
    parts = engine.snapshot()
    if harm == "missing":
        del parts["engine"]
    elif harm == "cut":
        parts["engine"] = parts["engine"][:-3]
    elif harm == "form":
        state = msgspec.msgpack.decode(parts["engine"], type=EngineState)
        parts["engine"] = msgspec.msgpack.encode(msgspec.structs.replace(state, format=99))
    else:
        del parts[next(name for name in parts if name.endswith(".0"))]
    with pytest.raises(ValueError, match="snapshot"):
        Engine.restore(EVERYTHING, parts)


def test_state_per_series_is_what_is_declared() -> None:
    engine = Engine(EVERYTHING)
    of = Shape(DeviceKind.SERVER, "test", SHAPES[0].source, SHAPES[0].tables[1:])
    engine.apply(batch(series([[50, 0, 60, 0]], of)))
    parts = engine.snapshot()
    name = next(name for name in parts if name.startswith("test.everything") and name.endswith(".0"))
    arrays = msgspec.msgpack.decode(parts[name], type=dict[str, Packed])
    assert sum(len(array.raw) for array in arrays.values()) == 2 * engine.state_bytes["test.everything"]
