"""A whole `forewarn agent run` for half an hour over simulated switches: what grows, and whether a poll is lost.

After a warm-up (a fifth of the time, at most five minutes) resident memory and open files of the agent are taken every
two seconds. `rss_slope_kib_per_hour` is the least-squares slope, with the 95 % interval of its error in `..._low` and
`..._high`; samples stand in ten blocks whose means are fitted, because neighbours are alike. `polls_lost` is how many
records the agent is short of what was due in the time measured: one a device and interval, less one each that may lie
on either side of its ends.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from bench._agent import INTERVAL, broker, write_settings
from bench._processes import Running, ending, free_port
from bench._switches import switches

TARGETS: dict[str, str | float] = {"rss_slope_low_kib_per_hour": "<= 0", "polls_lost": "<= 0", "files_growth": "<= 0"}
OPTIONS = {"minutes": 30, "devices": 300}
_BLOCKS = 10
_T_95 = 2.306
"""Student's t for the slope of `_BLOCKS` means: 8 degrees of freedom, two-sided."""


class Sample(NamedTuple):
    at: float
    rss: int
    files: int
    records: int


def run(*, quick: bool, minutes: int = OPTIONS["minutes"], devices: int = OPTIONS["devices"]) -> dict[str, float]:
    seconds = 30.0 if quick else minutes * 60.0
    with tempfile.TemporaryDirectory() as name, switches(devices) as running:
        folder, port = Path(name), free_port()
        write_settings(folder, port, running.places, only_devices=True)
        with broker(folder / "broker", port):
            agent = Running([sys.executable, "-m", "forewarn", "agent", "run", "--config", "agent.yaml"], folder)
            with ending(agent):
                samples = _sampled(agent, seconds)
    return _figures(samples, devices)


def _sampled(agent: Running, seconds: float) -> list[Sample]:
    process = psutil.Process(agent.process.pid)
    begin = time.monotonic() + min(seconds / 5, 300.0)
    end = time.monotonic() + seconds
    samples: list[Sample] = []
    while time.monotonic() < end:
        if agent.process.poll() is not None:
            raise SystemExit(f"the agent ended: {(agent.folder / 'log').read_text()}")
        time.sleep(min(2.0, seconds / 60))
        if time.monotonic() < begin:
            continue
        with contextlib.suppress(OSError, ValueError):
            status = json.loads((agent.folder / "agent" / "status.json").read_text())
            polls = int(status["head"])
            samples.append(Sample(int(status["at"]) / 1000, process.memory_info().rss, process.num_fds(), polls))
    if len(samples) < _BLOCKS:
        raise SystemExit("too few samples: the agent tells no status, or the time is too short")
    return samples


def _figures(samples: list[Sample], devices: int) -> dict[str, float]:
    slope, error = slope_of([(sample.at, sample.rss / 1024) for sample in samples])
    took = samples[-1].at - samples[0].at
    due = devices * max(math.floor(took / INTERVAL) - 1, 0)
    return {
        "rss_slope_kib_per_hour": slope * 3600,
        "rss_slope_low_kib_per_hour": (slope - error) * 3600,
        "rss_slope_high_kib_per_hour": (slope + error) * 3600,
        "rss_first_mib": samples[0].rss / 2**20,
        "rss_last_mib": samples[-1].rss / 2**20,
        "files_growth": float(samples[-1].files - samples[0].files),
        "polls": float(samples[-1].records - samples[0].records),
        "polls_lost": float(max(due - (samples[-1].records - samples[0].records), 0)),
        "minutes_measured": took / 60,
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
