"""What pages ask of the databases beyond what the API's own functions give. Each function blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, case, func, select

from collector.api.ingest import Ingest, delivery
from collector.api.parts import Parts
from collector.evaluation import happenings, unwatched
from collector.storage import tables
from collector.storage.database import reading
from collector.tickets.lifecycle import State
from collector.tickets.ticket import Search, Ticket
from forewarn.consent import Consent, ConsentError, parse

SILENT_MS = 3 * 60 * 1000
"""An agent that has not been heard for so long is shown as silent, as the rule `agent.silent` has it."""
STALE_MS = 15 * 60 * 1000
"""A poll older than this says nothing of how a device is now."""

_t, _a, _d = tables.ticket, tables.agent, tables.device
_TO_BE_SEEN = (_t.c.state == State.OPEN, _t.c.held.is_(None))
"""Open tickets, but for those a maintenance holds."""


class Open(NamedTuple):
    """Open tickets of a site or device by severity, and how many nobody has acknowledged."""

    critical: int = 0
    warning: int = 0
    new: int = 0

    @property
    def worst(self) -> str:
        """The worst severity, empty without tickets."""
        return "critical" if self.critical else "warning" if self.warning else ""


class SiteLine(NamedTuple):
    """A site on the fleet page. `heard` is the earliest of its agents' last words, None: one never spoke."""

    id: str
    name: str
    open: Open
    agents: int
    silent: int
    devices: int
    heard: int | None


class AgentLine(NamedTuple):
    """An agent with its delivery."""

    id: str
    retired: int | None
    delivery: Ingest


class ConsentLine(NamedTuple):
    """A consent as it stands: word is in_force, future, over or withdrawn."""

    consent: Consent
    word: str


class Site(NamedTuple):
    """Everything of a site that the databases know."""

    id: str
    name: str
    devices: list[RowMapping]
    open: dict[str, Open]
    agents: list[AgentLine]
    consents: list[ConsentLine]


def _open_by(connection: Connection, column: Any, *conditions: Any) -> dict[str, Open]:
    new = func.sum(case((_t.c.acknowledged_by == "", 1), else_=0))
    query = select(column, _t.c.severity, func.count(), new).where(*_TO_BE_SEEN, *conditions)
    found: dict[str, Open] = {}
    for key, severity, count, unseen in connection.execute(query.group_by(column, _t.c.severity)):
        before = found.get(key, Open())
        counted = {severity: getattr(before, severity, 0) + count} if severity in Open._fields else {}
        found[key] = before._replace(new=before.new + int(unseen), **counted)
    return found


