"""Small files of the kernel, read whole: /proc and /sys.

Errors: none; a file that is not there, or not for this account, is None.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MOST = 256 * 1024


class Files:
    """The tree of files of a machine; tests bring their own root."""

    def __init__(self, root: Path | str = "/") -> None:
        self._root = str(root).rstrip("/")

    def text(self, path: str) -> str | None:
        """A file's text, of 256 KiB at most."""
        # os.open costs a third of open(), and a reading opens dozens of these.
        try:
            file = os.open(self._root + path, os.O_RDONLY)
        except OSError:
            return None
        try:
            return os.read(file, _MOST).decode("utf-8", "replace")
        except OSError:
            return None
        finally:
            os.close(file)

    def number(self, path: str) -> float | None:
        """The one number a file holds."""
        text = self.text(path)
        with suppress(ValueError):
            return float(int(text)) if text is not None else None
        return None

    def names(self, path: str) -> list[str]:
        """What lies in a folder, sorted; nothing when there is none."""
        try:
            return sorted(os.listdir(self._root + path))  # noqa: PTH208 - one call, in every reading
        except OSError:
            return []
