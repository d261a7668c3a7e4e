"""What a Session promises, over every adapter there is, against a responder on a real UDP port."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from agent.settings.credential import Access
from agent.snmp import gufo, pysnmp
from agent.snmp.packing import MOST, Packing
from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Exchange, Misread, Refused, Runaway, Unreachable, Value
from forewarn.demo import ber
from forewarn.demo.responder import Device, Mood, Responder
from tests import usm
from tests.servers import free_port

T = TypeVar("T")
Open = Callable[[str, int, Access, float], Exchange]
ADAPTERS: list[Open] = [gufo.connect, pysnmp.connect]
PUBLIC = Access("2c", "public")
SYSTEM = "1.3.6.1.2.1.1"
COLUMN = "1.3.6.1.2.1.2.2.1"
RECORDING = (
    f"{SYSTEM}.1.0|4|a device\n{SYSTEM}.2.0|6|1.3.6.1.4.1.99999\n{SYSTEM}.3.0|67|12345\n{SYSTEM}.9.0|64|192.0.2.7\n"
    f"{SYSTEM}.10.0|5|\n{SYSTEM}.11.0|2|-5\n{SYSTEM}.12.0|70|18446744073709551615\n{SYSTEM}.13.0|4x|00ff\n"
) + "".join(f"{COLUMN}.{column}.{row}|65|{column * 100 + row}\n" for column in range(1, 13) for row in range(1, 25))


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__module__.rpartition(".")[2])
def adapter(request: pytest.FixtureRequest) -> Open:
    return request.param


@pytest.fixture
def device() -> Iterator[Device]:
    with Responder() as responder:
        yield responder.add(RECORDING)


def asked(
    adapter: Open,
    device: Device,
    ask: Callable[[Requester], Awaitable[T]],
    *,
    limits: Limits | None = None,
    retries=1,
    access: Access = PUBLIC,
) -> T:
    async def run() -> T:
        session = Requester(adapter(device.address, device.port, access, 0.15), retries=retries, limits=limits)
        try:
            return await ask(session)
        finally:
            session.close()

    return asyncio.run(run())


def test_every_type_arrives_as_a_plain_value_and_what_is_not_there_is_absent(adapter, device):
    wanted = [f"{SYSTEM}.{arc}.0" for arc in (1, 2, 3, 4, 9, 10, 11, 12, 13)]
    assert asked(adapter, device, lambda session: session.get_many(wanted)) == {
        f"{SYSTEM}.1.0": b"a device",
        f"{SYSTEM}.2.0": "1.3.6.1.4.1.99999",
        f"{SYSTEM}.3.0": 12345,
        f"{SYSTEM}.9.0": "192.0.2.7",
        f"{SYSTEM}.11.0": -5,
        f"{SYSTEM}.12.0": 18446744073709551615,
        f"{SYSTEM}.13.0": b"\x00\xff",
    }


def test_what_a_device_tells_of_an_object_that_it_was_not_asked_for_is_no_answer(adapter, device):
    honest, other = device.answer, ber.oid(f"{SYSTEM}.7.0")
    device.answer = lambda request: (honest(request) or b"").replace(ber.oid(f"{SYSTEM}.3.0"), other)
    wanted = [f"{SYSTEM}.3.0", f"{SYSTEM}.1.0"]
    assert asked(adapter, device, lambda session: session.get_many(wanted)) == {f"{SYSTEM}.1.0": b"a device"}


def test_a_number_of_a_type_that_snmp_does_not_have_is_no_value(adapter, device):
    device.set(f"{SYSTEM}.7.0", 9, b"")
    device.set(f"{COLUMN}.3.7", 9, b"")
    with pytest.raises((Misread, Unreachable)):
        asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"), retries=0)

    async def beside(session: Requester) -> dict[str, Value]:
        got: dict[str, Value] = {}
        with contextlib.suppress(Misread, Unreachable):
            await session.get_many([f"{SYSTEM}.7.0", f"{SYSTEM}.3.0"], got)
        return got

    assert f"{SYSTEM}.7.0" not in asked(adapter, device, beside, retries=0)


def test_a_table_of_12_columns_and_24_rows_takes_at_most_8_requests(adapter, device):
    table = asked(adapter, device, lambda session: session.walk([f"{COLUMN}.{column}" for column in range(1, 13)]))
    assert {column: len(rows) for column, rows in table.items()} == {f"{COLUMN}.{n}": 24 for n in range(1, 13)}
    assert table[f"{COLUMN}.12"]["24"] == 1224
    assert device.requests <= 8


def test_no_answer_is_larger_than_an_ethernet_frame_takes(adapter, device):
    device.most_bytes = 1472
    every = [f"{COLUMN}.{column}.{row}" for column in range(1, 13) for row in range(1, 25)]
    assert len(asked(adapter, device, lambda session: session.get_many(every))) == 288
    assert device.requests <= 6


def test_rows_come_in_the_order_of_the_device_and_end_with_the_column(adapter, device):
    rows = asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"))
    assert list(rows) == [str(row) for row in range(1, 25)]
    assert list(asked(adapter, device, lambda session: session.rows(f"{COLUMN}.12"))) == list(rows), "the last column"
    assert asked(adapter, device, lambda session: session.rows("1.3.6.1.2.1.99")) == {}, "beyond the last object"


def test_whether_there_is_a_table_costs_one_request(adapter, device):
    assert asked(adapter, device, lambda session: session.has(COLUMN)) is True
    assert device.requests == 1
    assert asked(adapter, device, lambda session: session.has(f"{COLUMN}.13")) is False, "what comes next is not in it"
    assert asked(adapter, device, lambda session: session.has("1.3.6.1.2.1.99")) is False, "beyond the last object"
    assert device.requests == 3


def test_known_rows_are_walked_in_one_request(adapter, device):
    asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3", expected=24))
    assert device.requests == 1


def test_a_request_that_got_lost_is_sent_again(adapter, device):
    device.lose = 1
    assert asked(adapter, device, lambda session: session.get_many([f"{SYSTEM}.3.0"])) == {f"{SYSTEM}.3.0": 12345}
    assert device.requests == 2


def test_a_lost_step_of_a_walk_is_repeated_and_no_row_is_missing(adapter, device):
    async def losing(session: Requester) -> list[str]:
        device.lose = 1
        return list(await session.rows(f"{COLUMN}.3"))

    assert len(asked(adapter, device, losing)) == 24


def test_a_silent_device_is_unreachable_after_all_tries(adapter, device):
    device.mood = Mood.SILENT
    with pytest.raises(Unreachable, match=r"did not answer within 0\.15 s"):
        asked(adapter, device, lambda session: session.get_many([f"{SYSTEM}.3.0"]), retries=2)
    assert device.requests == 3


def test_a_wrong_community_is_silence(adapter, device):
    device.community = b"another"
    with pytest.raises(Unreachable):
        asked(adapter, device, lambda session: session.get_many([f"{SYSTEM}.3.0"]))


def test_a_port_where_nobody_listens_is_refused_or_unreachable(adapter):
    async def nobody() -> None:
        session = Requester(adapter("127.0.0.1", free_port(), PUBLIC, 0.5), retries=0)
        try:
            await session.get_many([f"{SYSTEM}.3.0"])
        finally:
            session.close()

    with pytest.raises((Refused, Unreachable), match=r"nothing listens|did not answer"):
        asyncio.run(nobody())


@pytest.mark.parametrize("mood", [Mood.GARBAGE, Mood.CUT])
def test_octets_that_are_no_snmp_are_misread_and_the_next_answer_is_right(adapter, device, mood):
    async def twice(session: Requester) -> dict[str, object]:
        device.mood = mood
        with pytest.raises((Misread, Unreachable)):
            await session.get_many([f"{SYSTEM}.3.0"])
        with pytest.raises((Misread, Unreachable)):
            await session.rows(f"{COLUMN}.3")
        device.mood = Mood.HONEST
        return await session.get_many([f"{SYSTEM}.3.0"])

    assert asked(adapter, device, twice) == {f"{SYSTEM}.3.0": 12345}


def test_an_answer_under_another_number_is_no_answer(adapter, device):
    device.mood = Mood.WRONG_NUMBER
    with pytest.raises(Unreachable):
        asked(adapter, device, lambda session: session.get_many([f"{SYSTEM}.3.0"]))


def test_a_late_answer_is_never_taken_for_another(adapter, device):
    async def late(session: Requester) -> dict[str, object]:
        device.mood, device.delay = Mood.LATE, 0.8
        with pytest.raises(Unreachable):
            await session.get_many([f"{SYSTEM}.1.0"])
        device.mood = Mood.HONEST
        await asyncio.sleep(0.8)
        return await session.get_many([f"{SYSTEM}.3.0"])

    assert asked(adapter, device, late, retries=0) == {f"{SYSTEM}.3.0": 12345}


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that knows how often it woke."""

    woke = 0

    def _run_once(self) -> None:
        self.woke += 1
        super()._run_once()  # type: ignore[misc]


