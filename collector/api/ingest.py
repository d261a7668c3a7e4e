"""How well each agent's records arrive: what it holds, what is committed, what is missing and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import RowMapping, select

from collector.api.parts import LATEST, After, Filter, Limit, Name, Page, Parts, Use
from collector.api.problems import NotFound, described
from collector.intake.presences import presences_of
from collector.journal.deadletter import DeadLetters
from collector.journal.proofs import newest
from collector.storage import tables
from collector.storage.database import reading

router = APIRouter(tags=["ingest"])


class Watermark(BaseModel):
    """Everything of `epoch` up to `upto` is committed; `moved` is when that last rose."""

    epoch: str
    upto: int
    begun: int
    moved: int


class Proven(BaseModel):
    """The newest manifest of an agent held against what is here.

    `verdict` is whole, set_aside, missing or differs; it speaks of the records `first` to `last` of `epoch`, of which
    `committed` are here, `lost` were declared, `set_aside` could not be taken and `missing` nobody accounts for.
    """

    verdict: str
    epoch: str
    first: int
    last: int
    made: int
    arrived: int
    committed: int
    lost: int
    set_aside: int
    missing: int


class There(BaseModel):
    """What an agent last said of itself to the broker: a hint. `conn` counts its connections."""

    state: str
    why: str
    conn: int
    heard: int


class Ingest(BaseModel):
    """One agent's delivery.

    `oldest` and `head` are the first and last number its spool held when it last spoke, `epoch` the spool; `watermark`
    the last number committed of it and `lag` how many records were still to come. Counters are in records, but
    `blocks`, `gaps`, `held` and `set_aside` in blocks. `held_reason` is why blocks are not taken now, empty when they
    are. `lost` were declared lost by the agent itself. `heard` is null when it never spoke. `lag_seconds` is how old
    the newest committed record is when more are to come, 0 when none are. `proof` is null before the first manifest,
    `presence` before the first word.
    """

    agent: str
    site: str
    epoch: str
    oldest: int
    head: int
    watermark: int
    lag: int
    lag_seconds: float
    heard: int | None
    blocks: int
    records: int
    duplicates: int
    gaps: int
    lost: int
    held: int
    held_reason: str
    set_aside: int
    epochs: list[Watermark]
    proof: Proven | None
    presence: There | None


class SetAside(BaseModel):
    """A payload that could not be taken, and why. `kept` says whether its bytes were stored."""

    id: int
    arrived: int
    topic: str
    agent: str
    reason: str
    detail: str
    size: int
    kept: bool


_COUNTED = ("blocks", "records", "duplicates", "gaps", "lost", "held", "set_aside")


@router.get("/ingest")
def list_ingest(parts: Use, site: Filter = None, limit: Limit = 100, after: After = "") -> Page[Ingest]:
    """The delivery of every registered agent, by id."""
    agent = tables.agent
    query = select(agent.c.id, agent.c.site).where(agent.c.id > after).order_by(agent.c.id).limit(limit + 1)
    if site is not None:
        query = query.where(agent.c.site == site)
    with reading(parts.service) as connection:
        rows = connection.execute(query).all()
    items = delivery(parts, {row.id: row.site for row in rows[:limit]})
    return Page(items=items, next=items[-1].agent if len(rows) > limit else None)


@router.get("/ingest/{agent}", responses=described(404))
def get_ingest(parts: Use, agent: Name) -> Ingest:
    """The delivery of one agent."""
    with reading(parts.service) as connection:
        site = connection.execute(select(tables.agent.c.site).where(tables.agent.c.id == agent)).scalar()
    if site is None:
        raise NotFound(f"there is no agent `{agent}`")
    return delivery(parts, {agent: site})[0]


def delivery(parts: Parts, sites: dict[str, str]) -> list[Ingest]:
    """The delivery of some agents, given with their sites, in that order."""
    ingest, mark = tables.ingest, tables.watermark
    asked = select(ingest).where(ingest.c.agent.in_(sites))
    with reading(parts.journal) as connection:
        said = {row["agent"]: row for row in connection.execute(asked).mappings()}
        rows = connection.execute(select(mark).where(mark.c.agent.in_(sites)).order_by(mark.c.begun)).mappings()
        marks: dict[str, list[RowMapping]] = {}
        for row in rows:
            marks.setdefault(row["agent"], []).append(row)
    proofs, there, now = newest(parts.journal, list(sites)), presences_of(parts.journal, list(sites)), parts.now()
    found = [_one(agent, site, said.get(agent), marks.get(agent, []), now) for agent, site in sites.items()]
    for one in found:
        proof, word = proofs.get(one.agent), there.get(one.agent)
        one.proof = None if proof is None else Proven(**{name: getattr(proof, name) for name in Proven.model_fields})
        one.presence = None if word is None else There(state=word.state, why=word.why, conn=word.conn, heard=word.heard)
    return found


def _one(agent: str, site: str, row: RowMapping | None, marks: Iterable[RowMapping], now: int) -> Ingest:
    epochs = [Watermark(**{name: mark[name] for name in Watermark.model_fields}) for mark in marks]
    epoch = row["epoch"] if row is not None else ""
    upto = next((mark.upto for mark in epochs if mark.epoch == epoch), 0)
    head = row["head"] if row is not None else 0
    return Ingest(
        agent=agent,
        site=site,
        epoch=epoch,
        oldest=row["oldest"] if row is not None else 0,
        head=head,
        watermark=upto,
        lag=max(0, head - upto),
        lag_seconds=max(0.0, (now - row["newest"]) / 1000)
        if row is not None and head > upto and row["newest"]
        else 0.0,
        heard=(row["heard"] or None) if row is not None else None,
        held_reason=row["held_reason"] if row is not None else "",
        epochs=epochs,
        proof=None,
        presence=None,
        **{name: row[name] if row is not None else 0 for name in _COUNTED},
    )


class DeadLetter(BaseModel):
    """A journal entry that a projection could not take, and what became of it.

    `state` is waiting, asked, retried or dropped; `again` the position it was given again under, `size` the bytes kept.
    """

    name: str
    state: str
    where: str
    reason: str
    detail: str
    noted: int
    position: int
    site: str
    agent: str
    epoch: str
    first: int
    last: int
    size: int
    again: int | None


@router.get("/dead-letters")
def list_dead_letters(
    parts: Use,
    state: Filter = None,
    limit: Limit = 100,
    after: Annotated[int, Query(ge=1, le=LATEST, description="`next` of the page before.")] = LATEST,
) -> Page[DeadLetter]:
    """What was committed and could not be applied, newest first."""
    found = DeadLetters(parts.journal, now=parts.now).listed(state=state or "", after=after, most=limit + 1)
    items = [DeadLetter(**letter._asdict()) for letter in found[:limit]]
    return Page(items=items, next=items[-1].name[1:] if len(found) > limit else None)


@router.get("/set-aside")
def list_set_aside(
    parts: Use,
    agent: Filter = None,
    reason: Filter = None,
    limit: Limit = 100,
    after: Annotated[int, Query(ge=1, le=LATEST, description="`next` of the page before.")] = LATEST,
) -> Page[SetAside]:
    """Payloads that could not be taken, newest first."""
    aside = tables.set_aside
    columns = [column for column in aside.c if column.name != "payload"]
    query = select(*columns, aside.c.payload.is_not(None).label("kept")).where(aside.c.id < after)
    for column, wanted in ((aside.c.agent, agent), (aside.c.reason, reason)):
        if wanted is not None:
            query = query.where(column == wanted)
    with reading(parts.journal) as connection:
        rows = connection.execute(query.order_by(aside.c.id.desc()).limit(limit + 1)).mappings().all()
    items = [SetAside(**row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)
