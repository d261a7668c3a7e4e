"""What the agent remembers of its devices across restarts: who each was, how much it takes in a request.

And of those that nobody watches and that it found while it looked: that each was told once. One small file, `devices.json` in the agent's folder, written whole and put in place at once. It is a convenience: where
it cannot be read everything is learned anew, and where it cannot be written polling goes on.

Errors: none; both are named in the log.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.devices.lockout import Refusals
from agent.snmp.packing import Packing
from forewarn.telemetry import Log

FILE = "devices.json"
_MOST_BYTES = 16 * 1024 * 1024
_LONGEST = 256
_log = Log(__name__)


class Remembered(msgspec.Struct, omit_defaults=True):
    """One device. `booted` is when its uptime began, Unix seconds, across the wraps of sysUpTime.

    `link` is where it was last found to hang, see `agent.polling.wiring`. `engine` is the SNMP engine id it showed, hexadecimal,
    `double` the device that was found to show the same, see `agent.devices.engines`.
    """

    packing: int = Packing().size
    patience: int = Packing().patience
    booted: float | None = None
    identity: dict[str, str] = {}
    link: dict[str, str] = {}
    engine: str = ""
    double: str = ""
    refusals: Refusals = msgspec.field(default_factory=Refusals)


class Unwatched(msgspec.Struct, omit_defaults=True):
    """A device that nobody watches: what was told of it, when that was, and when it was found last (Unix ms)."""

    text: dict[str, str] = {}
    told: int = 0
    last: int = 0


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file; before there was looking it was the devices alone."""

    devices: dict[str, Remembered]
    unwatched: dict[str, Unwatched]
    looked: int


class Memory:
    """What is remembered of the devices of these names, and of no others; and what was found beside them.

    `unwatched` is by MAC address, serial or IP address, whichever is known first in that order, and bounded by who
    fills it; `looked` is when somebody looked last, Unix milliseconds.

    Args:
        folder: the agent's own; None remembers nothing.
        names: the devices in the settings.
    """

    def __init__(self, folder: Path | None, names: Iterable[str]) -> None:
        self._file = folder / FILE if folder is not None else None
        self._lock = threading.Lock()
        read = self._read()
        self.devices = {str(name): read.devices.get(name) or Remembered() for name in names}
        self.unwatched, self.looked = read.unwatched, read.looked
        self._written = self._encoded()

    def save(self) -> None:
        """Writes what changed since the last time; blocks on the disk."""
        with self._lock:
            self._save()

    def _save(self) -> None:
        encoded = self._encoded()
        if self._file is None or encoded == self._written:
            return
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_bytes(encoded)
            owner = self._file.parent.stat()
            # A command that another account ran must not take it away from the agent.
            with contextlib.suppress(OSError, AttributeError):
                os.chown(draft, owner.st_uid, owner.st_gid)
            draft.replace(self._file)
        except OSError as wrong:
            _log.warning("what is known of the devices is not kept", file=str(self._file), why=wrong.strerror)
            return
        self._written = encoded

    def _encoded(self) -> bytes:
        for each in self.devices.values():
            each.identity = {word: text[:_LONGEST] for word, text in each.identity.items()}
        return msgspec.json.encode(_File(self.devices, self.unwatched, self.looked))

    def _read(self) -> _File:
        nothing = _File({}, {}, 0)
        if self._file is None:
            return nothing
        try:
            with self._file.open("rb") as file:
                content = file.read(_MOST_BYTES)
            try:
                return msgspec.json.decode(content, type=_File)
            except msgspec.ValidationError:
                return _File(msgspec.json.decode(content, type=dict[str, Remembered]), {}, 0)
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError) as wrong:  # msgspec's errors are ValueErrors.
            _log.warning("what was known of the devices is learned anew", file=str(self._file), why=str(wrong))
            return nothing
