"""SNMP v3 messages written by hand, and an engine that answers with them: honest, or as a test has it forge."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

ENGINE = b"\x80\x00\x1f\x88\x80abcdefgh"
OTHER = b"\x80\x00\x1f\x88\x80another!"
UNKNOWN_ENGINE = bytes([0x2B, 6, 1, 6, 3, 15, 1, 1, 4, 0])
WRONG_DIGEST = bytes([0x2B, 6, 1, 6, 3, 15, 1, 1, 5, 0])
LATE = bytes([0x2B, 6, 1, 6, 3, 15, 1, 1, 2, 0])
"""usmStatsNotInTimeWindows (RFC 3414)."""
WINDOW = 150
SYS_UPTIME = bytes([0x2B, 6, 1, 2, 1, 1, 3, 0])
GET, RESPONSE, REPORT = 0xA0, 0xA2, 0xA8
HASHES = {"md5": 12, "sha1": 12, "sha224": 16, "sha256": 24, "sha384": 32, "sha512": 48}


def element(tag: int, inner: bytes) -> bytes:
    return bytes([tag, 0x82]) + len(inner).to_bytes(2, "big") + inner


def parts(inner: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(inner):
        length, begin = inner[at + 1], at + 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(inner[at + 2 : begin], "big")
        found.append(inner[begin : begin + length])
        at = begin + length
    return found


def message(
    number: bytes,
    flags: int,
    user: bytes,
    kind: int,
    request: bytes,
    name: bytes,
    *,
    digest: bytes = b"",
    engine: bytes = ENGINE,
    value: int = 42,
    clock: tuple[int, int] = (1, 100),
) -> bytes:
    """A message; `clock` is how often its engine started, and seconds since."""
    zero, empty = element(2, b"\0"), element(4, b"")
    binds = element(0x30, element(0x30, element(6, name) + element(2, bytes([value]))))
    scoped = element(0x30, element(4, engine) + empty + element(kind, element(2, request) + zero + zero + binds))
    boots, at = (element(2, number.to_bytes(4, "big")) for number in clock)
    who = element(4, engine) + boots + at + element(4, user)
    secured = element(0x30, who + element(4, digest) + empty)
    head = element(2, number) + element(2, b"\x00\xff\xe3") + element(4, bytes([flags])) + element(2, b"\x03")
    return element(0x30, element(2, b"\x03") + element(0x30, head) + element(4, secured) + scoped)


@cache
def key(name: str, phrase: bytes, engine: bytes) -> bytes:
    """RFC 3414 A.2, said again so that no code is its own witness."""
    user = hashlib.new(name, (phrase * (2**20 // len(phrase) + 1))[: 2**20]).digest()
    return hashlib.new(name, user + engine + user).digest()


class Asked(NamedTuple):
    """A request, and how to answer it."""

    number: bytes
    user: bytes
    request: bytes
    name: bytes
    algorithm: str
    phrase: bytes
    clock: tuple[int, int] = (1, 100)

    def signed(self, engine: bytes = ENGINE, kind: int = RESPONSE) -> bytes:
        """The honest answer: 42, with the digest of an engine that knows the pass phrase."""
        length = HASHES[self.algorithm]
        mac = hmac.digest(
            key(self.algorithm, self.phrase, engine), self.bearing(bytes(length), engine, kind), self.algorithm
        )
        return self.bearing(mac[:length], engine, kind)

    def bearing(self, digest: bytes, engine: bytes = ENGINE, kind: int = RESPONSE) -> bytes:
        """The same with any digest."""
        return message(
            self.number, 1, self.user, kind, self.request, self.name, digest=digest, engine=engine, clock=self.clock
        )

    def clear(self, kind: int = RESPONSE, number: bytes = b"", name: bytes = b"") -> bytes:
        """The answer 13 without any."""
        return message(number or self.number, 0, self.user, kind, self.request, name or self.name, value=13)


Forge = Callable[[Asked], list[bytes]]


def flipped(asked: Asked) -> list[bytes]:
    honest = asked.signed()
    return [honest[:-1] + bytes([honest[-1] ^ 1])]


FORGERIES: dict[str, Forge] = {
    "a digest of zeroes": lambda asked: [asked.bearing(bytes(24))],
    "a digest of no octets": lambda asked: [asked.bearing(b"")],
    "a digest cut short": lambda asked: [asked.bearing(asked.signed()[-12:])],
    "another value": flipped,
    "another pass phrase": lambda asked: [asked._replace(phrase=b"guessed-1").signed()],
    "another engine": lambda asked: [asked.signed(OTHER)],
    "no digest": lambda asked: [asked.clear()],
    "behind a report": lambda asked: [asked.clear(REPORT, b"\x7f\1\2\3", UNKNOWN_ENGINE), asked.clear()],
}


class Speaker(asyncio.DatagramProtocol):
    """An engine of one user with authentication alone; it answers honestly until `forge` is set."""

    def __init__(self, algorithm: str, phrase: bytes) -> None:
        self.algorithm, self.phrase = algorithm, phrase
        self.forge: Forge | None = None
        self.forged = 0
        self.clock = 1, 100
        self.late = 0
        """How many requests came with another time than ours."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, packet: bytes, peer: object) -> None:
        _, head, secured, scoped = parts(parts(packet)[0])
        number, (engine, boots, at, user) = parts(head)[0], parts(parts(secured)[0])[:4]
        if engine != ENGINE:
            report = message(number, 0, b"", REPORT, b"\0", UNKNOWN_ENGINE, clock=self.clock)
            self.transport.sendto(report, peer)  # type: ignore[attr-defined]
            return
        request, _, _, binds = parts(parts(scoped)[2])
        names = [parts(bind)[0] for bind in parts(binds)]
        asked = Asked(number, user, request, names[0] if names else SYS_UPTIME, self.algorithm, self.phrase)
        asked = asked._replace(clock=self.clock)
        told = int.from_bytes(boots, "big"), int.from_bytes(at, "big")
        if user and (told[0] != self.clock[0] or abs(told[1] - self.clock[1]) > WINDOW):
            self.late += 1
            late = asked._replace(name=LATE).signed(kind=REPORT)
            self.transport.sendto(late, peer)  # type: ignore[attr-defined]
            return
        forging = self.forge is not None and names
        self.forged += bool(forging)
        for answer in self.forge(asked) if self.forge and forging else [asked.signed()]:
            self.transport.sendto(answer, peer)  # type: ignore[attr-defined]
