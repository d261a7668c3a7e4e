"""Proves that what the agents spooled is here, or names what is not: the work of `forewarn collector verify`.

For each epoch of each agent: what was spooled (its head, its hourly manifests), what is committed, what was declared
lost or set aside; then a walk over the blocks that the journal still holds, along the chain of hashes, which each
manifest on the way must meet. What the journal no longer holds stands on the proofs kept of its manifests.

It reads a few blocks at a time, each time anew, so that it works beside a running collector and in little memory.

Errors: database.StorageError, when something cannot be read now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from collector.intake.judgement import stands_for_others
from collector.journal.proofs import Cause, Hole, Proof, Verdict, holes_of, proofs_of
from collector.storage import tables
from collector.storage.database import Databases, reading, stated
from collector.storage.proof_tables import presence, proof
from forewarn.manifest import MANIFEST, Manifest
from forewarn.wire import GENESIS, Malformed, Received, chained_body, unpack

BLOCKS_AT_ONCE = 64
PROOFS_AT_ONCE = 500
PROBLEMS = 100
"""Most problems named of one epoch; the others are counted."""
_HOUR_MS = 3_600_000


class Fault(StrEnum):
    """What is wrong with a stretch."""

    MISSING = "missing"
    """These records exist nowhere any more, and nobody declared them."""
    GONE = "gone"
    """They were committed, and the journal does not hold them although it should."""
    TAIL = "tail"
    """The epoch ended with records that never arrived, and no later epoch declares them."""
    CHANGED = "changed"
    """A stored record is not the one that was committed: its hash does not follow."""
    UNREADABLE = "unreadable"
    """A stored block cannot be read."""
    DIFFERS = "differs"
    """The agent's manifest states another hash or fewer records than are here."""


class Problem(NamedTuple):
    """Records `first` to `last` of an epoch, and what is wrong; it came about between `since` and `until` (or 0)."""

    fault: Fault
    first: int
    last: int
    since: int
    until: int
    detail: str


class Spool(NamedTuple):
    """What the collector knows of one epoch before looking: counts are numbers of its records.

    `hash` is the chained hash that record `committed` was committed with, hexadecimal; empty when nobody knows it.
    """

    site: str
    agent: str
    epoch: str
    spooled: int
    committed: int
    newest: bool
    begun: int
    moved: int
    hash: str = ""


@dataclass
class Account:
    """What was found of one epoch."""

    spool: Spool
    walked: int = 0
    """Records of the journal that were read and follow the chain."""
    holds_from: int = 0
    """The first number the journal still holds, 0: none."""
    holes: list[Hole] = field(default_factory=list)
    proofs: int = 0
    proven: int = 0
    """The last number a manifest proves; behind it only the chain does."""
    problems: list[Problem] = field(default_factory=list)
    unnamed: int = 0
    """Problems beyond PROBLEMS."""

    @property
    def waiting(self) -> int:
        """Records the agent had not delivered when it last spoke."""
        return max(0, self.spool.spooled - self.spool.committed)

    def found(self, problem: Problem) -> None:
        """Keeps a problem, or counts it."""
        if len(self.problems) < PROBLEMS:
            self.problems.append(problem)
        else:
            self.unnamed += 1

    def numbers(self, cause: Cause) -> int:
        """How many committed-over numbers are missing for a cause."""
        return sum(one.within(1, self.spool.committed) for one in self.holes if one.cause == cause)


class Stretch(NamedTuple):
    """What is looked at: arrivals from `begin` to before `end`, Unix milliseconds."""

    begin: int = 0
    end: int = 2**62


def verify(databases: Databases, *, site: str = "", stretch: Stretch | None = None) -> Iterator[Account]:
    """Looks at every epoch of every agent, retired ones too, one after the other.

    Args:
        databases: migrated.
        site: only this one, all when empty.
        stretch: only what arrived within.

    Raises:
        StorageError: see above.
    """
    over = stretch or Stretch()
    for agent, of in _agents(databases.service, site):
        for spool in _spools(databases.journal, agent, of):
            if spool.moved >= over.begin and spool.begun < over.end:
                yield _account(databases.journal, spool, over)


