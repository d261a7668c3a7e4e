"""Acknowledgements on their way out: authenticated, retained, and not one for every block.

An agent hears at most once a second how far it is committed, and at once when eight blocks wait for the word or when
something changed that it must act on: a gap to fill, a reason to hold back, the end of one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass

from collector.intake.sitting import Note
from forewarn.bus import Bus, Offline
from forewarn.signals import Ack, ack_topic, seal_ack

INTERVAL = 1.0
BLOCKS_AT_ONCE = 8


@dataclass(slots=True)
class _Agent:
    """What an agent was told last, and what waits to be told."""

    epoch: str = ""
    upto: int = 0
    chain: bytes = b""
    held: str = ""
    rewind: bool = False
    told: tuple[str, int, str, bool] | None = None
    told_at: float = float("-inf")
    blocks: int = 0
    queued: bool = False


class Acks:
    """Collects what agents are to hear, and publishes it when due. Used by the ingest thread alone.

    Args:
        bus: where to; while it is offline nothing is lost, for `again` is called when it is back.
        boot: names this run of the collector.
        key: an agent's MAC key, None for an agent nobody registered: it gets an acknowledgement it cannot believe,
            not retained, with the reason.
        now: Unix milliseconds.
        monotonic: seconds.
    """

    def __init__(
        self,
        bus: Bus,
        boot: str,
        *,
        key: Callable[[str], str | None],
        now: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._boot = boot
        self._key = key
        self._now = now
        self._monotonic = monotonic
        self._agents: dict[str, _Agent] = {}
        self._due: list[tuple[float, str]] = []
        self.published = 0

    def note(self, note: Note) -> None:
        """Keeps what an agent is to hear after one of its blocks was dealt with."""
        agent = note.agent
        state = self._agents.setdefault(agent, _Agent())
        changed = (note.epoch, note.upto) != (state.epoch, state.upto)
        state.epoch, state.upto, state.chain, state.held = note.epoch, note.upto, note.chain, note.held
        state.rewind = note.rewind or (state.rewind and not changed)
        state.blocks += 1
        if not state.queued:
            state.queued = True
            heapq.heappush(self._due, (max(self._monotonic(), state.told_at + INTERVAL), agent))

    def publish(self, *, touched: set[str]) -> None:
        """Publishes what is due, and what cannot wait of the agents `touched` since the last call."""
        for agent in touched:
            state = self._agents.get(agent)
            if state is not None and self._urgent(state):
                self._publish(agent, state)
        now = self._monotonic()
        while self._due and self._due[0][0] <= now:
            _, agent = heapq.heappop(self._due)
            state = self._agents.get(agent)
            if state is None or not state.queued:
                continue
            if state.blocks and state.told_at + INTERVAL > now:
                heapq.heappush(self._due, (state.told_at + INTERVAL, agent))
                continue
            state.queued = False
            if state.blocks:
                self._publish(agent, state)

    def _urgent(self, state: _Agent) -> bool:
        told = state.told
        if told is None or (state.held, state.rewind) != told[2:]:
            return True
        moved = (state.epoch, state.upto) != told[:2]
        return moved and (state.rewind or state.blocks >= BLOCKS_AT_ONCE)

    def _publish(self, agent: str, state: _Agent) -> None:
        key = self._key(agent)
        ack = Ack(
            agent=agent,
            epoch=state.epoch,
            upto=state.upto,
            boot=self._boot,
            hash=state.chain.hex() if state.upto else "",
            held=state.held,
            rewind=state.rewind,
            at=self._now(),
        )
        try:
            self._bus.publish(ack_topic(agent), seal_ack(ack, key), retain=key is not None)
        except Offline:
            return
        self.published += 1
        state.told = (state.epoch, state.upto, state.held, state.rewind)
        state.told_at = self._monotonic()
        state.blocks = 0

    def again(self, agent: str, epoch: str, upto: int, chain: bytes) -> None:
        """Tells an agent at once how far it is, whatever held it: it may go on from there."""
        state = self._agents.setdefault(agent, _Agent())
        state.epoch, state.upto, state.chain, state.held = epoch, upto, chain, ""
        self._publish(agent, state)

    def forget(self, agents: Collection[str]) -> None:
        """Says nothing more to these agents: another process speaks to them now."""
        for agent in agents:
            self._agents.pop(agent, None)

    def next_due(self) -> float | None:
        """When `publish` has something to do, on the monotonic clock; None when nothing waits."""
        return self._due[0][0] if self._due else None
