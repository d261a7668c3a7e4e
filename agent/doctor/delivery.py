"""The way to the collector: the secret, the broker, and what the collector last answered.

A running agent is asked by its status file: a broker that knows clients by their user name would push it off when we
logged in as well. Without one, we log in, listen for the retained acknowledgement, and leave.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.checking import Status, fresh, held_remedy, last_status
from agent.reading import Clock
from agent.settings import Settings
from forewarn import signals
from forewarn.bus import Broker
from forewarn.doctor import broker as brokers
from forewarn.doctor.broker import Wanted
from forewarn.doctor.diagnosis import Diagnosis, Level, fail, ok, span, warn
from forewarn.settings import told
from forewarn.signals import Ack, Forged
from forewarn.wire import Malformed

_KNOWN_BY = (
    "the service company writes the broker's files again (`forewarn collector broker-files DIR`) and sends the broker "
    "SIGHUP; if that was done, `agent` and `secret` here are not those that `forewarn collector add-agent` printed"
)
_CLOCK_OFF = 60.0
"""Seconds between two clocks that are worth a word."""
_KEPT = "set this machine's clock, and let it keep its time by NTP"
_QUIET = 120_000
"""Milliseconds; the host is read and told of every minute, mostly."""
_PLAIN_HOSTS = ("127.", "localhost", "::1")


def look(settings: Settings, clock: Clock) -> Iterator[Diagnosis]:
    """Secret, broker, collector."""
    try:
        broker = settings.as_user()
    except (OSError, UnicodeDecodeError) as wrong:
        remedy = "put the secret that `forewarn collector add-agent` printed into the file, readable by this account"
        yield fail("secret", told(wrong) if isinstance(wrong, OSError) else "`secret_file` is not text", remedy)
        return
    failed = False
    for diagnosis in brokers.reached(broker):
        failed = failed or diagnosis.level is Level.FAIL
        yield diagnosis
    if broker.tls is None and not broker.host.startswith(_PLAIN_HOSTS):
        what = "on another machine, and not encrypted: whoever carries the records can read them"
        yield warn(brokers.place(broker), what, "set `broker.tls` and the port the broker speaks TLS at")
    seen = last_status(settings.folder)
    if seen is not None and fresh(seen.age):
        yield from _running(broker, seen.status, clock)
    elif not failed:
        yield from _alone(settings, broker, clock)


def _running(broker: Broker, status: Status, clock: Clock) -> Iterator[Diagnosis]:
    if not status.connected:
        remedy = "see above; with the agent stopped, `forewarn agent doctor` tries user and password by itself"
        yield fail(brokers.place(broker), f"the running agent is not connected: {status.why}", remedy)
        return
    yield ok(brokers.place(broker), "the running agent is connected")
    if status.held:
        yield fail("collector", f"does not take our records, which wait here: {status.held}", held_remedy(status.held))
    elif status.records and clock.now() - status.answered > _QUIET:
        since = span((clock.now() - status.answered) / 1000)
        quiet = f"has not answered for {since}" if status.answered else "has not answered since the agent started"
        remedy = (
            "look again in a minute; if it stays so, `forewarn collector doctor` on the collector's machine says why"
        )
        yield warn("collector", f"{quiet}, and {status.records} records wait here", remedy)
    else:
        yield ok("collector", f"has acknowledged up to record {status.acked} of {status.head}")
    if status.clock_ahead is not None and abs(status.clock_ahead) > _CLOCK_OFF:
        way = "ahead of" if status.clock_ahead > 0 else "behind"
        yield warn("clock", f"{span(abs(status.clock_ahead))} {way} the collector's", _KEPT)


def _alone(settings: Settings, broker: Broker, clock: Clock) -> Iterator[Diagnosis]:
    topic = signals.ack_topic(settings.agent)
    trial = yield from brokers.tried(broker, Wanted(f"{settings.agent}-doctor", [topic], [], _KNOWN_BY))
    if trial is None:
        return
    payload = trial.heard.get(topic)
    if payload is None:
        yield ok("collector", "has not answered this agent yet: it does when the first records arrive")
        return
    try:
        yield from _answered(signals.open_ack(payload, signals.derive(settings.revealed(), "ack")), clock)
    except Forged:
        held = signals.peek_ack(payload).held
        what = "its last answer was made with another secret than ours" + (f" ({held})" if held else "")
        remedy = "put the secret of this agent into the settings; if it is lost, the service company registers it anew"
        yield fail("collector", what, remedy)
    except Malformed as wrong:
        yield fail("collector", f"its last answer cannot be read ({wrong})", "see who else publishes at this broker")


def _answered(ack: Ack, clock: Clock) -> Iterator[Diagnosis]:
    ago = (clock.now() - ack.at) / 1000
    when = f", {span(ago)} ago" if ack.at and ago >= 0 else ""
    if ack.held:
        yield fail("collector", f"did not take our records{when}: {ack.held}", held_remedy(ack.held))
    else:
        yield ok("collector", f"has acknowledged up to record {ack.upto}{when}")
    if ack.at and -ago > _CLOCK_OFF:
        what = f"at least {span(-ago)} behind the collector's, which answered later than it is here"
        yield warn("clock", what, _KEPT)
