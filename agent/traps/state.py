"""How hearing traps goes, for `status.json`."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Tally(msgspec.Struct, kw_only=True, tag="tally"):
    """What came since the trap process started.

    `heard` are notifications that were read, `informs` those of them to be answered, `answered` the answers, `repeated`
    those that said the very same again. `dropped` counts datagrams by reason; `strangers` by address, those of `others`
    together; `refused` those of devices that could not be read.
    """

    heard: int = 0
    informs: int = 0
    answered: int = 0
    repeated: int = 0
    dropped: dict[str, int] = {}
    strangers: dict[str, int] = {}
    refused: dict[str, int] = {}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The port while it listens, else `why` it does not; `restarts` counts processes that ended unasked."""

    port: int = 0
    why: str = ""
    restarts: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)


class HearsTraps(Protocol):
    """Whoever hears traps."""

    @property
    def state(self) -> State:
        """How it goes."""
