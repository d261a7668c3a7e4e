"""Measures one part and compares it with what it must reach: `python -m bench NAME [--quick] [--json]`.

A benchmark is a module of this package with

    TARGETS: dict[str, str]                          figure → "<= 10" or ">= 600000" (as text) or a bare number to note
    def run(*, quick: bool) -> dict[str, float]      its figures; `quick` takes under 45 s on two cores
    OPTIONS: dict[str, int]                          whole numbers it takes besides (`--devices 300`), if any, by keyword

With `--json` the last line is one object: {"bench", "figures", "targets", "machine"}. The exit code is 0 when it
measured, whatever the figures: a benchmark reports, it does not judge. It is 2 when NAME is none of ours.
"""

from __future__ import annotations

import argparse
import importlib
import json
import operator
import os
import pkgutil
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bench

Target = str | float
_RELATIONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


def names() -> list[str]:
    """The benchmarks there are."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def main(words: Sequence[str] | None = None) -> int:
    """Runs one benchmark and prints its figures."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures one part of forewarn.")
    parser.add_argument("name", metavar="NAME", choices=names(), help=", ".join(names()))
    parser.add_argument("--quick", action="store_true", help="under 45 s on two cores, the same figures")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked, _ = parser.parse_known_args(words)
    part = importlib.import_module(f"bench.{asked.name}")
    options: dict[str, int] = getattr(part, "OPTIONS", {})
    for option, usual in options.items():
        parser.add_argument(f"--{option}", type=int, default=usual, metavar="N", help=f"{usual} when left out")
    asked = parser.parse_args(words)
    load = os.getloadavg()[0]
    figures: dict[str, float] = part.run(quick=asked.quick, **{option: getattr(asked, option) for option in options})
    print(table(figures, part.TARGETS))
    if asked.json:
        said = {"bench": asked.name, "figures": figures, "targets": part.TARGETS, "machine": machine(load)}
        print(json.dumps(said))
    return 0


def table(figures: Mapping[str, float], targets: Mapping[str, Target]) -> str:
    """The figures as aligned lines: name, value, target, whether it is met."""
    wide = max((len(name) for name in figures), default=0)
    lines = []
    for name, value in figures.items():
        target = targets.get(name, "")
        met = {True: "met", False: "NOT met", None: ""}[is_met(value, target)]
        lines.append(f"{name:<{wide}}  {value:>16,.6g}  {target!s:>12}  {met}".rstrip())
    return "\n".join(lines)


def is_met(value: float, target: Target) -> bool | None:
    """Whether a figure reaches its target (`"<= 10"`, `"0.85..0.95"`); None when there is nothing to compare with."""
    low, between, high = str(target).partition("..")
    if between:
        return float(low) <= value <= float(high)
    relation, _, bound = str(target).strip().partition(" ")
    if relation not in _RELATIONS:
        return None
    return bool(_RELATIONS[relation](value, float(bound)))


def machine(load: float) -> dict[str, object]:
    """What the figures were measured on; `load` is the one-minute load average before the run."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(load, 2),
    }


def _cpu() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
