"""Whether this machine's clock is kept, and how far it is off: a picture is evidence only with its time.

chrony knows the offset best and is asked where it runs; it does not hand it to the kernel. Every other keeper does
(adjtimex(2)). Sources: chronyc(1), `tracking`; adjtimex(2).

Errors: none; what nobody knows is null.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from agent.host.aside import Aside
from agent.host.children import Asking
from agent.host.parts import Part, Tables
from forewarn.kernel_clock import Kept, Unsaid, kept

_EVERY = 300.0
_WITHIN = 5.0
_OFFSET, _LEAP, _COLUMNS = 4, 13, 14
"""Columns of `chronyc -c tracking`: the system time's offset, positive when the clock is slow; the leap status."""


class Timekeeping(Part):
    """What `device` has of the clock."""

    def __init__(
        self,
        asking: Asking,
        monotonic: Callable[[], float],
        *,
        kernel: Callable[[], Kept | Unsaid] = kept,
    ) -> None:
        self._asking = asking
        self._kernel = kernel
        self._chrony = Aside(self._ask, every=_EVERY, monotonic=monotonic, name="ask chrony")
        self._has_chrony = asking.find("chronyc") is not None

    def read(self, seconds: float | None) -> Tables:  # noqa: ARG002 - it has no rates
        """Both values, or null."""
        kernel = self._kernel()
        synchronised, offset = None, None
        if isinstance(kernel, Kept):
            synchronised, offset = float(kernel.synchronised), kernel.offset_seconds
        if self._has_chrony:
            told = self._chrony.latest()
            offset = told if told is not None else offset
        return {"device": {"": {"clock_synchronised": synchronised, "clock_offset_seconds": offset}}}

    def settle(self, seconds: float) -> None:
        """Waits for chrony."""
        self._chrony.settle(seconds)

    def _ask(self) -> float | None:
        command = self._asking.find("chronyc")
        if command is None:
            return None
        answer = self._asking.ask([command, "-n", "-c", "tracking"], _WITHIN)
        return offset_of(answer.text) if answer.code == 0 else None


def offset_of(tracking: str) -> float | None:
    """The clock less the true time in seconds, by a line of `chronyc -c tracking`; None while it is not synchronised."""
    columns = tracking.strip().split(",")
    if len(columns) < _COLUMNS or columns[_LEAP].strip() == "Not synchronised":
        return None
    try:
        slow = float(columns[_OFFSET])
    except ValueError:
        return None
    return 0.0 - slow if math.isfinite(slow) else None
