"""What the agent remembers of its devices across restarts: who each was, how much it takes in a request.

One small file, `devices.json` in the agent's folder, written whole and put in place at once. It is a convenience: where
it cannot be read everything is learned anew, and where it cannot be written polling goes on.

Errors: none; both are named in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.snmp.packing import Packing
from forewarn.telemetry import Log

FILE = "devices.json"
_MOST_BYTES = 16 * 1024 * 1024
_LONGEST = 256
_log = Log(__name__)


class Remembered(msgspec.Struct, omit_defaults=True):
    """One device. `booted` is when its uptime began, Unix seconds, across the wraps of sysUpTime.

    `link` is where it was last found to hang, see `agent.wiring`.
    """

    packing: int = Packing().size
    patience: int = Packing().patience
    booted: float | None = None
    identity: dict[str, str] = {}
    link: dict[str, str] = {}


class Memory:
    """What is remembered of the devices of these names, and of no others.

    Args:
        folder: the agent's own; None remembers nothing.
        names: the devices in the settings.
    """

    def __init__(self, folder: Path | None, names: Iterable[str]) -> None:
        self._file = folder / FILE if folder is not None else None
        known = self._read()
        self.devices = {str(name): known.get(name) or Remembered() for name in names}
        self._written = self._encoded()

    def save(self) -> None:
        """Writes what changed since the last time; blocks on the disk."""
        encoded = self._encoded()
        if self._file is None or encoded == self._written:
            return
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_bytes(encoded)
            draft.replace(self._file)
        except OSError as wrong:
            _log.warning("what is known of the devices is not kept", file=str(self._file), why=wrong.strerror)
            return
        self._written = encoded

    def _encoded(self) -> bytes:
        for each in self.devices.values():
            each.identity = {word: text[:_LONGEST] for word, text in each.identity.items()}
        return msgspec.json.encode(self.devices)

    def _read(self) -> dict[str, Remembered]:
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST_BYTES), type=dict[str, Remembered])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as wrong:  # msgspec's errors are ValueErrors.
            _log.warning("what was known of the devices is learned anew", file=str(self._file), why=str(wrong))
            return {}
