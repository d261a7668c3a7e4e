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

from agent import checking
from agent.app import SystemClock, find_profiles
from agent.commands import consent, device, discover, log, profile, status
from agent.devices.remembered import Memory
from agent.polling.poller import UnknownProfile, poll_once
from agent.reading import Happening, Reading
from agent.settings import Settings, load
from forewarn import telemetry
from forewarn.consent import ConsentError
from forewarn.doctor.diagnosis import Side, examine
from forewarn.sample import sample
from forewarn.settings import SettingError, told

WRONG = 2

app = typer.Typer(
    name="forewarn agent",
    help="Poll devices on the customer's site and deliver what was read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(consent.app, name="consent")
app.command()(status.status)
app.command()(log.log)
app.command()(device.match)
app.command()(device.record)
app.command()(discover.discover)
app.add_typer(profile.app, name="profiles")
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
    target, by = device.allowed_by(settings, host)
    from agent.snmp.opening import opener

    memory = Memory(settings.folder, [each.name for each in settings.devices])

    async def polled() -> list[Reading | Happening]:
        profiles = find_profiles(settings)
        return await poll_once(target, profiles, open_session=opener(), clock=clock, by=by, memory=memory)

    items = asyncio.run(polled())
    for item in items:
        print(msgspec.json.format(checking.as_sent(item), indent=2).decode())
    if any(isinstance(item, Reading) and not item.ok for item in items):
        raise typer.Exit(1)
