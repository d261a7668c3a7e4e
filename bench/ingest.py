"""What a value costs the collector, from the block as it arrives to journal, rules and DuckDB.

Figures count the CPU of all threads of the process. `*_ns_per_value` without a prefix is the whole path, with
`intake_`, `rules_`, `series_` its parts (DuckDB writes in a thread of its own, which runs while the others do: where
its work is counted among them is a matter of chance, the sum is not).
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench._pipeline import CAMERA, RECORDER, ROUND, START, Pipeline, Sender, pipeline
from forewarn.wire import Shape

TARGETS: dict[str, str] = {
    "cpu_ns_per_value": "<= 1000",
    "cpu_ns_per_value_20": "<= 1500",
    "live_blocks_per_second": ">= 3000",
    "acks_per_agent_second": "<= 1",
    "growth_ratio": "<= 1.5",
}
AT_ONCE = 10
"""Agents whose blocks are committed and derived together: so the width of arrays does not grow with the series."""
LIVE_AGENTS = 1000
LIVE_AT_ONCE = 60
"""Blocks of one commit: 3,000 a second, gathered for 20 ms."""
LIVE_DERIVED = 3
"""Commits that a projection gathers: 50 ms."""


def run(*, quick: bool) -> dict[str, float]:
    """Measures; see TARGETS and the module."""
    figures: dict[str, float] = {}
    rounds = 20 if quick else 100
    parts = backlog(RECORDER, agents=10, devices=50, rounds=rounds, figures=figures)
    figures["cpu_ns_per_value"] = sum(parts.values())
    figures |= {f"{part}_ns_per_value": cost for part, cost in parts.items()}
    parts = backlog(CAMERA, agents=10, devices=50, rounds=2 * rounds, figures=figures)
    figures["cpu_ns_per_value_20"] = sum(parts.values())
    figures |= {f"{part}_ns_per_value_20": cost for part, cost in parts.items()}
    figures |= live(rounds=15 if quick else 45)
    few = backlog(RECORDER, agents=10, devices=10, rounds=100 if quick else 400, figures={})
    many = backlog(RECORDER, agents=1000, devices=10, rounds=2 if quick else 4, figures=figures)
    figures["cpu_ns_per_value_1m_series"] = sum(many.values())
    figures["growth_ratio"] = sum(many.values()) / sum(few.values())
    return figures


def backlog(shape: Shape, *, agents: int, devices: int, rounds: int, figures: dict[str, float]) -> dict[str, float]:
    """CPU ns a value of each part: two rounds a block, every series known before the measuring begins."""
    chance = random.Random(1)
    before = resident()
    with pipeline(agents, devices, shape) as (path, senders):
        feed(path, senders, [0], chance)
        path.spent.seconds.clear()
        for first in range(1, rounds + 1, 2):
            feed(path, senders, [first, first + 1], chance)
        path.settle()
        series = agents * devices * shape.width
        count = series * 2 * ((rounds + 1) // 2)
        kept = sum(len(part) for part in path.engine.snapshot().values())
        figures["state_bytes_per_series"] = kept / series + 20
        figures["resident_bytes_per_series"] = (resident() - before) / series
        return {part: seconds * 1e9 / count for part, seconds in path.spent.seconds.items()}


def feed(path: Pipeline, senders: list[Sender], rounds: list[int], chance: random.Random) -> None:
    """Sends one block of each agent with these rounds, some agents at a time, and derives what follows from it."""
    path.now = START + rounds[-1] * ROUND + 1000
    for at in range(0, len(senders), AT_ONCE):
        messages = []
        for sender in senders[at : at + AT_ONCE]:
            bodies = [body for number in rounds for body in sender.bodies(START + number * ROUND, chance)]
            messages.append(sender.block(bodies, START + rounds[-1] * ROUND))
        path.take(messages)
        path.derive()


def live(*, rounds: int) -> dict[str, float]:
    """One-record blocks of a thousand agents, as they come at 3,000 a second."""
    chance = random.Random(2)
    with pipeline(LIVE_AGENTS, 1, CAMERA) as (path, senders):
        feed(path, senders, [0], chance)
        messages = [
            sender.block(sender.bodies(START + number * ROUND, chance), START + number * ROUND)
            for number in range(1, rounds + 1)
            for sender in senders
        ]
        path.now = START + rounds * ROUND
        path.spent.seconds.clear()
        told, began = path.bus.published, time.monotonic()
        for turn, first in enumerate(range(0, len(messages), LIVE_AT_ONCE), 1):
            path.take(messages[first : first + LIVE_AT_ONCE])
            if turn % LIVE_DERIVED == 0:
                path.derive()
        path.derive()
        path.settle()
        seconds = time.monotonic() - began
        return {
            "live_blocks_per_second": len(messages) / path.spent.total,
            "live_intake_us_per_block": path.spent.seconds["intake"] * 1e6 / len(messages),
            "live_rules_us_per_block": path.spent.seconds["rules"] * 1e6 / len(messages),
            "live_series_us_per_block": path.spent.seconds["series"] * 1e6 / len(messages),
            "acks_per_agent_second": (path.bus.published - told) / LIVE_AGENTS / max(seconds, 1.0),
        }


def resident() -> int:
    """Bytes of memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
