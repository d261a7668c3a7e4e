"""What a running agent last said of itself, in its status file; and a record as it would be sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.app import SystemClock
from agent.delivery.door import as_record
from agent.itself import STATUS, Status
from agent.reading import Happening, Reading
from forewarn import wire
from forewarn.wire import GENESIS, Reason

__all__ = ["STALE", "Seen", "Status", "as_sent", "fresh", "held_remedy", "last_status"]

STALE = 15.0
"""A status older than so many seconds is of an agent that does not run."""


def fresh(age: float) -> bool:
    """Whether a status so many seconds old is of an agent that runs; one of the future is not: a clock was set back."""
    return abs(age) <= STALE


class Seen(NamedTuple):
    """A status file and its age in seconds."""

    status: Status
    age: float


def last_status(folder: Path) -> Seen | None:
    """The status file of an agent that runs or ran; None when there is none."""
    try:
        status = msgspec.json.decode((folder / STATUS).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None
    return Seen(status, (SystemClock().now() - status.at) / 1000)


_HELD: Mapping[str, str] = {
    Reason.UNKNOWN_AGENT: "the service company registers this agent: forewarn collector add-agent",
    Reason.UNKNOWN_CONSENT: "give the service company the consent: forewarn collector add-consent consent.json",
    Reason.WITHDRAWN: "to go on, the customer signs a new consent: forewarn agent consent sign",
    Reason.NEWER_VERSION: "the service company brings its collector up to date",
    Reason.NO_ROOM: "the service company makes room for its collector's journal; nothing is lost meanwhile",
}


def held_remedy(held: str) -> str:
    """Who has to do what about records that the collector does not take; empty when nobody can say."""
    return _HELD.get(held.partition(" ")[0], "")


def as_sent(item: Reading | Happening) -> bytes:
    """JSON of the record and its shape, byte for byte what a block would hold but for number and hash."""
    record = as_record(item)
    record.seq = 1
    record.shape = item.shape.digest if item.shape is not None else ""
    body, _ = wire.seal(record, GENESIS)
    shapes = {item.shape.digest: msgspec.Raw(item.shape.encoded)} if item.shape is not None else {}
    return msgspec.json.encode({"shapes": shapes, "records": [msgspec.Raw(body)]})
