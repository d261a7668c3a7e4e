"""The broker, from its name to what it lets us do. Both sides look at theirs in the same way.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from forewarn.bus import Broker, Unusable
from forewarn.bus.trial import Trial, attempt
from forewarn.doctor.diagnosis import Diagnosis, fail, ok
from forewarn.doctor.reach import Unreached, certificate, reach, speaks_tls


class Wanted(NamedTuple):
    """What a program needs of its broker: topics it reads and writes, and what to do when it is not known there."""

    client_id: str
    reads: Sequence[str]
    writes: Sequence[str]
    known_by: str


def place(broker: Broker) -> str:
    """The subject of every diagnosis about a broker."""
    return f"broker {broker.host}:{broker.port}"


def reached(broker: Broker) -> Iterator[Diagnosis]:
    """Name, port and certificate; nothing is said to the broker, so that no client of it is pushed off."""
    subject = place(broker)
    try:
        found = reach(broker.host, broker.port, key="broker", context=broker.context())
    except Unusable as wrong:
        yield fail(subject, str(wrong), "correct `broker.tls`, or put the file there")
        return
    except Unreached as wrong:
        yield fail(subject, str(wrong), wrong.remedy)
        return
    yield ok(subject, "answers")
    if found.ends is not None:
        yield certificate(subject, found.ends)


def tried(broker: Broker, wanted: Wanted) -> Generator[Diagnosis, None, Trial | None]:
    """User and password, and the topics; for a program that does not run now. Returns the Trial, None without one."""
    subject = place(broker)
    try:
        trial = attempt(broker, wanted.client_id, reads=wanted.reads, writes=wanted.writes)
    except Unusable as wrong:
        yield fail(subject, str(wrong), "correct the path, or let this account read it")
        return None
    if not trial.accepted:
        yield _refused(broker, wanted, trial)
        return None
    yield ok(subject, f"accepts `{broker.user or 'anybody'}`")
    for topic in trial.unread:
        yield fail(subject, f"does not let `{broker.user}` read {topic}", wanted.known_by)
    for topic in trial.unwritten:
        yield fail(subject, f"does not let `{broker.user}` write {topic}", wanted.known_by)
    if trial.hung_up:
        what = f"hangs up when `{broker.user}` asks for its topics ({trial.why})"
        yield fail(subject, what, wanted.known_by)
        return None
    if wanted.writes and trial.tells and not trial.unwritten and not trial.unread:
        yield ok(subject, f"lets `{broker.user or 'anybody'}` write what it has to")
    return trial


def _refused(broker: Broker, wanted: Wanted, trial: Trial) -> Diagnosis:
    subject = place(broker)
    if trial.unknown:
        what = f"does not accept `{broker.user}` with its password" if broker.user else "wants a user and a password"
        return fail(subject, what, wanted.known_by)
    if broker.tls is None and speaks_tls(broker.host, broker.port):
        return fail(subject, "speaks TLS at this port", "set `broker.tls`: `tls: {}`, or with the authority's `ca`")
    return fail(subject, trial.why, "see the broker's own log: it speaks no MQTT to us there")