def _agents(service: Engine, site: str) -> list[tuple[str, str]]:
    agent = tables.agent
    query = sa.select(agent.c.id, agent.c.site).order_by(agent.c.site, agent.c.id)
    if site:
        query = query.where(agent.c.site == site)
    with stated("service"), reading(service) as connection:
        return [(row.id, row.site) for row in connection.execute(query)]


def _spools(journal: Engine, agent: str, site: str) -> list[Spool]:
    mark, said, there = tables.watermark, tables.ingest, presence
    with stated("journal"), reading(journal) as connection:
        marks = connection.execute(sa.select(mark).where(mark.c.agent == agent).order_by(mark.c.begun)).all()
        columns = said.c.epoch, said.c.head, said.c.heard
        ingest = connection.execute(sa.select(*columns).where(said.c.agent == agent)).first()
        columns = there.c.epoch, there.c.promised, there.c.heard
        promise = connection.execute(sa.select(*columns).where(there.c.agent == agent)).first()
        forgotten = connection.execute(_forgotten(agent, [row.epoch for row in marks])).all()
    heads, heard = {row.epoch: row.head for row in marks}, {}
    for epoch, head, at in (tuple(row) for row in (ingest, promise) if row is not None):
        heads[epoch], heard[epoch] = max(heads.get(epoch, 0), head), at
    spools = [Spool(site, agent, row.epoch, row.last, row.last, False, row.begun, row.moved) for row in forgotten]
    for row in marks:
        spooled = max(heads[row.epoch], row.upto)
        of = (row is marks[-1], row.begun, row.moved, bytes(row.chain).hex())
        spools.append(Spool(site, agent, row.epoch, spooled, row.upto, *of))
    known = {one.epoch for one in spools}
    announced = [epoch for epoch in heard if epoch not in known and heads[epoch]]  # None of it was committed yet.
    return spools + [Spool(site, agent, one, heads[one], 0, True, heard[one], heard[one]) for one in announced]


def _forgotten(agent: str, marked: Sequence[str]) -> Any:
    """Epochs of which proofs are kept and no watermark any more."""
    last = sa.func.max(proof.c.last).label("last")
    begun, moved = sa.func.min(proof.c.arrived).label("begun"), sa.func.max(proof.c.arrived).label("moved")
    mine = sa.select(proof.c.epoch, last, begun, moved).where(proof.c.agent == agent, proof.c.epoch.not_in(marked))
    return mine.group_by(proof.c.epoch).order_by(begun)


def _account(journal: Engine, spool: Spool, over: Stretch) -> Account:
    holes = holes_of(journal, spool.agent, spool.epoch, 1, spool.spooled + 1)
    account = Account(spool, holes=sorted(_behind(one, spool.committed) for one in holes))
    for one in account.holes:
        if one.cause == Cause.MISSING and over.begin <= one.arrived < over.end:
            account.found(Problem(Fault.MISSING, one.first, one.last, 0, one.arrived, one.why))
    _Walk(journal, account, over).run()
    _check_proofs(journal, account, over)
    _check_beginning(journal, account, over)
    _check_tail(account)
    return account


def _behind(one: Hole, committed: int) -> Hole:
    """A loss to the end of an epoch begins behind what was committed of it, whatever the agent knew of that."""
    return one if one.last else one._replace(first=max(one.first, committed + 1))


