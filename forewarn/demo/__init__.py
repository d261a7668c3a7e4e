"""What a demonstration needs that a real site brings itself: devices that answer, and faults that come on cue."""

import time

BEGUN = time.monotonic()
"""When the demo was asked for: this package is read before everything that it needs."""