def _count_by(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {key: int(count) for key, count in connection.execute(query)}


def sites(parts: Parts) -> list[SiteLine]:
    """All sites, worst first: critical tickets, then warnings, then silence, then by name."""
    with reading(parts.service) as connection:
        rows = connection.execute(select(tables.site.c.id, tables.site.c.name)).all()
        opened = _open_by(connection, _t.c.site)
        devices = _count_by(connection, select(_d.c.site, func.count()).group_by(_d.c.site))
        agents: dict[str, list[str]] = {}
        for agent, site in connection.execute(select(_a.c.id, _a.c.site).where(_a.c.retired.is_(None))):
            agents.setdefault(site, []).append(agent)
    heard, now = _heard(parts), parts.now()
    lines = [
        _site_line(row.id, row.name, opened.get(row.id, Open()), [heard.get(a, 0) for a in agents.get(row.id, [])], now)
        for row in rows
    ]
    lines = [line._replace(devices=devices.get(line.id, 0)) for line in lines]
    return sorted(lines, key=lambda line: (-line.open.critical, -line.open.warning, -line.silent, line.name.lower()))


def _site_line(site: str, name: str, opened: Open, heard: list[int], now: int) -> SiteLine:
    silent = sum(now - last > SILENT_MS for last in heard)
    return SiteLine(site, name, opened, len(heard), silent, 0, min(heard, default=0) or None)


def _heard(parts: Parts) -> dict[str, int]:
    with reading(parts.journal) as connection:
        return _count_by(connection, select(tables.ingest.c.agent, tables.ingest.c.heard))


def site(parts: Parts, wanted: str) -> Site | None:
    """One site, None when there is none."""
    with reading(parts.service) as connection:
        row = connection.execute(select(tables.site).where(tables.site.c.id == wanted)).first()
        if row is None:
            return None
        query = select(_d).where(_d.c.site == wanted).order_by(_d.c.device)
        devices = list(connection.execute(query).mappings())
        opened = _open_by(connection, _t.c.device, _t.c.site == wanted)
        agents = connection.execute(select(_a.c.id, _a.c.retired).where(_a.c.site == wanted).order_by(_a.c.id)).all()
        documents = connection.execute(select(tables.consent).where(tables.consent.c.site == wanted)).all()
    delivered = {one.agent: one for one in delivery(parts, {agent.id: wanted for agent in agents})}
    lines = [AgentLine(agent.id, agent.retired, delivered[agent.id]) for agent in agents]
    return Site(row.id, row.name, devices, opened, lines, _consents(documents, parts.now()))


def _consents(rows: Iterable[Any], now: int) -> list[ConsentLine]:
    found = []
    for row in rows:
        try:
            consent = parse(bytes(row.document))
        except ConsentError:
            continue  # It was readable when it was added: nothing is taken under it now.
        found.append(ConsentLine(consent, _standing(consent, row.withdrawn, now)))
    order = ("in_force", "future", "withdrawn", "over")
    return sorted(found, key=lambda line: (order.index(line.word), -line.consent.ends))


def _standing(consent: Consent, withdrawn: int | None, now: int) -> str:
    if withdrawn is not None:
        return "withdrawn"
    return "future" if now < consent.begins else "in_force" if now < consent.ends else "over"


def device(parts: Parts, of: str, name: str) -> RowMapping | None:
    """One device as the register has it."""
    with reading(parts.service) as connection:
        return connection.execute(select(_d).where(_d.c.site == of, _d.c.device == name)).mappings().first()


def happened(parts: Parts, of: str, name: str) -> list[RowMapping]:
    """What happened to a device, the newest first."""
    with reading(parts.service) as connection:
        return happenings.of_device(connection, of, name)


def nobody_watches(parts: Parts, of: str) -> list[RowMapping]:
    """The devices of a site that nobody watches, the newest first."""
    with reading(parts.service) as connection:
        return unwatched.of_site(connection, of)


def devices(parts: Parts, of: str) -> tuple[list[RowMapping], dict[str, Open]]:
    """The devices of a site, and the open tickets of each that has any."""
    with reading(parts.service) as connection:
        rows = connection.execute(select(_d).where(_d.c.site == of).order_by(_d.c.device)).mappings()
        return list(rows), _open_by(connection, _t.c.device, _t.c.site == of)


def deliveries(parts: Parts) -> list[Ingest]:
    """The delivery of every agent in service."""
    with reading(parts.service) as connection:
        rows = connection.execute(select(_a.c.id, _a.c.site).where(_a.c.retired.is_(None)).order_by(_a.c.id)).all()
    found: list[Ingest] = []
    for begin in range(0, len(rows), 500):
        found += delivery(parts, {row.id: row.site for row in rows[begin : begin + 500]})
    return found


def set_aside(parts: Parts, most: int = 50) -> list[RowMapping]:
    """The newest payloads that could not be taken, without their bytes."""
    aside = tables.set_aside
    columns = [column for column in aside.c if column.name != "payload"]
    with reading(parts.journal) as connection:
        return list(connection.execute(select(*columns).order_by(aside.c.id.desc()).limit(most)).mappings())


def site_names(parts: Parts) -> dict[str, str]:
    """The names of all sites by id."""
    with reading(parts.service) as connection:
        query = select(tables.site.c.id, tables.site.c.name).order_by(tables.site.c.id)
        return {row.id: row.name for row in connection.execute(query)}


def device_names(parts: Parts, of: str) -> list[str]:
    """The devices of a site."""
    with reading(parts.service) as connection:
        return list(connection.execute(select(_d.c.device).where(_d.c.site == of).order_by(_d.c.device)).scalars())


def earlier(parts: Parts, ticket: Ticket, most: int = 10) -> list[Ticket]:
    """Older tickets of the same fault, newest first; none for a ticket made by hand."""
    if not ticket.rule:
        return []
    wanted = Search(site=ticket.site, device=ticket.device, rule=ticket.rule)
    found = parts.tickets.search(wanted, after=ticket.id, limit=200).tickets
    return [one for one in found if one.instance == ticket.instance][:most]
