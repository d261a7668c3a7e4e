"""The Exchange made of gufo-snmp: its compiled sockets on our event loop.

gufo-snmp's own asyncio session registers and removes a reader for every request and hides where one answer ends;
its sockets do neither, so this adapter drives them itself. They match request numbers: a late answer is never taken
for another's. They check no digest of SNMP v3, and read on behind a message that answers nothing of ours; so a user's
exchange reads the network itself and hands them one judged message at a time. They report an ICMP refusal as a time-out that comes at once, and an engine that restarted or whose time
went on without us (RFC 3414 section 3.2.7) as they report a wrong key: only behind a fresh introduction is it one.

Errors: Unreachable, Refused, Denied, Locked, Misread of `agent.snmp.session`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import methodcaller
from typing import Any

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    DesKey,
    KeyExpansion,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    User,
)
from gufo.snmp import SnmpError as GufoError
from gufo.snmp._fast import GetIter, SnmpV1ClientSocket, SnmpV2cClientSocket, SnmpV3ClientSocket
from gufo.snmp.protocol import SnmpClientSocketProtocol
from gufo.snmp.user import KeyType
from gufo.snmp.utils import format_sock_addr

from agent.settings.credential import Access
from agent.snmp.authenticity import fits, localised
from agent.snmp.level import AUTHENTICATED, ENCRYPTED, below, borne
from agent.snmp.quiet import Quiet
from agent.snmp.session import Denied, Locked, Misread, Refused, Unreachable, Value

_AUTHENTICATION = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
_PRIVACY = {"des": DesKey, "aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}
_RECEIVE_MANY = methodcaller("recv_get_many")
_SEND_REFRESH, _RECEIVE_REFRESH = methodcaller("send_refresh"), methodcaller("recv_refresh")
_FRESH = 100.0
"""Seconds after its last word for which an engine's time is known; it takes 150 (RFC 3414 section 2.2.3)."""
_LONGEST = 65536
"""Octets of a datagram."""
_QUIET = Quiet()


def connect(address: str, port: int, access: Access, timeout: float) -> GufoExchange:
    """A client of one device; `timeout` in seconds for one answer. Needs a running event loop.

    Raises:
        Unreachable: no socket could be made.
    """
    peer, place = f"{address} port {port}", format_sock_addr(address, port)
    if access.version == "3":
        return GufoUserExchange(place, peer, access, timeout)
    kind = SnmpV1ClientSocket if access.version == "1" else SnmpV2cClientSocket
    exchange = GufoExchange(peer, timeout, getnext=access.version == "1")
    exchange.plug(lambda: kind(place, access.community, 0, 0, 0, 0))
    return exchange


