"""What an accepted block says of numbers that are not in it: losses, epochs that ended, and the hourly manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from collector.intake.judgement import Accepted
from collector.journal.proofs import Cause, Hole, Proof, proven
from forewarn.manifest import MANIFEST, Manifest
from forewarn.wire import Malformed, Reason, Received, Record, storable

_WHY = 300
ROLLED = "epoch rolled"
"""What the agent calls the event that begins an epoch behind one whose numbers somebody else used too."""

HolesOf = Callable[[str, int, int], Iterable[Hole]]
"""(epoch, first, last) → the holes known so far that touch the stretch."""


class Accounted(NamedTuple):
    """What a block led to: holes, proofs, and manifests that could not be read (in a sentence)."""

    holes: list[Hole]
    proofs: list[Proof]
    unread: list[str]


def accounted(
    received: Received, outcome: Accepted, *, upto: int, chain: bytes, arrived: int, holes_of: HolesOf
) -> Accounted:
    """Reads what an accepted block tells of numbers beside its own records.

    Args:
        received: the block.
        outcome: how it was accepted.
        upto: the watermark before it.
        chain: the chained hash of that record, empty when nobody knows it.
        arrived: Unix milliseconds.
        holes_of: what is known to be missing; of this block it need not know.
    """
    block = received.block
    found = Accounted([], [], [])
    if outcome.missing:
        why = "the agent has them no more, and did not say why"
        found.holes.append(Hole(block.agent, block.epoch, upto + 1, outcome.first - 1, Cause.MISSING, why, arrived))
    for at in outcome.told:
        record = block.records[at]
        found.holes.extend(_holes(record, block.agent, block.epoch, max(upto, outcome.first - 1), arrived))
        if record.kind == MANIFEST:
            before = block.records[at - 1].hash if at else _known(chain, upto, record.seq)
            try:
                manifest = _manifest(record, block.epoch)
            except Malformed as wrong:
                found.unread.append(f"seq {record.seq}: {wrong.detail}")
                continue
            known = {one.first: one for one in holes_of(block.epoch, manifest.first, manifest.last)}
            known |= {one.first: one for one in found.holes if one.epoch == block.epoch}
            chained = bytes.fromhex(before)
            of = proven(manifest, known.values(), chained, agent=block.agent, made=record.t, arrived=arrived)
            found.proofs.append(of)
    return found


def _known(chain: bytes, upto: int, seq: int) -> str:
    """The hash of the record before `seq`, when that is the last one committed."""
    return chain.hex() if upto == seq - 1 else ""


def _holes(record: Record, agent: str, epoch: str, upto: int, arrived: int) -> Iterable[Hole]:
    why = storable(record.why[:_WHY])
    if record.kind == "lost" and "epoch" in record.text:
        yield Hole(agent, storable(record.text["epoch"][:64]), max(1, record.first), 0, Cause.LOST, why, arrived)
    elif record.kind == "lost":
        yield Hole(agent, epoch, max(record.begins, upto + 1), record.seq, Cause.LOST, why, arrived)
    elif record.kind == "event" and record.text.get("event") == ROLLED and record.text.get("from"):
        why = storable(record.text.get("why", "")[:_WHY])
        yield Hole(agent, storable(record.text["from"][:64]), 1, 0, Cause.MOVED, why, arrived)


def _manifest(record: Record, epoch: str) -> Manifest:
    manifest = Manifest.read(record.text)
    if (manifest.epoch, manifest.last) != (epoch, record.seq - 1):
        about = f"a manifest of `{manifest.epoch[:40]}` up to {manifest.last}, not of its own epoch right before it"
        raise Malformed(Reason.WRONG_FIELD, about)
    return manifest
