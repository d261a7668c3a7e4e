"""`forewarn rules check|test|list|explain`: look at rules before they judge anything, and at why one judged as it did.

Exit codes: 0 all is well, 1 a test failed, or there is none, 2 a file, the command line or what was asked is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from collector.commands.asked import Unexplained, is_ticket, ticket_explained, token
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
    except (SettingError, Unexplained, OSError) as wrong:
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
    if not passed + failed:
        _err.print("There is no test to run: write `tests` beside each rule, one that fires and one that does not.")
        raise typer.Exit(1)
    _out.print(f"{passed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


@app.command()
def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="TICKET|FILE", help="A ticket's id; or a file with a finding or its reason as JSON."),
    ],
    address: Annotated[
        str, typer.Option("--url", envvar="FOREWARN_URL", help="The address of the collector that has the ticket.")
    ] = "http://127.0.0.1:8080",
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="FOREWARN_TOKEN_FILE", help="A file with a token of the API; without: $FOREWARN_TOKEN."),
    ] = None,
) -> None:
    """Says why a rule held: each comparison with its value, and what would have prevented it."""
    file = Path(what)
    if not file.is_file() and is_ticket(what):
        said = ticket_explained(what, address, token(token_file))
    elif file.is_file():
        said = explained(_reason(file))
    else:
        raise Unexplained(f"`{what}` is neither a file nor a ticket's id (26 letters and digits)")
    _out.print(escape(said))


def _reason(file: Path) -> Reason:
    raw = file.read_bytes()
    try:
        return msgspec.json.decode(raw, type=Reason)
    except msgspec.DecodeError:
        try:
            return msgspec.json.decode(raw, type=Finding).reason
        except msgspec.DecodeError as wrong:
            raise Unexplained(f"{file}: neither a finding nor a reason: {wrong}") from wrong
