"""What the poller needs of SNMP: some objects, or some columns of a table, read within bounds.

Two Protocols: `Exchange` is one request and its answer, which an adapter makes of a client library; `Session` is what
the poller uses, with the retries, packing and bounds of `agent.snmp.requester` around any Exchange. Values are plain:
int for every number of the SMI, bytes for OCTET STRING and Opaque (`agent.profiles.conversion` reads the float in one), str for
OBJECT IDENTIFIER (dotted, no leading dot) and IpAddress. An object that is not there is absent from the result, never None or 0. Reading is all
there is: neither Protocol can write.

Errors:
    SnmpError         anything that kept an answer from us; its text is a sentence for people
    ├─ Unreachable    no answer in time, after all retries; later it may work
    ├─ Refused        the device's host says that nobody listens there
    ├─ Denied         an SNMP engine answers, but not to us; trying again does not help
    │  └─ Locked      it answers who it is and then nothing: it is Unreachable too, and tried again
    ├─ Misread        what came back is no SNMP message; trying again seldom helps
    └─ Runaway        a walk that does not end, does not advance or brings too much: a fault of the device
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.snmp.packing import Packing

Value = int | float | bytes | str


class SnmpError(Exception):
    """Anything that kept an answer from us."""


class Unreachable(SnmpError):
    """No answer in time."""


class Refused(SnmpError):
    """Nobody listens there."""


class Denied(SnmpError):
    """Somebody answers, who does not accept us."""


class Locked(Unreachable, Denied):
    """Somebody tells who he is, and is silent when asked: a wrong privacy key, or an answer that got lost."""


class Misread(SnmpError):
    """An answer that is no SNMP message."""


class Runaway(SnmpError):
    """A walk without an end."""


class Walk(Protocol):
    """A walk under way."""

    ended: bool
    """Whether the last answer reached the end of the column."""

    async def step(self) -> list[tuple[str, Value]]:
        """One GETBULK or GETNEXT: the next objects with their OIDs, in the device's order.

        Raises:
            Unreachable, Refused, Denied, Misread: the next step repeats the request.
        """


class Exchange(Protocol):
    """One client of one device. At most one call is under way at a time.

    An answer to an earlier request, or to none of ours, is never taken for the answer to this one.
    """

    all_or_none: bool
    """Whether one object that is not there refuses the whole request, as in SNMP v1 (RFC 1157 section 4.1.2)."""

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """Asks for some objects in one request.

        Returns:
            What is there. Empty too when the device refused the whole request (tooBig, genErr, noSuchName).

        Raises:
            Unreachable, Refused, Denied, Misread: for this one request, sent once.
        """

    def walk(self, column: str, repetitions: int) -> Walk:
        """Begins to walk the objects under `column`; asks for nothing yet.

        Up to `repetitions` objects a request with GETBULK; one with GETNEXT when 0, and always in v1, which has no
        GETBULK.
        """

    def close(self) -> None:
        """Gives the socket back."""


class Session(Protocol):
    """Reads one device, within bounds."""

    rtt_seconds: float
    """The quickest round trip since the session began or this was last set; infinite before the first."""
    packing: Packing
    """How many objects the device takes; whoever knows it from before puts it here."""
    trusted: bool
    """Whether the device answered last time: requests to others wait for their turn apart, and delay nobody."""
    patient: bool
    """Whether a request that is not answered is sent again."""
    unreadable: dict[str, str]
    """Object → why its value cannot be read, though others of the device can: absent from results, a few at most."""

    def narrow(self, *, max_varbinds: int | None, nonincreasing_ok: bool, bulk: bool = True) -> None:
        """Sets what this device takes: objects per request (None: no limit of its family), row order, GETBULK."""

    async def get_many(self, oids: Sequence[str], into: dict[str, Value] | None = None) -> dict[str, Value]:
        """Asks for any number of objects, in as few requests as the device takes.

        Args:
            oids: the objects.
            into: takes what comes as it comes, so that it is not lost when a later request fails.

        Raises:
            SnmpError: one request went without a usable answer after all retries.
        """

    async def rows(self, column: str, *, expected: int | None = None) -> dict[str, Value]:
        """Walks one column: index (the OID behind the column) → value, in the device's order.

        `expected` is how many rows there were last time, so that one request serves.

        Raises:
            SnmpError: as `get_many`; Runaway: it does not end, does not advance, or brings more than a table can have.
        """

    async def has(self, subtree: str) -> bool:
        """Whether there is any object under `subtree`; one GETNEXT, which every version has.

        Raises:
            SnmpError: as `get_many`.
        """

    async def walk(self, columns: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Reads several columns of a table together: column → index → value.

        The first column decides which rows exist; the others are asked for at its indexes.

        Raises:
            SnmpError: as `rows`.
        """

    def close(self) -> None:
        """Gives the socket back; the session cannot be used any more."""
