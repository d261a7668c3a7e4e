"""`forewarn agent discover`: who is in the networks of the consent, what each is, and how it would stand in the settings.

Without `--run` nothing is sent: it says whom it would ask, what, and for how long. It writes no settings.

Exit codes: 0 done; 1 the consent does not allow it, or ended meanwhile (what was found is told); 2 the command line is
wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml
from rich.console import Console
from rich.progress import Progress

from agent.app import SystemClock, find_profiles
from agent.devices.remembered import Memory
from agent.discovery import makers, search
from agent.discovery.search import Found, Halted, Plan, Search
from agent.guard import Guard
from agent.polling import nearby
from agent.settings import Settings, load
from forewarn.vocabulary import Source

WRONG = 2
LARGE = 1022
"""Hosts of a /22; beyond them one has to say `--yes`."""
_CONFIG = Path("agent.yaml")
_LONGEST = 100
Networks = Annotated[
    list[str] | None, typer.Option("--network", "-n", help="Look here, CIDR; left out, in the consent's networks.")
]


def discover(
    network: Networks = None,
    *,
    run: Annotated[bool, typer.Option("--run/--dry-run", help="Ask them; else only say what would be asked.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=200, help="Addresses a second.")] = search.RATE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Look through more addresses than a /22 has.")] = False,
    snmp_port: Annotated[int, typer.Option(min=1, max=65535, help="UDP port of SNMP.")] = 161,
    config: Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="Settings.")] = _CONFIG,
) -> None:
    """Look for devices within the consent, and propose them for the settings."""
    settings = load(config)
    guard = Guard(
        settings.folder, settings.consent_file, site=settings.site, trusted=settings.trusted_keys, clock=SystemClock()
    )
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
    found, halted = _searched(settings, guard, planned, snmp_port)
    moved = {each.address: search.moved(each, _identities(settings)) for each in found}
    if as_json:
        _as_json(planned, found, moved)
    else:
        _show(settings, found, moved)
    if halted:
        print(f"{halted}. What was found before is told above.", file=sys.stderr)
        raise typer.Exit(1)


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
        )
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        raise typer.Exit(WRONG) from None


def _plan_told(planned: Plan) -> str:
    """The plan as a person reads it."""
    ports = ", ".join(str(port) for port in search.PORTS)
    order = f"{planned.rate:g} a second in random order: about {planned.seconds:.0f} s"
    left = f"{planned.outside} outside the consent, {planned.known} in the settings"
    lines = [f"{len(planned.addresses)} addresses to ask, {order}. Left out: {left}."]
    if planned.probes:
        lines.append(f"Each: up to three pings, and a TCP connection to {ports}.")
    else:
        lines.append("No ping and no TCP connection: the consent does not grant `probe`.")
    if planned.credentials:
        whom = "who answers that" if planned.probes else "each"
        lines.append(
            f"Over SNMP, {whom}: its sysObjectID once with each of {', '.join(planned.credentials)}; who answers that: "
            "which profile fits, and its inventory."
        )
    else:
        lines.append("No SNMP: the settings name no `credentials`, or the consent does not grant `snmp`.")
    return "\n".join(lines)


def _searched(settings: Settings, guard: Guard, planned: Plan, port: int) -> tuple[list[Found], str]:
    from agent.snmp.opening import opener

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task("asking", total=len(planned.addresses))
        search = Search(
            planned,
            permit=guard.refuses,
            profiles=find_profiles(settings),
            open_session=opener(settings.polling.in_flight),
            snmp_port=port,
            went=lambda done: shown.update(bar, completed=done),
        )
        try:
            return asyncio.run(search.run()), ""
        except Halted as halted:
            return halted.found, str(halted)


def _identities(settings: Settings) -> dict[str, Mapping[str, str]]:
    """What is remembered of the devices in the settings."""
    known = Memory(settings.folder, [device.name for device in settings.devices]).devices
    return {name: each.identity for name, each in known.items()}


def _show(settings: Settings, found: Sequence[Found], moved: Mapping[str, str]) -> None:
    beside = nearby.macs()
    rows = [("ADDRESS", "MAC", "MAKER", "NAME", "PROFILE", "HOW SURE", "WHY")]
    for each in found:
        mac = one_line(each.inventory.get("mac", "")) or beside.get(each.address, "")
        profile, why = each.inventory.get("profile", "-"), each.inventory.get("matched", "") or _seen(each)
        name = one_line(each.inventory.get("name", "-"))
        rows.append((each.address, mac or "-", makers.maker(mac) or "-", name, profile, each.confidence, one_line(why)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    new = [each for each in found if not moved[each.address]]
    for each in found:
        if moved[each.address]:
            print(f"{each.address} is `{moved[each.address]}` of the settings: its address changed.")
    if not new:
        print("No new device.")
        return
    print(f"\n# {len(new)} new, for `devices:` in agent.yaml; look through them first.")
    for each, entry in zip(new, search.entries(new, settings.linked), strict=True):
        what = " ".join(filter(None, (each.inventory.get("vendor"), each.inventory.get("model")))) or each.confidence
        print(f"# {one_line(what)}: {one_line(each.inventory.get('matched', '') or _seen(each))}")
        text = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, default_flow_style=False)
        print(text, end="")


def _seen(each: Found) -> str:
    told = f"answers {', '.join(each.seen)}" if each.seen else ""
    return "; ".join(filter(None, (told, each.why)))


def one_line(text: str) -> str:
    """What a device says of itself, as a part of one line: no sign of it may steer a terminal or end a comment."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 3]}..."


def _as_json(planned: Plan, found: Sequence[Found], moved: Mapping[str, str]) -> None:
    told = {
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
                "is": moved.get(each.address, ""),
                "inventory": dict(each.inventory),
            }
            for each in found
        ],
    }
    print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