def test_late_answers_that_nobody_waits_for_do_not_keep_the_loop_busy(adapter, device):
    async def idle() -> int:
        session = Requester(adapter(device.address, device.port, PUBLIC, 0.15), retries=0)
        device.mood, device.delay = Mood.LATE, 0.8
        with pytest.raises(Unreachable):
            await session.get_many([f"{SYSTEM}.1.0"])
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        before = loop.woke
        await asyncio.sleep(0.9)
        session.close()
        return loop.woke - before

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(idle()) < 25


def test_an_endless_walk_ends_with_an_error_that_says_so(adapter, device):
    device.mood = Mood.ENDLESS
    with pytest.raises(Runaway, match="has no end after 300 rows"):
        asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"), limits=Limits(max_rows=300))


def test_a_walk_that_comes_back_to_where_it_was_ends_with_an_error_that_says_so(adapter, device):
    device.mood = Mood.CIRCLING
    with pytest.raises(Runaway, match="came back to row 1"):
        asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"))
    assert device.requests <= 2


def test_what_a_device_finds_too_big_is_halved_and_the_size_remembered(adapter, device):
    device.most_binds = 7
    wanted = [f"{COLUMN}.3.{row}" for row in range(1, 25)]

    async def twice(session: Requester) -> tuple[int, int]:
        assert len(await session.get_many(wanted)) == 24
        first = device.requests
        assert len(await session.get_many(wanted)) == 24
        return first, device.requests - first

    first, then = asked(adapter, device, twice)
    assert then == 4, "six a request"
    assert first > then


