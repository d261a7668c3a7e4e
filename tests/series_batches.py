"""Batches for the tests of series stores, made as the collector makes them."""

from __future__ import annotations

import itertools
import urllib.parse
import urllib.request
from collections.abc import Sequence

import numpy as np

from collector.settings import Influxdb
from forewarn.vocabulary import DeviceKind, Source
from forewarn.wire import Shape, TableShape
from rules.samples import Batch, Device, Rows

NOW = 1_760_000_000_000
MINUTE = 60_000
NAN = float("nan")

DISKS = Shape(
    DeviceKind.RECORDER,
    "recorder",
    Source.SNMP,
    [
        TableShape("device", [""], ["up", "rtt_seconds"]),
        TableShape("disk", ["1", "2"], ["temperature_celsius", "status"]),
    ],
)
VOLUMES = Shape(
    DeviceKind.SERVER,
    "server",
    Source.SNMP,
    [TableShape("device", [""], ["up", "rtt_seconds"]), TableShape("volume", ["C:\\ data, x=1"], ["used_percent"])],
)


def rows(
    shape: Shape,
    polls: Sequence[tuple[str, int, Sequence[float]]],
    *,
    position: int = 1,
    site: str = "s1",
    arrived: int | None = None,
) -> Rows:
    t = np.array([poll[1] for poll in polls], np.int64)
    came = t if arrived is None else np.full(len(polls), arrived, np.int64)
    return Rows(
        shape=shape,
        devices=[Device(site, "a1", poll[0]) for poll in polls],
        t=t,
        arrived=came,
        position=np.full(len(polls), position, np.int64),
        rank=np.arange(len(polls), dtype=np.int64),
        future=t > came + 5 * MINUTE,
        values=np.array([poll[2] for poll in polls], np.float64).reshape(len(polls), shape.width),
    )


def batch(position: int, *parts: Rows) -> Batch:
    return Batch(first=position, last=position, rows=list(parts))


def disks(position: int, t: int, first: float = 1.0, device: str = "nvr1") -> Batch:
    """One poll of one recorder: values first, first + 0.01, 40, 0, 41, 1."""
    return batch(position, rows(DISKS, [(device, t, [first, first + 0.01, 40.0, 0.0, 41.0, 1.0])], position=position))


_databases = itertools.count(1)


def influx_database(port: int) -> Influxdb:
    """A new database in a running InfluxDB 1.x."""
    name = f"forewarn{next(_databases)}"
    question = urllib.parse.urlencode({"q": f"CREATE DATABASE {name}"}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/query", question, timeout=10) as answer:
        said = answer.read().decode()
    assert "error" not in said, said
    return Influxdb(url=f"http://127.0.0.1:{port}", bucket=name)
