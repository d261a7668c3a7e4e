"""What the agent makes of answers no device should give: 100,000 cases drawn by hypothesis, over both SNMP adapters.

A case is a few objects or a column asked of a device whose answers are wrong (octets changed, or values, names, types,
errors and numbers put together at random), or a recording of some profile with other values, polled twice. A failure is
a crash, a hang or a value that the answers did not tell; the first of each kind is printed, made small. Cases are drawn
in rounds, each from a seed of its own, so that a failure is found again. Nothing goes beyond loopback.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from agent.snmp import gufo, pysnmp, pysnmp_exchange
from tests import fuzzing

TARGETS: dict[str, str | float] = {"cases": ">= 100000", "failed_rounds": "<= 0"}
SHARES = {
    ("gufo", "answers"): 0.7,
    ("gufo", "recordings"): 0.25,
    ("pysnmp", "answers"): 0.048,
    ("pysnmp", "recordings"): 0.002,
}
"""Of pysnmp fewer, because each of its cases takes longer by ten to a hundred times."""
CASES, QUICK, ROUND = 100_000, 2_000, 1_000
_ADAPTERS: dict[str, fuzzing.Open] = {"gufo": gufo.connect, "pysnmp": pysnmp.connect}


def run(*, quick: bool) -> dict[str, float]:
    # gufo-snmp's parser panics at some garbage: a trace of its own code takes longer than the case, and is no finding.
    os.environ["RUST_BACKTRACE"] = "0"
    logging.getLogger("agent").setLevel(logging.CRITICAL)
    pysnmp_exchange.GRACE = 0.05
    total, begun, failed, ran, values = QUICK if quick else CASES, time.monotonic(), 0, 0, 0
    for (name, what), share in SHARES.items():
        cases = (fuzzing.Answers if what == "answers" else fuzzing.Recorded)(_ADAPTERS[name])
        left = round(total * share)
        while left > 0:
            some = min(left, ROUND)
            failed += not _round(_case(cases), some, ran)
            ran, left = ran + some, left - some
            print(f"{name} {what}: {left} left, {failed} rounds failed", flush=True)
        values += cases.heard
        cases.close()
    return {
        "cases": float(ran),
        "failed_rounds": float(failed),
        "values_compared": float(values),
        "cases_per_second": ran / (time.monotonic() - begun),
    }


def _case(cases: fuzzing.Answers | fuzzing.Recorded) -> Callable[[], None]:
    """The cases as a function of hypothesis's."""
    if isinstance(cases, fuzzing.Answers):
        return given(fuzzing.ASKED, st.lists(fuzzing.ANSWERS, min_size=1, max_size=3))(cases.run)
    return given(st.sampled_from(cases.profiles), st.lists(fuzzing.CHANGES, min_size=2, max_size=2))(cases.run)


def _round(case: Callable[[], None], cases: int, number: int) -> bool:
    """Some cases from a seed; whether all held. What did not is printed."""
    bounds = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        seed(number)(bounds(case))()
    except Flaky as once:  # It failed, and did not again: what a late answer does hangs on time.
        print(f"seed {number}: {once!r}", *getattr(once, "exceptions", []), sep="\n")
        return False
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, OSError) as wrong:
        print(f"seed {number}: {wrong!r}", *getattr(wrong, "__notes__", []), sep="\n")
        return False
    return True