def test_a_device_with_none_of_the_objects_is_asked_twice_not_for_each(adapter, device):
    wanted = [f"{SYSTEM}.{arc}.0" for arc in range(50, 90)]
    assert asked(adapter, device, lambda session: session.get_many(wanted)) == {}
    assert device.requests == 2


def test_the_round_trip_is_of_an_exchange(adapter, device):
    async def measured(session: Requester) -> float:
        assert session.rtt_seconds == math.inf
        await session.get_many([f"{SYSTEM}.3.0"])
        return session.rtt_seconds

    assert 0 < asked(adapter, device, measured) < math.inf


def test_no_more_requests_are_under_way_than_the_site_allows(adapter):
    with Responder() as responder:
        devices = [responder.add(RECORDING) for _ in range(6)]
        for device in devices:
            device.mood, device.delay = Mood.LATE, 0.05

        async def run() -> float:
            loop = asyncio.get_running_loop()
            limits = Limits(in_flight=asyncio.Semaphore(2))
            sessions = [Requester(adapter(d.address, d.port, PUBLIC, 2), retries=0, limits=limits) for d in devices]
            begun = loop.time()
            await asyncio.gather(*(session.get_many([f"{SYSTEM}.3.0"]) for session in sessions))
            for session in sessions:
                session.close()
            return loop.time() - begun

        assert asyncio.run(run()) >= 0.14, "six answers of 50 ms, two at a time"


def test_a_request_that_hangs_costs_itself_and_what_came_is_kept(adapter, device):
    device.mute = f"{COLUMN}.2"
    wanted = [f"{COLUMN}.{column}.{row}" for column in (1, 2, 3, 4) for row in range(1, 25)]

    async def partly(session: Requester) -> int:
        session.packing = Packing(4)
        got: dict[str, Value] = {}
        with pytest.raises(Unreachable):
            await session.get_many([f"{COLUMN}.1.{row}" for row in range(1, 5)] + wanted[24:28] + wanted[48:52], got)
        return len(got)

    assert asked(adapter, device, partly, retries=0) == 8


def test_what_a_device_takes_is_tried_larger_again_only_after_many_answers(adapter, device):
    device.most_binds = 7
    wanted = [f"{COLUMN}.3.{row}" for row in range(1, 25)]

    async def often(session: Requester) -> tuple[int, int]:
        await session.get_many(wanted)
        small = session.packing.size
        device.most_binds = 0
        for _ in range(20):
            await session.get_many(wanted)
        return small, session.packing.size

    small, later = asked(adapter, device, often)
    assert (small, later) == (6, 9)


