"""The commands of `forewarn collector`: run it, and tell it about sites, agents, consents and people.

All but `run` work beside a running collector, which notices what they change within seconds. A secret is printed once,
where it is made, and never again.

Exit codes: 0 done; 1 a database cannot be used now; 2 the command line, a file or what was asked is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from collector.commands import delivery
from collector.commands.enrolment import agent_yaml
from collector.doctor.running import asked, missing
from collector.opening import open_databases
from collector.register import Register, RegisterError
from collector.settings import ENVIRONMENT, Settings, load
from collector.storage import tables
from collector.storage.database import Databases, StorageError, reading
from forewarn.consent import ConsentError, instant, parse
from forewarn.doctor.diagnosis import Side, examine
from forewarn.sample import sample
from forewarn.settings import SettingError, told

WRONG = 2
UNAVAILABLE = 1
_CONFIG = Path("collector.yaml")
_SHOWN = 200

app = typer.Typer(
    name="forewarn collector",
    help="Take records in, evaluate rules, work tickets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
delivery.join(app)
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="FOREWARN_COLLECTOR_CONFIG", help="The collector's settings file.")
]


def main(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    try:
        app(list(words), prog_name="forewarn collector")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except (SettingError, RegisterError, ConsentError, OSError) as wrong:
        return _told(wrong, WRONG)
    except StorageError as wrong:
        return _told(wrong, UNAVAILABLE)
    return 0


def _told(wrong: Exception, code: int) -> int:
    print(f"forewarn collector: {told(wrong)}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _opened(config: Path) -> Iterator[tuple[Settings, Databases, Register]]:
    settings = load(config)
    opened = open_databases(settings)
    try:
        opened.migrate()
        yield settings, opened, Register(opened)
    finally:
        opened.close()


@app.command("run")
def run_collector(
    config: Config = _CONFIG,
    role: Annotated[str, typer.Option("--role", help="all, ingest or web; else as the settings say.")] = "",
    shards: Annotated[
        str, typer.Option("--shards", help="With ingest: auto, or a list like 00-1f,3c; else as the settings say.")
    ] = "",
) -> None:
    """Run the collector until it is asked to end (SIGTERM, Ctrl-C)."""
    from collector.app import run

    given = {f"{ENVIRONMENT}{key}": value for key, value in (("ROLE", role), ("SHARDS", shards)) if value}
    raise typer.Exit(run(load(config, {**os.environ, **given})))


@app.command("sample-config")
def sample_config() -> None:
    """Print a settings file with every key, its meaning and its default."""
    print(sample(Settings), end="")


@app.command("add-site")
def add_site(
    site: Annotated[str, typer.Argument(help="A short id.")],
    name: Annotated[str, typer.Argument(help="What people call it.")],
    config: Config = _CONFIG,
) -> None:
    """Register a customer's site."""
    with _opened(config) as (_, _, register):
        register.add_site(site, name)
    print(f"Site `{site}` is registered. Next: forewarn collector add-agent {site}")


@app.command("add-agent")
def add_agent(
    site: Annotated[str, typer.Argument(help="The site it is on.")],
    agent: Annotated[str, typer.Option("--id", help="Its id; made up when left out.")] = "",
    config: Config = _CONFIG,
) -> None:
    """Register an agent and print its agent.yaml, with its secret, once."""
    with _opened(config) as (settings, _, register):
        enrolled = register.add_agent(site, agent)
    print(agent_yaml(enrolled, settings.broker), end="")
    _aside(
        f"Agent `{enrolled.agent}` is registered. The secret above is shown this once: keep the text as agent.yaml.",
        "The broker knows it after: forewarn collector broker-files DIR, and SIGHUP to Mosquitto.",
    )


@app.command("retire-agent")
def retire_agent(
    agent: Annotated[str, typer.Argument(help="Its id.")],
    config: Config = _CONFIG,
) -> None:
    """Take an agent out of service: what it still sends is held."""
    with _opened(config) as (_, _, register):
        register.retire_agent(agent)
    print(f"Agent `{agent}` is retired.")


@app.command("add-consent")
def add_consent(
    file: Annotated[Path, typer.Argument(help="The signed consent (consent.json).")],
    key: Annotated[
        str, typer.Option("--key", help="The customer's public key, trusted for its site from now on.")
    ] = "",
    config: Config = _CONFIG,
) -> None:
    """Take a customer's signed consent."""
    text = file.read_bytes()
    try:
        parse(text)
    except ConsentError as wrong:
        what = f"{file}: {wrong.__cause__}; `forewarn agent consent sign` makes one of a draft"
        raise ConsentError(wrong.refusal, what) from wrong
    with _opened(config) as (_, _, register):
        consent = register.add_consent(text, key=key)
    until = instant(consent.ends)
    print(f"Consent `{consent.id}` of {consent.customer} for site `{consent.site}` is in force until {until}.")


