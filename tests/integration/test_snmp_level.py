"""Answers of SNMP v3 that are less secure than the request: nobody on the way invents a value."""

from __future__ import annotations

import asyncio

import pytest

from agent.credential import Access
from agent.snmp import gufo, pysnmp
from agent.snmp.level import AUTHENTICATED, ENCRYPTED, below
from agent.snmp.session import Unreachable

ENGINE = b"\x80\x00\x1f\x88\x80abcdefgh"
UPTIME = "1.3.6.1.2.1.1.3.0"
UNKNOWN_ENGINE = bytes([0x2B, 6, 1, 6, 3, 15, 1, 1, 4, 0])
GET, RESPONSE, REPORT = 0xA0, 0xA2, 0xA8


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


def message(number: bytes, flags: int, user: bytes, kind: int, request: bytes, name: bytes) -> bytes:
    zero, empty = element(2, b"\0"), element(4, b"")
    binds = element(0x30, element(0x30, element(6, name) + element(2, b"\x2a")))
    scoped = element(0x30, element(4, ENGINE) + empty + element(kind, element(2, request) + zero + zero + binds))
    secured = element(0x30, element(4, ENGINE) + zero + element(2, b"\x64") + element(4, user) + empty + empty)
    head = element(2, number) + element(2, b"\x00\xff\xe3") + element(4, bytes([flags])) + element(2, b"\x03")
    return element(0x30, element(2, b"\x03") + element(0x30, head) + element(4, secured) + scoped)


class Forger(asyncio.DatagramProtocol):
    """Answers every request in the clear, whatever it was sent with."""

    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, packet: bytes, peer: object) -> None:
        _, head, secured, scoped = parts(parts(packet)[0])
        number, engine, user = parts(head)[0], *(parts(parts(secured)[0])[at] for at in (0, 3))
        if not engine:
            answer = message(number, 0, b"", REPORT, b"\0", UNKNOWN_ENGINE)
        else:
            request, _, _, binds = parts(parts(scoped)[2])
            names = [parts(bind)[0] for bind in parts(binds)] or [bytes([0x2B, 6, 1, 2, 1, 1, 3, 0])]
            answer = message(number, 0, user, RESPONSE, request, names[0])
            self.answered += 1
        self.transport.sendto(answer, peer)  # type: ignore[attr-defined]


@pytest.mark.parametrize("adapter", [gufo, pysnmp])
def test_an_answer_without_the_digest_that_was_asked_with_is_none(adapter):
    async def steps() -> None:
        transport, forger = await asyncio.get_running_loop().create_datagram_endpoint(
            Forger, local_addr=("127.0.0.1", 0)
        )
        access = Access("3", user="u", authentication="sha256", authentication_key="authpass1")
        client = adapter.connect("127.0.0.1", transport.get_extra_info("sockname")[1], access, 0.5)
        with pytest.raises(Unreachable):
            await client.get([UPTIME])
        assert forger.answered
        client.close()
        transport.close()

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("flags", "kind", "wanted", "less"),
    [
        (0, RESPONSE, 0, False),
        (0, RESPONSE, AUTHENTICATED, True),
        (1, RESPONSE, AUTHENTICATED, False),
        (1, RESPONSE, AUTHENTICATED | ENCRYPTED, True),
        (0, REPORT, AUTHENTICATED | ENCRYPTED, False),
        (2, REPORT, AUTHENTICATED | ENCRYPTED, True),
    ],
)
def test_only_a_report_may_be_less_secure_than_the_request(flags, kind, wanted, less):
    assert below(message(b"\1", flags, b"u", kind, b"\1", UNKNOWN_ENGINE), wanted) is less


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x84\xff", b"\x30\x03\x02\x01\x03", b"\xff" * 40])
def test_what_is_no_message_is_told_as_none(octets):
    with pytest.raises(ValueError, match="no SNMP v3 message"):
        below(octets, AUTHENTICATED)
