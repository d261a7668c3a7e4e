"""The process that hears traps and informs: reads datagrams, hands what they say to the agent, answers informs.

`python -m agent.traps.receiver`, started by `agent.traps.listener`: an `Order` on standard input, then a `Kept` for
each notice; on standard output what `agent.traps.pipe` names. It ends when its standard input does, so that it never
outlives the agent, however that ended. Nothing here is written to disk, and no secret leaves it.

Exit codes: 0 ended as asked; 1 it could not listen, and said why.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any, cast

import msgspec

from agent.traps import pipe
from agent.traps.gate import Gate, Repeats, Why
from agent.traps.message import MALFORMED, VERSION_3, Heard, Unread, read, version_of
from agent.traps.pipe import Failed, Kept, Notice, Order, Over, Started
from agent.traps.state import Tally

LOOK = 0.25
"""Seconds between two looks at what has ended."""
_ROOM = 4 * 1024 * 1024
"""Octets asked for in the kernel for what is not read yet; it gives less where it is told so."""
_RETRANSMITTED = 8
"""Copies of one inform that are answered when it is stored."""


class Held:
    """A notice that the agent was told of. `stored` is None until it says what became of it."""

    __slots__ = ("notice", "responds", "stored")

    def __init__(self, notice: Notice) -> None:
        self.notice = notice
        self.responds: deque[Callable[[], None]] = deque(maxlen=_RETRANSMITTED)
        self.stored: bool | None = None


class Receiver(asyncio.DatagramProtocol):
    """Takes datagrams from devices.

    Args:
        order: see `pipe.Order`.
        tell: gives a line to the agent.
        now: Unix milliseconds; `monotonic`: seconds of a steady clock.
    """

    def __init__(
        self,
        order: Order,
        tell: Callable[[Any], None],
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._order = order
        self._tell = tell
        self._now = now
        self._monotonic = monotonic
        self._gate = Gate(order.sources, rate=order.rate, burst=order.burst)
        self._repeats: Repeats[Held] = Repeats(order.window)
        self._communities = {
            address: {order.accesses[at].community.encode() for at in allowed if order.accesses[at].version != "3"}
            for address, allowed in order.sources.items()
        }
        self._users = self._known_users()
        self._waiting: dict[int, Held] = {}
        self._count = 0
        self._told_over = monotonic()
        self._said = b""
        self.tally = Tally(strangers=self._gate.strangers)
        self._transport: asyncio.DatagramTransport

    def _known_users(self) -> Any:
        if all(access.version != "3" for access in self._order.accesses):
            return None
        from agent.traps.users import Users  # Its engine costs memory and half a second.

        return Users(self._order)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        place = transport.get_extra_info("socket")
        if place is not None:  # One that floods fills it before we can drop what it sends.
            place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)

    def error_received(self, exc: Exception) -> None:
        """An answer could not be delivered: its device sends again, or not."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Judges, reads and hands on one datagram."""
        address = pipe.plain(addr[0])
        why = self._gate.judge(address, len(data), self._monotonic())
        if why is None:
            try:
                found = self._read(data, address, addr)
            except Unread as wrong:
                self.tally.refused[address] = self.tally.refused.get(address, 0) + 1
                why = wrong.why
            else:
                if found is not None:
                    why = self._hear(found, address)
        if why is not None:
            self.tally.dropped[why] = self.tally.dropped.get(why, 0) + 1

    def _read(self, data: bytes, address: str, peer: Any) -> Heard | None:
        def send(answer: bytes) -> None:
            self._transport.sendto(answer, peer)

        if version_of(data) != VERSION_3:
            return read(data, self._communities[address], send)
        if self._users is None:
            raise Unread(Why.USER)
        found: Heard | None = self._users.read(data, address, peer, send)
        return found

    def _hear(self, found: Heard, address: str) -> Why | None:
        now = self._monotonic()
        self._end(now)
        self.tally.heard += 1
        self.tally.informs += found.respond is not None
        key = hashlib.blake2b(repr((address, found.trap, found.binds)).encode(), digest_size=16).digest()
        before = self._repeats.again(key, now)
        if before is not None:
            self.tally.repeated += 1
            self._answer_as(before, found)
            return None
        if len(self._waiting) >= self._order.waiting:
            return Why.BUSY
        held = Held(self._notice(found, address))
        self._repeats.remember(key, held, now)
        self._hand_on(held)
        self._answer_as(held, found)
        return None

    def _notice(self, found: Heard, address: str) -> Notice:
        self._count += 1
        return Notice(
            id=self._count,
            t=self._now(),
            address=address,
            version=found.version,
            inform=found.respond is not None,
            trap=found.trap,
            binds=found.binds,
            more=found.more,
        )

    def _hand_on(self, held: Held) -> None:
        self._waiting[held.notice.id] = held
        self._tell(held.notice)

    def _answer_as(self, held: Held, found: Heard) -> None:
        """An inform is answered once what it says is stored: at once when it is, else when it will be."""
        if found.respond is None:
            return
        if held.stored is None:
            held.responds.append(found.respond)
        elif held.stored:
            self._respond(found.respond)

    def _respond(self, respond: Callable[[], None]) -> None:
        try:
            respond()
        except MALFORMED:  # What it asked for makes no answer, or none that it could take.
            return
        self.tally.answered += 1

    def kept(self, what: Kept) -> None:
        """The agent says what became of a notice."""
        held = self._waiting.pop(what.id, None)
        if held is None:
            return
        held.stored = what.stored
        while held.responds:
            respond = held.responds.popleft()
            if what.stored:
                self._respond(respond)

    def _end(self, now: float) -> None:
        for held, times in self._repeats.ended(now):
            if times and len(self._waiting) < self._order.waiting:
                self._count += 1
                again = msgspec.structs.replace(held.notice, id=self._count, t=self._now(), repeated=times)
                self._hand_on(Held(again))

    def look(self) -> None:
        """Tells what has ended, and how it goes when that changed."""
        now = self._monotonic()
        self._end(now)
        if now - self._told_over >= self._order.tell:
            self._told_over = now
            for address, count in self._gate.over().items():
                self._tell(Over(address, count))
        if self._users is not None:
            self._users.tick()
        said = pipe.line(self.tally)
        if said != self._said:
            self._said = said
            self._tell(self.tally)


