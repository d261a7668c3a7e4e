"""What polling costs, beside prometheus-snmp-exporter on the same simulated switches in the same run.

`cpu_us_per_varbind` is the processor time of the whole process, all threads, over polls that are asked, parsed,
turned into records and committed to a spool on disk, divided by the objects read; `..._unspooled` leaves the spool
out. Meeting the devices for the first time is not counted, neither is the simulation, which is another process. The
exporter's time is that of its process over the same objects and devices; it is asked over HTTP, as it is made to be.
`collectd_cpu_us_per_varbind` is the same of collectd's snmp plugin, by its own rounds.
`agent_resident_mib` is the most that a whole `forewarn agent run` held while it polled the same switches and its own
host, connected to a broker where mosquitto is installed, with nobody who acknowledges.
`--devices` and `--dead` are of the slots: how late healthy devices begin, and how many of their polls that were due
came whole, while some others are dead, slow, rebooting, small or tell garbage.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from agent.delivery.door import as_record
from agent.delivery.spool import Spool
from agent.polling.contact import Contact
from agent.profiles.files import shipped
from agent.reading import Happening, Reading
from agent.settings.target import Target
from agent.snmp.opening import opener
from bench._agent import most_resident
from bench._collectd import spent_on
from bench._lag import MEETING, Clock, lag
from bench._switches import COLUMNS, PORTS, Switches, capacity, switches

TARGETS: dict[str, str | float] = {
    "cpu_us_per_varbind": "<= 10",
    "requests_per_switch_cycle": "<= 8",
    "requests_per_cycle_switch24": "<= 8",
    "start_lag_p99_ms": "< 100",
    "p99_lag_ms_with_dead": "< 100",
    "cycles_on_time_share": ">= 0.99",
    "agent_resident_mib": "<= 60",
    "resident_mb_200_devices": "<= 60",
}
VARBINDS = len(COLUMNS) * PORTS + 1


class _Nowhere:
    async def put(self, item: Reading | Happening) -> None:
        pass


class _ToSpool:
    """The way into the spool without the guard, whose work is once a poll."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def put(self, item: Reading | Happening) -> None:
        await self._spool.put(as_record(item), item.shape, "c-bench")


OPTIONS = {"devices": 1000, "dead": 20}
"""How many devices the slots are measured with (a quick run: at most 200), and how many of a hundred are dead."""


def run(*, quick: bool, devices: int = OPTIONS["devices"], dead: int = OPTIONS["dead"]) -> dict[str, float]:
    # gufo-snmp's parser panics at some garbage: with a trace of its own code that takes longer than many polls.
    os.environ["RUST_BACKTRACE"] = "0"
    # Some of the devices are dead on purpose.
    logging.getLogger("agent.poller").setLevel(logging.ERROR)
    some, cycles = (100, 6) if quick else (200, 25)
    with switches(some) as running:
        figures = asyncio.run(_polled(running, cycles))
        figures["requests_per_cycle_switch24"] = figures["requests_per_switch_cycle"]
        figures["agent_resident_mib"] = most_resident(running.places, rounds=2 if quick else 6)
        if some == 200:
            figures["resident_mb_200_devices"] = figures["agent_resident_mib"] * 2**20 / 1e6
        figures |= _exported(running, cycles)
        collected = spent_on(running, COLUMNS, PORTS, seconds=4 if quick else 20)
        if collected is not None:
            figures["collectd_cpu_us_per_varbind"] = collected
    return figures | _slots(min(devices, 200) if quick else devices, dead, quick=quick)


