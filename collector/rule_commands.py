"""`forewarn rules check|test|list|explain`: look at rules before they judge anything.

Exit codes: 0 all is well, 1 a test failed, 2 a file or the command line is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from collector.opening import rule_texts
from collector.settings import Rules
from forewarn.settings import SettingError
from rules.engine import Engine
from rules.explain import explained
from rules.finding import Finding, Reason
from rules.ruleset import Ruleset, ruleset
from rules.testing import run_tests

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Check, test and explain rules."
)
Folders = Annotated[
    list[Path] | None, typer.Argument(help="Folders with *.yaml, or files; without: the rules that ship with forewarn.")
]
_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def main(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    try:
        app(list(words), prog_name="forewarn rules")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except (SettingError, OSError) as wrong:
        _err.print(escape(str(wrong)))
        return 2
    return 0


def _rules(places: list[Path] | None) -> Ruleset:
    if not places:
        return ruleset(rule_texts(Rules()))
    texts = rule_texts(Rules(library=False, folders=[place for place in places if not place.is_file()]))
    for file in places:
        if file.is_file():
            texts.append((str(file), file.read_text(encoding="utf-8")))
    return ruleset(texts)


@app.command()
def check(places: Folders = None) -> None:
    """Reads rules and says what is wrong, with file, line and column."""
    rules = _rules(places)
    _out.print(f"{len(rules.rules)} rules, nothing wrong")


@app.command("list")
def listed(places: Folders = None) -> None:
    """Lists rules with their conditions and the state they keep per series."""
    rules = _rules(places)
    sizes = Engine(rules).state_bytes
    for rule in rules.rules:
        kinds = ", ".join(sorted(rule.devices)) or "any device"
        _out.print(f"{rule.id}  ({rule.table} of {kinds}; {sizes[rule.id]} bytes a series; version {rule.version})")
        for severity, condition in rule.when.items():
            held = f" for {condition.held_for / 1000:g}s" if condition.held_for else ""
            _out.print(escape(f"    {severity:<9}{condition.tree.text}{held}"))


@app.command("test")
def prove(places: Folders = None) -> None:
    """Runs the tests beside the rules."""
    failed = passed = 0
    rules = _rules(places)
    for outcome in run_tests(rules):
        if outcome.passed:
            passed += 1
            _out.print(escape(f"ok      {outcome.rule}: {outcome.test}"))
            continue
        failed += 1
        _out.print(escape(f"FAILED  {outcome.rule}: {outcome.test}"))
        for problem in outcome.problems:
            _out.print(escape(f"        {problem}"))
    untested = [rule.id for rule in rules.rules if not rule.tests]
    if untested:
        _out.print(f"without tests: {', '.join(untested)}")
    _out.print(f"{passed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A finding or its reason as JSON, as the API gives it for a ticket.")],
) -> None:
    """Says why a rule held: each comparison with its value, and what would have prevented it."""
    raw = file.read_bytes()
    try:
        reason = msgspec.json.decode(raw, type=Reason)
    except msgspec.DecodeError:
        try:
            reason = msgspec.json.decode(raw, type=Finding).reason
        except msgspec.DecodeError as wrong:
            _err.print(escape(f"{file}: neither a finding nor a reason: {wrong}"))
            raise typer.Exit(2) from wrong
    _out.print(escape(explained(reason)))
