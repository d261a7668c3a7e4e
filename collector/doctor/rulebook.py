"""The rules: readable, their tests passed, and something for each to look at.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from collector.doctor.databases import Opened
from collector.opening import rule_texts
from collector.settings import Settings
from collector.storage import tables
from forewarn.doctor.diagnosis import Diagnosis, Progress, fail, listed, mistakes, ok, warn
from forewarn.settings import SettingError
from rules.ruleset import Ruleset, ruleset
from rules.testing import run_test


def look(settings: Settings, opened: Opened, progress: Progress) -> Iterator[Diagnosis]:
    """Reads the rules, runs the tests beside them, and compares their kinds of device with those there are."""
    if not settings.role.takes_in:
        return
    try:
        found = ruleset(rule_texts(settings.rules))
        if not found.rules:
            remedy = "set `rules.library: true`, or name folders with your own in `rules.folders`"
            yield warn("rules", "there is none: no ticket will ever open", remedy)
            return
        yield ok("rules", f"{len(found.rules)} rules")
        yield from _tested(found, progress)
    except SettingError as wrong:
        yield from mistakes("rules", wrong)
        return
    if opened.service is not None:
        yield from _idle(found, opened.service)


def _tested(found: Ruleset, progress: Progress) -> Iterator[Diagnosis]:
    tests = [(rule, test) for rule in found.rules for test in rule.tests]
    failed = 0
    for done, (rule, test) in enumerate(tests, 1):
        outcome = run_test(rule, test)
        progress("tests of rules", done, len(tests))
        if not outcome.passed:
            failed += 1
            what = f"{outcome.rule}: {outcome.test}: {'; '.join(outcome.problems)}"
            yield fail("rules", what, "correct the rule or its test; `forewarn rules test FOLDER` shows it alone")
    if not failed:
        yield ok("rules", f"{len(tests)} tests beside them pass")


def _idle(found: Ruleset, service: Engine) -> Iterator[Diagnosis]:
    try:
        with service.connect() as connection:
            kinds = set(connection.execute(select(tables.device.c.kind).distinct()).scalars())
    except SQLAlchemyError:
        return  # An older schema; that is told where the databases are.
    idle = sorted({str(kind) for rule in found.rules for kind in rule.devices} - kinds)
    if idle and kinds:
        yield ok("rules", f"no device yet of the kinds {listed(idle, 8)}, which some of them look at")
