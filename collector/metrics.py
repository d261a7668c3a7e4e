"""The collector's counters for Prometheus, read from where they are kept when somebody asks.

What the databases know is asked of them, so that a restart loses no count; the few counts of `_REFUSED` begin with the
process. A database that cannot answer leaves its families out and shows in `forewarn_scrape_failures_total`. docs/metrics.md lists
every name; a test compares the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as Source
from sqlalchemy import Engine, case, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from collector.api.parts import Check
from collector.evaluation.costs import kept
from collector.storage import proof_tables, tables
from collector.storage.database import reading
from collector.tickets.precision import Tally, precisions

_DAY_MS = 86_400_000
_INGEST = {
    "blocks": "Blocks committed to the journal.",
    "records": "Records committed to the journal.",
    "duplicates": "Records that had been committed before.",
    "gaps": "Blocks that did not follow what was committed.",
    "lost": "Records declared lost by their agents.",
    "held": "Blocks held back: agent or consent unknown, or two agents with one spool.",
    "set_aside": "Blocks of known agents set aside as malformed.",
}

_REFUSED = {
    "intake_dropped": "Messages dropped because the broker would not be held back; their agents send them again.",
    "intake_failed": "Messages that a mistake of ours kept from being judged; not acknowledged, named in the log.",
    "intake_strays": "Messages on topics that no block comes on.",
    "intake_strangers": "Blocks of agents that nobody registered.",
    "rules_set_aside": "Journal entries that the rules could not take; named in the log.",
    "series_refused": "Values or lines that the series store will never take; named in the log.",
    "presence_refused": "Presence messages that could not be read, or were too many at once.",
    "presence_late": "Presence messages of connections older than one known; they change nothing.",
}


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is known without asking a database: each function gives the value of now.

    `refused` has what a process counts since its start, by the keys of `_REFUSED`; empty for a role without an intake.
    """

    waiting_bytes: Callable[[], float]
    connected: Callable[[], bool]
    checks: Callable[[], list[Check]]
    refused: Callable[[], Mapping[str, int]] = dict