@app.command("withdraw-consent")
def withdraw_consent(
    consent: Annotated[str, typer.Argument(help="Its id.")],
    config: Config = _CONFIG,
) -> None:
    """Note that a consent was withdrawn: nothing under it is taken any more."""
    with _opened(config) as (_, _, register):
        register.withdraw_consent(consent)
    print(f"Consent `{consent}` is withdrawn.")


@app.command("add-token")
def add_token(
    actor: Annotated[str, typer.Argument(help="The person who acts with it; the name stands in every ticket event.")],
    config: Config = _CONFIG,
) -> None:
    """Make a token for the API and print it, once."""
    with _opened(config) as (_, _, register):
        token = register.add_token(actor)
    print(token)
    _aside(f"The token of {actor} is shown this once. Use it as `Authorization: Bearer TOKEN`.")


@app.command("revoke-token")
def revoke_token(config: Config = _CONFIG) -> None:
    """Make a token worthless; it is read from standard input, so that it stands in no history."""
    token = sys.stdin.readline().strip()
    with _opened(config) as (_, _, register):
        register.revoke_token(token)
    print("The token is revoked.")


@app.command("broker-files")
def broker_files(
    folder: Annotated[
        Path, typer.Argument(help="Where to write them; existing password and access files are replaced.")
    ],
    config: Config = _CONFIG,
) -> None:
    """Write Mosquitto's password file, access list and a configuration to begin from."""
    with _opened(config) as (settings, _, register):
        files = register.broker_files(folder)
    for file in (files.passwords, files.acl, files.config):
        print(file)
    given = settings.broker.password_file
    if settings.broker.user != files.user or given is None or given.absolute() != files.password.absolute():
        _aside(
            f"The collector logs in as `{files.user}`. Its settings need, under `broker`:",
            f"  user: {files.user}",
            f"  password_file: {files.password}",
        )
    _aside("A running Mosquitto reads them again on SIGHUP: kill -HUP PID.")


@app.command("openapi")
def openapi() -> None:
    """Print the description of the API (OpenAPI 3.1)."""
    from collector.api.application import routes

    print(json.dumps(routes().openapi(), indent=2, ensure_ascii=False))


@app.command("doctor")
def doctor(
    config: Config = _CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at everything the collector needs, and say what to do about what is not well."""
    from collector.doctor.look import look

    side = Side("collector", config, lambda progress: look(config, progress))
    raise typer.Exit(examine([side], as_json=as_json))


@app.command("status")
def status(config: Config = _CONFIG) -> None:
    """Show whether the collector works, and each agent's delivery."""
    with _opened(config) as (settings, opened, _):
        lacking = missing(asked(settings.api))
        _show(opened)
    for line in lacking:
        print(line)
    raise typer.Exit(UNAVAILABLE if lacking else 0)


def _show(opened: Databases) -> None:
    agent, ingest, mark = tables.agent, tables.ingest, tables.watermark
    with reading(opened.service) as connection:
        agents = connection.execute(select(agent.c.id, agent.c.site).order_by(agent.c.id).limit(_SHOWN)).all()
    ids = [row.id for row in agents]
    with reading(opened.journal) as connection:
        said = {row.agent: row for row in connection.execute(select(ingest).where(ingest.c.agent.in_(ids)))}
        marks = {
            (row.agent, row.epoch): row.upto for row in connection.execute(select(mark).where(mark.c.agent.in_(ids)))
        }
    table = Table("agent", "site", "heard", "committed", "head", "lag", "gaps", "lost", "set aside", "held")
    for row in agents:
        of = said.get(row.id)
        if of is None:
            table.add_row(row.id, row.site, "never")
            continue
        upto = marks.get((row.id, of.epoch), 0)
        counts = (upto, of.head, max(0, of.head - upto), of.gaps, of.lost, of.set_aside)
        table.add_row(row.id, row.site, _ago(of.heard), *(str(count) for count in counts), of.held_reason)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _ago(at: int) -> str:
    if not at:
        return "never"
    seconds = int(time.time() - at / 1000)
    return f"{seconds} s ago" if seconds < 120 else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M Z")  # noqa: PLR2004 - two minutes


def _aside(*lines: str) -> None:
    """Words for the person, beside what is printed to be kept."""
    for line in lines:
        print(line, file=sys.stderr)
