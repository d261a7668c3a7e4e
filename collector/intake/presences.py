"""Which agents say that they are there: births and wills from the broker. A hint for people, never a finding's cause.

The network thread keeps the newest word of each agent in memory, bounded; `keep` writes them down every few seconds.
A will that comes late, of a connection older than the one known, changes nothing (`forewarn.signals.is_later`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from collector.register import Register
from collector.storage.database import reading, stated, upsert
from collector.storage.proof_tables import presence as table
from forewarn.bus import Bus, Done
from forewarn.signals import Presence, is_later, open_presence, presence_topic
from forewarn.telemetry import Log
from forewarn.wire import Malformed, storable

log = Log(__name__)

MOST = 20_000
"""Agents whose word may wait to be written down."""
LONGEST = 16 * 1024
"""Bytes of a presence message: a manifest with all its ranges has a tenth of that."""
FILTER = presence_topic("+")
_AGENT = re.compile(presence_topic("([^/]+)")).fullmatch
_AT_ONCE = 500


class PresenceBook:
    """Takes presence from the bus, and keeps it. Make it before the bus connects.

    Args:
        journal: where it is kept.
        register: whose word counts.
        bus: not yet connected.
        now: Unix milliseconds.
    """

    def __init__(self, journal: Engine, register: Register, bus: Bus, *, now: Callable[[], int]) -> None:
        self._journal = journal
        self._register = register
        self._now = now
        self._lock = threading.Lock()
        self._heard: dict[str, tuple[Presence, int]] = {}
        self.refused = 0
        """Messages that were no presence, too long or too many, since the start."""
        self.late = 0
        """Words of connections older than one known, since the start; they change nothing."""
        bus.subscribe([FILTER], self.receive)

    def receive(self, topic: str, payload: bytes, done: Done) -> None:
        """Takes a message on the network thread."""
        agent = _AGENT(topic)
        try:
            if agent is None or len(payload) > LONGEST:
                self.refused += 1
                return
            self._hear(agent[1], open_presence(payload))
        except Malformed:
            self.refused += 1
        finally:
            done()

    def _hear(self, agent: str, said: Presence) -> None:
        with self._lock:
            known = self._heard.get(agent)
            if known is None and len(self._heard) >= MOST:
                self.refused += 1
            elif is_later(said, known[0] if known else None):
                self._heard[agent] = said, self._now()
            else:
                self.late += 1

    def keep(self) -> None:
        """Writes down what was heard since; of agents nobody registered nothing is kept.

        Raises:
            StorageError: it is heard, and kept by the next call.
        """
        with self._lock:
            heard, self._heard = self._heard, {}
        try:
            known = self._register.known().agents
            mine = [agent for agent in heard if agent in known]
            for at in range(0, len(mine), _AT_ONCE):
                self._keep({agent: heard[agent] for agent in mine[at : at + _AT_ONCE]})
            heard = {}
        finally:
            with self._lock:  # What could not be written is written by the next call.
                self._heard = heard | self._heard

    def _keep(self, heard: dict[str, tuple[Presence, int]]) -> None:
        with stated("journal"), self._journal.begin() as connection:
            wanted = sa.select(table).where(table.c.agent.in_(heard)).with_for_update()
            rows = {row.agent: row for row in connection.execute(wanted)}
            kept = []
            for agent, (said, at) in heard.items():
                if is_later(said, _presence(rows.get(agent))):
                    kept.append(_row(agent, said, at))
                else:
                    self.late += 1
            upsert(connection, table, kept)


def _presence(row: Any) -> Presence | None:
    return None if row is None else Presence(state=row.state, epoch=row.epoch, boot=row.boot, conn=row.conn)


def _row(agent: str, said: Presence, at: int) -> dict[str, Any]:
    manifest = said.manifest
    return {
        "agent": agent,
        "state": storable(said.state[:20]),
        "epoch": storable(said.epoch[:64]),
        "boot": storable(said.boot[:64]),
        "conn": min(max(said.conn, 0), 2**53),
        "why": storable(said.why[:300]),
        "heard": at,
        "promised": manifest.last if manifest is not None and manifest.epoch == said.epoch else 0,
    }


def presences_of(journal: Engine, agents: list[str]) -> dict[str, Any]:
    """The rows of some agents that ever said something.

    Raises:
        StorageError: they cannot be read.
    """
    with stated("journal"), reading(journal) as connection:
        return {row.agent: row for row in connection.execute(sa.select(table).where(table.c.agent.in_(agents)))}
