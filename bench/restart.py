"""A thousand agents and a collector that is killed and comes back: how soon all are level, and what is sent twice.

Every agent has a real spool, uplink and connection to a real mosquitto (`bench._crowd`); the collector is the program
people run. It is killed, every agent puts `RECORDS` records and sends into the void for `AWAY` seconds, then it is
started again. `level_seconds` counts from the moment it says that it is ready until the last spool is empty.
`sent_twice_percent` is the share of blocks sent from then on that had been sent since then already; `gaps` are blocks
the collector could not use because one before them was missing, `duplicates` records it had already.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench._crowd import Crowd, Member, Sums
from bench._processes import SITE, Running, Site, ending, until

TARGETS: dict[str, str | float] = {"sent_twice_percent": "<= 10"}
OPTIONS = {"agents": 1000}
RECORDS = 600
"""Ten minutes of a site of 60 devices."""
AWAY = 45.0
CROWD = 250
QUICK = 100


def run(*, quick: bool, agents: int) -> dict[str, float]:
    """Measures; see the module and TARGETS."""
    count = min(agents, QUICK) if quick else agents
    with tempfile.TemporaryDirectory() as name:
        site = Site(Path(name))
        with ending(site.broker()), gathered(site, count) as crowds:
            return restarted(site, crowds, away=8.0 if quick else AWAY)


@contextlib.contextmanager
def gathered(site: Site, count: int) -> Iterator[list[Crowd]]:
    enrolled = [site.register.add_agent(SITE, f"r{number}") for number in range(count)]
    members = [Member(one.agent, one.secret, one.shard) for one in enrolled]
    crowds: list[Crowd] = []
    try:
        crowds += [Crowd(site, f"crowd-{begin}", members[begin : begin + CROWD]) for begin in range(0, count, CROWD)]
        yield crowds
    finally:
        for crowd in crowds:
            crowd.end()


def restarted(site: Site, crowds: list[Crowd], *, away: float) -> dict[str, float]:
    first = site.collector()
    with ending(first):
        asked(crowds, "put 5")
        until(lambda: is_level(asked(crowds, "look")), "all agents are known", 300)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    began = time.monotonic()
    asked(crowds, f"put {RECORDS}")
    until(lambda: time.monotonic() - began > away, "the collector was away", away + 60)
    before = told(site)
    second = site.collector()
    with ending(second):
        return levelled(site, crowds, second, before)


def levelled(site: Site, crowds: list[Crowd], collector: Running, before: dict[str, float]) -> dict[str, float]:
    began, spent = time.monotonic(), collector.spent()
    start = asked(crowds, "mark")
    until(lambda: is_level(asked(crowds, "look")), "all agents are level", 600)
    took, end = time.monotonic() - began, asked(crowds, "look")
    after, blocks = told(site), end.blocks - start.blocks
    return {
        "agents": float(end.agents),
        "level_seconds": took,
        "blocks_sent": float(blocks),
        "blocks_sent_twice": float(end.twice),
        "sent_twice_percent": 100.0 * end.twice / max(1, blocks),
        "rewinds": float(end.rewinds - start.rewinds),
        "collector_cpu_seconds": collector.spent() - spent,
        **{name: after[name] - before[name] for name in after},
    }


def asked(crowds: list[Crowd], what: str) -> Sums:
    """The sums over all crowds, who do it at the same time."""
    for crowd in crowds:
        crowd.ask(what)
    answers = [crowd.answer() for crowd in crowds]
    totals = {name: sum(getattr(answer, name) for answer in answers) for name in Sums.__struct_fields__}
    return Sums(**totals)


def is_level(sums: Sums) -> bool:
    time.sleep(0.2)
    return sums.level == sums.agents == sums.connected


def told(site: Site) -> dict[str, float]:
    """What the collector counted of all agents so far."""
    with closing(sqlite3.connect(f"file:{site.folder}/data/journal.db?mode=ro", uri=True, timeout=10)) as db:
        gaps, duplicates = db.execute(
            "SELECT coalesce(sum(gaps), 0), coalesce(sum(duplicates), 0) FROM ingest"
        ).fetchone()
    return {"gaps": float(gaps), "duplicates": float(duplicates)}
