"""The Exchange made of gufo-snmp: its compiled sockets on our event loop.

gufo-snmp's own asyncio session registers and removes a reader for every request and hides where one answer ends;
its sockets do neither, so this adapter drives them itself. They match request numbers: a late answer is never taken
for another's. They report an ICMP refusal as a time-out that comes at once.

Errors: Unreachable, Refused, Misread of `agent.snmp.session`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from gufo.snmp import SnmpError as GufoError
from gufo.snmp._fast import GetIter, SnmpV2cClientSocket
from gufo.snmp.protocol import SnmpClientSocketProtocol
from gufo.snmp.utils import format_sock_addr

from agent.snmp.session import Misread, Refused, Unreachable, Value


def open_v2c(address: str, port: int, community: str, timeout: float) -> GufoExchange:
    """A client of one device; `timeout` in seconds for one answer. Needs a running event loop.

    Raises:
        Unreachable: no socket could be made.
    """
    try:
        made = SnmpV2cClientSocket(format_sock_addr(address, port), community, 0, 0, 0, 0)
    except OSError as wrong:
        raise Unreachable(f"no socket for {address} port {port}: {wrong.strerror or wrong}") from wrong
    return GufoExchange(made, f"{address} port {port}", timeout)


class GufoExchange:
    """An Exchange over one of gufo-snmp's sockets, whatever the SNMP version it speaks."""

    def __init__(self, client: SnmpClientSocketProtocol, peer: str, timeout: float) -> None:
        self.peer = peer
        self._client = client
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._fd = client.get_fd()
        self._waiting: asyncio.Future[Any] | None = None
        self._receive: Callable[[], Any] = client.recv_get_many
        self._loop.add_reader(self._fd, self._readable)

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """See `Exchange.get`."""
        asked = list(oids)
        got = await self.ask(lambda: self._client.send_get_many(asked), self._client.recv_get_many)
        return {oid: value for oid, value in got.items() if value is not None} if None in got.values() else got

    def walk(self, column: str, repetitions: int) -> GufoWalk:
        """See `Exchange.walk`."""
        return GufoWalk(self, self._client, GetIter(column, repetitions))

    def close(self) -> None:
        """See `Exchange.close`."""
        self._loop.remove_reader(self._fd)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.cancel()

    async def ask(self, send: Callable[[], None], receive: Callable[[], Any]) -> Any:
        """Sends one request and waits for its answer.

        Raises:
            Unreachable, Refused, Misread.
        """
        waiting = self._loop.create_future()
        self._waiting, self._receive = waiting, receive
        timer = self._loop.call_later(self._timeout, self._expire, waiting)
        try:
            send()
            return await waiting
        except TimeoutError as wrong:
            raise Refused(f"{self.peer} refuses: nothing listens there") from wrong
        except GufoError as wrong:
            raise Misread(f"{self.peer} answered with what is no SNMP message: {wrong}") from wrong
        except OSError as wrong:
            raise Unreachable(f"{self.peer} cannot be reached: {wrong.strerror or wrong}") from wrong
        finally:
            timer.cancel()
            self._waiting = None

    def _expire(self, waiting: asyncio.Future[Any]) -> None:
        if not waiting.done():
            waiting.set_exception(Unreachable(f"{self.peer} did not answer within {self._timeout:g} s"))

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(self._fd)) as late:
            late.setblocking(False)
            late.recv(65536)

    def _readable(self) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done():
            # A late answer to a request we gave up: unread, it would wake the loop for ever.
            self._drain()
            return
        try:
            waiting.set_result(self._receive())
        except BlockingIOError:
            return
        except (OSError, GufoError) as wrong:
            waiting.set_exception(wrong)
        except BaseException as wrong:
            # Some garbage makes its parser panic, which arrives as a BaseException and would end the agent.
            if type(wrong).__name__ != "PanicException":
                raise
            waiting.set_exception(Misread(f"{self.peer} answered with what is no SNMP message"))


class GufoWalk:
    """A Walk over one of gufo-snmp's sockets."""

    def __init__(self, exchange: GufoExchange, client: SnmpClientSocketProtocol, place: GetIter) -> None:
        self.ended = False
        self._exchange = exchange
        self._client = client
        self._place = place

    async def step(self) -> list[tuple[str, Value]]:
        """See `Walk.step`."""
        page = await self._exchange.ask(lambda: self._client.send_get_bulk(self._place), self._received)
        found = [item for item in page if item is not None]
        self.ended = len(found) < len(page) or not found
        return found

    def _received(self) -> list[tuple[str, Any] | None]:
        try:
            return list(self._client.recv_get_bulk(self._place))
        except StopAsyncIteration:
            return []
