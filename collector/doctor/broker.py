"""The broker of a collector: reached, its user known, its topics open.

Where a collector is at work it holds the connection; logging in as well would push it off at a broker that knows
clients by their user name.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from collector.doctor.running import Answer
from collector.settings import Settings
from forewarn import signals
from forewarn.doctor import broker as brokers
from forewarn.doctor.broker import Wanted
from forewarn.doctor.diagnosis import Diagnosis, Level, fail, ok

_KNOWN_BY = (
    "`forewarn collector broker-files DIR` writes password and access list and says what `broker.user` and "
    "`broker.password_file` are; then SIGHUP to the broker"
)
_NOBODY = "forewarn.doctor"
"""No agent may be called so long as nobody registers it; what is published to it nobody hears."""


def look(settings: Settings, answer: Answer, works: bool) -> Iterator[Diagnosis]:
    """Looks at the broker, with our own login only when no collector is at work.

    Args:
        settings: as read.
        answer: of the collector that runs here, if one does.
        works: whether a collector is at work, here or on another machine.
    """
    if not settings.role.takes_in:
        return
    broker = settings.broker
    failed = False
    for diagnosis in brokers.reached(broker):
        failed = failed or diagnosis.level is Level.FAIL
        yield diagnosis
    said = answer.said("bus")
    if said is not None and said.ok:
        yield ok(brokers.place(broker), "the running collector is connected")
    elif said is not None:
        remedy = f"see above; when it is refused: {_KNOWN_BY}"
        yield fail(brokers.place(broker), f"the running collector is not connected: {said.detail}", remedy)
    elif works:
        what = "a collector has worked with these databases in the last half minute: its login is left alone"
        yield ok(brokers.place(broker), f"{what}; if it was stopped, look again")
    elif not failed:
        reads, writes = signals.block_filter(), [signals.ack_topic(_NOBODY)]
        yield from brokers.tried(broker, Wanted(f"{broker.user or 'forewarn'}-doctor", reads, writes, _KNOWN_BY))
