"""A journal in memory and the blocks in it, for tests of what reads journals; the real one is `collector.journal.disk`."""

from __future__ import annotations

from collections.abc import Sequence

from collector.journal.entry import Entry
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Block, Received, Record, Shape, TableShape
from tests.findings import START

VOLUMES = Shape(
    DeviceKind.RECORDER, "hikvision.recorder", Source.SNMP, [TableShape("volume", ["/a", "/b"], ["used_percent"])]
)
SERVER = Shape(DeviceKind.SERVER, "server.host", Source.SNMP, [TableShape("volume", ["/a"], ["used_percent"])])
EVERY = 60_000
"""Milliseconds between polls."""


class Journal:
    """Implements collector.entry.Journal over a list that a test fills."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._seq: dict[str, int] = {}

    def head(self) -> int:
        return self.entries[-1].position if self.entries else 0

    def read(self, after: int, limit: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.position > after][:limit]

    def wait(self, after: int, timeout: float) -> bool:
        return self.head() > after

    def tick(self, now: int) -> Entry:
        return self._append(Entry(self.head() + 1, now, "", "", "", 0, 0, None))

    def block(
        self,
        *records: Record,
        agent: str = "agent-1",
        arrived: int | None = None,
        behind: int = 0,
        shape: Shape = VOLUMES,
    ) -> Entry:
        """Appends a block; `behind` says how many records the agent still holds."""
        first = self._seq.get(agent, 0) + 1
        for seq, record in enumerate(records, first):
            record.seq = seq
        last = self._seq[agent] = first + len(records) - 1
        block = Block(
            site="s1",
            agent=agent,
            epoch="e1",
            boot="b1",
            oldest=1,
            head=last + behind,
            consent="c1",
            sent=0,
            shapes={shape.digest: shape},
            records=list(records),
        )
        at = records[-1].t if arrived is None else arrived
        return self._append(Entry(self.head() + 1, at, "s1", agent, "e1", first, last, Received(block, [])))

    def _append(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry


def poll(device: str, *values: float | None, t: int = START, shape: Shape = VOLUMES) -> Record:
    """One poll of a device; `seq` is given by the journal."""
    return Record(seq=0, t=t, device=device, shape=shape.digest, values=list(values))


def inventory(device: str, t: int = START, **text: str) -> Record:
    """What a device says about itself."""
    return Record(seq=0, t=t, device=device, kind="inventory", text=text)


def cut(entries: Sequence[Entry], sizes: Sequence[int]) -> list[Sequence[Entry]]:
    """The entries in stretches of these sizes, over and over."""
    stretches, at, turn = [], 0, 0
    while at < len(entries):
        size = sizes[turn % len(sizes)]
        stretches.append(entries[at : at + size])
        at, turn = at + size, turn + 1
    return stretches
