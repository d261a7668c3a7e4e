"""What may happen to a ticket: pure decisions, no database and no clock.

A ticket is **open** until a person **resolved** it (with the cause) or **closed** it; a resolved one is closed when
somebody confirms it. That its condition cleared is a fact beside the state (`recovered`), never a state: what the
machine sees and what a person has done about it are two things. Acknowledged and assigned are facts too, and so is that
a person called it a false alarm of its rule: the mark stays, whatever becomes of the ticket, until it is taken off.

The closing policy: the system closes a ticket in two cases only, and never one that somebody has in hand. When its
fault comes back more than `REOPEN_WITHIN` after it was over, the old ticket is closed and a new one, linked to it by
`previous`, is opened. And a ticket that a maintenance held is closed when the fault began and was over within it: that
was the work, and the event names it. Everything else is closed by a person.

When a fault comes back
    it is still open, condition holding            an occurrence, noted quietly
    it is still open, had recovered                an occurrence; after `REOPEN_WITHIN` a new ticket, unless in hand
    it was resolved or closed, within the window   reopened
    it was resolved or closed, later               a new ticket, linked

The system's decisions come as a `Verdict`; a person's act as a `Step` or the named `Refusal` of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rules.finding import Finding, Turn

REOPEN_WITHIN = 24 * 3600 * 1000
"""Milliseconds after the end of a ticket in which the same fault reopens it."""

SEVERITIES = ("warning", "critical")
SYSTEM = "forewarn"
"""The actor of what no person did."""


class State(StrEnum):
    """Where a ticket stands in the hands of people."""

    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Kind(StrEnum):
    """What an event in a ticket's history says happened."""

    OPENED = "opened"
    OCCURRENCE = "occurrence"
    CHANGED = "changed"
    """Another severity than before."""
    RECOVERED = "recovered"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    MARKED_FALSE = "marked_false"
    UNMARKED_FALSE = "unmarked_false"
    HELD = "held"
    """Kept from people while somebody works there."""
    RELEASED = "released"


class Act(StrEnum):
    """What a person may do to a ticket."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    COMMENT = "comment"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    MARK_FALSE = "mark_false"
    UNMARK_FALSE = "unmark_false"


TEXTS = {Act.COMMENT: "text", Act.CLOSE: "text", Act.RESOLVE: "cause", Act.MARK_FALSE: "why"}
"""What the text that an act cannot do without is called in a request."""


class Refusal(StrEnum):
    """Why an act was not done. The words stand in answers of the API and on screens."""

    ALREADY_ACKNOWLEDGED = "already acknowledged"
    ALREADY_RESOLVED = "already resolved"
    ALREADY_ASSIGNED = "already assigned to this person"
    CLOSED = "the ticket is closed: reopen it first"
    NOT_ENDED = "the ticket is open"
    SAYS_NOTHING = "a text is needed"
    STILL_HOLDS = "the condition still holds: say why it is closed all the same"
    ANOTHER_OPEN = "another ticket of this fault is open"
    BY_HAND = "the ticket was made by hand: no rule raised a false alarm"
    ALREADY_FALSE = "already marked as a false alarm"
    NOT_FALSE = "not marked as a false alarm"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision looks at. Times are Unix milliseconds.

    `holds`: a rule's condition holds now (never so for a ticket made by hand). `ended` is when the ticket was last
    over: the latest of its recovery and of a person's resolving or closing it; None while it never was. `position`
    is the journal position of its opening.
    """

    state: State
    severity: str
    holds: bool
    position: int = 0
    ended: int | None = None
    acknowledged_by: str = ""
    assignee: str = ""
    by_hand: bool = False
    """Made by a person, not by a rule."""
    false_alarm: bool = False
    """A person called it a false alarm."""

    @property
    def in_hand(self) -> bool:
        """Whether a person has taken it."""
        return bool(self.acknowledged_by or self.assignee)


@dataclass(frozen=True, slots=True)
class Step:
    """An act that may be done: the event it leaves and the state it leads to."""

    kind: Kind
    state: State


_ENDED = (State.RESOLVED, State.CLOSED)


def judge(standing: Standing, act: Act, text: str = "") -> Step | Refusal:
    """Decides a person's act.

    Args:
        standing: the ticket now.
        act: what is to be done.
        text: what the person says: the comment, the cause when resolving, the assignee when assigning, the reason
            when closing, reopening or calling it a false alarm.
    """
    said = text.strip()
    if act in (Act.MARK_FALSE, Act.UNMARK_FALSE):
        return _marking(standing, act, said)
    if act is Act.COMMENT:
        return Step(Kind.COMMENTED, standing.state) if said else Refusal.SAYS_NOTHING
    if act is Act.REOPEN:
        return Step(Kind.REOPENED, State.OPEN) if standing.state in _ENDED else Refusal.NOT_ENDED
    if standing.state is State.CLOSED:
        return Refusal.CLOSED
    if act in (Act.ACKNOWLEDGE, Act.ASSIGN):
        return _taking(standing, act, said)
    return _ending(standing, act, said)


