"""Traps and informs of SNMP v3: users with keys (RFC 3414), by pysnmp's engine.

A trap is protected with the engine of its sender, an inform with ours, which is the same after each start and counts
its starts by the clock. What pysnmp leaves out is done here: it knows a user only with engines named beforehand, takes
a trap that is less protected than its user should be, and takes one again that was sent before.

Errors:
    Unread   it is not taken: `why` is the reason
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from pyasn1.codec.ber import decoder
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.hlapi.v3arch import asyncio as v3
from pysnmp.proto.api import v2c
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.rfc1902 import OctetString
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from agent.settings.credential import Access
from agent.snmp.pysnmp_user import AUTHENTICATION, PRIVACY
from agent.traps.gate import Why
from agent.traps.message import MALFORMED, Heard, Unread, heard
from agent.traps.pipe import Order

ENGINES = 1024
"""Engines of senders known at once; the one heard longest ago goes first."""
WINDOW = 150
"""Seconds that a message may be older than the newest of its engine (RFC 3414 section 3.2 step 7)."""
_LEVELS = {(False, False): 1, (True, False): 2, (True, True): 3}
_SHORTEST_ENGINE, _LONGEST_ENGINE = 5, 32
_PDUS = (v2c.SNMPv2TrapPDU.tagSet, v2c.InformRequestPDU.tagSet)


class _Header(NamedTuple):
    """What a message says of itself before anything is proved."""

    engine: bytes
    boots: int
    time: int
    user: str


class Users:
    """Reads messages of users.

    Args:
        order: whom we know, and who we are.
    """

    def __init__(self, order: Order) -> None:
        known = [access for access in order.accesses if access.version == "3"]
        self._engines: list[_Engine] = []
        placed: dict[Access, _Engine] = {}
        for access in known:
            # Two users of one name and other keys need an engine each.
            engine = next((each for each in self._engines if access.user not in each.users), None)
            if engine is None:
                engine = _Engine(bytes.fromhex(order.engine), order.boots)
                self._engines.append(engine)
            engine.add(access)
            placed[access] = engine
        self._allowed: dict[str, dict[str, _Engine]] = {}
        for address, indexes in order.sources.items():
            mine = [order.accesses[at] for at in reversed(indexes)]  # Its own comes last, and stays.
            self._allowed[address] = {each.user: placed[each] for each in mine if each.version == "3"}

    def read(self, octets: bytes, address: str, peer: Any, send: Callable[[bytes], None]) -> Heard | None:
        """Reads a message; None when it was one that only asks who we are, which is answered.

        Raises:
            Unread: no notification, or by nobody this device may send as.
        """
        header = _header(octets)
        allowed = self._allowed[address]
        engine = allowed.get(header.user)
        if engine is None and not header.user and not header.engine and allowed:
            engine = next(iter(allowed.values()))
        if engine is None:
            raise Unread(Why.USER)
        return engine.read(octets, header, peer, send)

    def tick(self) -> None:
        """Lets pysnmp forget what it keeps of exchanges long over."""
        for engine in self._engines:
            engine.tick()


class _Carrier:
    """What pysnmp's engine sends through and counts its time by."""

    def __init__(self) -> None:
        self.send: Callable[[bytes], None] = lambda _: None
        self.tick: Callable[[float], None] = lambda _: None
        self.sent = 0

    def register_recv_callback(self, *_: Any) -> None:
        """Whatever comes is handed to the engine by us."""

    def register_timer_callback(self, tick: Callable[[float], None]) -> None:
        """Keeps the engine's own clockwork."""
        self.tick = tick

    def get_timer_resolution(self) -> float:
        """Seconds between two ticks."""
        return 1.0

    def send_message(self, octets: Any, *_: Any) -> None:
        """Answers whoever is being heard."""
        self.sent += 1
        self.send(bytes(octets))


