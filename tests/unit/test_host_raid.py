"""Software RAID, as /proc/mdstat shows it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.host.files import Files
from agent.host.parts import Row
from agent.host.raid import Arrays, parse
from forewarn.vocabulary import misnamed

HEALTHY = """\
Personalities : [raid1] [raid6] [raid5] [raid4]
md0 : active raid1 sdb1[1] sda1[0]
      1953382464 blocks super 1.2 [2/2] [UU]
      bitmap: 0/15 pages [0KB], 65536KB chunk

unused devices: <none>
"""
DEGRADED = """\
Personalities : [raid6] [raid5] [raid4]
md127 : active (auto-read-only) raid5 sdd1[4](F) sdc1[2] sdb1[1] sda1[0]
      5860147200 blocks super 1.2 level 5, 512k chunk, algorithm 2 [4/3] [UUU_]

unused devices: <none>
"""
REBUILDING = """\
Personalities : [raid1]
md0 : active raid1 sdc1[2] sda1[0]
      1953382464 blocks super 1.2 [2/1] [U_]
      [==>..................]  recovery = 12.6% (246126190/1953382464) finish=127.5min speed=223204K/sec
md1 : active raid1 sdc2[2](S) sda2[0]
      8384512 blocks super 1.2 [2/1] [U_]
        resync=DELAYED
"""
RESYNC = """\
Personalities : [raid10]
md2 : active raid10 sdd[3] sdc[2] sdb[1] sda[0]
      7813772288 blocks super 1.2 512K chunks 2 near-copies [4/4] [UUUU]
      [=>...................]  resync =  5.0% (390688614/7813772288) finish=600.1min speed=206154K/sec
"""
CHECK = HEALTHY.replace(
    "      bitmap", "      [>....................]  check =  0.3% (6/2) finish=9min speed=1K/sec\n      bitmap"
)
STRIPED = """\
Personalities : [raid0]
md3 : active raid0 sdb1[1] sda1[0]
      3906764800 blocks super 1.2 512k chunks
md4 : inactive sdf[0](S)
      976630488 blocks super 1.2
md125 : inactive sdh[1](S) sdg[0](S)
      10402 blocks super external:imsm
md126 : active raid1 sdh[1] sdg[0]
      937692160 blocks super external:/md125/0 [2/2] [UU]
"""


def row(status: float, disks: float, missing: float | None, **more: float | None) -> Row:
    told: Row = {"status": status, "disks": disks, "disks_missing": missing}
    return {**told, "disks_failed": 0.0, "spares": 0.0, "rebuilt_percent": None, **more}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (HEALTHY, {"md0": row(0, 2, 0)}),
        (DEGRADED, {"md127": row(2, 4, 1, disks_failed=1)}),
        (REBUILDING, {"md0": row(1, 2, 1, rebuilt_percent=12.6), "md1": row(1, 2, 1, spares=1)}),
        (RESYNC, {"md2": row(1, 4, 0, rebuilt_percent=5)}),
        (CHECK, {"md0": row(0, 2, 0, rebuilt_percent=0.3)}),
        (STRIPED, {"md3": row(0, 2, 0), "md4": row(2, 0, None, spares=1), "md126": row(0, 2, 0)}),
        ("Personalities : \nunused devices: <none>\n", {}),
        ("", {}),
    ],
    ids=["healthy", "degraded", "rebuilding", "resync", "check", "striped and firmware", "none", "empty"],
)
def test_an_array_tells_whether_it_is_whole(text: str, rows: dict[str, Row]) -> None:
    assert parse(text) == rows


def test_a_machine_without_arrays_has_no_table(tmp_path: Path) -> None:
    assert Arrays(Files(tmp_path)).read(None) == {}
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mdstat").write_text(DEGRADED)
    [(table, rows)] = Arrays(Files(tmp_path)).read(None).items()
    assert [misnamed(table, field) for field in rows["md127"] if misnamed(table, field)] == []


PIECES = some.sampled_from(
    ["md0 : ", "active ", "raid1 ", "sda[0]", "(F)", "(S)", "[2/1]", "[1/9]", "\n", "recovery = "]
)


@given(some.lists(PIECES | some.text(max_size=6), max_size=40).map("".join))
def test_whatever_the_kernel_prints_no_value_is_invented(text: str) -> None:
    for found in parse(text).values():
        assert found["status"] in (0, 1, 2)
        assert all(value is None or (math.isfinite(value) and value >= 0) for value in found.values())
        assert (found["rebuilt_percent"] or 0) <= 100
