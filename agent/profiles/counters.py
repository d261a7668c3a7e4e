"""Counters into rates, without inventing traffic: what cannot be known is None, never a spike.

A counter says nothing by itself: it may have wrapped, been cleared, or belong to a device that began anew. `Continuity`
judges from a device's own clocks whether it went on between two polls, `Past` keeps what the next poll needs of this
one and leaves out every counter that may have begun anew.

Sources: RFC 2578 section 7.1.6 (a counter has no defined start and wraps at 2**32 or 2**64), RFC 3418 (sysUpTime,
hundredths of a second, wraps after 497 days), RFC 3411 (snmpEngineBoots, snmpEngineTime in seconds), RFC 2863
(ifCounterDiscontinuityTime, for all counters of an interface).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from agent.snmp.session import Value

UPTIME, BOOTS, ENGINE_TIME = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.10.2.1.2.0", "1.3.6.1.6.3.10.2.1.3.0"
_WRAP_32 = 1 << 32
WRAP_SECONDS = _WRAP_32 / 100
"""After how many seconds sysUpTime begins at 0 again."""
_SLACK, _DRIFT = 15.0, 0.05
"""Seconds, and their share, by which a device's clock may differ from ours between two polls."""
_RATE_SLACK = 1.05
_FASTEST = 1e11
"""Counts per second that nothing counts: the octets of 800 Gbit/s."""
_DISCONTINUITY = "1.3.6.1.2.1.31.1.1.1.19"
_SPEED, _HIGH_SPEED = "1.3.6.1.2.1.2.2.1.5", "1.3.6.1.2.1.31.1.1.1.15"
_OF_INTERFACES = ("1.3.6.1.2.1.2.2.1.", "1.3.6.1.2.1.31.1.1.1.", "1.3.6.1.2.1.10.7.2.1.")
"""Tables whose row is an ifIndex and whose counters go by ifCounterDiscontinuityTime: IF-MIB and EtherLike-MIB."""


class Continuity(StrEnum):
    """What became of a device between two polls."""

    WENT_ON = "went on"
    WRAPPED = "its uptime wrapped after 497 days"
    RESTARTED = "restarted"
    DOUBTFUL = "its clock and ours disagree"
    """More time passed there than here: the machine of the agent slept, or another device answers."""
    UNKNOWN = "it has no clock that goes"


class Clocks(NamedTuple):
    """A device's own clocks, in one poll: sysUpTime in seconds, snmpEngineBoots, snmpEngineTime in seconds."""

    uptime: float | None = None
    boots: int | None = None
    engine: int | None = None

    @classmethod
    def of(cls, got: Mapping[str, Value]) -> Clocks:
        """Those among what a device answered."""
        ticks, boots, engine = got.get(UPTIME), got.get(BOOTS), got.get(ENGINE_TIME)
        return cls(
            ticks / 100 if isinstance(ticks, int) else None,
            boots if isinstance(boots, int) else None,
            engine if isinstance(engine, int) else None,
        )


def continuity(before: Clocks, now: Clocks, seconds: float) -> Continuity:
    """What the clocks of two polls, `seconds` apart, say of the time between them."""
    if before.boots is not None and now.boots is not None and before.boots != now.boots:
        return Continuity.RESTARTED
    if before.uptime is None or now.uptime is None:
        return Continuity.UNKNOWN
    slack = _SLACK + _DRIFT * seconds
    ahead = now.uptime - (before.uptime + seconds)
    if now.uptime < before.uptime:
        return _gone_back(before, now, seconds, slack)
    if now.uptime <= seconds + slack and now.uptime != before.uptime:
        # Up no longer than since the last poll: it restarted, or had just begun then and may have begun again.
        return Continuity.RESTARTED
    if ahead > slack:
        return Continuity.DOUBTFUL
    return Continuity.WENT_ON if ahead >= -slack else Continuity.UNKNOWN


def _gone_back(before: Clocks, now: Clocks, seconds: float, slack: float) -> Continuity:
    """The same for an uptime that is less than before."""
    assert before.uptime is not None
    assert now.uptime is not None
    if abs(now.uptime + WRAP_SECONDS - before.uptime - seconds) > slack:
        return Continuity.RESTARTED
    # A restart at that very moment looks the same: a gap in 497 days is cheaper than a wrong value.
    return Continuity.WENT_ON if _engine_went_on(before, now, seconds + slack) else Continuity.WRAPPED


