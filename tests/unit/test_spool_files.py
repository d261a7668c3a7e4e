"""Whatever became of the spool's files while the agent was away, it opens, and what is missing is declared."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from agent.delivery.epochs import Epochs
from agent.delivery.spool import Spool
from forewarn.wire import GENESIS, Record
from tests.unit.test_spool import SHAPE, Clock, assert_contiguous, everything, record, run
from tests.unit.test_spool_hours import hour, put


def killed(folder: Path, *, acked: int = 7) -> str:
    """Leaves what a killed agent leaves in `folder`: 300 records in the file; in its log 100 more, and that some went."""
    away = folder / "running"

    async def story(one: Spool) -> None:
        await put(one, *range(300))
        await one._do(lambda: one._epochs.file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        if acked:
            await one.release(one.standing.epoch, acked)
        await put(one, *range(300, 400))
        await hour(one, 0.1)
        shutil.copytree(away, folder / "left")

    run(away, story)
    path = next((folder / "left").glob("*.spool"))
    assert Path(f"{path}-wal").stat().st_size > 4096
    return path.name.removesuffix(".spool")


def opened(folder: Path) -> tuple[str, list[Record]]:
    """The epoch and the records of what is found there, in order and whole."""
    found: list[tuple[str, list[Record]]] = []

    async def story(one: Spool) -> None:
        records, bodies = await everything(one)
        assert_contiguous(records, bodies, one.standing.oldest, GENESIS if one.standing.oldest == 1 else None)
        found.append((one.standing.epoch, records))
        before = one.standing.head
        assert await one.put(record(), SHAPE, "c-1") == before + 1

    run(folder / "left", story)
    return found[0]


def test_what_a_killed_agent_leaves_is_whole(tmp_path: Path) -> None:
    epoch = killed(tmp_path)
    found, records = opened(tmp_path)
    assert found == epoch
    assert [one.t for one in records] == list(range(7, 400))


@pytest.mark.parametrize("how", ["log missing", "log and file emptied", "file emptied", "log cut"])
def test_a_spool_that_lost_its_log_or_was_emptied_declares_what_is_gone_and_numbers_anew(
    tmp_path: Path, how: str
) -> None:
    epoch = killed(tmp_path)
    path = tmp_path / "left" / f"{epoch}.spool"
    log = Path(f"{path}-wal")
    if how == "log cut":
        os.truncate(log, log.stat().st_size // 2)
    else:
        log.unlink()
    if "emptied" in how:
        path.write_bytes(b"")
    found, records = opened(tmp_path)
    assert found != epoch, "its numbers are used up"
    event, lost, *left = records
    assert (event.text["event"], event.text["from"]) == ("epoch rolled", epoch)
    assert (lost.kind, lost.text) == ("lost", {"epoch": epoch})
    assert "had 400" in lost.why
    assert [one.t for one in left] == list(range(7, lost.first - 1)), "what is left of it moves along, once"
    assert lost.first == {"log missing": 301, "file emptied": 8, "log and file emptied": 8}.get(how, lost.first)


def test_an_emptied_file_that_nothing_waited_in_declares_no_loss(tmp_path: Path) -> None:
    epoch = killed(tmp_path, acked=0)
    path = tmp_path / "left" / f"{epoch}.spool"
    Path(f"{path}-wal").unlink()
    (tmp_path / "left" / "acked").write_text(f"{epoch} 400 400\n")
    found, records = opened(tmp_path)
    assert found != epoch
    assert [one.kind for one in records] == ["event"]


def test_a_disk_without_room_for_the_new_epoch_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epoch = killed(tmp_path)
    Path(f"{tmp_path / 'left' / epoch}.spool-wal").unlink()
    roll, tries = Epochs.roll, []

    def full(epochs: Epochs, why: str, declared: Iterable[Record] = ()) -> None:
        tries.append(why)
        if len(tries) == 1:
            wrong = sqlite3.OperationalError("database or disk is full")
            wrong.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise wrong
        roll(epochs, why, declared)

    monkeypatch.setattr(Epochs, "roll", full)
    found, records = opened(tmp_path)
    assert found != epoch
    assert [one.t for one in records[2:]] == list(range(7, 300)), "once each, though it was tried twice"


@pytest.mark.parametrize("note", ["{epoch} 7\n", "{epoch}\n", "", "other 1 900\n", "\x00\x00", "{epoch} 7 many\n"])
def test_a_note_of_an_older_version_or_a_torn_one_is_no_reason_to_distrust(tmp_path: Path, note: str) -> None:
    epoch = killed(tmp_path)
    (tmp_path / "left" / "acked").write_text(note.format(epoch=epoch))
    assert opened(tmp_path)[0] == epoch


@pytest.mark.parametrize("share", [0.1, 0.37, 0.5, 0.9])
def test_a_file_cut_in_the_middle_of_a_page_is_set_aside_and_declared(tmp_path: Path, share: float) -> None:
    async def fill(one: Spool) -> None:
        await put(one, *range(400))
        await one.release(one.standing.epoch, 7)

    run(tmp_path / "left", fill)
    path = next((tmp_path / "left").glob("*.spool"))
    size = path.stat().st_size
    os.truncate(path, int(size * share) // 4096 * 4096 + 1234)
    found, records = opened(tmp_path)
    assert found != path.name.removesuffix(".spool")
    assert [(one.kind, one.first, one.text["epoch"]) for one in records] == [
        ("lost", 8, path.name.removesuffix(".spool"))
    ]


def test_a_ledger_that_cannot_be_written_holds_nothing_up_and_is_whole_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    write = Path.open

    def full(path: Path, *words: str, **more: object) -> object:
        if path == ledger and "a" in words:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *words, **more)  # type: ignore[call-overload]

    async def story() -> None:
        one = Spool(tmp_path / "s", clock=Clock(), linger=0.0, ledger=ledger)
        await one.open()
        monkeypatch.setattr(Path, "open", full)
        async with asyncio.timeout(10):
            await put(one, 1, 2, 3)
        assert not ledger.exists() or not ledger.read_text()
        assert one.standing.stuck == ""
        monkeypatch.undo()
        await put(one, 4)
        assert [line.split()[1] for line in ledger.read_text().splitlines()] == ["1", "2", "3", "4"]
        await one.close()

    asyncio.run(story())


def test_a_spool_that_drains_gives_its_room_back_to_the_disk(tmp_path: Path) -> None:
    async def filled(one: Spool) -> None:
        fat = {"event": "x" * 4000}
        await asyncio.gather(*(one.put(Record(seq=0, t=n, kind="event", text=fat), None, "c-1") for n in range(1000)))

    async def drained(one: Spool) -> None:
        for upto in range(50, 1001, 50):
            await one.release(one.standing.epoch, upto)

    run(tmp_path, filled)
    [file] = tmp_path.glob("*.spool")
    full = file.stat().st_size
    run(tmp_path, drained)
    assert file.stat().st_size < full / 3


def test_a_damaged_loss_is_declared_with_all_it_stood_for(tmp_path: Path) -> None:
    async def story(one: Spool) -> None:
        await put(one, *range(20))
        await one.drop("c-1", "withdrawn")
        await one.give_up(7, "no longer here")
        await one._do(lambda: one._epochs.file._db.execute("UPDATE record SET body = x'7b7b'"))
        records, _ = await everything(one)
        assert [(one.kind, one.begins, one.seq) for one in records] == [("lost", 1, 20)]

    run(tmp_path, story)
