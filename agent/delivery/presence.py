"""Birth and will: what people may see of an agent before any record arrives. A hint, never evidence."""

from __future__ import annotations

import contextlib
from pathlib import Path

from forewarn import signals
from forewarn.bus import Bus, Message, Offline
from forewarn.manifest import Manifest
from forewarn.signals import Presence

COUNTER = "connections"


class Presences:
    """Counts connections, over restarts too, so that a late will of an older one is known for what it is."""

    def __init__(self, folder: Path, agent: str, boot: str) -> None:
        self._file = folder / COUNTER
        self._topic = signals.presence_topic(agent)
        self._boot = boot
        self._shown: tuple[str, str, Manifest | None] | None = None
        self._manifest: Manifest | None = None
        self._count = 0
        with contextlib.suppress(OSError, ValueError):
            self._count = int(self._file.read_text())

    def will(self, epoch: str) -> Message:
        """Counts one more connection and says what the broker shall say when it breaks."""
        self._count += 1
        with contextlib.suppress(OSError):  # A hint is not worth stopping for.
            draft = self._file.with_suffix(".tmp")
            draft.write_text(f"{self._count}\n")
            draft.replace(self._file)
        return self._message("offline", epoch, "the connection broke")

    def show(self, bus: Bus, epoch: str, forbidden: str, manifest: Manifest | None) -> None:
        """Says "online", or "offline" and why nothing comes, and the newest manifest; once per change.

        What is forbidden to leave takes the manifest with it: then nothing new is said of the spool.
        """
        if not forbidden:
            self._manifest = manifest
        shown = (epoch, forbidden, self._manifest)
        if shown == self._shown:
            return
        with contextlib.suppress(Offline):
            bus.publish(*self._message("offline" if forbidden else "online", epoch, forbidden)[:2], retain=True)
            self._shown = shown

    def farewell(self, bus: Bus, epoch: str) -> None:
        """Says that we stop in order."""
        with contextlib.suppress(Offline):
            bus.publish(*self._message("offline", epoch, "stopped")[:2], retain=True)

    def forget(self) -> None:
        """The connection is another one: show again."""
        self._shown = None

    def _message(self, state: str, epoch: str, why: str) -> Message:
        presence = Presence(
            state=state, epoch=epoch, boot=self._boot, conn=self._count, why=why, manifest=self._manifest
        )
        return Message(self._topic, signals.seal_presence(presence), retain=True)
