"""A process that puts is killed with -9 while it runs: nothing that `put` returned for is missing afterwards."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path

from agent.delivery.spool import Spool
from forewarn import wire
from tests.unit.test_spool import ROOM, Clock, assert_contiguous

PUTTER = """
import asyncio, itertools, sys
from pathlib import Path
from agent.delivery.spool import Spool
from forewarn.wire import Record
from tests.unit.test_spool import SHAPE, Clock

async def main():
    spool = Spool(Path(sys.argv[1]), clock=Clock(), linger=0.001, ledger=Path(sys.argv[2]))
    await spool.open()
    async def put_on(lane):
        for number in itertools.count():
            seq = await spool.put(Record(seq=0, t=number, device=f"d{lane}", values=[1.0]), SHAPE, "c-1")
            print(spool.standing.epoch, seq, flush=True)
    await asyncio.gather(*(put_on(lane) for lane in range(8)))

asyncio.run(main())
"""


def test_nothing_acknowledged_by_put_is_missing_after_kill_9(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "spool", tmp_path / "ledger"
    promised: set[tuple[str, int]] = set()
    for after in (0.05, 0.2, 0.11, 0.4):
        process = subprocess.Popen(
            [sys.executable, "-c", PUTTER, str(folder), str(ledger)], stdout=subprocess.PIPE, cwd=Path.cwd()
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(after)
        process.kill()
        rest = process.stdout.read()
        process.wait()
        process.stdout.close()
        for line in (first + rest).decode().splitlines(keepends=True):
            if line.endswith("\n"):
                epoch, seq = line.split()
                promised.add((epoch, int(seq)))

    async def look() -> None:
        spool = Spool(folder, clock=Clock(), ledger=ledger)
        standing = await spool.open()
        bodies: list[bytes] = []
        while piece := await spool.cut(len(bodies), most=1000, room=ROOM):
            bodies += piece.bodies
        await spool.close()
        records = [wire.open_record(body) for body in bodies]
        assert_contiguous(records, bodies, 1, wire.GENESIS)
        held = {(standing.epoch, record.seq) for record in records}
        assert promised <= held
        assert len(promised) > 100
        written = [tuple(line.split()) for line in ledger.read_text().splitlines()]
        assert written == [(standing.epoch, str(record.seq), record.hash) for record in records]
        lanes = {device: [r.t for r in records if r.device == device] for device in {r.device for r in records}}
        for times in lanes.values():  # Each lane puts one after the other: none may be there twice or out of order.
            runs = [list(group) for _, group in itertools.groupby(enumerate(times), lambda pair: pair[0] - pair[1])]
            assert len(runs) <= 4

    asyncio.run(look())
