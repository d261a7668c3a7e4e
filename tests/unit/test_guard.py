"""The guard allows what a trusted, valid consent for this site covers, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from agent.delivery.door import Door
from agent.delivery.spool import Spool
from agent.guard import STOP, WITHDRAWN, Guard, withdraw
from agent.reading import Happening, Reading
from forewarn import consent as consents
from forewarn import wire
from forewarn.consent import Refusal
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Record, Shape, TableShape
from tests.agents import SHAPE, SITE, signed, write_consent

PRIVATE, PUBLIC = consents.new_key()
HOUR = 3_600_000


class Clock:
    """Stands still but for `monotonic`, so that every question looks at the files again."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.ticks = 0.0

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        self.ticks += 1
        return self.ticks


@pytest.fixture
def clock() -> Clock:
    return Clock(consents.milliseconds(signed(PRIVATE).valid_from) + 120_000)


@pytest.fixture
def guard(tmp_path: Path, clock: Clock) -> Guard:
    write_consent(tmp_path / "consent.json", signed(PRIVATE))
    return Guard(tmp_path, tmp_path / "consent.json", site=SITE, trusted=[PUBLIC], clock=clock)


def test_a_valid_consent_allows_its_scopes_in_its_networks(guard: Guard) -> None:
    assert guard.refuses(Source.SNMP, "127.0.0.9") is None
    assert guard.refuses(Source.HOST) is None
    assert guard.refuses(Source.AGENT) is None
    assert guard.may_leave() is None
    assert guard.refuses(Source.SNMP, "10.0.0.1") is Refusal.ADDRESS


def test_a_time_outside_the_consent_is_refused_even_when_now_is_inside(guard: Guard, clock: Clock) -> None:
    assert guard.refuses(Source.SNMP, "127.0.0.1", clock.now() - HOUR) is Refusal.NOT_YET
    assert guard.refuses(Source.SNMP, "127.0.0.1", clock.now() + 2 * HOUR) is Refusal.EXPIRED


@pytest.mark.parametrize(("jump", "refusal"), [(HOUR, Refusal.EXPIRED), (-HOUR, Refusal.NOT_YET)])
def test_a_clock_that_jumps_an_hour_out_of_the_consent_stops_the_agent_until_it_is_back(
    guard: Guard, clock: Clock, jump: int, refusal: Refusal
) -> None:
    clock.at += jump
    assert guard.may_leave() is refusal
    assert guard.consent is None
    clock.at -= jump
    assert guard.may_leave() is None


def test_no_file_is_no_consent_and_a_new_one_counts_at_once(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "consent.json").unlink()
    assert guard.refuses(Source.AGENT) is Refusal.ABSENT
    assert "there is no" in guard.detail
    write_consent(tmp_path / "consent.json", signed(PRIVATE))
    assert guard.refuses(Source.AGENT) is None


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda text: text[:-40], Refusal.UNREADABLE),
        (lambda text: text.replace(b"127.0.0.0/8", b"0.0.0.0/0"), Refusal.BAD_SIGNATURE),
        (lambda text: text.replace(b'"snmp"', b'"magic"'), Refusal.UNREADABLE),
        (lambda text: b"", Refusal.UNREADABLE),
    ],
)
def test_a_document_somebody_touched_allows_nothing(guard: Guard, tmp_path: Path, change, refusal: Refusal) -> None:
    path = tmp_path / "consent.json"
    path.write_bytes(change(path.read_bytes()))
    assert guard.may_leave() is refusal
    assert guard.refuses(Source.SNMP, "127.0.0.1") is refusal


def test_another_key_or_another_site_allows_nothing(guard: Guard, tmp_path: Path) -> None:
    stranger, _ = consents.new_key()
    write_consent(tmp_path / "consent.json", signed(stranger))
    assert guard.may_leave() is Refusal.UNTRUSTED_KEY
    write_consent(tmp_path / "consent.json", signed(PRIVATE, site="s-2"))
    assert guard.may_leave() is Refusal.WRONG_SITE


def test_the_file_stop_wins_over_everything(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / STOP).touch()
    assert guard.refuses(Source.AGENT) is Refusal.STOPPED
    (tmp_path / STOP).unlink()
    assert guard.refuses(Source.AGENT) is None


def test_a_withdrawn_consent_stays_withdrawn_and_the_next_one_counts(
    guard: Guard, tmp_path: Path, clock: Clock
) -> None:
    first = guard.consent
    assert first is not None
    withdraw(tmp_path, first.id, clock.now())
    assert guard.may_leave() is Refusal.WITHDRAWN
    assert guard.withdrawn == {first.id}
    write_consent(tmp_path / "consent.json", first)
    assert guard.may_leave() is Refusal.WITHDRAWN
    write_consent(tmp_path / "consent.json", signed(PRIVATE))
    assert guard.may_leave() is None


def test_a_damaged_list_of_withdrawn_consents_allows_nothing(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / WITHDRAWN).write_text("{")
    assert guard.may_leave() is Refusal.UNREADABLE


def test_the_log_names_the_reason_once_per_change(
    guard: Guard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("agent").propagate = True
    with caplog.at_level(logging.INFO, "agent.guard"):
        for _ in range(3):
            guard.may_leave()
        (tmp_path / STOP).touch()
        for _ in range(3):
            guard.may_leave()
    assert [record.message for record in caplog.records] == ["consent in force", "nothing is polled and nothing leaves"]
    assert str(caplog.records[1].facts["why"]).startswith("stopped on the site: the file ")  # type: ignore[attr-defined]


def test_the_door_keeps_what_is_allowed_and_counts_what_is_not(guard: Guard, tmp_path: Path, clock: Clock) -> None:
    async def story() -> list[Record]:
        spool = Spool(tmp_path / "spool", clock=clock, linger=0.0)
        await spool.open()
        door = Door(guard, spool, clock)
        now = clock.now()
        await door.put(Reading(now, "cam", SHAPE, [1.0], address="127.0.0.1"))
        await door.put(Reading(now, "far", SHAPE, [1.0], address="10.0.0.1"))
        await door.put(Reading(now + 2 * HOUR, "late", SHAPE, [1.0], address="127.0.0.1"))
        await door.put(Reading(now, "down", SHAPE, [0.0], ok=False, why="no answer", address="127.0.0.1"))
        await door.put(Happening(now, "cam", "inventory", SHAPE, {"model": "M"}, address="127.0.0.1"))
        wide = Shape(
            DeviceKind.OTHER, "w", Source.SNMP, [TableShape("disk", [str(n) for n in range(5000)], ["status"])]
        )
        await door.put(Reading(now, "wide", wide, [1.23456789] * 5000, address="127.0.0.1"))
        assert door.refused == 2
        assert door.too_large == 1
        piece = await spool.cut(0, most=10, room=100_000)
        await spool.close()
        assert piece is not None
        assert piece.consent == guard.consent.id  # type: ignore[union-attr]
        return [wire.open_record(body) for body in piece.bodies]

    records = asyncio.run(story())
    assert [(record.device, record.kind, record.ok, record.why) for record in records] == [
        ("cam", "", True, ""),
        ("down", "", False, "no answer"),
        ("cam", "inventory", True, ""),
        ("wide", "event", True, ""),
    ]
    assert "the limit is" in records[3].text["why"]
