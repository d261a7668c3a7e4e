"""The commands of `forewarn agent`, beside `run`: look before it runs, poll once, write a consent, see how it stands.

Exit codes: 0 done and well; 1 something is to be put right, or the consent forbids it; 2 the command line or a file
is wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agent import checking, consent_commands
from agent.app import SystemClock, find_profiles
from agent.guard import Guard
from agent.itself import Status
from agent.poller import UnknownProfile, poll_once
from agent.reading import Happening, Reading
from agent.settings import Settings, load
from agent.target import Target
from forewarn import telemetry
from forewarn.consent import ConsentError, instant
from forewarn.doctor.diagnosis import Side, examine
from forewarn.sample import sample
from forewarn.settings import SettingError, told
from forewarn.vocabulary import Source, nearest

WRONG = 2

app = typer.Typer(
    name="forewarn agent",
    help="Poll devices on the customer's site and deliver what was read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(consent_commands.app, name="consent")
Config = Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="The agent's settings.")]
_CONFIG = Path("agent.yaml")


def main(words: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    telemetry.start("error")  # What a command finds it says itself.
    try:
        app(list(words), prog_name="forewarn agent")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except (SettingError, ConsentError, UnknownProfile, OSError) as wrong:
        print(told(wrong), file=sys.stderr)
        return WRONG
    return 0


@app.command()
def run(config: Config = _CONFIG) -> None:
    """Poll and deliver until told to stop."""
    from agent.app import main as start

    raise typer.Exit(start(["--config", str(config)]))


@app.command("sample-config")
def sample_config() -> None:
    """Print an agent.yaml with every key and its meaning."""
    print(sample(Settings), end="")


@app.command()
def doctor(
    config: Config = _CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at everything the agent needs, and say what to do about what is not well."""
    from agent.doctor.look import look

    side = Side("agent", config, lambda progress: look(config, progress))
    raise typer.Exit(examine([side], as_json=as_json))


@app.command()
def poll(
    host: Annotated[str, typer.Argument(help="A device's name in the settings, or an IP address.")],
    config: Config = _CONFIG,
) -> None:
    """Poll one device once and print the records that would be sent."""
    settings, clock = load(config), SystemClock()
    target = _target(settings, host)
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=clock
    )
    refusal = guard.refuses(Source.SNMP, target.address)
    if refusal is not None:
        print(f"{target.address} is not polled: {refusal}. See `forewarn agent consent show`.", file=sys.stderr)
        raise typer.Exit(1)
    from agent.snmp.opening import opener

    async def polled() -> list[Reading | Happening]:
        return await poll_once(target, find_profiles(settings), open_session=opener(), clock=clock)

    items = asyncio.run(polled())
    for item in items:
        print(msgspec.json.format(checking.as_sent(item), indent=2).decode())
    if any(isinstance(item, Reading) and not item.ok for item in items):
        raise typer.Exit(1)


def _target(settings: Settings, host: str) -> Target:
    for device in settings.devices:
        if host in (device.name, device.address):
            return device
    try:
        return Target(name=host, address=host)
    except ValueError:
        near = nearest(host, [device.name for device in settings.devices])
        what = f"`{host}` is neither an IP address nor a device of the settings{near}"
        print(what, file=sys.stderr)
        raise typer.Exit(WRONG) from None


@app.command()
def status(config: Config = _CONFIG) -> None:
    """Show how the running agent stands."""
    folder = load(config).folder
    seen = checking.last_status(folder)
    if seen is None:
        print(f"no status in {folder}: does the agent run on this host?", file=sys.stderr)
        raise typer.Exit(1)
    found, age = seen
    if not checking.fresh(age):
        print(f"The agent does not run, or not here: its last word is {age:.0f} s old.")
    for line in _shown(found):
        print(line)
    well = checking.fresh(age) and found.connected and not (found.forbidden or found.held or found.stuck)
    raise typer.Exit(0 if well else 1)


def _shown(found: Status) -> list[str]:
    count = "1 record" if found.records == 1 else f"{found.records} records"
    waiting = f"{count}, {found.bytes} bytes, seq {found.oldest} to {found.head}"
    remedy = checking.held_remedy(found.held)
    held = f"{found.held}; {remedy}" if remedy else found.held
    return [
        f"at         {instant(found.at)}",
        f"epoch      {found.epoch}",
        f"spool      {waiting if found.records else 'empty'}; acknowledged up to {found.acked}",
        f"consent    {found.consent or 'none in force'}" + (f" ({found.forbidden})" if found.forbidden else ""),
        f"broker     {'connected' if found.connected else found.why}",
        f"collector  {'takes our records' if not found.held else f'does not take our records, which wait here: {held}'}",
        f"disk       {found.stuck or 'takes our records'}",
        f"rewinds    {found.rewinds}, forged acknowledgements {found.forged}",
    ]