class _Walk:
    """The way along the blocks of one epoch that the journal holds, in the order of their numbers."""

    def __init__(self, journal: Engine, account: Account, over: Stretch) -> None:
        self._journal = journal
        self._account = account
        self._over = over
        self._upto = 0
        self._chain = b""
        self._arrived = 0
        self._position = 0

    def run(self) -> None:
        while rows := self._next():
            for row in rows:
                self._step(row)
        committed = self._account.spool.committed
        if self._upto < committed and self._over.end > self._account.spool.moved:
            self._leap(self._upto + 1, committed, self._account.spool.moved)
        if (
            self._upto == committed
            and self._chain
            and self._chain.hex() != (self._account.spool.hash or self._chain.hex())
        ):
            detail = f"journal entry {self._position}: its hash is not the one it was committed with"
            self._fault(Fault.CHANGED, committed, committed, self._arrived, detail)

    def _next(self) -> Sequence[Any]:
        entry, spool = tables.entry, self._account.spool
        mine = (entry.c.agent == spool.agent, entry.c.epoch == spool.epoch, entry.c.only == "")
        within = (entry.c.last > self._upto, entry.c.last <= spool.committed, entry.c.arrived < self._over.end)
        columns = (entry.c.position, entry.c.arrived, entry.c.first, entry.c.last, entry.c.payload)
        wanted = sa.select(*columns).where(*mine, *within, entry.c.arrived >= self._over.begin)
        with stated("journal"), reading(self._journal) as connection:
            return connection.execute(wanted.order_by(entry.c.last).limit(BLOCKS_AT_ONCE)).all()

    def _step(self, row: Any) -> None:
        if not self._upto:
            self._account.holds_from = row.first
            self._chain = GENESIS if row.first == 1 else b""
        elif row.first > self._upto + 1:
            self._leap(self._upto + 1, row.first - 1, row.arrived)
            self._chain = b""
        try:
            self._follow(row, unpack(bytes(row.payload)))
        except Malformed as wrong:
            detail = f"journal entry {row.position}: {wrong.detail}"
            self._fault(Fault.UNREADABLE, row.first, row.last, row.arrived, detail)
            self._chain = b""
        self._upto, self._arrived, self._position = row.last, row.arrived, row.position

    def _leap(self, first: int, last: int, arrived: int) -> None:
        """Numbers that no block holds: explained by holes, pruned just now, or gone."""
        for begin, end in uncovered(first, last, self._account.holes):
            if not self._upto and not self._should_hold():
                return  # Nothing of this epoch is left, and nothing should be: the proofs speak for it.
            if self._was_pruned():
                return
            detail = f"the journal holds nothing of them, though it has what arrived before and after (entry {self._position})"
            self._account.found(Problem(Fault.GONE, begin, end, self._arrived, arrived, detail))

    def _was_pruned(self) -> bool:
        """Whether the entries walked were pruned meanwhile; those behind them may be too."""
        position = sa.select(sa.func.min(tables.entry.c.position))
        with stated("journal"), reading(self._journal) as connection:
            oldest = connection.execute(position).scalar() or 0
        return bool(self._position) and oldest > self._position

    def _should_hold(self) -> bool:
        """Whether the journal is old enough to hold the last block of this epoch."""
        if self._over.begin:
            return False
        return _oldest(self._journal).arrived < self._account.spool.moved

    def _follow(self, row: Any, received: Received) -> None:
        for record, body in zip(received.block.records, received.bodies, strict=True):
            if not row.first <= record.seq <= row.last:
                continue
            if record.kind == MANIFEST and self._chain:
                self._meet(record.seq, record.text, row.arrived)
            if self._chain and not stands_for_others(record):
                self._chain = chained_body(body, self._chain)
                if self._chain.hex() != record.hash:
                    detail = f"journal entry {row.position}: its hash does not follow from the record before"
                    self._fault(Fault.CHANGED, record.seq, record.seq, row.arrived, detail)
            self._chain = bytes.fromhex(record.hash)
            self._account.walked += 1

    def _meet(self, seq: int, text: dict[str, str], arrived: int) -> None:
        try:
            manifest = Manifest.read(text)
        except Malformed:
            return  # It was named when it arrived.
        if manifest.last == seq - 1 and manifest.hash != self._chain.hex():
            detail = f"the manifest in record {seq} states another hash than the blocks come to"
            self._fault(Fault.DIFFERS, manifest.first, manifest.last, arrived, detail)

    def _fault(self, fault: Fault, first: int, last: int, arrived: int, detail: str) -> None:
        self._account.found(Problem(fault, first, last, self._arrived, arrived, detail))