def _slots(devices: int, dead: int, *, quick: bool) -> dict[str, float]:
    """How slots are kept, by many devices of which some are dead, beside what the simulation can answer."""
    interval, cycles = (2.0, 3) if quick else (10.0, 6)
    with switches(devices) as running:
        figures = asyncio.run(lag(running, dead=devices * dead // 100, cycles=cycles, interval=interval))
        asked = running.requests() / (interval * (cycles + MEETING + 1))
    able = capacity() * len(running.pipes)
    figures |= {"simulation_requests_per_second": able, "simulation_load": asked / able}
    return figures | {"start_lag_p99_ms": figures["p99_lag_ms_with_dead"]}


def _targets(running: Switches, **given: object) -> list[Target]:
    return [
        Target(name=f"switch-{at}", address=address, port=port, profile="switch.generic", **given)  # type: ignore[arg-type]
        for at, (address, port) in enumerate(running.places)
    ]


async def _polled(running: Switches, cycles: int) -> dict[str, float]:
    opened = opener()
    contacts = [Contact(each, shipped(), open_session=opened, clock=Clock()) for each in _targets(running)]
    await asyncio.gather(*(contact.poll() for contact in contacts))
    running.requests()
    bare = await _cycled(contacts, _Nowhere(), cycles)
    requests = running.requests() / len(contacts) / cycles
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), clock=Clock())
        await spool.open()
        kept = await _cycled(contacts, _ToSpool(spool), cycles)
        await spool.close()
    for contact in contacts:
        contact.close()
    return {
        "cpu_us_per_varbind": kept,
        "cpu_us_per_varbind_unspooled": bare,
        "requests_per_switch_cycle": requests,
        "resident_mib": _resident(),
    }


async def _cycled(contacts: list[Contact], sink: _Nowhere | _ToSpool, cycles: int) -> float:
    """Microseconds of processor time per object over some cycles, a few devices at a time as their slots would have it."""
    turns = asyncio.Semaphore(16)

    async def visit(contact: Contact) -> None:
        async with turns:
            items = await contact.poll()
        for item in items:
            assert isinstance(item, Happening) or item.ok, item.why
            await sink.put(item)

    begun = time.process_time()
    for _ in range(cycles):
        await asyncio.gather(*(visit(contact) for contact in contacts))
    return (time.process_time() - begun) / cycles / len(contacts) / VARBINDS * 1e6


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _exported(running: Switches, cycles: int) -> dict[str, float]:
    program = shutil.which("prometheus-snmp-exporter")
    if program is None:
        print("prometheus-snmp-exporter is not installed (Debian package prometheus-snmp-exporter): not compared")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "snmp.yml"
        config.write_text(_module())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        listen = f"--web.listen-address=127.0.0.1:{port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([program, f"--config.file={config}", listen], **quiet)  # type: ignore[call-overload]
        try:
            return {"snmp_exporter_cpu_us_per_varbind": _scraped(process.pid, port, running, max(cycles // 3, 2))}
        finally:
            process.terminate()
            process.wait()


def _scraped(pid: int, port: int, running: Switches, cycles: int) -> float:
    page = ""
    end = time.monotonic() + 20
    while "if_admin" not in page and time.monotonic() < end:
        page = _scrape(port, running.places[0])
        time.sleep(0.1)
    assert page.count("bench_") >= VARBINDS - 1, f"the exporter does not read all objects:\n{page[:2000]}"
    begun = _cpu_of(pid)
    for _ in range(cycles):
        for place in running.places:
            _scrape(port, place)
    return (_cpu_of(pid) - begun) / cycles / len(running.places) / VARBINDS * 1e6


def _scrape(port: int, place: tuple[str, int]) -> str:
    address = f"http://127.0.0.1:{port}/snmp?module=bench&target={place[0]}:{place[1]}"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _module() -> str:
    """The exporter's settings for the same objects, numeric, as large requests as it takes."""
    lines = ["bench:", "  version: 2", "  auth: {community: public}", "  max_repetitions: 25", "  walk:"]
    lines += [f"    - {column}" for column in COLUMNS]
    lines += ["  get: [1.3.6.1.2.1.1.3.0]", "  metrics:"]
    names = {"1.3.6.1.2.1.2.2.1.7": "bench_if_admin"}
    for number, (column, tag) in enumerate(COLUMNS.items()):
        kind = "gauge" if tag in (2, 66) else "counter"
        poe = column.startswith("1.3.6.1.2.1.105")
        labels = ["group", "port"] if poe else ["port"]
        indexes = ", ".join(f"{{labelname: {label}, type: gauge}}" for label in labels)
        name = names.get(column, f"bench_{number}")
        lines.append(f"    - {{name: {name}, oid: {column}, type: {kind}, help: x, indexes: [{indexes}]}}")
    return "\n".join([*lines, ""])
