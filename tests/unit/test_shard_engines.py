"""An engine for each shard finds what one engine over all shards finds, wherever the journal is cut."""

from __future__ import annotations

import random

import pytest

from collector.journal.batching import to_batches
from collector.journal.entry import Entry
from collector.journal.shared import attests, mask
from rules.engine import Engine
from rules.finding import Finding
from rules.ruleset import ruleset
from tests.findings import START
from tests.journals import Journal, cut, poll

RULES = """
- id: volume.full
  on: {table: volume, device: recorder}
  when:
    warning: used_percent > 90 for 2m
    critical: avg(used_percent, 10m) > 93
  recover: {when: used_percent < 85, for: 1m}
  ticket:
    title: {zh: "{device} {instance} {used_percent}", en: "{device} {instance} {used_percent}"}
    advice: {zh: "清理", en: "Make room."}
- id: agent.silent
  on: {table: agent}
  when: {warning: absent() >= 3m}
  recover: {when: absent() < 30s}
  ticket:
    title: {zh: "{device} 没有消息", en: "{device} is silent"}
    advice: {zh: "检查", en: "Look after it."}
"""
AGENTS = {"agent-0": 0, "agent-1": 7, "agent-2": 63, "agent-3": 7}


def journal(seed: int) -> list[Entry]:
    """An hour of four agents in three shards, some silent for a while; ticks come from two processes in turns."""
    chance, made = random.Random(seed), Journal()
    silent = {name: (begin := chance.randrange(20, 200), begin + chance.randrange(10, 60)) for name in AGENTS}
    level = dict.fromkeys(AGENTS, 80.0)
    for at in range(360):
        t = START + at * 10_000
        for name in AGENTS:
            if at % 6 == 0 and not silent[name][0] < at < silent[name][1]:
                level[name] += chance.choice([4.0, 3.0, 2.0, -14.0])
                made.block(poll(f"nvr-{name}", level[name], chance.choice([level[name], None]), t=t), agent=name)
        made.tick(t + 1)
    return [one._replace(shard=AGENTS.get(one.agent, 0)) for one in made.entries]


def found(entries: list[Entry], sizes: list[int]) -> list[Finding]:
    """What one engine finds in some entries, cut so."""
    engine = Engine(ruleset([("rules.yaml", RULES)]))
    return [one for stretch in cut(entries, sizes) for batch in to_batches(stretch) for one in engine.apply(batch)]


def in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (one.position, one.t, one.rule, one.site, one.device, one.instance))


@pytest.mark.parametrize("seed", range(5))
def test_an_engine_a_shard_finds_what_one_over_all_finds(seed: int) -> None:
    entries = journal(seed)
    whole = found(entries, [7])
    apart: list[Finding] = []
    for shard in sorted(set(AGENTS.values())):
        mine = [one for one in entries if (attests(one, shard) if one.is_tick else one.shard == shard)]
        apart += found(mine, [1 + shard % 5, 40])
    assert in_order(apart) == in_order(whole)
    assert {one.rule for one in whole} == {"volume.full", "agent.silent"}


def test_ticks_of_two_processes_speak_each_for_its_own_shards() -> None:
    entries = journal(1)
    halves = [mask(range(32)), mask(range(32, 64))]
    doubled: list[Entry] = []
    for one in entries:
        doubled += [one._replace(shards=half) for half in halves] if one.is_tick else [one]
    doubled = [one._replace(position=at) for at, one in enumerate(doubled, 1)]
    for shard in (0, 63):
        mine = [one for one in doubled if (attests(one, shard) if one.is_tick else one.shard == shard)]
        theirs = [one for one in entries if one.is_tick or one.shard == shard]
        assert [one.arrived for one in mine] == [one.arrived for one in theirs]
        turns = [(one.turn, one.rule, one.t) for one in found(mine, [5])]
        assert turns == [(one.turn, one.rule, one.t) for one in found(theirs, [9])]
        assert turns


@pytest.mark.parametrize("shards", [[], [0], [63], [5, 62, 63], list(range(64))])
def test_a_mask_fits_a_signed_number_of_64_bits_and_names_its_shards(shards: list[int]) -> None:
    bits = mask(shards)
    assert -(2**63) <= bits < 2**63
    tick = Entry(1, 0, "", "", "", 0, 0, None, shards=bits)
    assert [shard for shard in range(64) if attests(tick, shard)] == shards
