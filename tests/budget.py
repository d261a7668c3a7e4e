"""Says after a run how long each suite took and what it may take, so that the whole stays under twelve minutes.

The budgets are for two shared cores. They are told, not enforced: a test asserts behaviour, never speed.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

BUDGETS = {"unit": 120, "contract": 120, "integration": 200, "e2e": 330}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Adds one line a suite to pytest's closing words."""
    spent: dict[str, float] = defaultdict(float)
    slowest: dict[str, tuple[float, str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            suite = report.nodeid.split("/")[1] if report.nodeid.count("/") > 1 else ""
            spent[suite] += report.duration
            slowest[suite] = max(slowest.get(suite, (0.0, "")), (report.duration, report.nodeid.partition("::")[2]))
    for suite, budget in BUDGETS.items():
        if suite in spent:
            over = "  OVER BUDGET" if spent[suite] > budget else ""
            longest, name = slowest[suite]
            what = f"{suite:<12} {spent[suite]:6.1f} s of {budget} s{over}  (longest {longest:.1f} s: {name})"
            terminalreporter.write_line(what)
