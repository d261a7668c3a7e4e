"""What a Session makes of answers that are partly wrong or never end: the rest is kept, and nothing fills the memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from agent.snmp import gufo, pysnmp
from agent.snmp.quiet import Quiet
from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Misread, Runaway, SnmpError, Value
from forewarn.demo import ber
from forewarn.demo.responder import Device, Mood, Responder
from tests.clocks import SteppedClock
from tests.contract.test_snmp_session import COLUMN, PUBLIC, RECORDING, SYSTEM, Open, asked
from tests.polling import contact, in_loop, reading, recorded, value

CUT_HEADER = b"\x02\x82\x01"
"""A value that breaks off in the middle of its length."""


@pytest.fixture(params=[gufo.connect, pysnmp.connect], ids=["gufo", "pysnmp"])
def adapter(request: pytest.FixtureRequest) -> Open:
    return request.param


@pytest.fixture
def device() -> Iterator[Device]:
    with Responder() as responder:
        yield responder.add(RECORDING)


def spoil(device: Device, *names: str) -> None:
    """Has the device answer octets that are no value, where it had one."""
    for name in names:
        device.objects[name] = b"\x40\x03\x01\x02\x03"  # An address of three octets.
    device._stale = True


def test_a_column_that_brings_more_octets_than_a_table_has_ends_with_an_error_that_says_so(adapter, device):
    for row in range(1, 25):
        device.set(f"{COLUMN}.3.{row}", ber.OCTETS, b"x" * 1000)
    with pytest.raises(Runaway, match=r"brought more than 8 KiB in [78] rows and goes on"):
        asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"), limits=Limits(max_column_bytes=8192))
    assert len(asked(adapter, device, lambda session: session.rows(f"{COLUMN}.3"))) == 24, "a column of 24 KiB is none"


def test_a_value_that_cannot_be_read_costs_itself_and_is_asked_for_alone_from_then_on(device):
    bad = f"{COLUMN}.3.7"
    spoil(device, bad)
    wanted = [f"{COLUMN}.3.{row}" for row in range(1, 25)]

    async def thrice(session: Requester) -> None:
        got = await session.get_many(wanted)
        assert sorted(got) == sorted(set(wanted) - {bad})
        assert list(session.unreadable) == [bad]
        before = device.requests
        assert len(await session.get_many(wanted)) == 23
        assert device.requests - before == 2, "the rest in one, the bad one alone"
        device.set(bad, ber.INTEGER, 5)
        assert (await session.get_many(wanted))[bad] == 5
        assert not session.unreadable

    asked(gufo.connect, device, thrice, retries=2)


def test_a_value_that_cannot_be_read_never_takes_others_with_it(adapter, device):
    bad = f"{COLUMN}.3.7"
    spoil(device, bad)
    wanted = [f"{COLUMN}.3.{row}" for row in range(1, 13)]

    async def once(session: Requester) -> dict[str, Value]:
        got: dict[str, Value] = {}
        try:
            await session.get_many([f"{SYSTEM}.3.0"], got)
            await session.get_many(wanted, got)
        except SnmpError:
            pass
        return got

    got = asked(adapter, device, once, retries=0)
    assert bad not in got
    assert all(got[oid] == device_value(oid) for oid in got if oid != f"{SYSTEM}.3.0")
    assert len(got) >= 6


def device_value(oid: str) -> int:
    column, row = oid.rsplit(".", 2)[1:]
    return int(column) * 100 + int(row)


def test_a_device_of_which_nothing_can_be_read_is_not_asked_piece_by_piece(device):
    device.mood = Mood.CUT
    with pytest.raises(Misread):
        asked(gufo.connect, device, lambda session: session.get_many([f"{COLUMN}.3.{row}" for row in range(1, 25)]))
    assert device.requests <= 3


def test_too_many_bad_values_are_the_device_s_fault_as_a_whole(device):
    spoil(device, *(f"{COLUMN}.3.{row}" for row in range(1, 25)))

    async def ask(session: Requester) -> None:
        with pytest.raises(Misread):
            await session.get_many([f"{COLUMN}.3.{row}" for row in range(1, 25)])
        assert len(session.unreadable) <= 8

    asked(gufo.connect, device, ask)
    assert device.requests < 40


def test_a_poll_says_which_object_cannot_be_read_and_keeps_the_rest():
    with Responder() as responder:
        device = recorded(responder, "switch.generic")
        bad = "1.3.6.1.2.1.31.1.1.1.15.1"
        assert bad in device.objects

        async def steps() -> None:
            met = contact(device, SteppedClock())
            await met.poll()
            spoil(device, bad)
            for _ in range(2):
                part = reading(await met.poll())
                assert part.ok
                assert part.why.startswith(f"incomplete: {bad} cannot be read"), part.why
                assert value(part, "interface", "gi1", "up") == 1
            met.close()

        in_loop(steps)


def test_what_is_asked_for_no_more_is_complained_of_no_more():
    with Responder() as responder:
        device = recorded(responder, "switch.generic")
        bad = "1.3.6.1.2.1.31.1.1.1.15.1"

        async def steps() -> None:
            clock = SteppedClock()
            met = contact(device, clock)
            await met.poll()
            spoil(device, bad)
            assert bad in reading(await met.poll()).why
            device.remove("1.3.6.1.2.1.2.2.1.8.1")  # The row is gone, and with it the wish for the bad value.
            clock.step(2400)
            for _ in range(3):
                last = reading(await met.poll())
            assert last.why == ""
            met.close()

        in_loop(steps)


def test_one_table_without_an_end_costs_itself_and_not_the_device(monkeypatch):
    endless = "1.3.6.1.2.1.105.1.1.1.6"
    with Responder() as responder:
        device = recorded(responder, "switch.generic")
        whole = Requester.rows

        async def rows(self: Requester, column: str, *, expected: int | None = None) -> dict[str, Value]:
            if column == endless:
                raise Runaway(f"the walk of {column} has no end after 4096 rows")
            return await whole(self, column, expected=expected)

        monkeypatch.setattr(Requester, "rows", rows)

        async def steps() -> None:
            met = contact(device, SteppedClock())
            part = reading(await met.poll())
            assert part.ok
            assert part.why == f"incomplete: the walk of {endless} has no end after 4096 rows"
            assert value(part, "device", "", "uptime_seconds")
            assert "poe" not in {table.table for table in part.shape.tables}
            assert "interface" in {table.table for table in part.shape.tables}
            met.close()

        in_loop(steps)


def test_a_reader_that_panics_prints_nothing_and_the_reading_says_why(device, capfd):
    device.objects[f"{SYSTEM}.3.0"] = CUT_HEADER
    device._stale = True

    async def ask(session: Requester) -> None:
        for _ in range(3):
            with pytest.raises(Misread, match="no SNMP message"):
                await session.get_many([f"{SYSTEM}.3.0"])

    asked(gufo.connect, device, ask)
    assert capfd.readouterr().err == ""


def test_what_others_print_while_an_answer_is_read_reaches_standard_error(capfd):
    quiet = Quiet()

    def read(_: object) -> int:
        os.write(2, b"\nthread '<unnamed>' (77) panicked at src/x.rs:1:2:\nindex out of bounds\nstack backtrace:\n")
        os.write(2, b"   0: one\n             at /two.rs:3:4\nnote: run with `RUST_BACKTRACE=1` to see\n")
        other = threading.Thread(target=os.write, args=(2, b"a line of the log\n"))
        other.start()
        other.join()
        return 7

    assert quiet.call(read, None) == 7
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "a line of the log\nafter\n"


def test_an_error_of_the_reader_leaves_standard_error_in_its_place(capfd):
    def read(_: object) -> int:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        Quiet().call(read, None)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_the_time_of_a_poll_with_a_bad_value_stays_within_its_slot(device):
    spoil(device, f"{COLUMN}.3.7")

    async def timed() -> None:
        session = Requester(gufo.connect(device.address, device.port, PUBLIC, 0.5), retries=2)
        async with asyncio.timeout(5):
            await session.get_many([f"{COLUMN}.3.{row}" for row in range(1, 25)])
        session.close()
        assert device.requests < 20, "halving finds one among 24 in a dozen requests"

    asyncio.run(timed())
