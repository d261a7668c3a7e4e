"""What is asked of the spool's thread, and how its answers come back to the event loop that waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from forewarn.manifest import Manifest
from forewarn.wire import Record, Shape

Answer = tuple[asyncio.Future[Any], object]
"""Who waits, and what for: an exception is raised there."""


@dataclass(slots=True)
class Put:
    """A record to be written, with others in one commit."""

    record: Record
    shape: Shape | None
    consent: str
    future: asyncio.Future[Any]


@dataclass(slots=True)
class Job:
    """Anything else, done alone and in its turn."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]


class Released(StrEnum):
    """What became of an acknowledgement."""

    DONE = "done"
    OTHER_EPOCH = "of another epoch"
    BEYOND_HEAD = "beyond the head"
    """Somebody else numbered on in our epoch: a restored or cloned machine. The epoch rolled."""
    ANOTHERS = "another's"
    """Under our number the collector has a record that is not ours: a cloned machine. The epoch rolled."""


class Standing(NamedTuple):
    """How the spool stands, after its last commit. `stuck` says why puts wait, if they do.

    `manifest` is the newest of this epoch.
    """

    epoch: str
    oldest: int
    head: int
    acked: int
    records: int
    size: int
    stuck: str
    manifest: Manifest | None


def answer(loop: asyncio.AbstractEventLoop, answers: Sequence[Answer]) -> None:
    """Ends futures on their loop, many in one call: waking it costs more than a record does."""
    with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
        loop.call_soon_threadsafe(_end, answers)


def _end(answers: Sequence[Answer]) -> None:
    for future, result in answers:
        if future.done():  # Whoever waited was cancelled.
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
