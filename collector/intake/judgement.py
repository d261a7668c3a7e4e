"""What becomes of a block: a decision without effects, and its named outcome.

From each spool (agent and epoch) only the next contiguous record counts. A block below the watermark is a duplicate,
one that overlaps it is trimmed, one above it is a gap that the agent fills. What cannot be taken now is held, and the
agent keeps it; what can never be taken is set aside, and the watermark moves over it where its numbers can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from collector.journal.disk import Mark
from collector.register import Known, KnownAgent
from forewarn.consent import Consent
from forewarn.vocabulary import Source, misnamed
from forewarn.wire import GENESIS, Block, Malformed, Reason, Received, Record, Shape, chained_body, inflate

_EPOCH_LENGTH = 64
_NAME_LENGTH = 256
_SHAPES_KNOWN = 20_000


class Accepted(NamedTuple):
    """Records `first` to `last` are new.

    `trimmed` were duplicates, `lost` are declared lost among them, `missing` lay between the watermark and `first` and
    exist nowhere any more. `told` has the places in the block of new records that are no polls.
    """

    first: int
    last: int
    chain: bytes
    trimmed: int
    lost: int
    missing: int
    told: tuple[int, ...] = ()


class Duplicate(NamedTuple):
    """Everything in the block was committed before."""

    records: int


class Gap(NamedTuple):
    """Records from `wanted` to before `begins` have not arrived; the agent still has them."""

    wanted: int
    begins: int


class Held(NamedTuple):
    """Not now: the agent keeps the block, backs off and shows the reason."""

    reason: Reason
    detail: str


class SetAside(NamedTuple):
    """Never: `keep` says whether the payload may be stored. `last` is 0 where the numbers cannot be read."""

    reason: Reason
    detail: str
    keep: bool
    last: int = 0
    chain: bytes = b""


Outcome = Accepted | Duplicate | Gap | Held | SetAside


class Refused(Exception):
    """How a check ends the judgement."""

    def __init__(self, outcome: Held | SetAside) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Outline(NamedTuple):
    """What can still be read of a malformed block."""

    agent: str
    epoch: str
    first: int
    last: int
    chain: bytes


class _Numbers(msgspec.Struct):
    seq: int
    first: int = 0
    kind: str = ""
    hash: str = ""


class _Skeleton(msgspec.Struct):
    agent: str
    epoch: str
    records: list[_Numbers]


_decode_skeleton = msgspec.json.Decoder(_Skeleton).decode


def outline(payload: bytes) -> Outline | None:
    """The numbers of a malformed block, None where they cannot be read or make no sense."""
    try:
        skeleton = _decode_skeleton(inflate(payload))
    except (Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not skeleton.records or not _is_epoch(skeleton.epoch):
        return None
    expected = 0
    for numbers in skeleton.records:
        begins = numbers.first if numbers.kind == "lost" and numbers.first else numbers.seq
        if not 0 < begins <= numbers.seq < 2**53 or expected not in (0, begins):
            return None
        expected = numbers.seq + 1
    first = skeleton.records[0]
    begins = first.first if first.kind == "lost" and first.first else first.seq
    return Outline(skeleton.agent, skeleton.epoch, begins, expected - 1, _hash(skeleton.records[-1].hash))


def _is_epoch(epoch: str) -> bool:
    return epoch.isalnum() and epoch.isascii() and len(epoch) <= _EPOCH_LENGTH


class Shapes:
    """The shapes seen so far, each checked against the vocabulary once and held once for all agents."""

    def __init__(self) -> None:
        self._known: dict[str, Shape] = {}

    def intern(self, shapes: dict[str, Shape]) -> None:
        """Puts the one known object of each shape into `shapes`.

        Raises:
            Malformed: WRONG_SHAPE, a table, field or name outside the vocabulary.
        """
        for digest, shape in shapes.items():
            known = self._known.get(digest)
            if known is None:
                _check_words(shape)
                if len(self._known) >= _SHAPES_KNOWN:
                    self._known.clear()
                known = self._known[digest] = shape
            shapes[digest] = known


def _check_words(shape: Shape) -> None:
    for part in shape.tables:
        for field in part.fields:
            wrong = misnamed(part.table, field)
            if wrong:
                raise Malformed(Reason.WRONG_SHAPE, wrong)
        for instance in part.instances:
            _check_name("instance", instance, Reason.WRONG_SHAPE)
    if len(set(shape.columns())) < shape.width:
        raise Malformed(Reason.WRONG_SHAPE, "a shape names one table, instance and field twice")


def _check_name(what: str, name: str, reason: Reason) -> None:
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise Malformed(reason, f"{what} {name[:40]!r} has control characters or more than {_NAME_LENGTH} characters")


@dataclass(frozen=True)
class Case:
    """What a block is judged with.

    `committed` gives the chained hash of a record committed earlier (epoch, seq), None when nobody knows it any more;
    `now` is the arrival in Unix milliseconds.
    """

    agent: KnownAgent
    known: Known
    now: int
    committed: Callable[[str, int], bytes | None]

    def may_keep(self) -> bool:
        """Whether what cannot be read may be stored at all: only while the site has a consent in force."""
        return any(
            known.withdrawn is None and known.consent.begins <= self.now < known.consent.ends
            for known in self.known.of_site.get(self.agent.site, ())
        )


def judge_sender(topic_shard: int, topic_agent: str, known: Known) -> KnownAgent | Held:
    """Who speaks on this topic: a registered agent in its own shard, or why its blocks are held."""
    agent = known.agents.get(topic_agent)
    if agent is None:
        return Held(Reason.UNKNOWN_AGENT, f"agent `{topic_agent[:64]}` is not registered, or was retired")
    if agent.shard != topic_shard:
        detail = f"on shard {topic_shard:02x}, agent `{agent.id}` belongs on {agent.shard:02x}: correct its settings"
        return Held(Reason.WRONG_TOPIC, detail)
    return agent


def judge_malformed(wrong: Malformed, read: Outline | None, case: Case, mark: Mark) -> Held | SetAside:
    """A payload that is no block. One of a newer version is held: this collector can be brought up to date."""
    if wrong.reason is Reason.NEWER_VERSION:
        return Held(wrong.reason, wrong.detail)
    keep = case.may_keep()
    if read is None or read.agent != case.agent.id or not read.first <= mark.upto + 1 <= read.last:
        return SetAside(wrong.reason, wrong.detail, keep=keep)
    return SetAside(wrong.reason, wrong.detail, keep=keep, last=read.last, chain=read.chain)


def judge(received: Received, case: Case, mark: Mark) -> Outcome:
    """Decides about a readable block.

    Args:
        received: its shapes interned.
        case: who the topic says it is from, and what is known.
        mark: of the block's epoch; `START` for a new one.
    """
    block = received.block
    try:
        _check_sender(block, case)
        consent = _check_consent(block, case)
        first, last = block.records[0].begins, block.records[-1].seq
        _check_fork(block, case, mark)
        if last <= mark.upto:
            return Duplicate(len(block.records))
        if first > max(mark.upto + 1, block.oldest):
            return Gap(mark.upto + 1, first)
        _check_devices(received, case)
        _check_cover(received, consent)
        return _continued(received, case, mark)
    except Refused as refused:
        return refused.outcome


def _check_sender(block: Block, case: Case) -> None:
    agent = case.agent
    if block.agent != agent.id:
        detail = f"the block says agent `{block.agent[:64]}`, the topic `{agent.id}`"
        raise Refused(SetAside(Reason.WRONG_TOPIC, detail, keep=case.may_keep()))
    if block.site != agent.site:
        detail = f"the block says site `{block.site[:64]}`, agent `{agent.id}` belongs to `{agent.site}`"
        raise Refused(Held(Reason.WRONG_TOPIC, f"{detail}: correct its settings"))
    if not _is_epoch(block.epoch):
        detail = f"epoch {block.epoch[:40]!r} is no ULID"
        raise Refused(SetAside(Reason.WRONG_FIELD, detail, keep=case.may_keep()))


def _check_consent(block: Block, case: Case) -> Consent:
    known = case.known.consents.get(block.consent)
    if known is None or known.consent.site != case.agent.site:
        detail = f"consent `{block.consent[:64]}` is not registered for site `{case.agent.site}` under a trusted key"
        raise Refused(Held(Reason.UNKNOWN_CONSENT, detail))
    if known.withdrawn is not None:
        raise Refused(Held(Reason.WITHDRAWN, f"consent `{block.consent}` was withdrawn"))
    return known.consent


def _check_devices(received: Received, case: Case) -> None:
    try:
        for device in {record.device for record in received.block.records}:
            _check_name("device", device, Reason.WRONG_FIELD)
    except Malformed as wrong:
        raise _aside(wrong.reason, wrong.detail, received, keep=case.may_keep()) from wrong


def _aside(reason: Reason, detail: str, received: Received, *, keep: bool) -> Refused:
    last = received.block.records[-1]
    return Refused(SetAside(reason, detail, keep=keep, last=last.seq, chain=_stated(last)))


def _stated(record: Record) -> bytes:
    return _hash(record.hash)


def _hash(text: str) -> bytes:
    """A stated hash as bytes, empty where it is none."""
    try:
        stated = bytes.fromhex(text)
    except ValueError:
        return b""
    return stated if len(stated) == len(GENESIS) else b""


def _check_cover(received: Received, consent: Consent) -> None:
    """Each record was made while the consent held, by a way it grants. A declared loss holds nothing to protect."""
    block = received.block
    times: dict[str, list[int]] = {}
    for record in block.records:
        if record.kind != "lost":
            times.setdefault(record.shape, []).append(record.t)
    for digest, moments in times.items():
        source = _source(digest, block.shapes)
        for t in (min(moments), max(moments)):
            if consent.refuses(source, t) is not None:
                raise _aside(Reason.OUTSIDE_CONSENT, _uncovered(block, consent), received, keep=False)


def _source(digest: str, shapes: Mapping[str, Shape]) -> Source:
    """The scope a record needs; one in text without a shape is what the agent says about itself."""
    shape = shapes.get(digest)
    return shape.source if shape else Source.AGENT


def _uncovered(block: Block, consent: Consent) -> str:
    for at, record in enumerate(block.records):
        source = _source(record.shape, block.shapes)
        refusal = consent.refuses(source, record.t)
        if refusal is not None and record.kind != "lost":
            return f"records[{at}] (seq {record.seq}, {source}, t {record.t}): {refusal}, consent `{consent.id}`"
    return ""


def _check_fork(block: Block, case: Case, mark: Mark) -> None:
    """What comes again must be what was committed: asked of the last record that does."""
    again = next((record for record in reversed(block.records) if record.seq <= mark.upto), None)
    if again is None:
        return
    committed = mark.chain if again.seq == mark.upto else case.committed(block.epoch, again.seq)
    if committed and _stated(again) != committed:
        raise Refused(Held(Reason.FORKED, _forked(again.seq)))


def _forked(seq: int) -> str:
    return f"seq {seq} was committed with another content: two agents share this spool (cloned or restored?)"


def _continued(received: Received, case: Case, mark: Mark) -> Accepted:
    """Follows the hash chain from the watermark to the end of the block."""
    block = received.block
    missing = max(0, block.records[0].begins - mark.upto - 1)
    chain = b"" if missing else mark.chain
    first, trimmed, lost = 0, 0, 0
    told: list[int] = []
    for at, (record, body) in enumerate(zip(block.records, received.bodies, strict=True)):
        if record.seq <= mark.upto:
            trimmed += 1
            continue
        if chain and not (record.kind and stands_for_others(record)):
            chain = chained_body(body, chain)
            if chain.hex() != record.hash:
                raise _broken(received, at, case, new=not first)
        else:
            chain = _stated(record)
        begins = record.begins
        if begins != record.seq or record.kind:
            told.append(at)
            begins = max(begins, mark.upto + 1)
            lost += record.seq - begins + 1 if stands_for_others(record) else 0
        first = first or begins
    return Accepted(first, block.records[-1].seq, chain, trimmed, lost, missing, tuple(told))


def stands_for_others(record: Record) -> bool:
    """A declared loss carries the hash of the last record it stands for, which nobody can compute any more."""
    return record.kind == "lost" and bool(record.first) and "epoch" not in record.text


def _broken(received: Received, at: int, case: Case, *, new: bool) -> Refused:
    record = received.block.records[at]
    if new:
        return Refused(Held(Reason.FORKED, _forked(record.seq - 1)))
    detail = f"records[{at}] (seq {record.seq}) does not follow the one before"
    return _aside(Reason.WRONG_HASH, detail, received, keep=case.may_keep())
