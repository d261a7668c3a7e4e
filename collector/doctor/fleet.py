"""The fleet as the register and the journal know it: agents never heard, silent or held, clocks, consents, tokens.

Errors: none; a database of an older schema is told where the databases are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from collector.doctor.databases import Opened
from collector.storage import tables
from forewarn import wire
from forewarn.consent import ConsentError, instant, parse
from forewarn.doctor.diagnosis import Diagnosis, listed, ok, span, warn
from forewarn.doctor.reach import SOON
from forewarn.wire import Malformed, Reason

_SILENT = 15 * 60_000
"""Milliseconds after which the rule `agent.silent` is critical."""
_CLOCK_OFF = 60_000
_CLOCKS = 200
"""Whose last block is opened to compare clocks: those heard last."""
_DAY = 86_400_000


def look(opened: Opened, now: int) -> Iterator[Diagnosis]:
    """Agents, consents and tokens.

    Args:
        opened: the databases; nothing is told of one that cannot be read.
        now: Unix milliseconds.
    """
    if opened.service is None:
        return
    try:
        with opened.service.connect() as connection:
            agents = {row.id: row.site for row in connection.execute(_AGENTS)}
            consents = connection.execute(
                select(tables.consent.c.site, tables.consent.c.document).where(_STANDING)
            ).all()
            tokens = connection.execute(_TOKENS).scalar_one()
        if opened.journal is not None and agents:
            yield from _agents(agents, opened.journal, now)
    except SQLAlchemyError:
        return
    if not agents:
        yield ok("agents", "none is registered: `forewarn collector add-site`, then `add-agent`")
    yield from _consents(set(agents.values()), consents, now)
    if not tokens:
        yield warn("tokens", "nobody can log in or use the API", "forewarn collector add-token NAME")


_AGENTS = select(tables.agent.c.id, tables.agent.c.site).where(tables.agent.c.retired.is_(None))
_STANDING = tables.consent.c.withdrawn.is_(None)
_TOKENS = select(func.count()).select_from(tables.token).where(tables.token.c.revoked.is_(None))
_HEARD = select(
    tables.ingest.c.agent, tables.ingest.c.epoch, tables.ingest.c.heard, tables.ingest.c.held_reason
).order_by(tables.ingest.c.heard.desc())


@dataclass
class _Hearing:
    """Names by what is the matter with them."""

    never: list[str]
    silent: list[str]
    held: dict[str, list[str]]


def _agents(agents: dict[str, str], journal: Engine, now: int) -> Iterator[Diagnosis]:
    with journal.connect() as connection:
        heard = [row for row in connection.execute(_HEARD) if row.agent in agents]
        # What a stopped collector did not hear is nobody's silence: silence counts up to its last word.
        newest = select(func.max(tables.entry.c.position)).scalar_subquery()
        last = connection.execute(select(tables.entry.c.arrived).where(tables.entry.c.position == newest)).scalar()
        clocks = _clocks(connection, heard)
    found = _sorted(agents, heard, last or now)
    count = len(agents) - len(found.never) - len(found.silent) - sum(len(names) for names in found.held.values())
    if count:
        yield ok("agents", f"{count} of {len(agents)} heard and taken")
    if found.never:
        remedy = "start them: `forewarn agent run`; `forewarn agent doctor` on their machine says what is in the way"
        yield warn("agents", f"{len(found.never)} never heard: {listed(found.never)}", remedy)
    if found.silent:
        remedy = "see to the site's line and the power of the agent's machine, then `forewarn agent doctor` there"
        yield warn("agents", f"{len(found.silent)} silent: {listed(found.silent)}", remedy)
    for reason, names in found.held.items():
        yield warn("agents", f"{len(names)} held for {reason}: {listed(names)}", _held_remedy(reason))
    if clocks:
        remedy = "let those machines keep their time by NTP: a record carries the time of its agent"
        yield warn("agents", f"{len(clocks)} with a wrong clock: {listed(clocks)}", remedy)


def _sorted(agents: dict[str, str], heard: Sequence[Any], until: int) -> _Hearing:
    found = _Hearing([], [], defaultdict(list))
    spoke = {row.agent for row in heard if row.heard}
    found.never = sorted(set(agents) - spoke)
    for row in heard:
        if row.agent not in spoke:
            continue
        if row.held_reason:
            found.held[row.held_reason].append(row.agent)
        elif until - row.heard > _SILENT:
            found.silent.append(f"{row.agent} ({span((until - row.heard) / 1000)})")
    return found


def _held_remedy(reason: str) -> str:
    return _HELD.get(reason.partition(":")[0], "its log and `forewarn agent doctor` on its machine say more")


_HELD: Mapping[str, str] = {
    Reason.UNKNOWN_AGENT: "register it: forewarn collector add-agent",
    Reason.UNKNOWN_CONSENT: "forewarn collector add-consent consent.json, as the customer signed it",
    Reason.WITHDRAWN: "the customer withdrew the consent: only a new one lets it go on",
    Reason.NEWER_VERSION: "bring this collector up to date: the agent is of a newer version",
    Reason.NO_ROOM: "the journal is at its limit: see which projection stands still, or raise `journal.limit`",
}


def _clocks(connection: Connection, heard: Sequence[Any]) -> list[str]:
    """Agents whose last block was sent at another time than it arrived, by their own clock."""
    found = []
    entry = tables.entry
    for row in heard[:_CLOCKS]:
        newest = select(entry.c.arrived, entry.c.payload).where(entry.c.agent == row.agent, entry.c.epoch == row.epoch)
        block = connection.execute(newest.order_by(entry.c.last.desc()).limit(1)).first()
        if block is None or block.payload is None:
            continue
        try:
            ahead = wire.unpack(block.payload).block.sent - block.arrived
        except Malformed:
            continue
        if abs(ahead) > _CLOCK_OFF:
            found.append(f"{row.agent} ({span(abs(ahead) / 1000)} {'ahead' if ahead > 0 else 'behind'})")
    return found


def _consents(sites: set[str], consents: Sequence[Any], now: int) -> Iterator[Diagnosis]:
    ends: dict[str, int] = {}
    for row in consents:
        try:
            consent = parse(bytes(row.document))
        except ConsentError:
            continue
        if consent.begins <= now < consent.ends:
            ends[row.site] = max(ends.get(row.site, 0), consent.ends)
    missing = sorted(sites - set(ends))
    soon = [f"{site} ({instant(ends[site])})" for site in sorted(sites & set(ends)) if ends[site] - now < SOON * _DAY]
    if missing:
        remedy = "the customer signs one on the site; then forewarn collector add-consent consent.json"
        yield warn("consents", f"none in force for {listed(missing)}: what their agents send is held", remedy)
    if soon:
        remedy = "ask the customer to sign the next one before then: forewarn agent consent new"
        yield warn("consents", f"end within {SOON} days: {listed(soon)}", remedy)
    if sites and not missing and not soon:
        yield ok("consents", f"in force for {'the site' if len(sites) == 1 else f'all {len(sites)} sites'} with agents")
