"""100,000 malformed messages, made of real blocks, through the intake: each counted by its reason, none stops the flow."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter
from pathlib import Path

from collector.storage.database import open_sqlite
from tests import blocks
from tests.blocks import Script
from tests.intakes import Collector
from tests.malformed import shower

TARGETS: dict[str, str | float] = {"messages": ">= 100000", "uncounted": "<= 0", "failed": "<= 0", "stopped": "<= 0"}
MESSAGES, QUICK, ROUND = 100_000, 2_000, 1_000


def run(*, quick: bool) -> dict[str, float]:
    """Sends them in rounds, a good block behind each; gives the figures."""
    logging.getLogger("collector").setLevel(logging.CRITICAL)
    total, begun, stopped = QUICK if quick else MESSAGES, time.monotonic(), 0
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        databases = open_sqlite(Path(folder))
        databases.migrate()
        blocks.enrolled(databases, "a1", "a2")
        collector, well = Collector(databases), Script(agent="a2")
        for number in range(total // ROUND):
            found += shower(collector, Script().topic, "a1", ROUND, seed=number)
            well.poll(1)
            ack = collector.send(well.topic, well.block(number + 1, number + 1))
            stopped += ack is None or ack.upto != number + 1
        counters = collector.counters("a1")
        failed = collector.intake.failed
        databases.close()
    by_reason = {f"reason_{reason}": float(count) for reason, count in sorted(found.items())}
    return {
        "messages": float(found.total()),
        "uncounted": float(found.total() - counters.set_aside - counters.held),
        "failed": float(failed),
        "stopped": float(stopped),
        "messages_per_second": found.total() / (time.monotonic() - begun),
        **by_reason,
    }