V1 = Access("1", "public")


def test_a_device_of_snmp_v1_is_read_and_walked(adapter, device):
    device.newest = 0

    async def both(session: Requester) -> tuple[dict[str, object], list[str]]:
        return await session.get_many([f"{SYSTEM}.1.0", f"{SYSTEM}.3.0"]), list(await session.rows(f"{COLUMN}.12"))

    got, rows = asked(adapter, device, both, access=V1)
    assert got == {f"{SYSTEM}.1.0": b"a device", f"{SYSTEM}.3.0": 12345}
    assert rows == [str(row) for row in range(1, 25)]


def test_in_snmp_v1_one_missing_object_costs_no_other_and_teaches_no_smaller_requests(adapter, device):
    device.newest = 0
    there = [f"{COLUMN}.3.{row}" for row in range(1, 25)]

    async def with_gaps(session: Requester) -> tuple[set[str], int]:
        got = await session.get_many([f"{SYSTEM}.77.0", *there, f"{SYSTEM}.78.0"])
        return set(got), session.packing.size

    got, size = asked(adapter, device, with_gaps, access=V1)
    assert got == set(there)
    assert size == MOST


def test_a_device_of_snmp_v1_alone_is_silent_to_v2c(adapter, device):
    device.newest = 0
    with pytest.raises(Unreachable):
        asked(adapter, device, lambda session: session.get_many([f"{SYSTEM}.3.0"]))


def test_retries_and_doubtful_devices_do_not_take_the_turns_of_others(adapter):
    with Responder() as responder:
        dead, healthy = [responder.add(RECORDING) for _ in range(4)], responder.add(RECORDING)
        for device in dead:
            device.mood = Mood.SILENT

        async def run() -> float:
            loop = asyncio.get_running_loop()
            limits = Limits(in_flight=asyncio.Semaphore(1), doubtful=asyncio.Semaphore(1))
            sessions = [Requester(adapter(d.address, d.port, PUBLIC, 5), retries=2, limits=limits) for d in dead]
            for session in sessions:
                session.trusted = False
            mine = Requester(adapter(healthy.address, healthy.port, PUBLIC, 4), retries=0, limits=limits)
            others = [asyncio.create_task(session.get_many([f"{SYSTEM}.3.0"])) for session in sessions]
            await asyncio.sleep(0.05)
            begun = loop.time()
            await mine.get_many([f"{SYSTEM}.3.0"])
            took = loop.time() - begun
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for session in [mine, *sessions]:
                session.close()
            return took

        assert asyncio.run(run()) < 4, "not behind a time-out of another"


SIGNED = Access("3", user="u", authentication="sha256", authentication_key="authpass1")


@pytest.mark.parametrize("algorithm", ["md5", "sha", "sha224", "sha256", "sha384", "sha512"])
def test_a_signed_answer_is_taken_whatever_its_digest_is_made_with(adapter, algorithm):
    access = Access("3", user="u", authentication=algorithm, authentication_key="authpass1")
    hashed = "sha1" if algorithm == "sha" else algorithm
    assert asyncio.run(spoken(adapter, access, usm.Speaker(hashed, b"authpass1"))) == {f"{SYSTEM}.3.0": 42}


@pytest.mark.parametrize("forgery", sorted(usm.FORGERIES))
def test_a_forged_answer_is_none_and_the_next_honest_one_is_taken(adapter, forgery):
    async def forged() -> None:
        speaker = usm.Speaker("sha256", b"authpass1")
        speaker.forge = usm.FORGERIES[forgery]
        with pytest.raises(Unreachable):
            await spoken(adapter, SIGNED, speaker)
        assert speaker.forged
        speaker.forge = None
        assert await spoken(adapter, SIGNED, speaker) == {f"{SYSTEM}.3.0": 42}

    asyncio.run(forged())


async def spoken(adapter: Open, access: Access, speaker: usm.Speaker) -> dict[str, Value]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: speaker, local_addr=("127.0.0.1", 0))
    session = Requester(adapter("127.0.0.1", transport.get_extra_info("sockname")[1], access, 0.3), retries=0)
    try:
        return await session.get_many([f"{SYSTEM}.3.0"])
    finally:
        session.close()
        transport.close()
