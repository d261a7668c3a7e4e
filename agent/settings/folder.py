"""Devices in files of their own: `devices_folder` in the settings, each file in it a list under `devices:`.

So what people write and what a program proposed lie apart, and each can be taken away again as a whole.

Errors:
    forewarn.settings.SettingError   with file, line and column
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from agent.settings.target import Target
from forewarn.settings import Mark, SettingError, Wrong, read_file

ENDINGS = (".yaml", ".yml")


class MoreDevices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder."""

    devices: Annotated[list[Target] | None, msgspec.Meta(description="Devices, as in agent.yaml.")] = None

    def __post_init__(self) -> None:
        """Takes a list that has nothing yet as an empty one."""
        msgspec.structs.force_setattr(self, "devices", self.devices or [])


def found(folder: Path) -> list[Target]:
    """The devices of all files in a folder, the files by name; hidden ones and other endings are left alone.

    Raises:
        SettingError: the folder cannot be read, or a file of it.
    """
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix in ENDINGS and not each.name.startswith("."))
    except OSError as wrong:
        raise SettingError([Wrong(Mark(str(folder), 1, 1), f"cannot be read: {wrong.strerror}")]) from wrong
    return [device for file in files for device in read_file(MoreDevices, file, env={}).devices or []]
