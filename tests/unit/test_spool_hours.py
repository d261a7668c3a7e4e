"""Once an hour the spool states what it numbered, and lets go of what nobody took for too long; by running time alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.delivery.hourly import Hourly
from agent.delivery.spool import Spool, SpoolError
from agent.guard import Guard
from forewarn import consent as consents
from forewarn import wire
from forewarn.manifest import MANIFEST, Manifest
from forewarn.wire import GENESIS, Record
from tests.agents import SITE, SystemClock, signed, until_true, write_consent
from tests.unit.test_spool import SHAPE, Clock, assert_contiguous, everything, record, run

HOUR = 3600.0


async def hour(one: Spool, hours: float = 1.0, consent: str = "c-1") -> None:
    await one.tend(hours * HOUR, hour=HOUR, consent=consent)


async def put(one: Spool, *times: int, consent: str = "c-1") -> None:
    await asyncio.gather(*(one.put(record(t), SHAPE, consent) for t in times))


def manifests(records: list[Record]) -> list[Manifest]:
    return [Manifest.read(one.text) for one in records if one.kind == MANIFEST]


def proven(manifest: Manifest, records: list[Record], bodies: list[bytes], before: bytes) -> bytes:
    """Walks the chain over what a manifest covers, as a collector does; returns the hash it comes to."""
    chain = before
    for one, body in zip(records, bodies, strict=True):
        if manifest.first <= one.seq <= manifest.last:
            chain = bytes.fromhex(one.hash) if one.kind == "lost" else wire.chained_body(body, chain)
    return chain


def test_a_manifest_an_hour_covers_every_number_once_and_its_hash_is_the_chains(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, *range(10))
        await hour(one)
        await put(one, *range(10, 15))
        await hour(one, 0.5)
        await hour(one, 0.5)
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        first, second = manifests(records)
        assert (first.first, first.last, first.count, first.lost) == (1, 10, 10, 0)
        assert (second.first, second.last, second.count) == (11, 16, 6)
        assert [one.seq for one in records if one.kind == MANIFEST] == [11, 17]
        assert second.since == records[10].t
        chain = proven(first, records, bodies, GENESIS)
        assert chain.hex() == first.hash
        assert proven(second, records, bodies, chain).hex() == second.hash
        assert one.standing.manifest == second
        del records[3], bodies[3]
        assert proven(first, records, bodies, GENESIS).hex() != first.hash

    run(tmp_path, story)


def test_an_hour_without_records_states_nothing(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await hour(one)
        await put(one, 1)
        for _ in range(3):
            await hour(one)
        assert one.standing.head == 2

    run(tmp_path, story)


def test_without_consent_nothing_is_stated_and_with_it_the_hours_before_are(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, 1, 2)
        await hour(one, 5, consent="")
        assert one.standing.head == 2
        await one.drop("c-1", "consent withdrawn")
        await hour(one, 0.01, consent="c-1")
        assert one.standing.manifest is None, "under a withdrawn consent"
        await hour(one, 0.01, consent="c-2")
        made = one.standing.manifest
        assert made is not None
        assert (made.first, made.last, made.lost, made.ranges) == (1, 2, 2, [(1, 2)])

    run(tmp_path, story)


def test_what_a_full_spool_dropped_stands_in_the_next_manifest(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, *range(200))
        await hour(one)
        made = one.standing.manifest
        records, bodies = await everything(one)
        assert made is not None
        assert records[0].kind == "lost"
        assert made.ranges == [(1, records[0].seq)]
        assert (made.lost, made.count) == (records[0].seq, 200)
        assert proven(made, records, bodies, GENESIS).hex() == made.hash

    run(tmp_path, story, limit=8000)


def test_a_restart_remembers_the_hour_and_the_manifest(tmp_path: Path) -> None:
    async def first(one: Spool) -> None:
        await put(one, 1)
        await hour(one)
        await put(one, 2)
        await hour(one, 0.75)

    async def second(one: Spool) -> None:
        made = one.standing.manifest
        assert made is not None
        assert made.last == 1
        await hour(one, 0.2)
        assert one.standing.head == 3
        await hour(one, 0.1)
        made = one.standing.manifest
        assert made is not None
        assert (made.first, made.last) == (2, 3)

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_roll_takes_no_manifest_along_and_the_new_epoch_states_what_moved(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, *range(5))
        await one.drop("c-2", "nothing under it")
        await one.give_up(2, "could never travel")
        await hour(one)
        await one.roll("forked")
        assert one.standing.manifest is None
        await hour(one)
        records, bodies = await everything(one)
        (made,) = manifests(records)
        assert made.epoch == one.standing.epoch
        assert (made.first, made.last, made.count) == (1, 6, 5)
        assert proven(made, records, bodies, GENESIS).hex() == made.hash

    run(tmp_path, story)


def test_what_nobody_took_goes_by_the_time_the_agent_ran_and_is_declared(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, *range(5))
        await hour(one, 1, consent="")
        await put(one, *range(5, 8))
        await hour(one, 23, consent="")
        assert one.standing.records == 8
        await hour(one, 1, consent="")
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        lost = records[0]
        assert (lost.kind, lost.first, lost.seq) == ("lost", 1, 5)
        assert lost.why == "age: nobody took it for 1 days"
        assert [one.t for one in records[1:]] == [5, 6, 7]
        await hour(one, 24, consent="")
        records, _ = await everything(one)
        assert [(one.first, one.seq) for one in records] == [(1, 8)], "one range, that grows"

    run(tmp_path, story, age=24 * HOUR)


def test_no_clock_makes_a_record_old(tmp_path: Path) -> None:
    class Set(Clock):
        def now(self) -> int:
            return 4_000_000_000_000

    async def story() -> None:
        one = Spool(tmp_path, clock=Set(), linger=0.0, age=24 * HOUR)
        await one.open()
        await one.put(Record(seq=0, t=1, device="cam", values=[1.0]), SHAPE, "c-1")
        await hour(one, 2, consent="")
        assert one.standing.records == 1
        await one.close()

    asyncio.run(story())


def test_a_spool_of_an_older_version_states_what_it_held(tmp_path: Path) -> None:
    async def before(one: Spool) -> None:
        await put(one, *range(5))
        await one.release(one.standing.epoch, 3)
        assert b"hours" not in (tmp_path / f"{one.standing.epoch}.spool-wal").read_bytes(), (
            "as an older version leaves it"
        )

    async def after(one: Spool) -> None:
        await hour(one)
        made = one.standing.manifest
        assert made is not None
        assert (made.first, made.last) == (1, 5)

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_full_disk_costs_no_time_and_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = consents.new_key()
    consent = signed(private)
    write_consent(tmp_path / "consent.json", consent)
    clock = SystemClock()
    guard = Guard(tmp_path, tmp_path / "consent.json", site=SITE, trusted=[public], clock=clock)
    failures = 0
    tend = Spool.tend

    async def failing(one: Spool, seconds: float, *, hour: float, consent: str) -> None:
        nonlocal failures
        failures += 1
        if failures < 4:
            raise SpoolError("the spool does not answer: disk is full")
        await tend(one, seconds, hour=hour, consent=consent)

    monkeypatch.setattr(Spool, "tend", failing)

    async def story() -> None:
        one = Spool(tmp_path / "spool", clock=clock, linger=0.0)
        await one.open()
        await one.put(record(), SHAPE, consent.id)
        task = asyncio.create_task(Hourly(one, guard, clock, hour=0.6).run())
        await until_true(lambda: one.standing.manifest is not None)
        task.cancel()
        await one.close()
        assert failures >= 4

    asyncio.run(story())