def _taking(standing: Standing, act: Act, said: str) -> Step | Refusal:
    if act is Act.ACKNOWLEDGE:
        taken = standing.acknowledged_by
        return Refusal.ALREADY_ACKNOWLEDGED if taken else Step(Kind.ACKNOWLEDGED, standing.state)
    same = said == standing.assignee
    return Refusal.ALREADY_ASSIGNED if same else Step(Kind.ASSIGNED, standing.state)


def _ending(standing: Standing, act: Act, said: str) -> Step | Refusal:
    if act is Act.RESOLVE:
        if standing.state is State.RESOLVED:
            return Refusal.ALREADY_RESOLVED
        return Step(Kind.RESOLVED, State.RESOLVED) if said else Refusal.SAYS_NOTHING
    if standing.holds and standing.state is State.OPEN and not said:
        return Refusal.STILL_HOLDS
    return Step(Kind.CLOSED, State.CLOSED)


def _marking(standing: Standing, act: Act, said: str) -> Step | Refusal:
    """A mark may be set and taken off in any state. Setting it ends an open ticket; taking it off opens none."""
    if standing.by_hand:
        return Refusal.BY_HAND
    if act is Act.UNMARK_FALSE:
        return Step(Kind.UNMARKED_FALSE, standing.state) if standing.false_alarm else Refusal.NOT_FALSE
    if standing.false_alarm:
        return Refusal.ALREADY_FALSE
    state = State.RESOLVED if standing.state is State.OPEN else standing.state
    return Step(Kind.MARKED_FALSE, state) if said else Refusal.SAYS_NOTHING


class Verdict(StrEnum):
    """What a finding means for the newest ticket of its fault."""

    OPEN = "no ticket of this fault: a new one"
    SUCCEED = "the last ticket is long over: a new one, linked to it"
    REOPEN = "the last ticket was over only just now: it is open again"
    RECUR = "the open ticket's condition had cleared and holds again"
    REPEAT = "the open ticket's condition held already"
    CHANGE = "another severity"
    RECOVER = "the condition cleared"
    UNMATCHED = "nothing to recover: no ticket, or it has recovered already"


def weigh(standing: Standing | None, finding: Finding) -> Verdict:
    """Decides what a finding does; `standing` is the newest ticket of the same fault, None without one."""
    if finding.turn is Turn.RECOVERED:
        return Verdict.RECOVER if standing and standing.holds else Verdict.UNMATCHED
    if standing is None:
        return Verdict.OPEN
    if finding.turn is Turn.CHANGED and standing.holds:
        worse = worsened(standing.severity, finding.severity)
        return _again(standing, finding) if worse and standing.state in _ENDED else Verdict.CHANGE
    if standing.state is State.OPEN and standing.holds:
        return Verdict.REPEAT
    return _again(standing, finding)


def _again(standing: Standing, finding: Finding) -> Verdict:
    over = standing.ended is not None and finding.t - standing.ended > REOPEN_WITHIN
    # One block may hold days of records: two tickets of one fault cannot have the same opening position.
    over = over and finding.position != standing.position
    if standing.state is State.OPEN:
        return Verdict.SUCCEED if over and not standing.in_hand else Verdict.RECUR
    return Verdict.SUCCEED if over else Verdict.REOPEN


class Fate(StrEnum):
    """What becomes of a ticket that a maintenance held."""

    OPEN = "open"
    """An ordinary ticket from now on."""
    RECOVERED = "recovered"
    """Closed by the system: over before the maintenance was."""
    KEPT = "kept"
    """Over as well, but somebody has it in hand and closes it."""
    ENDED = "ended"
    """A person had resolved or closed it meanwhile."""
    HANDED_OVER = "handed_over"
    """Another maintenance of its device goes on and holds it."""


def let_go(standing: Standing, *, inside: bool, other: bool) -> Fate:
    """Decides what becomes of a held ticket when its maintenance lets it go.

    Args:
        standing: the ticket now.
        inside: it recovered at a time of a maintenance.
        other: another maintenance of its device is running.
    """
    if standing.state is not State.OPEN:
        return Fate.ENDED
    if inside:
        return Fate.KEPT if standing.in_hand else Fate.RECOVERED
    return Fate.HANDED_OVER if other and standing.holds else Fate.OPEN


def worsened(before: str, after: str) -> bool:
    """Whether the severity rose."""
    return SEVERITIES.index(after) > SEVERITIES.index(before)
