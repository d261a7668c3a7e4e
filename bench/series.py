"""Series: what a value costs the DuckDB store alone, from a batch's arrays to the closed file.

Polls of `width` values go through the store's own front door, devices in turn, values like those of an interface
table. CPU is process time of all threads and includes the last flush; names of new series are learnt before it counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from collector.series.duck import DuckStore
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.samples import Batch, Device, Rows

TARGETS: dict[str, str | float] = {"cpu_ns_per_value": "<= 150", "growth_ratio": "<= 1.5"}

_BEGIN = 1_760_000_000_000
_FIELDS = ["up", "in_bits_per_second", "out_bits_per_second", "in_errors_per_second", "speed_bits_per_second"]


def run(*, quick: bool) -> dict[str, float]:
    """Figures: CPU a value at 100 and 20 values a record, at 1 M series, live, and what a value takes on disk."""
    values = 3_000_000 if quick else 12_000_000
    wide, disk = _written(100, 100, values, polls=1000)
    narrow, _ = _written(20, 500, values, polls=1000)
    many, _ = _written(100, 10_000, values, polls=1000)
    live, _ = _written(20, 500, values // 10, polls=100)
    return {
        "cpu_ns_per_value": wide,
        "cpu_ns_per_value_20": narrow,
        "cpu_ns_per_value_1m_series": many,
        "growth_ratio": many / wide,
        "cpu_ns_per_value_batches_of_2000": live,
        "disk_bytes_per_value": disk,
    }


def _written(width: int, devices: int, values: int, *, polls: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        store = DuckStore(Path(folder) / "series.duckdb")
        shape = Shape(
            DeviceKind.SWITCH,
            "switch",
            Source.SNMP,
            [TableShape("interface", [str(port) for port in range(width // len(_FIELDS))], _FIELDS)],
        )
        named = [Device("s1", "a1", f"device-{n}") for n in range(devices)]
        first, *rest = _batches(shape, named, devices + values // width, polls=max(polls, devices), then=polls)
        store.write(first)
        store.last("s1", "device-0")
        store.read([], 0, 1)
        began = time.process_time()
        for batch in rest:
            store.write(batch)
        store.close()
        spent = time.process_time() - began
        stored = sum(len(rows.t) for batch in rest for rows in batch.rows) * width
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        return spent / stored * 1e9, size / (stored + len(first.rows[0].t) * width)


def _batches(shape: Shape, named: list[Device], count: int, *, polls: int, then: int) -> Iterator[Batch]:
    """`count` polls: `polls` of them in the first batch, `then` in each after it."""
    noise = np.random.default_rng(1)
    at, position = 0, 0
    while at < count:
        turn = np.arange(at, min(count, at + (then if at else polls)))
        position += 1
        t = _BEGIN + turn // len(named) * 30_000
        yield Batch(
            first=position,
            last=position,
            rows=[
                Rows(
                    shape=shape,
                    devices=[named[n % len(named)] for n in turn.tolist()],
                    t=t,
                    arrived=t + 200,
                    position=np.full(len(turn), position),
                    rank=np.zeros(len(turn), np.int64),
                    future=np.zeros(len(turn), np.bool_),
                    values=np.round(noise.random((len(turn), shape.width)) * 100, 1),
                )
            ],
        )
        at = int(turn[-1]) + 1
