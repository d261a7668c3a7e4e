"""Disks at work and the volumes on them.

Await and queue follow from the time that requests spent: per request it is how long one waits, per second it is how
many were under way (Little's law).

Errors: none; what the system does not tell is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.host.files import Files
from agent.host.parts import MOST_ROWS, Part, Row, Tables, per_second, share
from agent.host.system import DiskCounts, Mount, System, inodes_used_percent

_NOT_DISKS = ("loop", "ram", "zram", "fd", "sr", "dm-", "md")
_IN_MEMORY = frozenset({"tmpfs", "devtmpfs", "squashfs", "overlay", "iso9660", "ramfs", "autofs", "nsfs"})


class Disks(Part):
    """The table `disk`, as far as the kernel counts; health is for `agent.host.smart`."""

    def __init__(self, system: System, files: Files) -> None:
        self._system = system
        self._files = files
        self._before: Mapping[str, DiskCounts] = {}

    def read(self, seconds: float | None) -> Tables:
        """How busy each disk was since the last reading."""
        before, now = self._before, self._system.disks()
        self._before = now
        return {"disk": {name: _worked(before.get(name), now[name], seconds) for name in self._whole(now)}}

    def _whole(self, names: Iterable[str]) -> list[str]:
        """Disks, without their partitions and without what is no disk."""
        disks = [name for name in sorted(names) if not name.startswith(_NOT_DISKS)]
        whole = set(self._files.names("/sys/block"))
        return [name for name in disks if not whole or name in whole][:MOST_ROWS]


def _worked(before: DiskCounts | None, now: DiskCounts, seconds: float | None) -> Row:
    row: Row = {
        "read_bytes_per_second": None,
        "write_bytes_per_second": None,
        "busy_percent": None,
        "await_seconds": None,
        "queue_length": None,
    }
    if before is None or not seconds:
        return row
    row["read_bytes_per_second"] = per_second(before.read_bytes, now.read_bytes, seconds)
    row["write_bytes_per_second"] = per_second(before.write_bytes, now.write_bytes, seconds)
    row["busy_percent"] = share(before.busy_seconds, now.busy_seconds, seconds)
    if now.waited_seconds is None or before.waited_seconds is None or now.waited_seconds < before.waited_seconds:
        return row
    waited = now.waited_seconds - before.waited_seconds
    requests = now.reads + now.writes - before.reads - before.writes
    row["await_seconds"] = waited / requests if requests > 0 else None
    row["queue_length"] = waited / seconds
    return row


class Volumes(Part):
    """The table `volume`: every file system on a disk."""

    def __init__(self, system: System, files: Files) -> None:
        self._system = system
        self._files = files
        self._listed: str | None = None
        self._mounts: list[Mount] = []

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """How full each is, and whether it may be written."""
        rows: dict[str, Row] = {}
        for mount in self._there():
            room = self._system.room(mount.path)
            rows[mount.path] = {
                "used_percent": float(room.used_percent) if room else None,
                "free_bytes": float(room.free) if room else None,
                "total_bytes": float(room.total) if room else None,
                "inodes_used_percent": inodes_used_percent(mount.path),
                "read_only": float(mount.read_only),
            }
        return {"volume": rows}

    def _there(self) -> list[Mount]:
        """The volumes that are mounted; worked out anew when the kernel's list has changed, in as little as `ro`."""
        listed = self._files.text("/proc/self/mounts")
        if listed is None or listed != self._listed:
            self._listed = listed
            # A file bound into a container is a mount point too, of a volume that is listed already.
            first = {each.device: each for each in reversed(self._system.mounts()) if each.kind not in _IN_MEMORY}
            self._mounts = list(reversed(first.values()))[:MOST_ROWS]
        return self._mounts
