"""A played recording answers as the device it was recorded from does through a real adapter."""

from __future__ import annotations

import asyncio

import pytest

from agent.snmp.opening import opener
from agent.snmp.played import PlayedExchange, TapedExchange
from agent.snmp.requester import Limits, Requester
from agent.snmp.session import Runaway, Session, Value
from forewarn.demo.responder import Responder
from tests.polling import recorded, target

COLUMNS = ("1.3.6.1.2.1.2.2.1.8", "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.105.1.1.1.6", "1.3.6.1.2.1.99.1")


async def read(session: Session) -> dict[str, object]:
    found: dict[str, object] = {column: list((await session.rows(column)).items()) for column in COLUMNS}
    found["get"] = await session.get_many(["1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.9.0", "1.3.6.1.2.1.1.2.0"])
    found["has"] = [
        await session.has(column) for column in ("1.3.6.1.2.1.105", "1.3.6.1.2.1.99", "1.3.6.1.2.1.2.2.1.8")
    ]
    session.narrow(max_varbinds=3, nonincreasing_ok=False, bulk=False)
    found["singly"] = await session.rows(COLUMNS[0])
    return found


def test_a_recording_played_answers_as_the_device_did():
    tape: dict[str, Value] = {}

    async def both() -> None:
        session = opener(wrap=lambda inner: TapedExchange(inner, tape))(target(device))
        first = await read(session)
        session.close()
        assert first == await read(Requester(PlayedExchange(tape)))

    with Responder() as responder:
        device = recorded(responder, "switch.generic")
        asyncio.run(both())
    assert tape["1.3.6.1.2.1.1.5.0"] == b"switch-1"


def test_bounds_hold_for_what_is_played_too():
    rows = {f"1.3.1.{row}": row for row in range(20)}
    session = Requester(PlayedExchange(rows), limits=Limits(max_rows=10))
    with pytest.raises(Runaway, match="no end after 10 rows"):
        asyncio.run(session.rows("1.3.1"))
