"""Keeps what gufo-snmp's reader prints when it panics off standard error; what others print there meanwhile is not lost.

A panic is an answer that is no SNMP, and told as the reason of a reading. Rust prints it to the number 2 all the same,
whatever Python's `sys.stderr` is, a line for each: one bad device would fill the journal of its machine.

Errors: none; where the system has no files in memory, or no standard error, nothing is kept off.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_NUMBER = 2
_PANIC = re.compile(
    rb"\n?thread '[^'\n]*' (?:\(\d+\) )?panicked at [^\n]*\n[^\n]*\n"
    rb"(?:stack backtrace:\n(?: +(?:\d+:|at) [^\n]*\n)*)?(?:note: [^\n]*RUST_BACKTRACE[^\n]*\n)?"
)


class Quiet:
    """Calls what may panic."""

    def __init__(self) -> None:
        self._memory = -1
        with contextlib.suppress(AttributeError, OSError):
            self._memory = os.memfd_create("stderr")

    def call(self, ask: Callable[[object], T], given: object) -> T:
        """The answer of `ask` to `given`."""
        try:
            kept = os.dup(_NUMBER) if self._memory >= 0 else -1
        except OSError:
            kept = -1
        if kept < 0:
            return ask(given)
        os.dup2(self._memory, _NUMBER)
        try:
            return ask(given)
        finally:
            os.dup2(kept, _NUMBER)
            os.close(kept)
            if os.lseek(self._memory, 0, os.SEEK_CUR):
                self._pass_on()

    def _pass_on(self) -> None:
        """Another thread wrote to standard error meanwhile, or it was a panic."""
        size = os.lseek(self._memory, 0, os.SEEK_END)
        said = os.pread(self._memory, size, 0)
        os.ftruncate(self._memory, 0)
        os.lseek(self._memory, 0, os.SEEK_SET)
        rest = _PANIC.sub(b"", said)
        if rest:
            with contextlib.suppress(OSError):
                os.write(_NUMBER, rest)
