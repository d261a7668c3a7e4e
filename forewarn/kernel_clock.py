"""What the kernel says of its own clock: whether something keeps it, and how far it is off.

Source: adjtimex(2) of Linux. It is asked, never set.

Errors: none; where the kernel does not say, there is `Unsaid`.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import NamedTuple

_TIME_ERROR = 5
"""What adjtimex returns when nothing keeps the clock."""
_DISCIPLINED, _NANOSECONDS = 0x0001, 0x2000
"""STA_PLL: a daemon hands its measured offsets to the kernel. STA_NANO: they are in nanoseconds."""


class Kept(NamedTuple):
    """How the clock is kept.

    `offset_seconds` is the clock less the true time, as far as the daemon that keeps it has told the kernel; None when
    none does. `error_seconds` is what it may be off at most.
    """

    synchronised: bool
    offset_seconds: float | None
    error_seconds: float


class Unsaid(NamedTuple):
    """The kernel does not say; `why` is empty where it has no such thing."""

    why: str


class _Timex(ctypes.Structure):
    """`struct timex` of Linux up to the time (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 64),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def kept() -> Kept | Unsaid:
    """Asks the kernel."""
    if not sys.platform.startswith("linux"):
        return Unsaid("")
    timex = _Timex()
    try:
        state = _libc().adjtimex(ctypes.byref(timex))
    except AttributeError:
        return Unsaid(os.strerror(errno.ENOSYS))
    if state < 0:
        return Unsaid(os.strerror(ctypes.get_errno()))
    return judged(state, timex.status, timex.offset, timex.maxerror)


def judged(state: int, status: int, offset: int, maxerror: int) -> Kept:
    """What the four numbers of adjtimex(2) mean; `offset` is what has yet to be added to the clock."""
    synchronised = state != _TIME_ERROR
    scale = 1e9 if status & _NANOSECONDS else 1e6
    known = synchronised and bool(status & _DISCIPLINED)
    # -0.0 would be read as a clock that is slow.
    return Kept(synchronised, (0.0 - offset / scale) if known else None, maxerror / 1e6)
