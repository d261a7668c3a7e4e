"""The blocks that travel from agent to collector, byte by byte.

A **block** is one MQTT message: readable JSON, deflated above 1 KiB, so that the customer can read every byte that
leaves the site. Its records carry values by position; the **shape** that names the positions is sent once per block
under the digest of its own content, which is the same for every device of a family on every site.

A record's bytes are made once, when the spool takes it, and never change. They end in a hash chained over all records
of the epoch, so that a hole, a change or a second agent with the same spool shows: see `seal` and `chained`.

Errors:
    WireError
    ├─ Malformed   not a block we can read: `reason` is one word from `Reason`; trying again does not help
    └─ TooLarge    a record that could never travel: the caller must split or drop it
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import msgspec

from forewarn.vocabulary import DeviceKind, Source

VERSION = 1
SHARDS = 64
MAX_PACKED = 64 * 1024
MAX_INFLATED = 1024 * 1024
MAX_RECORD = 48 * 1024
DEFLATE_ABOVE = 1024
GENESIS = bytes(16)
"""What the first record of an epoch is chained to."""

_HASH_KEY = b',"hash":"'
_HASH_TAIL = len(_HASH_KEY) + 32 + len(b'"}')
_HASH = re.compile("[0-9a-f]{32}").fullmatch
_NUL = rb"\u0000"

Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""A whole number that JSON, SQL and floats all hold exactly."""


class Reason(StrEnum):
    """Why a payload could not be read, or a block not be taken. These words stand in acks, tables and metrics."""

    NOT_JSON = "not_json"
    NOT_ZLIB = "not_zlib"
    TOO_LARGE_PACKED = "too_large_packed"
    TOO_LARGE_INFLATED = "too_large_inflated"
    NEWER_VERSION = "newer_version"
    WRONG_FIELD = "wrong_field"
    WRONG_SHAPE = "wrong_shape"
    WRONG_HASH = "wrong_hash"
    WRONG_TOPIC = "wrong_topic"
    OUTSIDE_CONSENT = "outside_consent"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_CONSENT = "unknown_consent"
    WITHDRAWN = "withdrawn"
    MISSING = "missing"
    """Records that the agent has no more and this collector never had (a journal restored from a backup)."""
    FORKED = "forked"
    """The same numbers with another content: two agents share one spool (a cloned or restored machine)."""
    NO_ROOM = "no_room"
    """The collector's journal is at its limit: it goes on by itself when there is room."""


class WireError(Exception):
    """Anything wrong with what travelled."""


class Malformed(WireError):
    """A payload that is no block."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TooLarge(WireError):
    """A record of more than MAX_RECORD bytes."""


class TableShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some rows of one table: values follow instance by instance, within each field by field."""

    table: str
    instances: list[str]
    fields: list[str]


