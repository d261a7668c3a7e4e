"""What is known to be missing, and what the agents' hourly manifests prove: written with the blocks they came in.

A **hole** is a stretch of an epoch's numbers that the journal does not have, with its cause:

    lost        the agent declared it (its spool was full, its file damaged, a consent withdrawn)
    moved       the epoch ended; what was left of it was numbered anew in the next one
    set_aside   it arrived and could not be taken; the payload is set aside
    missing     it exists nowhere any more, and nobody declared it

A **proof** is a manifest held against that: `whole`, `set_aside` (here, but for what was set aside), `missing` (some
numbers nobody accounts for) or `differs` (the chain does not come to the manifest's hash, or more is here than was
spooled).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from collector.storage.database import reading, stated, upsert
from collector.storage.proof_tables import hole, proof
from forewarn.manifest import Manifest

KEPT_MS = 730 * 86_400_000
"""24 months."""
HOLES_OF_AGENT = 10_000
PROOFS_OF_AGENT = 20_000
"""One an hour for 24 months, and some: an agent that states more keeps the newest."""
_AT_ONCE = 1000


class Cause(StrEnum):
    """Why the journal does not have some numbers."""

    LOST = "lost"
    MOVED = "moved"
    SET_ASIDE = "set_aside"
    MISSING = "missing"


class Verdict(StrEnum):
    """What a manifest was found to say of its stretch."""

    WHOLE = "whole"
    SET_ASIDE = "set_aside"
    MISSING = "missing"
    DIFFERS = "differs"


class Hole(NamedTuple):
    """Numbers `first` to `last` (0: to the end of the epoch) that the journal does not have."""

    agent: str
    epoch: str
    first: int
    last: int
    cause: str
    why: str
    arrived: int

    def within(self, first: int, last: int) -> int:
        """How many of the numbers from `first` to `last` lie in it."""
        end = self.last or last
        return max(0, min(end, last) - max(self.first, first) + 1)


class Proof(NamedTuple):
    """A manifest and what was found; counts are of records, times Unix milliseconds."""

    agent: str
    epoch: str
    first: int
    last: int
    made: int
    arrived: int
    records: int
    committed: int
    lost: int
    set_aside: int
    missing: int
    chain: bytes
    verdict: str


def proven(manifest: Manifest, holes: Iterable[Hole], chain: bytes, *, agent: str, made: int, arrived: int) -> Proof:
    """Holds a manifest against what is here.

    Args:
        manifest: of the epoch it came in, and about the numbers right before its own.
        holes: all that touch its stretch.
        chain: the chained hash of record `last` as it was committed, empty when nobody knows it.
        agent: whose.
        made: when it was made, by the agent's clock.
        arrived: when it came.
    """
    of = dict.fromkeys(Cause, 0)
    for one in holes:
        if one.last:  # To the end of the epoch means behind what was committed of it.
            of[Cause(one.cause)] += one.within(manifest.first, manifest.last)
    committed = manifest.width - sum(of.values())
    if chain.hex() != manifest.hash or committed > manifest.count:
        verdict = Verdict.DIFFERS
    elif of[Cause.MISSING]:
        verdict = Verdict.MISSING
    else:
        verdict = Verdict.SET_ASIDE if of[Cause.SET_ASIDE] else Verdict.WHOLE
    stretch = (agent, manifest.epoch, manifest.first, manifest.last, made, arrived, manifest.count, committed)
    lost = of[Cause.LOST] + of[Cause.MOVED]
    return Proof(*stretch, lost, of[Cause.SET_ASIDE], of[Cause.MISSING], bytes.fromhex(manifest.hash), str(verdict))


def write(connection: Connection, holes: Sequence[Hole], proofs: Sequence[Proof]) -> None:
    """Writes what one transaction found, once however often it is found."""
    upsert(connection, hole, [one._asdict() for one in holes])
    upsert(connection, proof, [one._asdict() for one in proofs])
    for table, agents, most in (
        (hole, {one.agent for one in holes}, HOLES_OF_AGENT),
        (proof, {one.agent for one in proofs}, PROOFS_OF_AGENT),
    ):
        for agent in agents:
            mine = sa.select(table.c.arrived).where(table.c.agent == agent).order_by(table.c.arrived.desc())
            oldest = mine.offset(most).limit(1).scalar_subquery()
            connection.execute(sa.delete(table).where(table.c.agent == agent, table.c.arrived <= oldest))


def holes_of(engine: Engine, agent: str, epoch: str, first: int, last: int) -> list[Hole]:
    """The holes that touch a stretch of an epoch, in order.

    Raises:
        StorageError: they cannot be read.
    """
    names = [hole.c[name] for name in Hole._fields]
    touches = (hole.c.first <= last, sa.or_(hole.c.last >= first, hole.c.last == 0))
    wanted = sa.select(*names).where(hole.c.agent == agent, hole.c.epoch == epoch, *touches).order_by(hole.c.first)
    with stated("journal"), reading(engine) as connection:
        return [Hole(*row) for row in connection.execute(wanted)]


def proofs_of(engine: Engine, agent: str, epoch: str, *, after: int, most: int) -> list[Proof]:
    """Up to `most` proofs of an epoch that end behind `after`, in order.

    Raises:
        StorageError: they cannot be read.
    """
    names = [proof.c[name] for name in Proof._fields]
    mine = (proof.c.agent == agent, proof.c.epoch == epoch, proof.c.last > after)
    with stated("journal"), reading(engine) as connection:
        return [
            Proof(*row) for row in connection.execute(sa.select(*names).where(*mine).order_by(proof.c.last).limit(most))
        ]


def newest(engine: Engine, agents: Sequence[str]) -> dict[str, Proof]:
    """The last proof of each of some agents that has one.

    Raises:
        StorageError: they cannot be read.
    """
    names = [proof.c[name] for name in Proof._fields]
    last = sa.select(proof.c.agent, sa.func.max(proof.c.arrived).label("arrived")).where(proof.c.agent.in_(agents))
    when = last.group_by(proof.c.agent).subquery()
    both = sa.and_(proof.c.agent == when.c.agent, proof.c.arrived == when.c.arrived)
    wanted = sa.select(*names).join(when, both).order_by(proof.c.last)
    with stated("journal"), reading(engine) as connection:
        return {row.agent: Proof(*row) for row in connection.execute(wanted)}


def prune(engine: Engine, now: int) -> int:
    """Forgets what is older than 24 months, a thousand rows of each at most; call again until it says 0.

    Raises:
        StorageError: nothing was deleted.
    """
    gone = 0
    with stated("journal"), engine.begin() as connection:
        for table in (proof, hole):
            keys = list(table.primary_key.columns)
            old = sa.select(*keys).where(table.c.arrived < now - KEPT_MS).limit(_AT_ONCE)
            gone += connection.execute(sa.delete(table).where(sa.tuple_(*keys).in_(old))).rowcount
    return gone
