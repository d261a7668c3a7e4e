"""What collectd's snmp plugin spends on the same devices, started as a plain process with settings of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench._processes import Running, ending
from bench._switches import Switches

_MEETING = 3.0
"""Seconds for its first round, which is not counted."""
_INTERVAL = 2.0


def spent_on(devices: Switches, columns: Iterable[str], rows: int, *, seconds: float) -> float | None:
    """Microseconds of processor time an object, over `seconds` of rounds of two; None where it is not installed.

    It asks a row of a column at a time, and once more for each column's end; its values go nowhere.
    """
    program = shutil.which("collectd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        print("collectd is not installed (Debian package collectd-core): not compared")
        return None
    named = list(columns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf").write_text(_settings(folder, devices.places, named))
        running = Running([program, "-f", "-C", str(folder / "conf")], folder)
        with ending(running):
            time.sleep(_MEETING)
            devices.requests()
            begun = running.spent()
            time.sleep(seconds)
            spent, objects = running.spent() - begun, devices.requests() * rows / (rows + 1)
            said = (folder / "log").read_text()
        if "error" in said.lower() or not objects:
            raise SystemExit(f"collectd does not poll as it should: {said[-2000:]}")
    return spent / objects * 1e6


def _settings(folder: Path, places: Sequence[tuple[str, int]], columns: Sequence[str]) -> str:
    lines = [f'BaseDir "{folder}"', f'PIDFile "{folder}/pid"', f"Interval {_INTERVAL:g}", "ReadThreads 4"]
    lines += ["LoadPlugin snmp", "<Plugin snmp>"]
    for number, column in enumerate(columns):
        lines += [f'<Data "c{number}">', 'Type "gauge"', "Table true", f'Values "{column}"', "</Data>"]
    collected = " ".join(f'"c{number}"' for number in range(len(columns)))
    for number, (address, port) in enumerate(places):
        lines += [f'<Host "h{number}">', f'Address "udp:{address}:{port}"', "Version 2", 'Community "public"']
        lines += [f"Collect {collected}", f"Interval {_INTERVAL:g}", "</Host>"]
    return "\n".join([*lines, "</Plugin>", ""])