class Shape(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """Names the positions of a record's values.

    `kind` is the kind of the device, `profile` how it was read, `source` the scope of consent it needs. Two shapes
    with the same content have the same `digest`, whoever made them.
    """

    kind: DeviceKind
    profile: str
    source: Source
    tables: list[TableShape]

    @cached_property
    def width(self) -> int:
        """How many values a record of this shape has."""
        return sum(len(part.instances) * len(part.fields) for part in self.tables)

    @cached_property
    def encoded(self) -> bytes:
        """The shape as JSON, as it stands in a block."""
        return _encode(self)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of BLAKE2b over `encoded`."""
        return hashlib.blake2b(self.encoded, digest_size=8).hexdigest()

    def columns(self) -> Iterable[tuple[str, str, str]]:
        """Yields (table, instance, field) for each position in order."""
        for part in self.tables:
            for instance in part.instances:
                for field in part.fields:
                    yield part.table, instance, field


class Record(msgspec.Struct, gc=False, omit_defaults=True):
    """One poll of one device, or (with `kind`) one event.

    A poll has `shape` and `values`; a failed one has `ok` false and `why`. `kind` is otherwise one of event,
    inventory, lost, result, with `text`. A lost record stands for the records `first` to `seq`, says `why`, and
    carries the chained hash of the last of them, so that the chain goes on behind it. With `text["epoch"]` it speaks
    of an older spool, of which `first` is the first number not known to be committed.
    `t` is Unix milliseconds. The order of the fields is the order of the bytes: `hash` ends the record.
    """

    seq: Number
    t: Number
    device: str = ""
    ok: bool = True
    why: str = ""
    kind: str = ""
    shape: str = ""
    values: list[float | None] = []
    text: dict[str, str] = {}
    first: Number = 0
    hash: str = ""

    @property
    def begins(self) -> int:
        """The first sequence number this record accounts for."""
        return self.first if self.kind == "lost" and self.first and "epoch" not in self.text else self.seq


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What every block says about itself.

    `oldest` and `head` are the first and last seq the spool holds; `boot` names this run of the agent; `consent` is
    the id of the consent that all records of the block were collected under; `sent` is Unix milliseconds.
    """

    v: int = VERSION
    site: str
    agent: str
    epoch: str
    boot: str
    oldest: Number
    head: Number
    consent: str
    sent: Number


class _RawBody(msgspec.Struct, gc=False):
    records: list[msgspec.Raw]


class _Version(msgspec.Struct):
    v: int


class Block(Header, frozen=True, kw_only=True):
    """A block as received. Shapes are keyed by digest; records stand in the order of their seq."""

    shapes: dict[str, Shape]
    records: list[Record]


class Received(NamedTuple):
    """A block with the exact bytes of each of its records, which the hash chain is computed over."""

    block: Block
    bodies: list[bytes]


# Names from files are strings that remember their place (`settings.Marked`): they travel as plain ones.
_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode_block = msgspec.json.Decoder(Block).decode
_decode_raw = msgspec.json.Decoder(_RawBody).decode
_decode_version = msgspec.json.Decoder(_Version).decode
_decode_record = msgspec.json.Decoder(Record).decode


def seal(record: Record, previous: bytes) -> tuple[bytes, bytes]:
    """Makes the bytes of a record, once and for all.

    A device may put anything into a text: what no database could take (NUL, half a surrogate pair) is taken out.

    Args:
        record: complete but for `hash`.
        previous: the 16-byte chained hash of the record before, GENESIS for the first.

    Returns:
        (body, chained hash): the record as JSON ending in its hash, and the hash as 16 bytes.

    Raises:
        TooLarge: the body has more than MAX_RECORD bytes.
    """
    record.hash = ""
    text = _encoded(record)[:-1]
    if len(text) + _HASH_TAIL > MAX_RECORD:
        what = f"{len(text)} bytes, the limit is {MAX_RECORD}: split the profile's tables"
        raise TooLarge(f"record of device `{record.device}` has {what}")
    digest = chained(text, previous)
    return b"".join((text, _HASH_KEY, digest.hex().encode(), b'"}')), digest


def _encoded(record: Record) -> bytes:
    with contextlib.suppress(UnicodeEncodeError):
        text = _encode(record)
        if _NUL not in text:
            return text
    record.device, record.why = storable(record.device), storable(record.why)
    record.text = {storable(name): storable(value) for name, value in record.text.items()}
    return _encode(record)


def storable(text: str) -> str:
    """The text without what no database could take: NUL, and halves of surrogate pairs (as `?`)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def resealed_lost(record: Record, chain: bytes) -> bytes:
    """Makes the bytes of a lost record that covers up to `record.seq`, whose chained hash was `chain`."""
    record.hash = chain.hex()
    return _encode(record)


def chained(text: bytes, previous: bytes) -> bytes:
    """The hash of a record: BLAKE2b-128 over the hash before it and the record's bytes up to `,"hash":`."""
    return hashlib.blake2b(previous + text, digest_size=16).digest()


def chained_body(body: bytes, previous: bytes) -> bytes:
    """The hash a sealed record must carry when it follows `previous`."""
    return chained(body[:-_HASH_TAIL], previous)


def chain_in(body: bytes) -> str:
    """The chained hash a sealed record carries, hexadecimal."""
    return body[-34:-2].decode()


def open_record(body: bytes) -> Record:
    """Reads one sealed record back.

    Raises:
        Malformed: the bytes are no record.
    """
    try:
        return _decode_record(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Malformed(Reason.WRONG_FIELD, str(wrong)) from wrong


def pack(header: Header, shapes: Iterable[Shape], bodies: Sequence[bytes]) -> bytes:
    """Joins sealed records into the payload of one MQTT message.

    Raises:
        TooLarge: more than MAX_INFLATED plain or MAX_PACKED deflated; send fewer records.
    """
    named = b",".join(b'"%b":%b' % (shape.digest.encode(), shape.encoded) for shape in shapes)
    plain = b"".join((_encode(header)[:-1], b',"shapes":{', named, b'},"records":[', b",".join(bodies), b"]}"))
    if len(plain) > MAX_INFLATED:
        raise TooLarge(f"block of {len(plain)} bytes, the limit is {MAX_INFLATED}")
    packed = zlib.compress(plain, 1) if len(plain) > DEFLATE_ABOVE else plain
    if len(packed) > MAX_PACKED:
        raise TooLarge(f"block of {len(packed)} packed bytes, the limit is {MAX_PACKED}")
    return packed


def inflate(payload: bytes) -> bytes:
    """Returns the JSON text of a payload, deflated or not, never more than MAX_INFLATED bytes.

    Raises:
        Malformed: too large, or neither JSON nor zlib by its first byte, or cut short.
    """
    if len(payload) > MAX_PACKED:
        raise Malformed(Reason.TOO_LARGE_PACKED, f"{len(payload)} bytes, the limit is {MAX_PACKED}")
    if payload[:1] == b"{":
        return payload
    if payload[:1] != b"\x78":
        raise Malformed(Reason.NOT_JSON, f"begins with {payload[:8]!r}, a block begins with '{{' or 0x78")
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(payload, MAX_INFLATED + 1)
    except zlib.error as wrong:
        raise Malformed(Reason.NOT_ZLIB, str(wrong)) from wrong
    if len(plain) > MAX_INFLATED:
        raise Malformed(Reason.TOO_LARGE_INFLATED, f"inflates to more than {MAX_INFLATED} bytes")
    if not inflater.eof:
        raise Malformed(Reason.NOT_ZLIB, "the deflated text is cut short")
    if inflater.unused_data:
        raise Malformed(Reason.NOT_ZLIB, f"{len(inflater.unused_data)} bytes after the end of the deflated text")
    return plain


def unpack(payload: bytes) -> Received:
    """Reads a block and checks all that can be checked without knowing its agent.

    Checked: sizes, JSON, version, types, that each shape has the digest it is sent under, that every poll has a
    shape and as many values, all finite, that seqs follow each other without a hole, that every number fits 64 bits
    and that no text holds a NUL, which no database column could take.

    Raises:
        Malformed: with the reason and what was found where.
    """
    plain = inflate(payload)
    try:
        block = _decode_block(plain)
        bodies = [bytes(raw) for raw in _decode_raw(plain).records]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise _explained(plain, wrong) from wrong
    if block.v != VERSION:
        raise _other_version(block.v)
    if _NUL in plain and _holds_nul(msgspec.to_builtins(block)):
        raise Malformed(Reason.WRONG_FIELD, "a text with a NUL character")
    _check_shapes(block)
    _check_records(block)
    return Received(block, bodies)


def _explained(plain: bytes, wrong: Exception) -> Malformed:
    try:
        version = _decode_version(plain).v
    except msgspec.ValidationError:
        version = VERSION
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Malformed(Reason.NOT_JSON, str(wrong))
    if version > VERSION:
        return _other_version(version)
    return Malformed(Reason.NOT_JSON if isinstance(wrong, UnicodeDecodeError) else Reason.WRONG_FIELD, str(wrong))


def _other_version(version: int) -> Malformed:
    if version > VERSION:
        return Malformed(Reason.NEWER_VERSION, f"version {version}, this collector reads {VERSION}")
    return Malformed(Reason.WRONG_FIELD, f"version {version} never was, this collector reads {VERSION}")


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_holds_nul(part) for part in value)


def _check_shapes(block: Block) -> None:
    for digest, shape in block.shapes.items():
        if shape.digest != digest:
            raise Malformed(Reason.WRONG_SHAPE, f"shape sent as {digest} has the digest {shape.digest}")


def _check_records(block: Block) -> None:
    if not block.records:
        raise Malformed(Reason.WRONG_FIELD, "a block without records")
    expected = block.records[0].begins
    if expected < 1:
        raise Malformed(Reason.WRONG_FIELD, f"seq {expected}: numbering begins at 1")
    for at, record in enumerate(block.records):
        if record.begins != expected or record.seq < expected:
            raise Malformed(Reason.WRONG_FIELD, f"records[{at}] has seq {record.seq} where {expected} follows")
        expected = record.seq + 1
        if record.kind == "lost" and not _HASH(record.hash):
            raise Malformed(Reason.WRONG_FIELD, f"records[{at}] carries `{record.hash}` for a hash")
        if record.kind:
            continue
        shape = block.shapes.get(record.shape)
        if shape is None:
            raise Malformed(Reason.WRONG_SHAPE, f"records[{at}] names shape `{record.shape}`, which was not sent")
        if len(record.values) != shape.width:
            counts = f"{len(record.values)} values where its shape has {shape.width}"
            raise Malformed(Reason.WRONG_SHAPE, f"records[{at}] has {counts}")
