"""`forewarn agent match` and `record`: what a device is taken for and why, and a recording of it for support.

Both ask the device, so that both keep within the consent. Exit codes as of `agent.commands`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agent import checking
from agent.app import SystemClock, find_profiles
from agent.devices.visited import sources
from agent.guard import Guard
from agent.profiles import matching
from agent.profiles.conversion import words
from agent.profiles.language import Profile
from agent.profiles.matching import Judged, Shown
from agent.settings import Settings, load
from agent.settings.target import Target
from agent.snmp.session import SnmpError
from agent.support.recording import record as record_device
from forewarn.vocabulary import Source, nearest

WRONG = 2
Host = Annotated[str, typer.Argument(help="A device's name in the settings, or an IP address.")]
Config = Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="The agent's settings.")]
_CONFIG = Path("agent.yaml")
Tried = list[tuple[Profile, Judged]]


def match(
    host: Host,
    explain: Annotated[bool, typer.Option("--explain", help="Every profile, and why it fits or not.")] = False,
    config: Config = _CONFIG,
) -> None:
    """Show which profile a device gets, and why."""
    settings = load(config)
    target = allowed(settings, host)
    try:
        fit, shown, tried = asyncio.run(_matched(target, settings, explain=explain))
    except (SnmpError, OSError) as wrong:
        print(f"{target.name}: {wrong}", file=sys.stderr)
        raise typer.Exit(1) from None
    for name, oid in (("sysDescr", matching.DESCRIPTION), ("sysObjectID", matching.OBJECT_ID)):
        print(f"{name:<12} {words(shown.known.get(oid, b'')) or '(none)'}")
    print(f"profile      {fit.profile.id}: {fit.why}" if fit else "profile      none fits")
    for profile, judged in tried:
        mark = "*" if fit and profile.id == fit.profile.id else "+" if judged.holds else " "
        priority = profile.match.priority if profile.match else "-"
        print(f"{mark} {priority!s:>5}  {profile.id:<28} {judged.why}")
    if target.profile is not None and (fit is None or fit.profile.id != target.profile):
        print(f"The settings name `{target.profile}`, which is used whatever fits.")
    raise typer.Exit(0 if fit else 1)


async def _matched(target: Target, settings: Settings, *, explain: bool) -> tuple[matching.Fit | None, Shown, Tried]:
    from agent.snmp.opening import opener

    profiles = find_profiles(settings).values()
    session = opener()(target)
    try:
        fit, shown = await matching.find(profiles, session)
        return fit, shown, await matching.considered(profiles, session, shown) if explain else []
    finally:
        session.close()


def record(
    host: Host,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; left out, HOST.snmprec here.")] = None,
    config: Config = _CONFIG,
) -> None:
    """Write a recording of a device for support, without names, serials and addresses, and the record it gives."""
    settings = load(config)
    target = allowed(settings, host)
    from agent.snmp.opening import opener

    try:
        made = asyncio.run(
            record_device(target, find_profiles(settings), opener=lambda wrap: opener(wrap=wrap), clock=SystemClock())
        )
    except SnmpError as wrong:
        print(f"{target.name}: {wrong}", file=sys.stderr)
        raise typer.Exit(1) from None
    path = out or Path(f"{host}.snmprec")
    path.write_text("\n".join(made.lines) + "\n", encoding="utf-8")
    beside = path.with_suffix(".json")
    records = [msgspec.json.decode(checking.as_sent(item)) for item in made.items]
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(records), indent=1) + b"\n")
    print(f"{path}: {sum(not line.startswith('#') for line in made.lines)} objects; {beside}: what is made of them")
    print("replaced: " + (", ".join(f"{count} {kind}" for kind, count in sorted(made.replaced.items())) or "nothing"))
    for subtree in made.missing:
        print(f"left out, it has no end: {subtree}")
    print("Look through it before you give it away: a description may still say whose it is.")


def allowed(settings: Settings, host: str) -> Target:
    """The device of that name or address; ends the command when there is none or the consent does not cover it."""
    target = named(settings, host)
    if not target.use_snmp:
        print(f"{target.name} has no SNMP, as the settings say (`use_snmp: false`)", file=sys.stderr)
        raise typer.Exit(1)
    _within(settings, target, [Source.SNMP])
    return target


def allowed_by(settings: Settings, host: str) -> tuple[Target, list[Source]]:
    """The device of that name or address, and those of its sources that the consent covers; says which it does not.

    Ends the command when there is none of either.
    """
    target = named(settings, host)
    return target, _within(settings, target, sources(target))


def _within(settings: Settings, target: Target, by: list[Source]) -> list[Source]:
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=SystemClock()
    )
    allowed = []
    for source in by:
        refusal = guard.refuses(source, target.address)
        if refusal is None:
            allowed.append(source)
            continue
        how = f" by {source}" if len(by) > 1 else ""
        print(f"{target.address} is not polled{how}: {refusal}. See `forewarn agent consent show`.", file=sys.stderr)
    if not allowed:
        raise typer.Exit(1)
    return allowed


def named(settings: Settings, host: str) -> Target:
    """The device of that name or address; ends the command when there is none."""
    for device in settings.devices:
        if host in (device.name, device.address):
            return device
    try:
        return Target(name=host, address=host)
    except ValueError:
        near = nearest(host, [device.name for device in settings.devices])
        print(f"`{host}` is neither an IP address nor a device of the settings{near}", file=sys.stderr)
        raise typer.Exit(WRONG) from None
