"""How Python's cycle collector is to treat a collector process."""

from __future__ import annotations

import atexit
import gc

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 20


def settle() -> None:
    """Makes the cycle collector look less often, and never again at what the program consists of.

    Records are lists of numbers by the hundred thousand, all of which end by their reference counts; looking through
    them for cycles at Python's default pace costs two fifths of the intake's CPU at 20 values a record. Cycles (a
    traceback here and there) are still found, a little later. To be called when everything is imported.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # Otherwise DuckDB's binding takes our end for a leak, and says so at length.
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
