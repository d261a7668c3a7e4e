"""An SNMP v3 engine whose clock jumps, or that restarts, is read again within the same asking, over every adapter."""

from __future__ import annotations

import asyncio

import pytest

from agent.settings.credential import Access
from agent.snmp import gufo, pysnmp
from agent.snmp.requester import Requester
from tests import usm
from tests.contract.test_snmp_session import SYSTEM, Open

USER = Access("3", user="u", authentication="sha256", authentication_key="authpass1")
JUMPS = {
    "an hour ahead": (1, 3700),
    "restarted": (2, 3),
    "restarted often": (9, 4000),
    "set back, and says so": (2, 10),
}


@pytest.mark.parametrize("jump", sorted(JUMPS))
@pytest.mark.parametrize("adapter", [gufo.connect, pysnmp.connect], ids=["gufo", "pysnmp"])
def test_an_engine_whose_time_jumped_is_met_again_within_one_asking(adapter: Open, jump: str):
    async def steps() -> None:
        loop = asyncio.get_running_loop()
        speaker = usm.Speaker("sha256", b"authpass1")
        transport, _ = await loop.create_datagram_endpoint(lambda: speaker, local_addr=("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        session = Requester(adapter("127.0.0.1", port, USER, 0.4), retries=2)
        try:
            wanted = [f"{SYSTEM}.3.0"]
            assert await session.get_many(wanted) == {wanted[0]: 42}
            assert speaker.late == 0
            for clock in (JUMPS[jump], (JUMPS[jump][0] + 1, 5)):
                before = speaker.late
                speaker.clock = clock
                assert await session.get_many(wanted) == {wanted[0]: 42}
                assert speaker.late > before, "it was asked by the old time first"
        finally:
            session.close()
            transport.close()

    asyncio.run(steps())
