"""A damaged spool file is declared whatever moment its setting aside is cut short at."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from types import FrameType

import pytest

from agent.delivery import epochs, layout, spoolfile
from agent.delivery.epochs import Epochs
from agent.delivery.spool import Spool, SpoolError
from agent.delivery.spoolfile import SpoolFile
from forewarn import wire
from forewarn.wire import Record
from tests.unit.test_spool import ROOM, SHAPE, Clock, everything, record

WATCHED = {epochs.__file__, layout.__file__, spoolfile.__file__}
KILLED = 9


def damaged(folder: Path) -> str:
    """Leaves a spool acknowledged up to 7 whose file is damaged; returns its epoch."""

    async def fill() -> str:
        one = Spool(folder, clock=Clock(), linger=0.0)
        await one.open()
        await asyncio.gather(*(one.put(record(t), SHAPE, "c-1") for t in range(300)))
        await one.release(one.standing.epoch, 7)
        await one.close()
        return one.standing.epoch

    epoch = asyncio.run(fill())
    path = folder / f"{epoch}.spool"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
    return epoch


def opened_and_killed(folder: Path, step: int) -> bool:
    """Opens a folder in a process that ends at its `step`th call, as kill -9 does; False when it came to the end."""
    left = step

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event == "c_call" and frame.f_code.co_filename in WATCHED:
            left -= 1
            if not left:
                os._exit(KILLED)

    child = os.fork()
    if not child:
        try:
            sys.setprofile(count)
            Epochs(folder, clock=Clock(), ledger=None, max_pages=None).open()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def assert_declared(folder: Path, epoch: str) -> None:
    """The next start holds one record: the loss of `epoch`, and beside it what is left of the file."""
    found = Epochs(folder, clock=Clock(), ledger=None, max_pages=None)
    found.open()
    piece = found.cut(0, 10, ROOM)
    found.close()
    assert piece is not None
    lost = [wire.open_record(body) for body in piece.bodies]
    assert [(one.kind, one.first, one.text["epoch"]) for one in lost] == [("lost", 8, epoch)]
    assert (folder / lost[0].text["kept"]).exists()
    assert [path.name for path in folder.glob("*.spool")] == [f"{piece.epoch}.spool"]
    assert not list(folder.glob("*.new*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed in the middle by forking it")
def test_a_damaged_epoch_is_declared_whichever_step_the_agent_is_killed_at(tmp_path: Path) -> None:
    epoch = damaged(tmp_path / "damaged")
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "damaged", folder)
        killed = opened_and_killed(folder, step)
        assert_declared(folder, epoch)
        if not killed:
            break
    assert 20 < step < 999, "it was killed at steps of its own, and came to its end"


def test_a_damaged_epoch_stays_in_place_until_there_is_room_to_declare_it(tmp_path: Path) -> None:
    epoch = damaged(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        Epochs(tmp_path, clock=Clock(), ledger=None, max_pages=2).open()
    assert (tmp_path / f"{epoch}.spool").exists()
    assert_declared(tmp_path, epoch)


def test_damage_met_on_a_full_disk_ends_nothing_and_is_declared_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(file: SpoolFile, *_: object, **__: object) -> Record:
        raise _wrong(sqlite3.SQLITE_FULL if file.path.suffix == epochs.DRAFT else sqlite3.SQLITE_CORRUPT)

    async def story() -> None:
        one = Spool(tmp_path, clock=Clock(), linger=0.0)
        old = (await one.open()).epoch
        await one.put(record(0), SHAPE, "c-1")
        monkeypatch.setattr(SpoolFile, "append", failing)
        waiting = asyncio.create_task(one.put(record(1), SHAPE, "c-1"))
        while not one.standing.stuck:
            await asyncio.sleep(0.01)
        assert one.standing.stuck == f"error {sqlite3.SQLITE_CORRUPT}"
        monkeypatch.setattr(SpoolFile, "cut", _corrupt)
        with pytest.raises(SpoolError, match="does not answer: error"):
            await one.cut(0, most=10, room=ROOM)
        monkeypatch.undo()
        await asyncio.wait_for(waiting, 10)
        assert [r.t for r in (await everything(one))[0] if r.seq] == [0, 1]
        assert one.standing.epoch == old, "the damage was none: nothing was set aside"
        await one.close()

    asyncio.run(story())


def _corrupt(*_: object) -> None:
    raise _wrong(sqlite3.SQLITE_CORRUPT)


def _wrong(code: int) -> sqlite3.OperationalError:
    wrong = sqlite3.OperationalError(f"error {code}")
    wrong.sqlite_errorcode = code
    return wrong
