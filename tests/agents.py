"""What tests of the agent's delivery share: a clock, a signed consent, and a collector that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from forewarn import consent as consents
from forewarn import signals, wire
from forewarn.bus import Bus, Done, Offline
from forewarn.consent import Consent
from forewarn.signals import Ack
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Record, Shape, TableShape

SITE, AGENT, SHARD = "s-1", "a-1", 7
SECRET = "00" * 32
SHAPE = Shape(kind=DeviceKind.CAMERA, profile="p", source=Source.SNMP, tables=[TableShape("device", [""], ["up"])])


class SystemClock:
    """Real time, which a test may shift."""

    def __init__(self) -> None:
        self.shift = 0

    def now(self) -> int:
        return int(time.time() * 1000) + self.shift

    def monotonic(self) -> float:
        return time.monotonic()


def until(true: Callable[[], bool], what: object = "", timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"did not happen in time: {what() if callable(what) else what}"
        time.sleep(0.01)


async def until_true(true: Callable[[], bool]) -> None:
    """As `until`, on an event loop."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def signed(private: str, **changed: object) -> Consent:
    """A consent for the next hour, from a minute ago."""
    now = int(time.time() * 1000)
    facts: dict[str, object] = {
        "id": consents.new_id(),
        "site": SITE,
        "customer": "ACME",
        "signed_by": "A. Person",
        "scopes": [Source.SNMP, Source.HOST],
        "networks": ["127.0.0.0/8"],
        "valid_from": consents.instant(now - 60_000),
        "valid_until": consents.instant(now + 3_600_000),
    }
    return consents.sign(Consent(**(facts | changed)), private)  # type: ignore[arg-type]


def write_consent(path: Path, consent: Consent) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_bytes(consents.document(consent))
    draft.replace(path)


class ScriptedCollector:
    """Takes blocks as a collector must, and misbehaves on request.

    `taken` has every record accepted, in order. `mute` drops acknowledgements, `deaf` the next so many blocks, `held`
    is why nothing is taken, `key` seals the acknowledgements, `behind` is by how many ms its clock is (None: untold).
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.key: str | None = signals.derive(SECRET, "ack")
        self.boot = "boot-1"
        self.mute = False
        self.deaf = 0
        self.held = ""
        self.behind: int | None = None
        self.watermark: dict[str, int] = {}
        self.chain: dict[str, bytes] = {}
        self.taken: list[tuple[str, Record]] = []
        self.consents: list[str] = []
        self.blocks: list[wire.Block] = []
        self.duplicates = self.gaps = 0
        self.wrong: list[str] = []
        self.lock = threading.Lock()
        bus.subscribe(signals.block_filter(), self._block)

    def _block(self, topic: str, payload: bytes, done: Done) -> None:
        done()
        with self.lock:
            self._take(topic, payload)

    def _take(self, topic: str, payload: bytes) -> None:
        if signals.agent_of(topic) != (SHARD, AGENT):
            self.wrong.append(topic)
        received = wire.unpack(payload)
        block = received.block
        self.blocks.append(block)
        if self.deaf > 0:
            self.deaf -= 1
            return
        upto = self.watermark.get(block.epoch, 0)
        if self.held:
            self.ack(block.epoch, upto, held=self.held)
            return
        if block.records[0].begins > upto + 1:
            self.gaps += 1
            self.ack(block.epoch, upto, rewind=True)
            return
        for record, body in zip(block.records, received.bodies, strict=True):
            self._record(block, record, body)
        self.ack(block.epoch, self.watermark[block.epoch])

    def _record(self, block: wire.Block, record: Record, body: bytes) -> None:
        upto = self.watermark.get(block.epoch, 0)
        if record.seq <= upto:
            self.duplicates += 1
            return
        chain = self.chain.get(block.epoch, GENESIS)
        own = record.kind != "lost" or "epoch" in record.text
        if own and wire.chained_body(body, chain).hex() != record.hash:
            self.wrong.append(f"hash of {record.seq}")
        self.chain[block.epoch] = bytes.fromhex(record.hash)
        self.watermark[block.epoch] = record.seq
        self.taken.append((block.epoch, record))
        self.consents.append(block.consent)

    def ack(self, epoch: str, upto: int, *, held: str = "", rewind: bool = False, key: str | None = None) -> None:
        if self.mute:
            return
        at = 0 if self.behind is None else int(time.time() * 1000) - self.behind
        ack = Ack(agent=AGENT, epoch=epoch, upto=upto, boot=self.boot, held=held, rewind=rewind, at=at)
        with contextlib.suppress(Offline):
            self.bus.publish(signals.ack_topic(AGENT), signals.seal_ack(ack, key or self.key), retain=True)

    def again(self) -> None:
        """Publishes the last acknowledgement, as a collector does when it starts."""
        with self.lock:
            for epoch, upto in self.watermark.items():
                self.ack(epoch, upto)

    def times(self) -> list[int]:
        """The `t` of every poll accepted."""
        with self.lock:
            return [record.t for _, record in self.taken if not record.kind]
