"""`forewarn agent discover`: who is in the networks of the consent, what each is, and how it would stand in the settings.

Without `--run` nothing is sent: it says whom it would ask, what, and for how long. What is sent stands in the log book
before it is. With `--write` what is new is added to a file, which stays as it is otherwise; no other file is changed.

Exit codes: 0 done; 1 the consent does not allow it, or ended meanwhile (what was found is told), or the log book or the
file cannot be written; 2 the command line is wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from agent.app import SystemClock, find_profiles
from agent.devices.remembered import Memory
from agent.discovery import makers, noting, proposal, search
from agent.discovery.found import Found, is_own, moved, one_line
from agent.discovery.rounds import LARGE
from agent.discovery.search import Halted, Plan, Search
from agent.guard import Guard
from agent.host import system
from agent.logbook import pages
from agent.polling import nearby
from agent.settings import Settings, load
from agent.settings.target import Target
from forewarn.settings import told
from forewarn.vocabulary import Source

WRONG = 2
BY = "`agent discover`"
_CONFIG = Path("agent.yaml")
Networks = Annotated[
    list[str] | None, typer.Option("--network", "-n", help="Look here, CIDR; left out, in the consent's networks.")
]


def discover(
    network: Networks = None,
    *,
    run: Annotated[bool, typer.Option("--run/--dry-run", help="Ask them; else only say what would be asked.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=200, help="Addresses a second.")] = search.RATE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    write: Annotated[
        Path | None, typer.Option(help="Add what is new to this file, which `devices_folder` may take in.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Look through more addresses than a /22 has.")] = False,
    snmp_port: Annotated[int, typer.Option(min=1, max=65535, help="UDP port of SNMP.")] = 161,
    config: Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="Settings.")] = _CONFIG,
) -> None:
    """Look for devices within the consent, and propose them for the settings."""
    settings = load(config)
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=SystemClock()
    )
    named = _named(write)
    planned = _planned(settings, guard, network, rate)
    print(_plan_told(planned), file=sys.stderr if run or as_json else sys.stdout)
    if not planned.asks:
        raise typer.Exit(0 if not planned.addresses else 1)
    if not run:
        if as_json:
            _as_json(planned, [], {})
        else:
            print("Nothing was sent. `--run` asks them.")
        return
    if len(planned.addresses) > LARGE and not yes:
        print("That is more than a /22 has. `--yes` says that it is meant, `--network` takes a part.", file=sys.stderr)
        raise typer.Exit(WRONG)
    networks = network or (guard.consent.networks if guard.consent is not None else [])
    found, halted = _searched(settings, guard, planned, networks, snmp_port)
    known = _known(settings, found, named)
    if as_json:
        _as_json(planned, found, known)
    else:
        _show(settings, found, known, named, write)
    if write is not None:
        _write(settings, _new(found, known), named, write)
    if halted:
        print(f"{halted}. What was found before is told above.", file=sys.stderr)
        raise typer.Exit(1)


def _named(path: Path | None) -> list[Target]:
    """What the file to write to names already."""
    try:
        return proposal.devices_in(path) if path is not None else []
    except proposal.Unfit as wrong:
        print(wrong, file=sys.stderr)
        raise typer.Exit(1) from None


def _planned(settings: Settings, guard: Guard, networks: list[str] | None, rate: float) -> Plan:
    refusal = guard.refuses(Source.DISCOVERY)
    if refusal is not None or guard.consent is None:
        print(f"Nobody is looked for: {refusal}. See `forewarn agent consent show`.", file=sys.stderr)
        raise typer.Exit(1)
    try:
        return search.plan(
            networks or guard.consent.networks,
            consented=guard.consent.networks,
            permit=guard.refuses,
            known={device.address for device in settings.devices},
            credentials=settings.credentials,
            rate=rate,
            links=system.networks() if settings.discovery.multicast else {},
        )
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        raise typer.Exit(WRONG) from None


def _plan_told(planned: Plan) -> str:
    """The plan as a person reads it."""
    order = f"{planned.rate:g} a second in random order: about {planned.seconds:.0f} s"
    left = f"{planned.outside} outside the consent, {planned.known} in the settings"
    first = f"{len(planned.addresses)} addresses to ask, {order}. Left out: {left}."
    return "\n".join([first, *noting.how(planned)])


def _searched(
    settings: Settings, guard: Guard, planned: Plan, networks: Sequence[str], port: int
) -> tuple[list[Found], str]:
    from agent.snmp.opening import opener

    _note(settings, noting.began(planned, networks, BY))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task("asking", total=len(planned.addresses))
        looking = Search(
            planned,
            permit=guard.refuses,
            profiles=find_profiles(settings),
            open_session=opener(settings.polling.in_flight),
            snmp_port=port,
            went=lambda done: shown.update(bar, completed=done),
        )
        found, why = [], "it was broken off"
        try:
            found, why = asyncio.run(looking.run()), ""
        except Halted as halted:
            found, why = halted.found, str(halted)
        finally:
            _note(settings, noting.ended(planned, networks, BY, asked=looking.asked, found=found, why=why))
    return found, why


def _note(settings: Settings, text: dict[str, str]) -> None:
    """What the customer is to read of it; without that nothing is sent."""
    try:
        pages.note(settings.folder / pages.FOLDER, pages.Entry(at=SystemClock().now(), kind=pages.LOOKED, text=text))
    except OSError as wrong:
        print(
            f"The log book cannot be written ({told(wrong)}), and nothing is sent that is not in it.", file=sys.stderr
        )
        raise typer.Exit(1) from None


def _known(settings: Settings, found: Sequence[Found], named: Sequence[Target]) -> dict[str, str]:
    """By address of those found, who it is already: a device that moved, one of the file, this machine; else ""."""
    remembered = Memory(settings.folder, [device.name for device in settings.devices]).devices
    identities = {name: each.identity for name, each in remembered.items()}
    names = {str(ip_address(device.address)): str(device.name) for device in named}
    beside = nearby.macs()
    return {
        each.address: moved(each, identities, beside)
        or names.get(each.address, "")
        or (settings.host_name if is_own(each.address) else "")
        for each in found
    }


def _new(found: Sequence[Found], known: Mapping[str, str]) -> list[Found]:
    return [each for each in found if not known[each.address]]


def _write(settings: Settings, new: Sequence[Found], named: Sequence[Target], path: Path) -> None:
    """Adds what is new to a file."""
    if not new:
        print(f"{path} stays as it is.", file=sys.stderr)
        return
    taken = {*settings.linked, *(str(device.name) for device in named)}
    try:
        proposal.add(path, proposal.text(new, taken), len(new))
    except proposal.Unfit as wrong:
        print(wrong, file=sys.stderr)
        raise typer.Exit(1) from None
    inside = settings.devices_folder is not None and path.resolve().parent == settings.devices_folder.resolve()
    then = "look through it, and start the agent anew" if inside else f"`devices_folder: {path.parent}` takes it in"
    print(f"{len(new)} written to {path}: {then}.", file=sys.stderr)


def _show(
    settings: Settings, found: Sequence[Found], known: Mapping[str, str], named: Sequence[Target], path: Path | None
) -> None:
    beside = nearby.macs()
    rows = [("ADDRESS", "MAC", "MAKER", "NAME", "PROFILE", "HOW SURE", "WHY")]
    for each in found:
        mac, why = each.mac(beside), each.inventory.get("matched", "") or proposal.why_so(each)
        profile, name = each.inventory.get("profile", "-"), one_line(each.name) or "-"
        rows.append((each.address, mac or "-", makers.maker(mac) or "-", name, profile, each.confidence, one_line(why)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    new, files = _new(found, known), {str(ip_address(device.address)) for device in named}
    for each in found:
        name = known[each.address]
        if name == settings.host_name:
            print(f"{each.address} is this machine.")
        elif name and each.address not in files:
            print(f"{each.address} is `{name}` of the settings: its address changed.")
    if not new:
        print("No new device.")
    elif path is None:
        print(f"\n# {len(new)} new, for `devices:` in agent.yaml; look through them first.")
        print(proposal.text(new, settings.linked), end="")


def _as_json(planned: Plan, found: Sequence[Found], known: Mapping[str, str]) -> None:
    said = {
        "addresses": len(planned.addresses),
        "outside": planned.outside,
        "known": planned.known,
        "seconds": round(planned.seconds, 1),
        "found": [
            {
                "address": each.address,
                "seen": each.seen,
                "credential": str(each.credential),
                "confidence": each.confidence,
                "why": each.why,
                "is": known.get(each.address, ""),
                "inventory": dict(each.inventory),
                "onvif": each.said._asdict() if each.said is not None else None,
            }
            for each in found
        ],
    }
    print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