class GufoExchange:
    """An Exchange over one of gufo-snmp's sockets, for the versions that know communities.

    Args:
        peer: who is asked, for people.
        timeout: for one answer, seconds.
        getnext: the version has no GETBULK, and refuses a request for one missing object.
    """

    def __init__(self, peer: str, timeout: float, *, getnext: bool = False) -> None:
        self.peer = peer
        self.all_or_none = getnext
        self.client: Any = None
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._fd = -1
        self._waiting: asyncio.Future[Any] | None = None
        self._receive: Callable[[Any], Any] = _RECEIVE_MANY

    def plug(self, make: Callable[[], SnmpClientSocketProtocol]) -> None:
        """Takes a new socket in place of the one before.

        Raises:
            Unreachable: none could be made.
        """
        self._unplug()
        try:
            self.client = make()
        except OSError as wrong:
            raise Unreachable(f"no socket for {self.peer}: {wrong.strerror or wrong}") from wrong
        self._fd = self.client.get_fd()
        self._loop.add_reader(self._fd, self._readable)

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        asked = list(oids)
        got = await self.ask(methodcaller("send_get_many", asked), _RECEIVE_MANY)
        self.refuse_reals(got.values())
        return {oid: value for oid, value in got.items() if value is not None} if None in got.values() else got

    def walk(self, column: str, repetitions: int) -> GufoWalk:
        """See `Exchange.walk`."""
        return GufoWalk(self, column, 0 if self.all_or_none else repetitions)

    def close(self) -> None:
        """See `Exchange.close`."""
        self._unplug()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.cancel()

    def refuse_reals(self, values: Iterable[Value | None]) -> None:
        """gufo-snmp reads the REAL of X.690 as a float; no type of SNMP is one (RFC 2578 section 7.1).

        Raises:
            Misread: there is one.
        """
        if float in map(type, values):
            raise Misread(f"{self.peer} answered with a number of a type that SNMP does not have")

    async def ask(self, send: Callable[[Any], None], receive: Callable[[Any], Any]) -> Any:
        """Sends one request and waits for its answer; both are told the socket.

        Raises:
            Unreachable, Refused, Denied, Misread.
        """
        waiting = self._loop.create_future()
        self._waiting, self._receive = waiting, receive
        timer = self._loop.call_later(self._timeout, self._expire, waiting)
        try:
            send(self.client)
            return await waiting
        except (TimeoutError, ConnectionRefusedError) as wrong:
            raise Refused(f"{self.peer} refuses: nothing listens there") from wrong
        except SnmpAuthError as wrong:
            raise Denied(f"{self.peer}: authentication failed: wrong user or key") from wrong
        except (GufoError, RuntimeError) as wrong:  # Of some values it says RuntimeError, not its own error.
            raise Misread(f"{self.peer} answered with what is no SNMP message: {wrong}") from wrong
        except OSError as wrong:
            raise Unreachable(f"{self.peer} cannot be reached: {wrong.strerror or wrong}") from wrong
        finally:
            timer.cancel()
            self._waiting = None

    def _unplug(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    def _expire(self, waiting: asyncio.Future[Any]) -> None:
        if not waiting.done():
            waiting.set_exception(Unreachable(self._silence()))

    def _silence(self) -> str:
        return f"{self.peer} did not answer within {self._timeout:g} s"

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(self._fd)) as late:
            late.setblocking(False)
            late.recv(_LONGEST)

    def _readable(self) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            # A late answer to a request we gave up: unread, it would wake the loop for ever.
            self._drain()
            return
        try:
            waiting.set_result(_QUIET.call(self._receive, self.client))
        except BlockingIOError:
            return
        except (OSError, GufoError, RuntimeError) as wrong:
            waiting.set_exception(wrong)
        except BaseException as wrong:
            # Some garbage makes its parser panic, which arrives as a BaseException and would end the agent.
            if type(wrong).__name__ != "PanicException":
                raise
            waiting.set_exception(Misread(f"{self.peer} answered with what is no SNMP message"))


class GufoUserExchange(GufoExchange):
    """The same for SNMP v3.

    The engine is asked who it is before the first request and after each silence of ours or its; by a new socket each
    time, because one of gufo-snmp's does not come back from an engine that restarted.
    """

    def __init__(self, place: str, peer: str, access: Access, timeout: float) -> None:
        super().__init__(peer, timeout)
        self._place = place
        self._keys = _keys(access)
        self._name = access.user
        self._level = (AUTHENTICATED if access.authentication else 0) | (ENCRYPTED if access.privacy else 0)
        self._authentication = access.authentication or ""
        self._engine = self._key = b""
        self._heard: float | None = None
        self.dropped = self._dropped_before = 0
        """How many answers were less secure than their request or bore a wrong digest."""

    async def ask(self, send: Callable[[Any], None], receive: Callable[[Any], Any]) -> Any:
        """See `GufoExchange.ask`; Locked too."""
        now = self._loop.time()
        self._dropped_before = self.dropped
        fresh = self._heard is None or now - self._heard > _FRESH
        self._heard = None
        if fresh:
            await self._meet()
        try:
            if fresh and self._keys[0]:
                await super().ask(_SEND_REFRESH, _RECEIVE_REFRESH)  # Tells its time, which the first word need not.
            answer = await super().ask(send, receive)
        except Denied as wrong:
            if fresh:
                raise
            raise Unreachable(f"{self.peer} restarted, or its time went on without us") from wrong
        except Unreachable as wrong:
            if fresh:
                hint = self._forgeries() or "is the privacy key right?"
                raise Locked(f"{self.peer} answers, but not to user `{self._name}`: {hint}") from wrong
            raise
        self._heard = self._loop.time()
        return answer

    def _readable(self) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done() or not self._level:
            super()._readable()
            return
        try:
            with socket.socket(fileno=os.dup(self._fd)) as network:
                message = network.recv(_LONGEST, socket.MSG_DONTWAIT)
                in_clear = not borne(message) & AUTHENTICATED
                if self._genuine(message, in_clear=in_clear):
                    with _handed(message, network, self._fd):
                        self._read(in_clear=in_clear)
                else:
                    self.dropped += 1  # Not from the device, or from one that was talked down: as if it had not come.
        except BlockingIOError:
            return
        except OSError as wrong:
            waiting.set_exception(wrong)
        except ValueError:
            waiting.set_exception(Misread(f"{self.peer} answered with what is no SNMP message"))

    def _genuine(self, message: bytes, *, in_clear: bool) -> bool:
        """Whether it is as secure as the request, and bears the digest of the engine we met if it bears any.

        Raises:
            ValueError: it is no SNMP v3 message.
        """
        if below(message, self._level):
            return False
        return in_clear or fits(message, self._authentication, self._key, self._engine)

    def _read(self, *, in_clear: bool) -> None:
        """Has gufo-snmp read what was handed to it. A report in the clear may end a request, but tells no value."""
        receive = self._receive
        if in_clear and receive is not _RECEIVE_REFRESH:
            self._receive = _without_values(receive)
        try:
            super()._readable()
        finally:
            self._receive = receive

    def _silence(self) -> str:
        return "; ".join(filter(None, (super()._silence(), self._forgeries())))

    def _forgeries(self) -> str:
        """What was dropped during this request, for people."""
        dropped = self.dropped - self._dropped_before
        return f"answers dropped as forged or damaged, with a wrong digest or none: {dropped}" if dropped else ""

    async def _meet(self) -> None:
        """Learns the engine's id, from a new socket."""
        self.plug(lambda: SnmpV3ClientSocket(self._place, b"", "", 0, b"", 0, b"", 0, 0, 0, 0))
        await super().ask(_SEND_REFRESH, _RECEIVE_REFRESH)
        self.client.set_keys(self._name, *self._keys)
        self._engine = bytes(self.client.get_engine_id())
        self._key = localised(self._authentication, self._keys[1], self._engine) if self._keys[0] else b""


