"""Turns that depend on what came before: falling severity, and a recovery while the condition is unknown."""

from __future__ import annotations

import math

from rules.engine import Engine
from tests.rule_batches import BEGIN, batch, rules, series, shape, told

VOLUME = shape(("volume", ["a"], ["used_percent", "overwrite"]))


def turns(text: str, values: list[tuple[float, float]]) -> list[tuple[str, str, int]]:
    found = told(Engine(rules(text)), batch(series(values, VOLUME)))
    return [(one.turn.value, one.severity, (one.t - BEGIN) // 60_000) for one in found]


def test_critical_falls_to_warning_only_when_the_warning_has_held_for_its_time() -> None:
    text = """
- id: test.rule
  on: {table: volume}
  when: {warning: used_percent > 80 for 10m, critical: used_percent > 90}
  recover: {when: used_percent < 70, for: 3m}
  TICKET
"""
    values = [(95.0, 0.0), *[(75.0, 0.0)] * 4, *[(85.0, 0.0)] * 15]
    assert turns(text, values) == [("opened", "critical", 0), ("changed", "warning", 15)]


def test_after_a_recovery_a_condition_begins_its_time_anew() -> None:
    text = """
- id: test.rule
  on: {table: volume}
  when: {warning: used_percent > 80 for 3m}
  recover: {when: overwrite == 1}
  TICKET
"""
    values = [*[(85.0, 0.0)] * 5, (math.nan, 1.0), *[(85.0, 0.0)] * 5]
    assert turns(text, values) == [("opened", "warning", 3), ("recovered", "warning", 5), ("opened", "warning", 9)]


def test_what_holds_a_rule_back_also_ends_its_time_and_is_part_of_its_meaning() -> None:
    text = """
- id: test.rule
  on: {table: volume}
  when: {warning: used_percent > 80 for 3m}
  unless: overwrite == 1
  recover: {never: true}
  TICKET
"""
    values = [*[(85.0, 0.0)] * 2, (85.0, 1.0), *[(85.0, 0.0)] * 5]
    assert turns(text, values) == [("opened", "warning", 6)]
    assert rules(text).version != rules(text.replace("overwrite == 1", "overwrite == 0")).version
