"""A whole `forewarn agent run` for half an hour over simulated switches: what grows, and whether a poll is lost.

Of the devices ten in a hundred fall silent after a sixth of the time and a few answer late, with garbage, too little, or
begin anew every few seconds, so that failing and meeting anew are in it. Its blocks are taken and acknowledged as a
collector must. A third of the time is left out; then resident memory and open files of the agent are taken every two
seconds. `rss_slope_kib_per_hour` is the least-squares slope, with the 95 % interval of its error in `..._low` and
`..._high`; samples stand in ten blocks whose means are fitted, because neighbours are alike. Memory is called flat when
three things hold: no growth can be shown (`..._low`), the last block is no more than half a MiB above the first
(`rss_growth_kib`), and it never had more than an agent may (`rss_most_mib`, from the start on).
`polls_lost` is how many polls are missing at the receiver, from the times of each device's records; a poll that failed
is a record too, and counted in `polls_failed`.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from bench._agent import INTERVAL, SECRET, broker, write_settings
from bench._processes import Running, ending, free_port
from bench._switches import Switches, switches
from bench._taken import Taker, taking

TARGETS: dict[str, str | float] = {
    "rss_slope_low_kib_per_hour": "<= 0",
    "rss_growth_kib": "<= 512",
    "rss_most_mib": "<= 60",
    "polls_lost": "<= 0",
    "records_declared_lost": "<= 0",
    "files_growth": "<= 0",
}
OPTIONS = {"minutes": 30, "devices": 300}
_BLOCKS = 10
_T_95 = 2.306
"""Student's t for the slope of `_BLOCKS` means: 8 degrees of freedom, two-sided."""
_DEAD_SHARE = 10
_UNDER_WAY = 15.0
"""Seconds that the last records may need to arrive."""


class Sample(NamedTuple):
    at: float
    rss: int
    files: int


class _Watched(NamedTuple):
    """The samples after the warm-up, the most from the start on, and CPU seconds in the time of the samples."""

    samples: list[Sample]
    most: int
    cpu: float


def run(*, quick: bool, minutes: int = OPTIONS["minutes"], devices: int = OPTIONS["devices"]) -> dict[str, float]:
    # gufo-snmp's parser panics at some garbage; where a trace is asked for, its symbols cost 50 MB that no user has.
    os.environ["RUST_BACKTRACE"] = "0"
    seconds = 36.0 if quick else minutes * 60.0
    with tempfile.TemporaryDirectory() as name, switches(devices) as running:
        folder, port = Path(name), free_port()
        write_settings(folder, port, running.places, only_devices=True)
        with broker(folder / "broker", port) as there:
            if not there:
                raise SystemExit("a soak needs a broker: `make servers` brings mosquitto")
            with taking(port, SECRET) as taker:
                agent = Running([sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"], folder)
                with ending(agent):
                    watched = _watched(agent, running, seconds)
                    time.sleep(_UNDER_WAY)
                return _figures(watched, taker, devices)


def _watched(agent: Running, devices: Switches, seconds: float) -> _Watched:
    process = psutil.Process(agent.process.pid)
    begun = time.monotonic()
    samples: list[Sample] = []
    most, cpu, misbehaving = 0, 0.0, False
    while (gone := time.monotonic() - begun) < seconds:
        if agent.process.poll() is not None:
            raise SystemExit(f"the agent ended: {(agent.folder / 'log').read_text()}")
        time.sleep(min(2.0, seconds / 60))
        rss = process.memory_info().rss
        most = max(most, rss)
        if gone > seconds / 6 and not misbehaving:
            devices.misbehave(len(devices.places) * _DEAD_SHARE // 100)
            misbehaving = True
        if gone > seconds / 3:
            cpu = cpu or agent.spent()
            samples.append(Sample(time.time(), rss, process.num_fds()))
    return _Watched(samples, most, agent.spent() - cpu)


def _figures(watched: _Watched, taker: Taker, devices: int) -> dict[str, float]:
    samples = watched.samples
    points = [(sample.at, sample.rss / 1024) for sample in samples]
    slope, error = slope_of(points)
    begin, end = samples[0].at, samples[-1].at
    names = [f"sw-{at}" for at in range(devices)]
    means = [block.mean() for block in np.array_split(np.array([rss for _, rss in points]), _BLOCKS)]
    return {
        "rss_slope_kib_per_hour": slope * 3600,
        "rss_slope_low_kib_per_hour": (slope - error) * 3600,
        "rss_slope_high_kib_per_hour": (slope + error) * 3600,
        "rss_growth_kib": float(means[-1] - means[0]),
        "rss_first_mib": samples[0].rss / 2**20,
        "rss_last_mib": samples[-1].rss / 2**20,
        "rss_most_mib": watched.most / 2**20,
        "files_growth": float(np.median([sample.files for sample in samples[-len(samples) // _BLOCKS :]]))
        - float(np.median([sample.files for sample in samples[: len(samples) // _BLOCKS]])),
        "polls": float(sum(begin < at < end for polls in taker.polls.values() for at in polls)),
        "polls_lost": float(taker.missed(names, begin, end, INTERVAL)),
        "polls_failed": float(taker.failed),
        "records_declared_lost": float(taker.lost),
        "cpu_percent": 100 * watched.cpu / (end - begin),
        "minutes_measured": (end - begin) / 60,
    }


def slope_of(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The slope of some points and half of its 95 % interval, in their units, over the means of ten blocks."""
    blocks = [block.mean(axis=0) for block in np.array_split(np.array(points), _BLOCKS)]
    x, y = np.array(blocks).T
    x = x - x.mean()
    spread = float((x**2).sum())
    slope = float((x * y).sum()) / spread
    rest = y - y.mean() - slope * x
    return slope, _T_95 * math.sqrt(float((rest**2).sum()) / (_BLOCKS - 2) / spread)
