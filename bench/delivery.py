"""Delivery through a network that may do anything: the state machine of the tests, with many more and longer runs.

`steps` is how many rules were drawn, `failed` whether a run broke a promise; hypothesis prints the shortest one that did.
"""

from __future__ import annotations

import logging
import time

from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.delivery_model import Delivery

TARGETS: dict[str, str | float] = {"failed": "<= 0", "steps": ">= 1000"}
OPTIONS = {"runs": 2000}
QUICK = 60
LONGEST = 100


class Counted(Delivery):
    """Counts the steps of all runs."""

    steps = 0

    @invariant()
    def is_counted(self) -> None:
        Counted.steps += 1


def run(*, quick: bool, runs: int = OPTIONS["runs"]) -> dict[str, float]:
    logging.getLogger("agent").setLevel(logging.ERROR)
    logging.getLogger("collector").setLevel(logging.ERROR)
    begun, failed = time.monotonic(), 0
    bounds = settings(
        max_examples=QUICK if quick else runs,
        stateful_step_count=LONGEST,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Counted, settings=bounds)
    except (AssertionError, LookupError, TypeError, ValueError, RuntimeError, OSError) as wrong:
        print(f"{wrong!r}", *getattr(wrong, "__notes__", []), sep="\n")
        failed = 1
    return {"steps": float(Counted.steps), "failed": float(failed), "seconds": time.monotonic() - begun}