class Figures(Source):
    """Everything /metrics says about the collector beside its requests and its process."""

    def __init__(self, journal: Engine, service: Engine, gauges: Gauges) -> None:
        self._journal = journal
        self._service = service
        self._gauges = gauges
        self._failures = 0

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not ask a database at start."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Asks, once a scrape."""
        for asked in (self._ingest, self._aside, self._fleet, self._tickets, self._rules, self._outbox, self._now):
            try:
                yield from asked()
            except (DBAPIError, PoolTimeout):
                self._failures += 1
        yield CounterMetricFamily(
            "forewarn_scrape_failures", "Parts of a scrape that a database did not answer.", self._failures
        )

    def _ingest(self) -> list[Metric]:
        ingest, entry = tables.ingest, tables.entry
        sums = [func.coalesce(func.sum(ingest.c[name]), 0).label(name) for name in _INGEST]
        with reading(self._journal) as connection:
            row = connection.execute(select(*sums)).mappings().one()
            head = connection.execute(select(func.coalesce(func.max(entry.c.position), 0))).scalar_one()
            holding = connection.execute(select(func.count()).where(ingest.c.held_reason != "")).scalar_one()
        found: list[Metric] = [
            CounterMetricFamily(f"forewarn_ingest_{name}", what, float(row[name])) for name, what in _INGEST.items()
        ]
        found.append(GaugeMetricFamily("forewarn_journal_head", "Last committed position of the journal.", head))
        found.append(GaugeMetricFamily("forewarn_agents_held", "Agents whose blocks are held back now.", holding))
        return found

    def _aside(self) -> list[Metric]:
        aside = tables.set_aside
        family = GaugeMetricFamily("forewarn_set_aside_kept", "Payloads kept to be looked at.", labels=["reason"])
        with reading(self._journal) as connection:
            for reason, count in connection.execute(select(aside.c.reason, func.count()).group_by(aside.c.reason)):
                family.add_metric([reason], count)
        letters = GaugeMetricFamily(
            "forewarn_dead_letters", "Journal entries that a projection could not take.", labels=["projection", "state"]
        )
        proofs = GaugeMetricFamily(
            "forewarn_proofs", "Manifests that arrived within a day, by verdict.", labels=["verdict"]
        )
        dead, proof = proof_tables.dead_letter.c, proof_tables.proof.c
        by = (dead.projection, dead.state)
        day = select(proof.verdict, func.count()).where(proof.arrived >= int(time.time() * 1000) - _DAY_MS)
        with reading(self._journal) as connection:
            for projection, state, count in connection.execute(select(*by, func.count()).group_by(*by)):
                letters.add_metric([projection, state], count)
            for verdict, count in connection.execute(day.group_by(proof.verdict)):
                proofs.add_metric([verdict], count)
        return [family, letters, proofs]

    def _fleet(self) -> list[Metric]:
        found: list[Metric] = []
        with reading(self._service) as connection:
            for name, table in (("sites", tables.site), ("agents", tables.agent), ("devices", tables.device)):
                count = connection.execute(select(func.count()).select_from(table)).scalar_one()
                found.append(GaugeMetricFamily(f"forewarn_{name}", f"Registered {name}.", count))
        return found

    def _tickets(self) -> list[Metric]:
        ticket = tables.ticket
        family = GaugeMetricFamily("forewarn_tickets", "Tickets by state and severity.", labels=["state", "severity"])
        state = case((ticket.c.held.is_not(None), "held"), else_=ticket.c.state)
        query = select(state, ticket.c.severity, func.count()).group_by(state, ticket.c.severity)
        with reading(self._service) as connection:
            for standing, severity, count in connection.execute(query):
                family.add_metric([standing, severity], count)
        return [family]

    def _rules(self) -> list[Metric]:
        """How often rules were right, all versions together, and what they cost."""
        of_rule = ["rule"]
        judged = GaugeMetricFamily("forewarn_rule_judged", "Tickets that people ended or marked.", labels=of_rule)
        false = GaugeMetricFamily("forewarn_rule_false_alarms", "Tickets marked as false alarms.", labels=of_rule)
        for rule, versions in precisions(self._service, 0).items():
            whole = sum(versions.values(), Tally())
            judged.add_metric([rule], whole.ever.judged)
            false.add_metric([rule], whole.false)
        series = GaugeMetricFamily("forewarn_rule_series", "Series in the state of a rule.", labels=of_rule)
        evaluated = CounterMetricFamily(
            "forewarn_rule_evaluations", "Polls of series judged, since the start.", labels=of_rule
        )
        for rule, cost in kept(self._service).items():
            series.add_metric([rule], cost.series)
            evaluated.add_metric([rule], cost.evaluations)
        return [judged, false, series, evaluated]

    def _outbox(self) -> list[Metric]:
        outbox = tables.outbox
        waiting = select(func.count()).where(outbox.c.sent.is_(None), outbox.c.failed.is_(None))
        failed = select(func.count()).where(outbox.c.failed.is_not(None))
        with reading(self._service) as connection:
            still, given_up = connection.execute(waiting).scalar_one(), connection.execute(failed).scalar_one()
        return [
            GaugeMetricFamily("forewarn_notices_waiting", "Notices not yet handed over.", still),
            GaugeMetricFamily("forewarn_notices_failed", "Notices given up; the outbox says why.", given_up),
        ]

    def _now(self) -> list[Metric]:
        ready = GaugeMetricFamily("forewarn_ready", "1 when this part works, as in /readyz.", labels=["part"])
        lag = GaugeMetricFamily(
            "forewarn_projection_lag_entries", "Journal entries a projection has not taken yet.", labels=["projection"]
        )
        for check in self._gauges.checks():
            ready.add_metric([check.name], float(check.ok))
            if check.lag is not None:
                lag.add_metric([check.name], check.lag)
        connected, waiting = self._gauges.connected(), self._gauges.waiting_bytes()
        refused = self._gauges.refused()
        return [
            *(CounterMetricFamily(f"forewarn_{name}", what, refused.get(name, 0)) for name, what in _REFUSED.items()),
            ready,
            lag,
            GaugeMetricFamily("forewarn_bus_connected", "1 while the broker is reached.", float(connected)),
            GaugeMetricFamily("forewarn_intake_waiting_bytes", "Bytes received and not yet committed.", waiting),
        ]


def registry(figures: Figures) -> CollectorRegistry:
    """A registry of our own, with the figures and those of the process."""
    made = CollectorRegistry()
    made.register(figures)
    ProcessCollector(registry=made)
    return made