class GufoWalk:
    """A Walk over one of gufo-snmp's sockets; by GETNEXT when `repetitions` is 0."""

    def __init__(self, exchange: GufoExchange, column: str, repetitions: int) -> None:
        self.ended = False
        self._exchange = exchange
        self._bulk = repetitions > 0
        self._place = GetIter(column, repetitions or 1)

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        page = await self._exchange.ask(self._sent, self._received)
        found = [item for item in page if item is not None]
        self.ended = len(found) < len(page) or not found
        self._exchange.refuse_reals(value for _, value in found)
        return found

    def _sent(self, client: Any) -> None:
        if self._bulk:
            client.send_get_bulk(self._place)
        else:
            client.send_get_next(self._place)

    def _received(self, client: Any) -> list[tuple[str, Any] | None]:
        try:
            if self._bulk:
                return list(client.recv_get_bulk(self._place))
            return [client.recv_get_next(self._place)]
        except StopAsyncIteration:
            return []


@contextlib.contextmanager
def _handed(message: bytes, network: socket.socket, fd: int) -> Iterator[None]:
    """While it lasts, whoever reads from `fd`, another number of `network`, reads this message and nothing else.

    The event loop need not know: it waits for `network`, whose number is given back before it looks again.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        ours.send(message)
        os.dup2(theirs.fileno(), fd, inheritable=False)
        try:
            yield
        finally:
            os.dup2(network.fileno(), fd, inheritable=False)


def _without_values(receive: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def received(client: Any) -> None:
        receive(client)
        raise BlockingIOError

    return received


def _keys(access: Access) -> tuple[int, bytes, int, bytes]:
    """What gufo-snmp's socket takes: algorithm and key of authentication, then of privacy."""
    if access.authentication is None:
        return 0, b"", 0, b""
    kind = _AUTHENTICATION[access.authentication]
    auth = kind(_master(access.authentication, access.authentication_key), KeyType.Master)
    privacy = None
    if access.privacy is not None:
        made = _PRIVACY[access.privacy.removesuffix("c")]
        privacy = made(_master(access.authentication, access.privacy_key), KeyType.Master)
    expansion = KeyExpansion.Cisco if (access.privacy or "").endswith("c") else KeyExpansion.Blumenthal
    user = User(access.user, auth_key=auth, priv_key=privacy, key_expansion=expansion)
    return user.get_auth_alg(), user.get_auth_key(), user.get_priv_alg(), user.get_priv_key()


@lru_cache(1024)
def _master(authentication: str, phrase: str) -> bytes:
    """The key of a pass phrase: a million octets are hashed for it (RFC 3414 A.2), so once for all devices."""
    return bytes(_AUTHENTICATION[authentication].get_master_key(phrase.encode()))