def _engine_went_on(before: Clocks, now: Clocks, most: float) -> bool:
    """Whether snmpEngineTime proves that nothing restarted; one that is made of sysUpTime wraps with it."""
    return before.engine is not None and now.engine is not None and 0 <= now.engine - before.engine <= most


def rate(before: int, now: int, seconds: float, *, bits: int, ceiling: float | None) -> float | None:
    """The rate between two readings of a counter of an uninterrupted device.

    A counter that went back is taken for wrapped only when it has 32 bits and its rate is then possible; whether it was
    set back instead is for `Past` to judge.

    Args:
        before: the earlier reading.
        now: the later one.
        seconds: between them, by a clock that nobody sets.
        bits: 32 or 64.
        ceiling: the highest possible rate, in counts per second, None when not known.

    Returns:
        Counts per second; None when no time passed, when the counter went back and did not plausibly wrap, or when
        nothing counts so fast.
    """
    if seconds <= 0:
        return None
    most = _FASTEST if ceiling is None else ceiling * _RATE_SLACK
    delta = now - before
    if delta < 0:
        if bits != 32 or ceiling is None:  # noqa: PLR2004 - 64 bits wrap in no lifetime
            return None
        delta += _WRAP_32
    found = delta / seconds
    return found if 0 <= found <= most else None


@dataclass(slots=True)
class Past:
    """What one device's last poll left for the next: its counters, its clocks, when."""

    at: float
    clocks: Clocks
    counters: Mapping[str, int]
    marks: Mapping[str, Value] = field(default_factory=dict)
    """ifCounterDiscontinuityTime by its OID, where the device has it."""

    def known(
        self, now: Mapping[str, int], got: Mapping[str, Value], judged: Continuity, seconds: float
    ) -> dict[str, int] | None:
        """The counters that rates may be had from; None for none at all.

        Args:
            now: the counters of this poll.
            got: all that the device answered in it.
            judged: what became of the device in the meantime.
            seconds: between the two polls.
        """
        if judged not in (Continuity.WENT_ON, Continuity.UNKNOWN):
            return None
        rows = {("interface", mark.rpartition(".")[2]) for mark, was in self.marks.items() if got.get(mark, was) != was}
        back = [oid for oid, count in self.counters.items() if now.get(oid, count) < count]
        if back:
            rows |= {row for row in map(_row, back) if not self._wrapped(row, now, got, judged, seconds)}
        if not rows:
            return dict(self.counters)
        return {oid: count for oid, count in self.counters.items() if _row(oid) not in rows}

    def _wrapped(
        self, row: tuple[str, str], now: Mapping[str, int], got: Mapping[str, Value], judged: Continuity, seconds: float
    ) -> bool:
        """Whether the counter of an interface that went back wrapped, and was not set back with all others.

        It must have gone back alone. Then either the interface's mark is there and stands, or another of its counters
        went on that would have gone back: it had more than the link carries in the time.
        """
        table, index = row
        if judged is not Continuity.WENT_ON or table != "interface":
            return False
        beside = [(count, now.get(oid, count)) for oid, count in self.counters.items() if _row(oid) == row]
        if sum(is_now < was for was, is_now in beside) > 1:
            return False
        if f"{_DISCONTINUITY}.{index}" in self.marks:
            return True
        carried = _speed(index, got) / 8 * _RATE_SLACK * seconds
        return any(carried < was <= is_now for was, is_now in beside)


def _speed(index: str, got: Mapping[str, Value]) -> float:
    """The bits per second of an interface, infinite when it does not say (RFC 2863: ifHighSpeed, ifSpeed)."""
    for oid, unit in ((f"{_HIGH_SPEED}.{index}", 1e6), (f"{_SPEED}.{index}", 1.0)):
        said = got.get(oid)
        if isinstance(said, int) and said > 0:
            return said * unit
    return float("inf")


def _row(oid: str) -> tuple[str, str]:
    """Which row of which table an object belongs to: tables of interfaces are one, others told apart by their OID."""
    table, _, row = oid.rpartition(".")
    if oid.startswith(_OF_INTERFACES):
        return "interface", row
    return ".".join(table.split(".")[:9]), row


def marks_of(counters: Iterable[str]) -> list[str]:
    """The objects that tell when these counters began anew, by the interfaces they count for."""
    rows = {oid.rpartition(".")[2] for oid in counters if oid.startswith(_OF_INTERFACES)}
    return [f"{_DISCONTINUITY}.{row}" for row in sorted(rows, key=int)]
