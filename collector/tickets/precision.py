"""How often a rule was right: of its tickets that people have judged, those nobody called a false alarm.

A ticket is judged once a person has ended it (resolved or closed it) or marked it as a false alarm. Counted are the
versions of a rule one by one, so that an improved rule is judged anew: a ticket belongs to the version that spoke last
of it. What is shown beside a share is its 95 % interval after Wilson, which stays sound for few cases and near 0 and 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Engine, and_, bindparam, case, func, select

from collector.storage import tables
from collector.storage.database import reading
from collector.tickets.lifecycle import State

RECENT_MS = 90 * 86_400_000
"""What was judged in the last 90 days counts as recent."""
FEW = 20
"""Below so many judged tickets a share says little: the interval is wider than 30 points."""
WANTED = 0.75
"""A rule that is right less often costs its readers more than it gives."""
_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Standing(StrEnum):
    """What a precision says of a rule."""

    UNJUDGED = "nobody has judged a ticket of it"
    GOOD = "right often enough"
    DOUBTFUL = "right too seldom so far, but by so few cases that it may be chance"
    BAD = "right too seldom, by the whole interval"


class Precision(NamedTuple):
    """Of `judged` tickets `right` were not called a false alarm."""

    judged: int = 0
    right: int = 0

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where nothing was judged."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the share; None where nothing was judged."""
        return wilson(self.right, self.judged) if self.judged else None

    @property
    def few(self) -> bool:
        """Whether there are too few cases to rely on."""
        return 0 < self.judged < FEW

    @property
    def standing(self) -> Standing:
        """What it says of the rule."""
        if self.share is None or self.interval is None:
            return Standing.UNJUDGED
        if self.share >= WANTED:
            return Standing.GOOD
        return Standing.BAD if self.interval[1] < WANTED else Standing.DOUBTFUL


_NONE = Precision()


@dataclass(frozen=True, slots=True)
class Tally:
    """The tickets of a rule: all, those open, those marked false, and its precision of late and since ever.

    A ticket that a maintenance holds is not among those open: no list of open tickets shows it.
    """

    tickets: int = 0
    open: int = 0
    false: int = 0
    recent: Precision = _NONE
    ever: Precision = _NONE

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.tickets + other.tickets,
            self.open + other.open,
            self.false + other.false,
            Precision(self.recent.judged + other.recent.judged, self.recent.right + other.recent.right),
            Precision(self.ever.judged + other.ever.judged, self.ever.right + other.ever.right),
        )


def wilson(successes: int, cases: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, for one case or more.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the American
    Statistical Association 22 (1927), 209-212.
    """
    share, z2 = successes / cases, _Z * _Z
    middle = share + z2 / (2 * cases)
    reach = _Z * sqrt(share * (1 - share) / cases + z2 / (4 * cases * cases))
    whole = 1 + z2 / cases
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def precisions(service: Engine, now: int) -> dict[str, dict[str, Tally]]:
    """The tally of every version of every rule that has made a ticket.

    It reads the index `ticket_by_rule`, and what is held by `ticket_held`: never all tickets.

    Args:
        service: the service database.
        now: Unix milliseconds.
    """
    found: dict[str, dict[str, Tally]] = {}
    with reading(service) as connection:
        held = Counter(row[:2] for row in connection.execute(HELD) if row.state == State.OPEN)
        for row in connection.execute(QUERY, {"since": now - RECENT_MS}):
            # What is let go between the two reads counts as held.
            seen = max(0, row.open - held[row.rule, row.version])
            recent = Precision(row.recent_right + row.recent_false, row.recent_right)
            ever = Precision(row.ever_right + row.false, row.ever_right)
            found.setdefault(row.rule, {})[row.version] = Tally(row.tickets, seen, row.false, recent, ever)
    return found


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((and_(*conditions), 1), else_=0))


_t = tables.ticket
_false, _right = _t.c.false_at.is_not(None), and_(_t.c.ended_at.is_not(None), _t.c.false_at.is_(None))
_since: ColumnElement[int] = bindparam("since", type_=BigInteger)
QUERY = (
    select(
        _t.c.rule,
        _t.c.version,
        func.count().label("tickets"),
        _count(_t.c.state == State.OPEN).label("open"),
        _count(_false).label("false"),
        _count(_right).label("ever_right"),
        _count(_false, _t.c.false_at >= _since).label("recent_false"),
        _count(_right, _t.c.ended_at >= _since).label("recent_right"),
    )
    .where(_t.c.rule != "")
    .group_by(_t.c.rule, _t.c.version)
)
HELD = select(_t.c.rule, _t.c.version, _t.c.state).where(_t.c.held.is_not(None))
"""Counted here: grouped, SQLite would read all tickets by their rule."""
