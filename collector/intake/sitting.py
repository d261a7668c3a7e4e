"""The judging of one batch of messages: what it would commit, and what its agents are to hear.

Blocks of one batch build on each other, so that a backlog is committed by the hundred; nothing of it stands until the
transaction is through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from collector.intake.accounting import accounted
from collector.intake.inbox import Waiting
from collector.intake.judgement import (
    Accepted,
    Case,
    Duplicate,
    Gap,
    Held,
    Outcome,
    SetAside,
    Shapes,
    judge,
    judge_malformed,
    judge_sender,
    outline,
)
from collector.journal.disk import START, Aside, Change, Counters, DatabaseJournal, Mark, Spool, Taken, hash_of
from collector.journal.proofs import Cause, Hole, Verdict, holes_of
from collector.register import Known, KnownAgent
from forewarn.signals import agent_of
from forewarn.telemetry import Log
from forewarn.wire import Malformed, Reason, Received, storable, unpack

log = Log(__name__)

STRANGERS = 1000
"""How many agents that nobody registered are told so and counted by name."""
EPOCHS = 64
"""Of how many epochs of an agent the watermark is kept: an agent begins a handful in its life. Of one that begins more
the oldest is forgotten; should it speak again, it is judged as a new epoch, whose beginning is missing."""


@dataclass
class Standing:
    """What is committed, and what is known of all agents beside it. Used by the ingest thread alone."""

    journal: DatabaseJournal
    shapes: Shapes = field(default_factory=Shapes)
    marks: dict[Spool, Mark] = field(default_factory=dict)
    counters: dict[str, Counters] = field(default_factory=dict)
    strangers: Counter[str] = field(default_factory=Counter)
    strays: int = 0
    """Messages on topics that no block comes on."""
    refusals: dict[str, Reason] = field(default_factory=dict)
    epochs: dict[str, set[str]] = field(default_factory=dict)
    """The epochs of each agent that has a mark."""
    full: str = ""
    """Why nothing may be committed for want of room, in a sentence; empty when there is room."""
    restless: set[str] = field(default_factory=set)
    """Agents that begin more epochs than are kept, named in the log once."""

    def load(self) -> None:
        """Reads again what is committed.

        Raises:
            StorageError: it cannot be read.
        """
        self.marks = self.journal.marks()
        self.counters = self.journal.counters()
        self.epochs = {}
        self._index(self.marks)

    def take_up(self, agents: Collection[str]) -> None:
        """Reads what is committed of some agents, whatever was known of them before.

        Raises:
            StorageError: it cannot be read; nothing is known of them now.
        """
        self.drop(agents)
        marks, counters = self.journal.marks(agents), self.journal.counters(agents)
        self.marks.update(marks)
        self.counters.update(counters)
        self._index(marks)

    def drop(self, agents: Collection[str]) -> None:
        """Forgets what is known of some agents."""
        for agent in agents:
            self.counters.pop(agent, None)
            for epoch in self.epochs.pop(agent, ()):
                self.marks.pop((agent, epoch), None)

    def commit(self, change: Change) -> None:
        """Makes a change stand that was committed."""
        self.marks.update(change.marks)
        self._index(change.marks)
        for spool in change.forgotten:
            self.marks.pop(spool, None)
            self.epochs.get(spool[0], set()).discard(spool[1])
        self.counters.update(change.counters)

    def _index(self, spools: Iterable[Spool]) -> None:
        for agent, epoch in spools:
            self.epochs.setdefault(agent, set()).add(epoch)

    def refuse(self, agent: str, reason: Reason, detail: str) -> None:
        """Says in the log why an agent's blocks are refused, once until the reason changes."""
        if self.refusals.get(agent) != reason:
            if len(self.refusals) > STRANGERS:
                self.refusals.clear()
            self.refusals[agent] = reason
            log.warning("block refused", agent=agent, reason=str(reason), why=detail)


class Note(NamedTuple):
    """What an agent is to hear: everything of `epoch` up to `upto` is committed, or why its blocks are held."""

    agent: str
    epoch: str
    upto: int
    chain: bytes = b""
    held: str = ""
    rewind: bool = False


