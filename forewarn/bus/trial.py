"""One connection to a broker to see what it lets us do, and then no more.

MQTT 5 is tried first, because only there a broker says that a message was refused (PUBACK with a reason code, MQTT 5.0
section 3.4.2.1) and what it cannot do at all (CONNACK with properties, section 3.2.2.3); then 3.1.1, which the bus
itself speaks. What is published is zeros and not retained: nothing stays.

Errors: none; what went wrong is in the Trial.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from forewarn.bus import Broker
from forewarn.wire import MAX_PACKED

LARGEST = MAX_PACKED + 256
"""Bytes of the largest packet we send: a full block, and its topic."""
_TOO_LARGE = 0x95
_NOT_US = ("not authorized", "bad user name or password")


class Lack(StrEnum):
    """What a broker does not do though its users need it."""

    RETAIN = "keeps no message for those who come later (retain)"
    QOS = "confirms no message (QoS 1)"
    SIZE = "takes no message of 64 KiB, as a full block is"


@dataclass
class Trial:
    """What a broker let us do.

    `accepted`: it took our user and password. `unknown`: it did not know them. `why`: in a sentence, why not.
    `unread` and `unwritten` are topics it refused; `tells` says whether it would have told that it refuses a message;
    `hung_up`: it ended the connection when it was asked for them, which is how some say no.
    `lacks` is what it said by itself that it cannot do, of what we need; `too_large`: it refused a message for its size.
    `heard` is what came on the topics read.
    """

    accepted: bool = False
    unknown: bool = False
    why: str = ""
    tells: bool = False
    hung_up: bool = False
    too_large: bool = False
    lacks: list[Lack] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    heard: dict[str, bytes] = field(default_factory=dict)


def attempt(
    broker: Broker,
    client_id: str,
    *,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    size: int = 0,
    listen: float = 1.0,
    within: float = 5.0,
) -> Trial:
    """Connects, asks for topics, publishes zeros to some, listens for what is retained, and leaves.

    Args:
        broker: where, and who we are.
        client_id: one that nobody else uses.
        reads: topics to subscribe to.
        writes: topics to publish a message to, not retained.
        size: of that message, bytes.
        listen: seconds to wait for what is retained on `reads`.
        within: seconds for each answer of the broker.

    Raises:
        Unusable: the settings name files that cannot be used.
    """
    trial = Trial()
    for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
        trial = _Attempt(broker, client_id, version, within).run(list(reads), list(writes), bytes(size), listen)
        if trial.accepted or trial.unknown:
            break
    return trial


class _Attempt:
    """One connection in one version of MQTT, driven by the thread that calls `run`."""

    def __init__(self, broker: Broker, client_id: str, version: MQTTProtocolVersion, within: float) -> None:
        self._broker = broker
        self._within = within
        self._trial = Trial(tells=version is MQTTProtocolVersion.MQTTv5)
        self._connack: ReasonCode | None = None
        self._asked: dict[int, str] = {}
        self._said: dict[int, str] = {}
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=version, reconnect_on_failure=False
        )
        client.connect_timeout = within
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._message

    def run(self, reads: list[str], writes: list[str], said: bytes, listen: float) -> Trial:
        broker, trial, client = self._broker, self._trial, self._client
        if broker.user:
            client.username_pw_set(broker.user, broker.secret())
        context = broker.context()
        if context is not None:
            client.tls_set_context(context)
        try:
            client.connect(broker.host, broker.port, 30)
            self._converse(reads, writes, said, listen)
        except (OSError, ValueError) as wrong:
            trial.why = str(wrong)
        finally:
            sock: Any = client.socket()
            if sock is not None:  # paho closes it only after its farewell could be written.
                sock.close()
        return trial

    def _converse(self, reads: list[str], writes: list[str], said: bytes, listen: float) -> None:
        trial = self._trial
        if not self._until(lambda: self._connack is not None):
            trial.why = trial.why or f"does not answer within {self._within:.0f} s"
        elif trial.accepted:
            self._ask(reads, writes, said)
            self._until(lambda: not self._asked and not self._said)
            if reads:
                self._until(lambda: bool(trial.heard), listen)
            trial.hung_up = bool(trial.why)
        self._client.disconnect()
        self._until(lambda: self._client.socket() is None, 0.1)  # Lets the farewell out.

    def _ask(self, reads: list[str], writes: list[str], said: bytes) -> None:
        for topic in reads:
            _, mid = self._client.subscribe(topic, 1)
            if mid is not None:
                self._asked[mid] = topic
        for topic in writes:
            self._said[self._client.publish(topic, said, qos=1).mid] = topic

    def _until(self, true: Any, seconds: float | None = None) -> bool:
        end = time.monotonic() + (self._within if seconds is None else seconds)
        while not true() and time.monotonic() < end:
            code = self._client.loop(0.05)
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._trial.why = self._trial.why or f"connection lost ({paho.error_string(code).rstrip('.')})"
                break
        return bool(true())

    def _connected(self, _client: object, _user: object, _flags: object, code: ReasonCode, told: Any) -> None:
        self._connack, said = code, str(code).lower()
        self._trial.accepted = not code.is_failure
        self._trial.unknown = code.is_failure and said in _NOT_US
        self._trial.why = f"the broker refuses us: {said}" if code.is_failure else ""
        # What it does not name it can do without a limit (MQTT 5.0 sections 3.2.2.3.4 to 3.2.2.3.6).
        lacks = {
            Lack.RETAIN: not getattr(told, "RetainAvailable", 1),
            Lack.QOS: getattr(told, "MaximumQoS", 2) < 1,
            Lack.SIZE: getattr(told, "MaximumPacketSize", LARGEST) < LARGEST,
        }
        self._trial.lacks = [lack for lack, true in lacks.items() if true]

    def _subscribed(self, _client: object, _user: object, mid: int, codes: list[ReasonCode], _more: object) -> None:
        topic = self._asked.pop(mid, "")
        if any(code.is_failure for code in codes):
            self._trial.unread.append(topic)

    def _published(self, _client: object, _user: object, mid: int, code: ReasonCode, _more: object) -> None:
        topic = self._said.pop(mid, "")
        if code.is_failure and code.value == _TOO_LARGE:
            self._trial.too_large = True
        elif code.is_failure:
            self._trial.unwritten.append(topic)

    def _message(self, _client: object, _user: object, message: paho.MQTTMessage) -> None:
        self._trial.heard[message.topic] = bytes(message.payload)
