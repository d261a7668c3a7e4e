"""A bad line between agent and broker: records arrive once, in order, and a dead line is noticed and left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forewarn.bus.mqtt import CONNECT_TIMEOUT
from tests import links
from tests.agents import until
from tests.delivering import Delivery
from tests.links import Link

KEEPALIVE = 1


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Link, Delivery]]:
    """A line that can hang up, and a delivery whose agent is at its end; its collector has a good one."""
    with links.proxied(tmp_path / "broker") as (link, port):
        yield link, Delivery(tmp_path, [link.port], [port], keepalive=KEEPALIVE)


@pytest.fixture
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Link, Delivery]]:
    """The same with a line of real packets, where this account may lay one."""
    if not links.packets_can_be_carried():
        yield request.getfixturevalue("proxied")
        return
    with links.carried(tmp_path / "broker") as (bad, good):
        hosts = {"host": bad.host, "collectors_host": good.host}
        yield bad, Delivery(tmp_path, [bad.port], [good.port], keepalive=KEEPALIVE, **hosts)


def test_records_arrive_in_order_over_a_line_that_loses_and_delays(line: tuple[Link, Delivery]) -> None:
    link, delivery = line
    link.loss, link.delay = 0.05, 0.02
    with delivery.going():
        delivery.moves()
        link.loss = 0.0
        delivery.level()
    assert delivery.proven() > 200


def test_a_line_that_falls_silent_is_noticed_within_two_keepalives_and_left(line: tuple[Link, Delivery]) -> None:
    link, delivery = line
    with delivery.going():
        delivery.moves()
        link.silent = True
        began = time.monotonic()
        until(lambda: not delivery.agent.state.connected, lambda: delivery.agent.state)
        assert time.monotonic() - began < 2 * KEEPALIVE + 3
        assert delivery.agent.state.why
        link.silent = False
        delivery.moves(timeout=CONNECT_TIMEOUT + 10)
        delivery.level()
    assert delivery.proven() > 400


def test_short_cuts_one_after_another_cost_no_record(proxied: tuple[Link, Delivery]) -> None:
    link, delivery = proxied
    with delivery.going():
        for _ in range(4):
            delivery.moves(60)
            link.silent = True
            link.hang_up()
            before = delivery.spool.standing.head
            until(lambda before=before: delivery.spool.standing.head > before + 100)  # type: ignore[misc]
            link.silent = False
        delivery.moves(60)
        delivery.level()
    assert delivery.proven() > 400