def uncovered(first: int, last: int, holes: Sequence[Hole]) -> Iterator[tuple[int, int]]:
    """The stretches of first..last that no hole accounts for. Holes stand in the order of their first number."""
    at = first
    for one in holes:
        end = one.last or last
        if end < at or one.first > last:
            continue
        if one.first > at:
            yield at, one.first - 1
        at = max(at, end + 1)
    if at <= last:
        yield at, last


def _check_proofs(journal: Engine, account: Account, over: Stretch) -> None:
    """What the manifests of old say, and whether the journal still holds what came after the oldest entry."""
    spool, after = account.spool, 0
    before: Proof | None = None
    since = _oldest(journal).arrived
    while proofs := proofs_of(journal, spool.agent, spool.epoch, after=after, most=PROOFS_AT_ONCE):
        for one in proofs:
            if over.begin <= one.arrived < over.end:
                account.proofs += 1
                _check_proof(account, one)
                follows = before is not None and before.last + 1 == one.first and before.arrived > since
                if follows and not over.begin and account.holds_from > one.first:
                    detail = "a manifest proves them, and the journal holds older entries, but not these"
                    last = min(one.last, account.holds_from - 1)
                    account.found(Problem(Fault.GONE, one.first, last, one.made - _HOUR_MS, one.arrived, detail))
            before = one
        after = proofs[-1].last


def _check_proof(account: Account, one: Proof) -> None:
    made = one.made - _HOUR_MS
    if one.verdict in (Verdict.WHOLE, Verdict.SET_ASIDE):
        account.proven = one.last
    elif one.verdict == Verdict.DIFFERS:
        detail = f"the manifest counts {one.records} records, {one.committed} are here, or its hash is another"
        account.found(Problem(Fault.DIFFERS, one.first, one.last, made, one.arrived, detail))
    elif not any(hole.cause == Cause.MISSING and hole.within(one.first, one.last) for hole in account.holes):
        detail = f"when their manifest came, {one.missing} of them were nowhere; which is not kept any more"
        account.found(Problem(Fault.MISSING, one.first, one.last, made, one.arrived, detail))


def _check_beginning(journal: Engine, account: Account, over: Stretch) -> None:
    """A journal that nothing was pruned from since an epoch began holds it from its first record."""
    found = [problem.first for problem in account.problems if problem.fault is Fault.GONE]
    first = min([account.holds_from, *found])
    oldest, begun = _oldest(journal), account.spool.begun
    if first <= 1 or over.begin or not (oldest.position == 1 or oldest.arrived < begun - _HOUR_MS):
        return
    for begin, end in uncovered(1, first - 1, account.holes):
        detail = "the journal holds what arrived before them, but not these"
        account.found(Problem(Fault.GONE, begin, end, begun, 0, detail))


class _Oldest(NamedTuple):
    """The first entry that the journal holds."""

    position: int = 0
    arrived: int = 2**62


def _oldest(journal: Engine) -> _Oldest:
    entry = tables.entry.c
    with stated("journal"), reading(journal) as connection:
        row = connection.execute(sa.select(entry.position, entry.arrived).order_by(entry.position).limit(1)).first()
    return _Oldest(*row) if row is not None else _Oldest()


def _check_tail(account: Account) -> None:
    """An epoch that another one followed has delivered all, or the other one says what became of the rest."""
    spool = account.spool
    if spool.newest:
        return
    for first, last in uncovered(spool.committed + 1, spool.spooled, account.holes):
        detail = "its agent has begun another epoch, and no record declares what became of them"
        account.found(Problem(Fault.TAIL, first, last, spool.moved, 0, detail))


def holes_by_cause(account: Account) -> dict[str, list[Hole]]:
    """The holes of an epoch by their cause, for people."""
    told: dict[str, list[Hole]] = {}
    for one in account.holes:
        told.setdefault(one.cause, []).append(one)
    return told