class Sitting:
    """The judging of one batch: what it would commit and say, on top of what is committed already."""

    def __init__(self, standing: Standing, known: Known, *, again: Callable[[], Known]) -> None:
        """Args: standing: what is committed. known: who may speak. again: looks anew when somebody is not in it."""
        self._standing = standing
        self.known = known
        self._again = again
        self.change = Change()
        self.notes: list[Note] = []

    def take(self, message: Waiting) -> None:
        """Judges one message."""
        try:
            shard, name = agent_of(message.topic)
        except Malformed:
            self._standing.strays += 1
            return
        if name not in self.known.agents:
            self.known = self._again()
        sender = judge_sender(shard, name, self.known)
        if isinstance(sender, Held):
            self._hold_sender(name, sender)
            return
        try:
            received = unpack(message.payload)
            self._standing.shapes.intern(received.block.shapes)
        except Malformed as wrong:
            self._take_malformed(wrong, self._case(sender, message), message)
            return
        if received.block.consent not in self.known.consents:
            self.known = self._again()
        spool = (sender.id, received.block.epoch)
        self._count(sender.id).heard = message.arrived
        outcome = judge(received, self._case(sender, message), self._mark(spool))
        self._apply(outcome, spool, message, received, sender)

    def _case(self, sender: KnownAgent, message: Waiting) -> Case:
        return Case(sender, self.known, message.arrived, lambda epoch, seq: self._committed(sender.id, epoch, seq))

    def _take_malformed(self, wrong: Malformed, case: Case, message: Waiting) -> None:
        read = outline(message.payload)
        spool = (case.agent.id, read.epoch if read else self._count(case.agent.id).epoch)
        outcome = judge_malformed(wrong, read, case, self._mark(spool))
        self._apply(outcome, spool, message, None, case.agent)

    def _hold_sender(self, name: str, held: Held) -> None:
        """A registered agent on the wrong shard is counted as held; a stranger only in memory, and bounded."""
        self._standing.refuse(name, held.reason, held.detail)
        if name in self.known.agents:
            self._hold(held, (name, self._count(name).epoch))
            return
        strangers = self._standing.strangers
        if name in strangers or len(strangers) < STRANGERS:
            strangers[name] += 1
            self.notes.append(Note(name, "", 0, held=held.reason))

    def _mark(self, spool: Spool) -> Mark:
        return self.change.marks.get(spool) or self._standing.marks.get(spool, START)

    def _count(self, agent: str) -> Counters:
        counters = self.change.counters.get(agent)
        if counters is None:
            counters = msgspec.structs.replace(self._standing.counters.get(agent) or Counters())
            self.change.counters[agent] = counters
        return counters

    def _committed(self, agent: str, epoch: str, seq: int) -> bytes | None:
        for taken in reversed(self.change.taken):
            if (taken.agent, taken.epoch) == (agent, epoch) and taken.first <= seq <= taken.last:
                return hash_of(taken.received, seq)
        return self._standing.journal.chain_of(agent, epoch, seq)

    def _apply(
        self, outcome: Outcome, spool: Spool, message: Waiting, received: Received | None, agent: KnownAgent
    ) -> None:
        if isinstance(outcome, Accepted | Gap) and self._standing.full:
            # The blocks behind one that is held are held too: as gaps they would ask for it again at once.
            outcome = Held(Reason.NO_ROOM, self._standing.full)
        if isinstance(outcome, Held):
            if received is not None and outcome.reason is not Reason.WRONG_TOPIC:
                self._heard(spool, received)
            self._standing.refuse(agent.id, outcome.reason, outcome.detail)
            self._hold(outcome, spool)
            return
        if isinstance(outcome, SetAside):
            self._set_aside(outcome, spool, message)
            return
        assert received is not None
        counters = self._heard(spool, received)
        counters.held_reason = ""
        if isinstance(outcome, Accepted):
            self._accept(outcome, spool, message, received, agent)
        elif isinstance(outcome, Duplicate):
            counters.duplicates += outcome.records
        else:
            counters.gaps += 1
        self._note(spool, rewind=isinstance(outcome, Gap))

    def _heard(self, spool: Spool, received: Received) -> Counters:
        """Notes what the agent says of its spool, unless an older spool of it speaks."""
        counters = self._count(spool[0])
        current = self._mark((spool[0], counters.epoch))
        mark = self._mark(spool)
        if mark is START or mark.begun >= current.begun:
            counters.epoch, counters.oldest, counters.head = spool[1], received.block.oldest, received.block.head
        return counters

    def _accept(self, outcome: Accepted, spool: Spool, message: Waiting, received: Received, agent: KnownAgent) -> None:
        counters = self._count(agent.id)
        counters.blocks += 1
        counters.newest = received.block.records[-1].t
        counters.records += outcome.last - outcome.first + 1 - outcome.lost
        counters.duplicates += outcome.trimmed
        counters.lost += outcome.lost + outcome.missing
        if outcome.missing:
            detail = f"{outcome.missing} records before seq {outcome.first}: the agent has them no more"
            self._keep(message, agent.id, Reason.MISSING, detail, payload=None)
        of = (message.arrived, agent.shard, agent.site, agent.id, spool[1], outcome.first, outcome.last)
        self.change.taken.append(Taken(*of, message.payload, received))
        if outcome.missing or outcome.told:
            self._account(outcome, spool, message, received)
        self._move(spool, outcome.last, outcome.chain, message.arrived, received.block.head)

    def _account(self, outcome: Accepted, spool: Spool, message: Waiting, received: Received) -> None:
        """Notes what the block says of numbers that are not in it, and what its manifest proves."""
        mark = self._mark(spool)
        found = accounted(
            received,
            outcome,
            upto=mark.upto,
            chain=mark.chain,
            arrived=message.arrived,
            holes_of=lambda epoch, first, last: self._holes((spool[0], epoch), first, last),
        )
        self.change.holes += (self._behind_committed(one) for one in found.holes)
        self.change.proofs += found.proofs
        for why in found.unread:
            self._keep(message, spool[0], Reason.WRONG_FIELD, why, payload=None)
        for proof in found.proofs:
            if proof.verdict in (Verdict.MISSING, Verdict.DIFFERS):
                stretch = {"agent": spool[0], "epoch": spool[1], "first": proof.first, "last": proof.last}
                log.error("a manifest does not prove what is here", **stretch, verdict=proof.verdict)

    def _behind_committed(self, one: Hole) -> Hole:
        """A hole to the end of an epoch begins behind what is committed of it, and so never replaces one before that."""
        committed = self._mark((one.agent, one.epoch)).upto
        return one if one.last else one._replace(first=max(one.first, committed + 1))

    def _holes(self, spool: Spool, first: int, last: int) -> Iterable[Hole]:
        """What is known to be missing of a stretch, committed or not; the newer word for a number counts."""
        yield from holes_of(self._standing.journal.engine, *spool, first, last)
        yield from (one for one in self.change.holes if (one.agent, one.epoch) == spool)

    def _move(self, spool: Spool, upto: int, chain: bytes, now: int, head: int = 0) -> None:
        mark = self._mark(spool)
        if mark.begun == 0:
            self._bound(spool[0])
        if spool in self.change.forgotten:
            self.change.forgotten.remove(spool)
        self.change.before.setdefault(spool, mark.upto)
        self.change.marks[spool] = Mark(upto, chain, mark.begun or now, now, max(head, mark.head))

    def _bound(self, agent: str) -> None:
        """Makes room for a new epoch of an agent that has as many as are kept."""
        known = {(agent, epoch) for epoch in self._standing.epochs.get(agent, ())}
        known |= {spool for spool in self.change.marks if spool[0] == agent}
        known -= set(self.change.forgotten)
        for spool in sorted(known, key=lambda spool: (self._mark(spool).begun, spool))[
            : max(0, len(known) + 1 - EPOCHS)
        ]:
            if agent not in self._standing.restless:
                self._standing.restless.add(agent)
                why = f"it has begun more than {EPOCHS}: see what becomes of its spool"
                log.warning("the oldest epochs of an agent are forgotten", agent=agent, epoch=spool[1], why=why)
            self.change.forgotten.append(spool)
            self.change.marks.pop(spool, None)
            self.change.before.pop(spool, None)

    def _set_aside(self, outcome: SetAside, spool: Spool, message: Waiting) -> None:
        self._standing.refuse(spool[0], outcome.reason, outcome.detail)
        self._count(spool[0]).set_aside += 1
        payload = message.payload if outcome.keep and not self._standing.full else None
        self._keep(message, spool[0], outcome.reason, outcome.detail, payload=payload)
        upto = self._mark(spool).upto
        if outcome.last > upto:
            why = storable(f"{outcome.reason}: {outcome.detail}"[:300])
            hole = Hole(*spool, upto + 1, outcome.last, Cause.SET_ASIDE, why, message.arrived)
            self.change.holes.append(hole)
            self._move(spool, outcome.last, outcome.chain, message.arrived)
            self._note(spool)

    def _keep(self, message: Waiting, agent: str, reason: Reason, detail: str, *, payload: bytes | None) -> None:
        size, why = len(message.payload), storable(detail[:1000])
        self.change.asides.append(Aside(message.arrived, message.topic, agent, reason, why, size, payload))

    def _hold(self, held: Held, spool: Spool) -> None:
        counters = self._count(spool[0])
        counters.held += 1
        counters.held_reason = storable(f"{held.reason}: {held.detail}"[:1000])
        # Of two agents with one spool nobody can tell which number is whose: none may be deleted, both begin anew.
        upto = 0 if held.reason is Reason.FORKED else self._mark(spool).upto
        self.notes.append(Note(*spool, upto, held=held.reason))

    def _note(self, spool: Spool, *, rewind: bool = False) -> None:
        mark = self._mark(spool)
        self.notes.append(Note(*spool, mark.upto, mark.chain, rewind=rewind))
