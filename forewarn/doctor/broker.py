"""The broker, from its name to what it lets us do. Both sides look at theirs in the same way.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import msgspec

from forewarn.bus import Broker, Unusable
from forewarn.bus.trial import Lack, Trial, attempt
from forewarn.doctor.diagnosis import Diagnosis, Level, fail, ok
from forewarn.doctor.reach import Unreached, certificate, reach, speaks_tls
from forewarn.wire import MAX_PACKED

_LACKED = {
    Lack.RETAIN: "let it retain messages (Mosquitto: `retain_available true`); it hangs up on acknowledgements else",
    Lack.QOS: "let it take QoS 1 (Mosquitto: `max_qos 1`)",
    Lack.SIZE: "let it take 128 KiB (Mosquitto: `max_packet_size`, `message_size_limit`; NATS: `max_payload`)",
}


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
    """Name, port and certificate of every node; nothing is said to the broker, so that no client of it is pushed off.

    A node that is not reached is a failure where it is the only one, otherwise a warning: the others carry on.
    """
    nodes = [list(_reached(node)) for node in broker.nodes()]
    alive = any(all(told.level is not Level.FAIL for told in node) for node in nodes)
    for node in nodes:
        for told in node:
            yield msgspec.structs.replace(told, level=Level.WARN) if alive and told.level is Level.FAIL else told


def _reached(broker: Broker) -> Iterator[Diagnosis]:
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
        broker, trial = _attempted(broker, wanted)
        subject = place(broker)
    except Unusable as wrong:
        yield fail(subject, str(wrong), "correct the path, or let this account read it")
        return None
    if not trial.accepted:
        yield _refused(broker, wanted, trial)
        return None
    yield ok(subject, f"accepts `{broker.user or 'anybody'}`")
    for lack in trial.lacks:
        yield fail(subject, str(lack), _LACKED[lack])
    for topic in trial.unread:
        yield fail(subject, f"does not let `{broker.user}` read {topic}", wanted.known_by)
    for topic in trial.unwritten:
        yield fail(subject, f"does not let `{broker.user}` write {topic}", wanted.known_by)
    if trial.hung_up and trial.lacks:
        return None  # Told: it hangs up on what it lacks.
    if trial.hung_up:
        what = f"hangs up when `{broker.user}` asks for its topics ({trial.why})"
        yield fail(subject, what, wanted.known_by)
        return None
    if wanted.writes and trial.tells and not trial.unwritten and not trial.unread:
        yield ok(subject, f"lets `{broker.user or 'anybody'}` write what it has to")
    return trial


def _attempted(broker: Broker, wanted: Wanted) -> tuple[Broker, Trial]:
    """Tries the nodes until one answers as a broker does, with messages as large as ours can be."""
    for node in broker.nodes():
        trial = attempt(node, wanted.client_id, reads=wanted.reads, writes=wanted.writes, size=MAX_PACKED)
        if trial.accepted or trial.unknown:
            break
    if trial.too_large or (trial.hung_up and wanted.writes):
        # Some say no to a size by hanging up: it was the size if they do not when the message is empty.
        small = attempt(node, wanted.client_id, reads=wanted.reads, writes=wanted.writes)
        if not small.hung_up and Lack.SIZE not in small.lacks:
            small.lacks.append(Lack.SIZE)
        trial = small
    return node, trial


def _refused(broker: Broker, wanted: Wanted, trial: Trial) -> Diagnosis:
    subject = place(broker)
    if trial.unknown:
        what = f"does not accept `{broker.user}` with its password" if broker.user else "wants a user and a password"
        return fail(subject, what, wanted.known_by)
    if broker.tls is None and speaks_tls(broker.host, broker.port):
        return fail(subject, "speaks TLS at this port", "set `broker.tls`: `tls: {}`, or with the authority's `ca`")
    return fail(subject, trial.why, "see the broker's own log: it speaks no MQTT to us there")
