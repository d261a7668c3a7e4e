"""The MAC addresses of those on our own network segment, and our own, as this machine knows them anyway; nothing is sent.

Linux shows its neighbour table of IPv4 in /proc/net/arp, and its own interfaces in /sys/class/net. Elsewhere, and behind
a router, nothing is known.

Errors: none.
"""

from __future__ import annotations

from pathlib import Path

_TABLE = Path("/proc/net/arp")
_INTERFACES = Path("/sys/class/net")
_COMPLETE = 0x2
"""ATF_COM of <linux/if_arp.h>: the address is known, not only asked for."""
_NOBODY = "00:00:00:00:00:00"
_COLUMNS = 6


def macs(table: Path = _TABLE) -> dict[str, str]:
    """IP address → MAC address, of those that were heard lately."""
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
        return {
            row[0]: row[3] for row in rows if len(row) == _COLUMNS and int(row[2], 16) & _COMPLETE and row[3] != _NOBODY
        }
    except (OSError, ValueError):  # A UnicodeDecodeError is a ValueError.
        return {}


def own(interfaces: Path = _INTERFACES) -> frozenset[str]:
    """The MAC addresses of this machine, twelve small hexadecimal digits each."""
    found: set[str] = set()
    for path in interfaces.glob("*/address"):
        try:
            found.add(path.read_text(encoding="ascii").strip().replace(":", "").lower())
        except (OSError, ValueError):
            continue
    return frozenset(found - {_NOBODY.replace(":", ""), ""})
