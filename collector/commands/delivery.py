"""The commands about delivery: prove that nothing is missing, and decide what becomes of dead letters.

All work beside a running collector, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from collector.doctor.running import asked
from collector.intake.verify import Account, Problem, Stretch, verify
from collector.journal.deadletter import DeadLetters, Letter, NoSuchLetter, State
from collector.journal.proofs import Cause
from collector.journal.witness import adopt, doubts
from collector.opening import open_databases
from collector.settings import load
from collector.storage import tables
from collector.storage.database import Databases, StorageError, reading
from forewarn.consent import instant, milliseconds
from forewarn.settings import told

HOLE, WRONG, UNKNOWN = 1, 2, 3
_CONFIG = Path("collector.yaml")
_HOLES_TOLD = 20
_DEAD = typer.Typer(
    name="deadletter", help="What could not be applied: look at it, try it again, drop it.", no_args_is_help=True
)
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="FOREWARN_COLLECTOR_CONFIG", help="The collector's settings file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="As `list` calls it: d7, or s7 for what was set aside.")]


def join(app: typer.Typer) -> None:
    """Adds these commands to those of `forewarn collector`."""
    app.command("verify")(verify_command)
    app.add_typer(_DEAD)
    app.command("adopt-journal")(adopt_journal)


@contextlib.contextmanager
def _opened(config: Path) -> Iterator[Databases]:
    opened = open_databases(load(config))
    try:
        opened.migrate()
        yield opened
    finally:
        opened.close()


def verify_command(
    site: Annotated[str, typer.Option("--site", help="Only this site.")] = "",
    begin: Annotated[str, typer.Option("--from", help="What arrived since, like 2026-11-22T00:00:00Z.")] = "",
    end: Annotated[str, typer.Option("--to", help="What arrived before.")] = "",
    as_json: AsJson = False,
    config: Config = _CONFIG,
) -> None:
    """Prove that all that the agents spooled is here, or name what is not.

    Exit codes: 0 complete; 1 an unexplained hole, or another journal; 2 wrong use; 3 a database cannot be used now.
    """
    stretch = Stretch(_instant("--from", begin, 0), _instant("--to", end, 2**62))
    try:
        with _opened(config) as opened:
            _demand_site(opened, site)
            accounts = verify(opened, site=site, stretch=stretch)
            against = doubts(opened)
            whole = _print_json(accounts, against) if as_json else _print(accounts, against)
    except StorageError as wrong:
        print(f"forewarn collector: {told(wrong)}", file=sys.stderr)
        raise typer.Exit(UNKNOWN) from wrong
    raise typer.Exit(0 if whole else HOLE)


def _instant(option: str, text: str, none: int) -> int:
    if not text:
        return none
    try:
        return milliseconds(f"{text}T00:00:00Z" if len(text) == len("2026-11-22") else text)
    except ValueError as wrong:
        what = f"{option} is written like 2026-11-22T00:00:00Z or 2026-11-22, not `{text}`"
        print(f"forewarn collector: {what}", file=sys.stderr)
        raise typer.Exit(WRONG) from wrong


def _demand_site(opened: Databases, site: str) -> None:
    with reading(opened.service) as connection:
        known = connection.execute(select(tables.site.c.id).where(tables.site.c.id == site)).first()
    if site and known is None:
        print(f"forewarn collector: there is no site `{site}`", file=sys.stderr)
        raise typer.Exit(WRONG)


def _print(accounts: Iterable[Account], against: list[str]) -> bool:
    columns = ("site", "agent", "epoch", "spooled", "committed", "to come", "declared lost", "set aside")
    table = Table(*columns, "proven to", "journal from", "found")
    found: list[Account] = []
    for account in accounts:
        spool = account.spool
        numbers = (spool.spooled, spool.committed, account.waiting, account.numbers(Cause.LOST))
        more = (account.numbers(Cause.SET_ASIDE), account.proven, account.holds_from)
        word = f"{_count(account)} wrong" if account.problems else "complete"
        table.add_row(spool.site, spool.agent, f"…{spool.epoch[-8:]}", *(str(n) for n in (*numbers, *more)), word)
        if account.problems:
            found.append(account)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for account in found:
        for problem in account.problems:
            print(sentence(account, problem))
        if account.unnamed:
            print(
                f"... and {account.unnamed} more of agent {account.spool.agent}: narrow the time with --from and --to"
            )
    for doubt in against:
        print(f"another journal: {doubt}")
    if not table.row_count:
        print("There is nothing to prove: no agent has delivered or announced a record in this time.")
    elif not found and not against:
        print("Complete: nothing is missing that nobody accounts for.")
    return not found and not against


def _count(account: Account) -> int:
    return len(account.problems) + account.unnamed


def sentence(account: Account, problem: Problem) -> str:
    """A problem in a line: whose records, which, when, and what is wrong with them."""
    spool = account.spool
    between = f"between {_told_at(problem.since)} and {_told_at(problem.until)}"
    when = between if problem.since and problem.until else f"at {_told_at(problem.since or problem.until)}"
    which = f"records {problem.first} to {problem.last}" if problem.last > problem.first else f"record {problem.first}"
    return f"{problem.fault}: agent {spool.agent}, epoch {spool.epoch}, {which}, {when}: {problem.detail}"


def _told_at(at: int) -> str:
    return instant(at) if at else "an unknown time"


def _print_json(accounts: Iterable[Account], against: list[str]) -> bool:
    rows = [_as_json(account) for account in accounts]
    whole = not against and not any(row["problems"] for row in rows)
    print(json.dumps({"complete": whole, "another_journal": against, "epochs": rows}, indent=2, ensure_ascii=False))
    return whole


def _as_json(account: Account) -> dict[str, Any]:
    newest = account.holes[-_HOLES_TOLD:]
    return {
        **account.spool._asdict(),
        "waiting": account.waiting,
        "declared_lost": account.numbers(Cause.LOST),
        "set_aside": account.numbers(Cause.SET_ASIDE),
        "missing": account.numbers(Cause.MISSING),
        "walked": account.walked,
        "journal_from": account.holds_from,
        "manifests": account.proofs,
        "proven_to": account.proven,
        "holes": [
            {name: value for name, value in one._asdict().items() if name not in ("agent", "epoch")} for one in newest
        ],
        "holes_in_all": len(account.holes),
        "problems": [one._asdict() for one in account.problems],
        "problems_in_all": _count(account),
    }


def adopt_journal(config: Config = _CONFIG) -> None:
    """Take a journal up that was replaced or restored from a copy: all it holds is applied. The collector must not run."""
    settings = load(config)
    if asked(settings.api).checks is not None:
        print("forewarn collector: the collector runs here: stop it first", file=sys.stderr)
        raise typer.Exit(WRONG)
    with _opened(config) as opened:
        count, first = adopt(opened)
    print(f"{count} entries of the journal now begin at position {first}: start the collector, and it applies them.")


@_DEAD.command("list")
def list_letters(
    every: Annotated[bool, typer.Option("--all", help="Those dealt with too.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="How many of each kind.")] = 100,
    as_json: AsJson = False,
    config: Config = _CONFIG,
) -> None:
    """List what could not be applied, and what was set aside, the newest first."""
    with _opened(config) as opened:
        letters = _of(opened)
        found = letters.listed(most=most) if every else _open_ones(letters, most)
        found += letters.aside(most=most)
    if as_json:
        print(json.dumps([_letter_json(one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print("There are no dead letters.")
        return
    table = Table("name", "state", "where", "reason", "agent", "records", "bytes", "since", "what can be done")
    for one in found:
        records = f"{one.first} to {one.last}" if one.last else ""
        row = (one.name, one.state, one.where, one.reason, one.agent, records, str(one.size), instant(one.noted))
        table.add_row(*row, one.remedy)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _open_ones(letters: DeadLetters, most: int) -> list[Letter]:
    return [*letters.listed(state=State.WAITING, most=most), *letters.listed(state=State.ASKED, most=most)]


@_DEAD.command("show")
def show_letter(
    name: Name,
    payload: Annotated[bool, typer.Option("--payload", help="Print its bytes as received, and nothing else.")] = False,
    config: Config = _CONFIG,
) -> None:
    """Show one letter: why, whose, which records, and what can be done."""
    with _opened(config) as opened, _named():
        letter, kept = _of(opened).show(name)
    if payload:
        sys.stdout.buffer.write(kept or b"")
        return
    print(json.dumps(_letter_json(letter), indent=2, ensure_ascii=False))


@_DEAD.command("retry")
def retry_letter(name: Name, config: Config = _CONFIG) -> None:
    """Have a letter applied again, once: by the running collector, within seconds."""
    with _opened(config) as opened, _named():
        _of(opened).ask(name)
    print(f"`{name}` is given again as soon as the collector runs; `list --all` shows under which position.")


@_DEAD.command("drop")
def drop_letter(name: Name, config: Config = _CONFIG) -> None:
    """Delete what is kept of a letter."""
    with _opened(config) as opened, _named():
        _of(opened).drop(name)
    print(f"`{name}` is dropped.")


def _of(opened: Databases) -> DeadLetters:
    return DeadLetters(opened.journal, now=lambda: time.time_ns() // 1_000_000)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except NoSuchLetter as wrong:
        print(f"forewarn collector: {wrong}", file=sys.stderr)
        raise typer.Exit(WRONG) from wrong


def _letter_json(letter: Letter) -> dict[str, Any]:
    noted = datetime.fromtimestamp(letter.noted / 1000, UTC).isoformat()
    return {**letter._asdict(), "noted_at": noted, "what_can_be_done": letter.remedy}