def main() -> int:
    """Runs until standard input ends."""
    order = pipe.read_order(sys.stdin.buffer.readline())
    return asyncio.run(_serve(order, sys.stdin.buffer, sys.stdout.buffer))


async def _serve(order: Order, given: IO[bytes], said: IO[bytes]) -> int:
    loop = asyncio.get_running_loop()

    def tell(what: Any) -> None:
        # The agent reads at once and bounds what waits; should it hang, nothing is heard until it reads again.
        said.write(pipe.line(what))
        said.flush()

    receiver = Receiver(order, tell)
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: receiver, local_addr=(order.address, order.port), reuse_port=None
        )
    except OSError as wrong:
        tell(Failed(wrong.strerror or str(wrong)))
        return 1
    ended = asyncio.Event()
    threading.Thread(target=_follow, args=(given, loop, receiver, ended), daemon=True).start()
    tell(Started(transport.get_extra_info("sockname")[1]))
    while not ended.is_set():
        receiver.look()
        try:
            await asyncio.wait_for(ended.wait(), LOOK)
        except TimeoutError:
            continue
    return 0


def _follow(given: IO[bytes], loop: asyncio.AbstractEventLoop, receiver: Receiver, ended: asyncio.Event) -> None:
    """Reads what the agent says; works on every system, where pipes are not."""
    for line in given:
        loop.call_soon_threadsafe(receiver.kept, pipe.read_kept(line))
    loop.call_soon_threadsafe(ended.set)


if __name__ == "__main__":
    try:
        code = main()
    except (BrokenPipeError, KeyboardInterrupt, msgspec.DecodeError):  # The agent is gone, or never spoke.
        code = 1
    os._exit(code)  # At once: its pipe may be closed, and a thread still reads.
