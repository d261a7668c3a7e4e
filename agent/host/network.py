"""Interfaces: traffic, errors, and how often the link went.

Errors: none; what the system does not tell is null.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Row, Tables, per_second
from agent.host.system import Link, System, Traffic

_OURS_ALONE = ("lo", "veth", "docker", "br-")
"""Interfaces that lead nowhere out of the machine."""


class Interfaces(Part):
    """The table `interface`."""

    def __init__(self, system: System, files: Files) -> None:
        self._system = system
        self._files = files
        self._before: Mapping[str, Traffic] = {}

    def read(self, seconds: float | None) -> Tables:
        """What each carried since the last reading."""
        before, now = self._before, self._system.traffic()
        self._before = now
        links = self._system.links()
        names = [name for name in sorted(now) if not name.startswith(_OURS_ALONE)][:MOST_ROWS]
        rows = {name: _carried(before.get(name), now[name], links.get(name), seconds) for name in names}
        for name, row in rows.items():
            row["carrier_changes"] = self._files.number(f"/sys/class/net/{name}/carrier_changes")
        return {"interface": rows}


def _carried(before: Traffic | None, now: Traffic, link: Link | None, seconds: float | None) -> Row:
    names = Traffic._fields
    rates = {name: per_second(getattr(before, name), getattr(now, name), seconds) if before else None for name in names}
    octets_in, octets_out = rates["in_bytes"], rates["out_bytes"]
    return {
        "up": float(link.up) if link else None,
        "in_bits_per_second": octets_in * 8 if octets_in is not None else None,
        "out_bits_per_second": octets_out * 8 if octets_out is not None else None,
        "in_errors_per_second": rates["in_errors"],
        "out_errors_per_second": rates["out_errors"],
        "in_discards_per_second": rates["in_discards"],
        "out_discards_per_second": rates["out_discards"],
        "speed_bits_per_second": link.speed if link else None,
        "full_duplex": link.full_duplex if link else None,
    }
