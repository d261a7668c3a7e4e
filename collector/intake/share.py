"""The part of the shards that an intake works on, as leases come and go. Used by the ingest thread alone.

A shard is taken up in this order: what is committed of its agents is read, an opening tick says that listening begins,
its topic is asked for, and each of its agents is told how far it is, so that it sends the rest again at once. A shard
given up is forgotten whole; what still arrives of it is dropped, and its agents send it to the next owner.

Errors: StorageError; nothing was taken up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from collector.intake.inbox import Waiting
from collector.intake.sitting import Standing
from collector.journal.shared import SharedJournal
from collector.register import Known, Register
from collector.shards.leases import Fenced, Tenure
from forewarn.bus import Bus, Handler
from forewarn.signals import agent_of, block_filter
from forewarn.wire import Malformed

PART = "intake"
LOOK_SECONDS = 0.25
"""How often leases are looked at."""


class Share:
    """What of the shards this process takes in now.

    Args:
        journal: shared with other processes.
        tenure: says what is held.
        register: knows whose shard is which.
        standing: what is committed of the agents in it.
        bus: where topics are asked for.
        receive: takes their messages.
        now: Unix milliseconds.
    """

    def __init__(
        self,
        journal: SharedJournal,
        tenure: Tenure,
        *,
        register: Register,
        standing: Standing,
        bus: Bus,
        receive: Handler,
        now: Callable[[], int],
    ) -> None:
        self.fences: dict[int, int] = {}
        self._journal = journal
        self._tenure = tenure
        self._register = register
        self._standing = standing
        self._bus = bus
        self._receive = receive
        self._now = now
        self._narrow: tuple[Known, frozenset[int], Known] | None = None

    def follow(self) -> tuple[list[str], list[str]]:
        """Gives up what is no longer held and takes up what is new; gives the agents of both, (gone, new).

        Raises:
            StorageError: what is new could not be taken up; it is tried again.
        """
        held = self._tenure.held()
        gone = [shard for shard, fence in self.fences.items() if held.get(shard) != fence]
        given_up = self._give_up(gone) if gone else []
        new = {shard: fence for shard, fence in held.items() if shard not in self.fences}
        return given_up, self._take_up(new) if new else []

    def _give_up(self, shards: Sequence[int]) -> list[str]:
        self._bus.unsubscribe(block_filter(shards))
        for shard in shards:
            del self.fences[shard]
        agents = self._agents(self._register.known(within=float("inf")), set(shards))
        self._standing.drop(agents)
        self._tenure.serve(PART, self.fences)
        return agents

    def _take_up(self, new: dict[int, int]) -> list[str]:
        self._tenure.serve(PART, {**self.fences, **new})
        agents: list[str] = []
        try:
            agents = self._agents(self._register.known(within=0), set(new))
            self._standing.take_up(agents)
            self._journal.tick_of(self._now(), new, listened=0)
            self.fences |= new
        except Fenced as fenced:
            self._tenure.lost(fenced.shards)
            self._standing.drop(agents)
            return []
        finally:  # What could not be taken up must not keep its shard here when that is to be given back.
            self._tenure.serve(PART, self.fences)
        self._bus.subscribe(block_filter(sorted(new)), self._receive)
        return agents

    def _agents(self, known: Known, shards: set[int]) -> list[str]:
        return [agent.id for agent in known.agents.values() if agent.shard in shards]

    def load(self) -> None:
        """Reads again what is committed of all agents here.

        Raises:
            StorageError: it cannot be read.
        """
        self._standing.take_up(self._agents(self._register.known(), set(self.fences)))

    def mine(self, messages: Sequence[Waiting]) -> list[Waiting]:
        """The messages of shards held now; the journal's next commit is for these shards."""
        held = self._tenure.held()
        kept: list[Waiting] = []
        fences: dict[int, int] = {}
        for message in messages:
            shard = shard_of(message.topic)
            if shard is None:
                kept.append(message)
            elif shard in self.fences and held.get(shard) == self.fences[shard]:
                kept.append(message)
                fences[shard] = self.fences[shard]
        self._journal.fences = fences
        return kept

    def narrowed(self, known: Known) -> Known:
        """The register as it is for these shards alone: what is counted of other agents is another process's."""
        shards = frozenset(self.fences)
        if self._narrow is None or self._narrow[:2] != (known, shards):
            agents = {name: agent for name, agent in known.agents.items() if agent.shard in shards}
            self._narrow = known, shards, Known(agents, known.consents)
        return self._narrow[2]

    def tick(self, listened: int | None = None) -> list[int]:
        """Attests that time passed for all shards held; gives those, which the journal's next commit is for.

        Args:
            listened: how many milliseconds before now are attested at most; None: as many as a tick can.

        Raises:
            StorageError: no tick was made.
        """
        held = self._tenure.held()
        fences = {shard: fence for shard, fence in self.fences.items() if held.get(shard) == fence}
        while fences:
            try:
                self._journal.tick_of(self._now(), fences, listened)
            except Fenced as fenced:
                self._tenure.lost(fenced.shards)
                fences = {shard: fence for shard, fence in fences.items() if shard not in fenced.shards}
            else:
                break
        return list(fences)

    def lost(self, fenced: Fenced) -> None:
        """Another process took shards that this one was about to commit for."""
        self._tenure.lost(fenced.shards)

    def close(self) -> None:
        """Lets go of everything."""
        self.fences.clear()
        self._tenure.serve(PART, ())


def shard_of(topic: str) -> int | None:
    """The shard of a block topic, None for another topic."""
    try:
        return agent_of(topic)[0]
    except Malformed:
        return None