class _Engine:
    """One engine of pysnmp: ours, and what it knows of senders'."""

    def __init__(self, mine: bytes, boots: int) -> None:
        self.users: dict[str, Access] = {}
        self._mine = mine
        self._engine: Any = SnmpEngine()
        builder = self._engine.get_mib_builder()
        # Set here and not given to the constructor, which would keep files in the folder for temporary ones.
        own, begun = builder.import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
        own.syntax = own.syntax.clone(mine)
        begun.syntax = begun.syntax.clone(boots)
        self._engine.snmpEngineID = own.syntax
        self._carrier = _Carrier()
        self._engine.register_transport_dispatcher(self._carrier)
        self._engine.message_dispatcher.register_context_engine_id(b"", _PDUS, self._notified)
        self._met: OrderedDict[tuple[bytes, str], tuple[int, int]] = OrderedDict()
        self._ticked = time.monotonic()
        self._header = _Header(b"", 0, 0, "")
        self._found: Heard | Unread | None = None

    def add(self, access: Access) -> None:
        """Knows a user, with our engine: informs."""
        self.users[access.user] = access
        self._know(access, self._mine)

    def _know(self, access: Access, engine: bytes) -> None:
        config.add_v3_user(
            self._engine,
            access.user,
            AUTHENTICATION[access.authentication] if access.authentication else v3.USM_AUTH_NONE,
            access.authentication_key or None,
            PRIVACY[access.privacy] if access.privacy else v3.USM_PRIV_NONE,
            access.privacy_key or None,
            securityEngineId=OctetString(engine),
        )

    def read(self, octets: bytes, header: _Header, peer: Any, send: Callable[[bytes], None]) -> Heard | None:
        """See `Users.read`."""
        self._header, self._found, self._carrier.sent = header, None, 0
        self._carrier.send = send
        foreign = bool(header.engine) and header.engine != self._mine
        if foreign:
            self._meet(header)
        try:
            self._engine.message_dispatcher.receive_message(self._engine, udp.DOMAIN_NAME, peer, octets)
        except MALFORMED as wrong:
            raise Unread(Why.MALFORMED) from wrong
        if isinstance(self._found, Unread):
            raise self._found
        asks = not header.engine or not header.boots
        if self._found is None and (foreign or not self._carrier.sent or not asks):
            raise Unread(Why.USER)
        return self._found

    def _meet(self, header: _Header) -> None:
        """Makes the user's keys for an engine heard for the first time."""
        if not _SHORTEST_ENGINE <= len(header.engine) <= _LONGEST_ENGINE:
            raise Unread(Why.MALFORMED)
        key = header.engine, header.user
        if key not in self._met:
            self._know(self.users[header.user], header.engine)
            self._met[key] = (-1, -1)
        self._met.move_to_end(key)
        if len(self._met) > ENGINES:
            (engine, user), _ = self._met.popitem(last=False)
            config.delete_v3_user(self._engine, user, OctetString(engine))

    def _notified(self, engine: Any, *given: Any) -> None:
        """Is handed what proved right by pysnmp, as `NotificationReceiver.process_pdu` of it is."""
        *about, pdu, most, reference = given
        level = about[3]
        access = self.users[self._header.user]
        if int(level) < _LEVELS[access.authentication is not None, access.privacy is not None]:
            self._found = Unread(Why.LEVEL)
            return
        if self._stale(self._header):
            self._found = Unread(Why.STALE)
            return
        respond = None
        if pdu.tagSet == v2c.InformRequestPDU.tagSet:
            send = self._carrier.send

            def respond() -> None:
                answer = v2c.apiPDU.get_response(pdu)
                v2c.apiPDU.set_varbinds(answer, v2c.apiPDU.get_varbinds(pdu))
                self._carrier.send = send
                engine.message_dispatcher.return_response_pdu(engine, *about, answer, most, reference, {})

        try:
            self._found = heard("3", v2c.apiPDU.get_varbinds(pdu), respond)
        except Unread as wrong:
            self._found = wrong

    def _stale(self, header: _Header) -> bool:
        """Whether a proved trap is older than its engine's newest by more than the window."""
        if header.engine == self._mine:
            return False
        key = header.engine, header.user
        boots, newest = self._met[key]
        if (header.boots, header.time + WINDOW) < (boots, newest):
            return True
        self._met[key] = max((boots, newest), (header.boots, header.time))
        return False

    def tick(self) -> None:
        """See `Users.tick`."""
        now = time.monotonic()
        if now - self._ticked >= self._carrier.get_timer_resolution():
            self._ticked = now
            self._carrier.tick(time.time())


def _header(octets: bytes) -> _Header:
    try:
        message, _ = decoder.decode(octets, asn1Spec=SNMPv3Message())
        found, _ = decoder.decode(bytes(message[2]), asn1Spec=UsmSecurityParameters())
        engine, boots, at, user = (found[place] for place in range(4))
        return _Header(bytes(engine), int(boots), int(at), bytes(user).decode())
    except MALFORMED as wrong:
        raise Unread(Why.MALFORMED) from wrong
