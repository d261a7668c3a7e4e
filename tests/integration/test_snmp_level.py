"""Answers of SNMP v3 that are less secure than the request: nobody on the way invents a value."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.settings.credential import Access
from agent.snmp import gufo, pysnmp
from agent.snmp.level import AUTHENTICATED, ENCRYPTED, below
from agent.snmp.session import Unreachable
from tests import usm
from tests.usm import REPORT, RESPONSE, UNKNOWN_ENGINE, message, parts

UPTIME = "1.3.6.1.2.1.1.3.0"
HONEST = message(b"\1", 0, b"u", REPORT, b"\1", UNKNOWN_ENGINE)
FLAGLESS = [HONEST.replace(usm.element(4, b"\0"), usm.element(4, flags)) for flags in (b"", b"\0\1")]
"""Flags of no octet, or two, which two readers may read in two ways."""


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


@contextlib.asynccontextmanager
async def met(speaker: usm.Speaker) -> AsyncIterator[gufo.GufoExchange]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: speaker, local_addr=("127.0.0.1", 0)
    )
    access = Access("3", user="u", authentication="sha256", authentication_key="authpass1")
    client = gufo.connect("127.0.0.1", transport.get_extra_info("sockname")[1], access, 0.3)
    try:
        yield client
    finally:
        client.close()
        transport.close()


@pytest.mark.parametrize("forgery", sorted(usm.FORGERIES))
def test_forgeries_ahead_of_the_honest_answer_are_dropped_counted_and_do_not_end_the_request(forgery):
    async def steps() -> None:
        speaker = usm.Speaker("sha256", b"authpass1")
        async with met(speaker) as client:
            assert isinstance(client, gufo.GufoUserExchange)
            speaker.forge = lambda asked: [*usm.FORGERIES[forgery](asked), asked.signed()]
            assert await client.get([UPTIME]) == {UPTIME: 42}
            assert client.dropped == 1
            speaker.forge = usm.FORGERIES[forgery]
            with pytest.raises(Unreachable, match=r"dropped as forged or damaged, with a wrong digest or none: 1$"):
                await client.get([UPTIME])
            assert client.dropped == 2

    asyncio.run(steps())


def test_what_was_read_as_a_report_in_the_clear_gives_no_value_even_if_gufo_snmp_reads_one(monkeypatch):
    async def steps() -> None:
        speaker = usm.Speaker("sha256", b"authpass1")
        async with met(speaker) as client:
            monkeypatch.setattr(gufo, "below", lambda *_: False)
            speaker.forge = lambda asked: [asked.clear()]
            with pytest.raises(Unreachable):
                await client.get([UPTIME])
            speaker.forge = lambda asked: [asked.clear(), asked.signed()]
            assert await client.get([UPTIME]) == {UPTIME: 42}

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


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x84\xff", b"\x30\x03\x02\x01\x03", b"\xff" * 40, *FLAGLESS])
def test_what_is_no_message_is_told_as_none(octets):
    with pytest.raises(ValueError, match="no SNMP v3 message"):
        below(octets, AUTHENTICATED)
