"""The small messages beside the blocks: acknowledgements, presence, and the topics everything travels on.

An acknowledgement is the only thing that lets an agent delete a record, so it carries a MAC made with a key that only
the agent and its collector know; whoever merely runs the broker cannot make one.

Errors (beside `wire.Malformed`):
    Forged   an acknowledgement that the collector did not make: ignore it, and say so
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

import msgspec

from forewarn.manifest import Manifest
from forewarn.wire import SHARDS, VERSION, Malformed, Reason, WireError


class Forged(WireError):
    """An acknowledgement whose MAC is not the collector's."""


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The collector's word: everything of `epoch` up to `upto` is committed to its journal.

    `hash` is the chained hash of the record committed as `upto`: an agent that has another under this number shares its
    spool with a second machine, and must not delete it. `held` is why blocks are not taken now (the agent backs off
    and shows it); `rewind` asks to send again from `upto` + 1; `boot` names the collector's run, a new one makes the
    agent rewind at once; `at` is when the collector said so, by its own clock (Unix milliseconds, 0 from one that does
    not tell), which shows an agent how wrong its clock is. Without a valid MAC only `held` may be believed, and nothing
    may be deleted.
    """

    v: int = VERSION
    agent: str
    epoch: str
    upto: int
    boot: str
    hash: str = ""
    held: str = ""
    rewind: bool = False
    at: int = 0


class Presence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Birth and will of an agent: a hint for people, never evidence.

    `conn` counts connections, over restarts too, so that a late will of an older connection is known for what it is
    (see `is_later`). `manifest` is the newest that the spool has made in this epoch.
    """

    state: str
    epoch: str
    boot: str
    conn: int
    why: str = ""
    manifest: Manifest | None = None


_BLOCK_TOPIC = re.compile("fw/1/t/([0-9a-f]{2})/([^/]+)").fullmatch

_encode = msgspec.json.Encoder().encode
_decode_ack = msgspec.json.Decoder(Ack).decode
_decode_presence = msgspec.json.Decoder(Presence).decode


def derive(secret: str, purpose: str) -> str:
    """A key for one purpose from an agent's one secret, as 64 hexadecimal digits (HMAC-SHA-256).

    Purposes in use: "mqtt" is the broker's password, "ack" authenticates acknowledgements, so that whoever runs
    the broker still cannot make an agent delete its spool.
    """
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def seal_ack(ack: Ack, key: str | None) -> bytes:
    """An acknowledgement as it is published: JSON that ends in its MAC (empty without a key)."""
    text = _encode(ack)[:-1]
    return b"".join((text, b',"mac":"', _mac(text, key).encode() if key else b"", b'"}'))


def open_ack(payload: bytes, key: str) -> Ack:
    """Reads an acknowledgement and proves that the collector made it.

    Raises:
        Malformed: not an acknowledgement.
        Forged: the MAC is missing or another's.
    """
    ack, text, mac = _split_ack(payload)
    if not hmac.compare_digest(mac, _mac(text, key)):
        raise Forged(f"acknowledgement up to {ack.upto} of epoch {ack.epoch} carries a wrong MAC")
    return ack


def peek_ack(payload: bytes) -> Ack:
    """Reads an acknowledgement without proof: good for showing `held`, never for deleting."""
    return _split_ack(payload)[0]


def _split_ack(payload: bytes) -> tuple[Ack, bytes, str]:
    text, _, tail = payload.rpartition(b',"mac":"')
    try:
        return _decode_ack(payload), text, tail.removesuffix(b'"}').decode("ascii")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed(Reason.WRONG_FIELD, f"not an acknowledgement: {wrong}") from wrong


def _mac(text: bytes, key: str) -> str:
    return hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest()[:32]


def seal_presence(presence: Presence) -> bytes:
    """A birth or will as it is published."""
    return _encode(presence)


def open_presence(payload: bytes) -> Presence:
    """Reads a birth or will.

    Raises:
        Malformed: not a presence message.
    """
    try:
        return _decode_presence(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed(Reason.WRONG_FIELD, f"not a presence message: {wrong}") from wrong


def is_later(new: Presence, old: Presence | None) -> bool:
    """Whether `new` may take the place of `old`: brokers deliver a will when they notice, which may be minutes late.

    Within one run of the agent the counter decides. Between runs it does too, unless the counter was lost with the
    agent's folder: then only a birth of a younger run (its ULID sorts behind) counts.
    """
    if old is None or new.conn > old.conn or (new.conn == old.conn and new.boot == old.boot):
        return True
    return new.boot > old.boot and new.state == "online"


def block_topic(shard: int, agent: str) -> str:
    """Where an agent publishes its blocks."""
    return f"fw/1/t/{shard:02x}/{agent}"


def block_filter(shards: Iterable[int] | None = None) -> list[str]:
    """What a collector subscribes to for some shards, or for all."""
    return ["fw/1/t/+/+"] if shards is None else [f"fw/1/t/{shard:02x}/+" for shard in shards]


def ack_topic(agent: str) -> str:
    """Where the collector acknowledges an agent's blocks (retained)."""
    return f"fw/1/k/{agent}"


def presence_topic(agent: str) -> str:
    """Where an agent's birth and will stand (retained)."""
    return f"fw/1/p/{agent}"


def agent_of(topic: str) -> tuple[int, str]:
    """Returns (shard, agent) of a block topic.

    Raises:
        Malformed: the topic is not one a block comes on.
    """
    found = _BLOCK_TOPIC(topic)
    if not found or (shard := int(found[1], 16)) >= SHARDS:
        raise Malformed(
            Reason.WRONG_TOPIC, f"`{topic}` is not fw/1/t/<shard>/<agent>, a shard is 00 to {SHARDS - 1:02x}"
        )
    return shard, found[2]
