"""The spool keeps what it took, in order, chained; what it cannot keep it declares."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.delivery.asked import Released
from agent.delivery.spool import Barred, Closed, Spool, SpoolError
from agent.delivery.spoolfile import Piece
from forewarn import wire
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import GENESIS, Record, Shape, TableShape

SHAPE = Shape(kind=DeviceKind.CAMERA, profile="p", source=Source.SNMP, tables=[TableShape("device", [""], ["up"])])
ROOM = 512 * 1024


class Clock:
    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def now(self) -> int:
        self.at += 1
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


def record(t: int = 1, device: str = "cam") -> Record:
    return Record(seq=0, t=t, device=device, values=[1.0])


def spool(folder: Path, **more: object) -> Spool:
    return Spool(folder, clock=Clock(), linger=0.0, **more)  # type: ignore[arg-type]


def run(folder: Path, story: Callable[[Spool], Awaitable[None]], **more: object) -> None:
    async def told() -> None:
        one = spool(folder, **more)
        await one.open()
        try:
            await story(one)
        finally:
            await one.close()

    asyncio.run(told())


async def everything(one: Spool, after: int = 0) -> tuple[list[Record], list[bytes]]:
    bodies: list[bytes] = []
    while (piece := await one.cut(after, most=50, room=ROOM)) is not None:
        bodies += piece.bodies
        after = piece.last
    return [wire.open_record(body) for body in bodies], bodies


def assert_contiguous(records: list[Record], bodies: list[bytes], begins: int, chain: bytes | None) -> None:
    """Every number from `begins` on is accounted for once, and the hashes follow each other."""
    expected = begins
    for one, body in zip(records, bodies, strict=True):
        assert one.begins == expected
        expected = one.seq + 1
        if chain is not None and (one.kind != "lost" or "epoch" in one.text):
            assert wire.chained_body(body, chain).hex() == one.hash
        chain = bytes.fromhex(one.hash)


def test_records_are_numbered_from_one_and_chained_from_genesis(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        seqs = await asyncio.gather(*(one.put(record(t), SHAPE, "c-1") for t in range(100)))
        assert seqs == list(range(1, 101))
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        assert [r.t for r in records] == list(range(100))
        assert one.standing.head == 100

    run(tmp_path, story)


def test_a_closed_spool_opens_with_the_same_epoch_numbers_and_chain(tmp_path: Path) -> None:
    epochs = []

    async def first(one: Spool) -> None:
        epochs.append(one.standing.epoch)
        for t in range(5):
            await one.put(record(t), SHAPE, "c-1")
        assert await one.release(one.standing.epoch, 5) is Released.DONE

    async def second(one: Spool) -> None:
        assert one.standing.epoch == epochs[0]
        assert (one.standing.oldest, one.standing.head, one.standing.records) == (6, 5, 0)
        assert await one.put(record(), SHAPE, "c-1") == 6

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_piece_never_mixes_consents_nor_exceeds_what_was_asked(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        for t in range(6):
            await one.put(record(t), SHAPE, "c-1" if t < 3 else "c-2")
        pieces: list[Piece] = []
        while piece := await one.cut(pieces[-1].last if pieces else 0, most=2, room=ROOM):
            pieces.append(piece)
        assert [(p.first, p.last, p.consent) for p in pieces] == [
            (1, 2, "c-1"),
            (3, 3, "c-1"),
            (4, 5, "c-2"),
            (6, 6, "c-2"),
        ]
        assert [p.shapes for p in pieces] == [[SHAPE]] * 4
        small = await one.cut(0, most=100, room=1)
        assert small is not None
        assert (small.first, small.last) == (1, 1)

    run(tmp_path, story)


def test_overflow_is_one_lost_record_in_place_that_grows(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        for t in range(200):
            await one.put(record(t), SHAPE, "c-1")
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        lost = [r for r in records if r.kind == "lost"]
        assert len(lost) == 1
        assert lost[0].begins == 1
        assert lost[0].why == "overflow: the spool was full"
        assert one.standing.size <= 8000
        assert records[-1].t == 199

    run(tmp_path, story, limit=8000)


def test_a_release_inside_a_lost_range_narrows_it(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        for t in range(100):
            await one.put(record(t), SHAPE, "c-1")
        await one.release(one.standing.epoch, 3)
        records, bodies = await everything(one)
        assert records[0].kind == "lost"
        assert one.standing.oldest == 4
        assert_contiguous(records, bodies, 4, None)

    run(tmp_path, story, limit=8000)


def test_what_a_withdrawn_consent_covered_is_dropped_and_declared(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        for t, consent in enumerate(["c-1", "c-1", "c-2", "c-1", "c-1"]):
            await one.put(record(t), SHAPE, consent)
        assert await one.drop("c-1", "consent withdrawn") == 4
        assert await one.drop("c-1", "consent withdrawn") == 0
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        assert [(r.begins, r.seq, r.kind, r.why) for r in records] == [
            (1, 2, "lost", "consent withdrawn"),
            (3, 3, "", ""),
            (4, 5, "lost", "consent withdrawn"),
        ]
        assert await one.put(record(9), SHAPE, "c-2") == 6
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)

    run(tmp_path, story)


def test_an_acknowledgement_of_another_machines_record_deletes_nothing_and_rolls_the_epoch(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        old = one.standing.epoch
        for t in range(4):
            await one.put(record(t), SHAPE, "c-1")
        piece = await one.cut(0, most=200, room=100_000)
        assert piece is not None
        own = [wire.chain_in(body) for body in piece.bodies]
        assert await one.release(old, 1, own[0]) is Released.DONE
        assert await one.release(old, 1, "00" * 16) is Released.DONE, "what is gone cannot be compared"
        assert await one.release(old, 3, "00" * 16) is Released.ANOTHERS
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        assert "another machine has this spool" in records[0].text["why"]
        assert [r.t for r in records[1:]] == [1, 2, 3]

    run(tmp_path, story)


def test_an_acknowledgement_beyond_the_head_rolls_the_epoch_and_loses_nothing(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        old = one.standing.epoch
        for t in range(4):
            await one.put(record(t), SHAPE, "c-1")
        await one.release(old, 1)
        assert await one.release(old, 9) is Released.BEYOND_HEAD
        assert one.standing.epoch > old
        assert await one.release(old, 2) is Released.OTHER_EPOCH
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, GENESIS)
        assert records[0].kind == "event"
        assert records[0].text["from"] == old
        assert "9 of this epoch" in records[0].text["why"]
        assert [r.t for r in records[1:]] == [1, 2, 3]
        assert [path.name for path in tmp_path.glob("*.spool")] == [f"{one.standing.epoch}.spool"]

    run(tmp_path, story)


@pytest.mark.parametrize("damage", ["zeroed", "truncated", "text"])
def test_a_damaged_file_is_set_aside_and_its_loss_declared(tmp_path: Path, damage: str) -> None:
    old = []

    async def first(one: Spool) -> None:
        for t in range(300):
            await one.put(record(t), SHAPE, "c-1")
        await one.release(one.standing.epoch, 7)
        old.append(one.standing.epoch)

    run(tmp_path, first)
    path = next(tmp_path.glob("*.spool"))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "zeroed": whole[:4096] + bytes(4096) + whole[8192:],
            "truncated": whole[: len(whole) // 2 - 100],
            "text": b"not a database",
        }[damage]
    )

    async def second(one: Spool) -> None:
        assert one.standing.epoch != old[0]
        records, _ = await everything(one)
        assert [(r.kind, r.text["epoch"], r.first, r.seq) for r in records] == [("lost", old[0], 8, 1)]
        assert (tmp_path / records[0].text["kept"]).exists()
        assert await one.put(record(), SHAPE, "c-1") == 2

    run(tmp_path, second)


def test_damage_met_while_running_is_set_aside_and_work_goes_on(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await asyncio.gather(*(one.put(record(t), SHAPE, "c-1") for t in range(3000)))
        old = one.standing.epoch

        def damage() -> None:
            database = one._epochs.file._db
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            path = tmp_path / f"{old}.spool"
            whole = path.read_bytes()
            path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
            database.execute("PRAGMA cache_size=0")
            database.execute("PRAGMA shrink_memory")

        await one._do(damage)
        records, _ = await everything(one)
        seq = await one.put(record(), SHAPE, "c-1")
        assert one.standing.epoch != old
        assert [(r.kind, r.text["epoch"]) for r in records] == [("lost", old)]
        assert seq == 2

    run(tmp_path, story)


def _flip(folder: Path, seq: int, place: str) -> None:
    """Changes one bit of one record, as a failing disk does; SQLite does not notice."""
    file = next(folder.glob("*.spool"))
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        body = bytearray(db.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchone()[0])
        at = {"syntax": 3, "value": body.index(b"[1.0") + 1, "hash": len(body) - 10, "end": len(body) - 1}[place]
        body[at] ^= 0x80 if place in ("syntax", "hash") else 1
        db.execute("UPDATE record SET body = ? WHERE seq = ?", (bytes(body), seq))


@pytest.mark.parametrize("place", ["syntax", "value", "hash", "end"])
@pytest.mark.parametrize("seq", [4, 6, 10])
def test_a_flipped_bit_is_declared_before_it_travels_and_costs_no_other_record(
    tmp_path: Path, place: str, seq: int
) -> None:
    async def fill(one: Spool) -> None:
        for t in range(10):
            await one.put(record(t + 1), SHAPE, "c-1")
        await one.release(one.standing.epoch, 3)

    async def story(one: Spool) -> None:
        await everything(one, 3)
        records, bodies = await everything(one, 3)
        assert_contiguous(records, bodies, 4, chain)
        lost = [r for r in records if r.kind == "lost"]
        assert [r.why for r in lost] == ["the record was damaged on disk"]
        assert all(r.begins <= seq <= r.seq and abs(r.t - seq) <= 1 for r in lost if place != "hash")
        # A hash that cannot be read costs the record that was chained to it as well, and no more.
        assert sum(r.seq - r.begins + 1 for r in lost) <= (2 if place == "hash" else 1)
        assert await one.put(record(), SHAPE, "c-1") == 11

    run(tmp_path, fill)
    with contextlib.closing(sqlite3.connect(next(tmp_path.glob("*.spool")))) as db:
        chain = db.execute("SELECT value FROM fact WHERE name = 'behind'").fetchone()[0]
    _flip(tmp_path, seq, place)
    run(tmp_path, story)


@pytest.mark.parametrize("place", ["syntax", "value", "hash"])
@pytest.mark.parametrize("act", ["roll", "drop", "shed", "release"])
def test_a_flipped_bit_stops_nothing_and_is_never_sealed_anew(tmp_path: Path, place: str, act: str) -> None:
    async def fill(one: Spool) -> None:
        for t in range(10):
            await one.put(record(t), SHAPE, "c-1" if t != 6 else "c-2")

    async def story(one: Spool) -> None:
        if act == "roll":
            await one.roll("told to")
        elif act == "drop":
            await one.drop("c-1", "consent withdrawn")
        elif act == "release":
            await one.release(one.standing.epoch, 5)
        await one.put(record(99), SHAPE, "c-3")
        await everything(one, one.standing.acked)
        records, bodies = await everything(one, one.standing.acked)
        assert_contiguous(records, bodies, one.standing.acked + 1, None)
        assert records[-1].t == 99
        assert all(r.values == [1.0] for r in records if not r.kind)
        if act == "roll":
            kept = [r.t for r in records if not r.kind]
            assert kept == [t for t in range(10) if t not in ((4, 5) if place == "hash" else (4,))] + [99]

    run(tmp_path, fill)
    _flip(tmp_path, 5, place)
    limit = 700 if act == "shed" else ROOM
    run(tmp_path, lambda one: asyncio.wait_for(story(one), 10), limit=limit)


def test_a_damaged_shape_is_declared_with_its_records(tmp_path: Path) -> None:
    async def fill(one: Spool) -> None:
        for t in range(3):
            await one.put(record(t), SHAPE, "c-1")

    async def story(one: Spool) -> None:
        await everything(one)
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, 1, None)
        assert [(r.kind, r.begins, r.seq) for r in records] == [("lost", 1, 3)]

    run(tmp_path, fill)
    with contextlib.closing(sqlite3.connect(next(tmp_path.glob("*.spool")))) as db, db:
        db.execute("UPDATE shape SET body = replace(body, 'camera', 'cameso')")
    run(tmp_path, lambda one: asyncio.wait_for(story(one), 10))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whoever_waits_is_answered_when_the_spools_thread_dies(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        def mistake() -> None:
            raise KeyError("a mistake of ours")

        with pytest.raises(Closed, match="the spool's thread died"):
            await asyncio.wait_for(one._do(mistake), 10)

    run(tmp_path, story)


def test_a_full_disk_makes_puts_wait_and_a_release_lets_them_go_on(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        waiting = [asyncio.create_task(one.put(record(t), SHAPE, "c-1")) for t in range(4000)]
        while not one.standing.stuck:
            await asyncio.sleep(0.01)
        head = one.standing.head
        assert 0 < head < 4000
        assert "full" in one.standing.stuck
        while not all(task.done() for task in waiting):
            piece = await one.cut(one.standing.acked, most=200, room=ROOM)
            if piece is not None:
                await one.release(piece.epoch, piece.last)
            await asyncio.sleep(0.01)
        assert sorted(task.result() for task in waiting) == list(range(1, 4001))
        assert one.standing.stuck == ""

    run(tmp_path, story, max_pages=60)


@pytest.mark.parametrize("room", [True, False])
def test_what_waits_for_room_when_its_consent_is_withdrawn_is_refused_and_never_written(
    tmp_path: Path, room: bool
) -> None:
    async def story(one: Spool) -> None:
        waiting = [asyncio.create_task(one.put(record(t), SHAPE, "c-1")) for t in range(4000)]
        while not one.standing.stuck:
            await asyncio.sleep(0.01)
        written = one.standing.head
        if room:
            await one.release(one.standing.epoch, written - 1)
        with contextlib.suppress(SpoolError):  # Not even a lost record fits where there is no room.
            await one.drop("c-1", "consent withdrawn")
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        with pytest.raises(Barred, match="c-1 was withdrawn"):
            await one.put(record(1), SHAPE, "c-1")
        assert all(isinstance(result, int | Barred) for result in results)
        assert sum(isinstance(result, Barred) for result in results) >= 4000 - one.standing.head > 0
        if room:
            assert await asyncio.wait_for(one.put(record(9), SHAPE, "c-2"), 10) == one.standing.head
            assert [r.t for r in (await everything(one))[0] if not r.kind] == [9]

    run(tmp_path, story, max_pages=60)


def test_a_record_too_large_to_travel_is_refused_alone(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        large = Record(seq=0, t=1, kind="event", text={"x": "y" * wire.MAX_RECORD})
        results = await asyncio.gather(
            one.put(record(), SHAPE, "c"),
            one.put(large, None, "c"),
            one.put(record(), SHAPE, "c"),
            return_exceptions=True,
        )
        assert results[0] == 1
        assert isinstance(results[1], wire.TooLarge)
        assert results[2] == 2

    run(tmp_path, story)


def test_a_closed_spool_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        one = spool(tmp_path)
        await one.open()
        await one.close()
        with pytest.raises(Closed, match="closed"):
            await one.put(record(), SHAPE, "c")

    asyncio.run(story())


def test_a_folder_used_twice_is_refused(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await one.put(record(), SHAPE, "c")
        second = spool(tmp_path)
        with pytest.raises(Closed, match="locked"):
            await second.open()
        assert await one.put(record(), SHAPE, "c") == 2

    run(tmp_path, story)


def test_the_ledger_has_every_record_taken_even_after_a_kill_before_it_was_written(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"

    async def story(one: Spool) -> None:
        for t in range(5):
            await one.put(record(t), SHAPE, "c-1")

    run(tmp_path / "s", story, ledger=ledger)
    whole = ledger.read_text()
    ledger.write_text("".join(whole.splitlines(keepends=True)[:3]))

    async def nothing(_one: Spool) -> None:
        pass

    run(tmp_path / "s", nothing, ledger=ledger)
    assert ledger.read_text() == whole
    assert [int(line.split()[1]) for line in whole.splitlines()] == [1, 2, 3, 4, 5]


async def put_or_refused(one: Spool, times: range, consent: str, *, barred: bool) -> None:
    puts = (one.put(record(t), SHAPE, consent) for t in times)
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert all(isinstance(result, Barred if barred else int) for result in results)


step = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 12), st.sampled_from(["c-1", "c-2"])),
    st.tuples(st.just("release"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("drop"), st.just(0), st.sampled_from(["c-1", "c-2"])),
    st.tuples(st.just("roll"), st.just(0), st.just("")),
    st.tuples(st.just("crash"), st.just(0), st.just("")),
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(step, max_size=25), limit=st.sampled_from([3000, 1_000_000]))
def test_whatever_happens_numbers_stay_contiguous_and_chained(steps: list[tuple[str, int, str]], limit: int) -> None:
    folder = Path(tempfile.mkdtemp())
    t = 0
    dropped: set[str] = set()

    async def told() -> None:
        nonlocal folder, t
        one = spool(folder, limit=limit)
        await one.open()
        for kind, number, consent in steps:
            if kind == "put":
                await put_or_refused(one, range(t, t + number), consent, barred=consent in dropped)
                t += number
            elif kind == "release":
                upto = min(one.standing.head, one.standing.acked + number)
                await one.release(one.standing.epoch, upto)
            elif kind == "drop":
                await one.drop(consent, "consent withdrawn")
                dropped.add(consent)
            elif kind == "roll":
                await one.roll("forked")
            else:  # What a kill would leave: the files as they lie, the log not yet folded in.
                left = Path(tempfile.mkdtemp())
                shutil.copytree(folder, left, dirs_exist_ok=True)
                before = one.standing
                await one.close()
                shutil.rmtree(folder)
                folder, one = left, spool(left, limit=limit)
                dropped.clear()
                assert (await one.open()) == before
            records, bodies = await everything(one)
            standing = one.standing
            assert_contiguous(records, bodies, standing.oldest, GENESIS if standing.oldest == 1 else None)
            assert (records[-1].seq if records else standing.oldest - 1) == standing.head
            assert standing.records == len(records)
            kept = [r.t for r in records if not r.kind]
            assert kept == sorted(set(kept))
        await one.close()

    asyncio.run(told())
    shutil.rmtree(folder)
