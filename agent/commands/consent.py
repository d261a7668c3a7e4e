"""`forewarn agent consent`: the customer writes, signs, reads and withdraws a consent, on the site, offline.

The private key is the customer's. It stays in a file of theirs, which only `sign` reads.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer
from msgspec import Meta

from agent.app import SystemClock
from agent.guard import STOP, Guard, withdraw
from agent.settings import Settings, load
from forewarn import consent as consents
from forewarn.consent import Consent, ConsentError
from forewarn.sample import sample
from forewarn.settings import Mark, Marked, SettingError, Wrong, read_file
from forewarn.vocabulary import Source

app = typer.Typer(
    help="The customer's consent: without one nothing is polled and nothing leaves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Config = Annotated[Path, typer.Option("--config", "-c", envvar="FOREWARN_AGENT_CONFIG", help="The agent's settings.")]
_CONFIG = Path("agent.yaml")
_DRAFT = Path("consent.yaml")
_KEY = Path("consent.key")
_PRIVATE = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A consent as the customer writes it, before it is signed."""

    site: Annotated[str, Meta(description="The site it is given for.", examples=["SITE"])]
    customer: Annotated[str, Meta(description="Who gives it: the company.", examples=["Name of the company"])]
    signed_by: Annotated[str, Meta(description="Who signs for the company.", examples=["Name of the person"])]
    scopes: Annotated[
        list[Source],
        Meta(
            description="What may be read: snmp (devices over SNMP, never written to), trap (what devices report by SNMP),\n"
            "probe (whether a device answers: ping, TCP, HTTP, RTSP, NTP), isapi and onvif (cameras and recorders over HTTP,\n"
            "read only), discovery (looking for devices in `networks`), host (the agent's own machine).\n"
            "What the agent says about itself is part of every consent.",
            examples=[["snmp", "probe", "host"]],
        ),
    ]
    networks: Annotated[
        list[str],
        Meta(
            description="Where devices may be polled: IPv4 or IPv6 networks, or single addresses. Nothing outside is.",
            examples=[["192.168.1.0/24"]],
        ),
    ]
    valid_from: Annotated[str, Meta(description="From when, in UTC.", examples=["FROM"])] = msgspec.field(name="from")
    valid_until: Annotated[str, Meta(description="Until when; nothing is read after.", examples=["UNTIL"])] = (
        msgspec.field(name="until")
    )

    def __post_init__(self) -> None:
        """Refuses what could not be a consent.

        Raises:
            ValueError: (key, what), as `forewarn.settings.read` reports it.
        """
        for key, text in (("from", self.valid_from), ("until", self.valid_until)):
            try:
                consents.milliseconds(text)
            except ValueError as wrong:
                raise ValueError(key, f"`{key}` is a time like 2026-11-22T00:00:00Z: {wrong}") from wrong
        if consents.milliseconds(self.valid_until) <= consents.milliseconds(self.valid_from):
            raise ValueError("until", f"`until` is {self.valid_until}, not after `from`")
        try:
            consents.check_networks(self.networks)
        except ValueError as wrong:
            raise ValueError("networks", f"`networks`: {wrong}") from wrong


@app.command()
def new(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = _DRAFT,
    config: Config = _CONFIG,
) -> None:
    """Write a draft for the customer to edit."""
    if out.exists():
        raise SettingError([Wrong(Mark(str(out), 1, 1), "is there already; give another file with --out")])
    begins = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    site = load(config).site if config.exists() else "s-1"
    text = sample(Draft).replace("SITE", site)
    text = text.replace("FROM", f"{begins:%Y-%m-%dT%H:%M:%SZ}")
    text = text.replace("UNTIL", f"{begins + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}")
    out.write_text(
        f"# Consent to be polled. Edit it, then: forewarn agent consent sign {out}\n{text}", encoding="utf-8"
    )
    print(f"{out} is a draft. Let the customer edit it, then: forewarn agent consent sign {out}")


@app.command()
def sign(
    draft: Annotated[Path, typer.Argument(help="The draft.")] = _DRAFT,
    key: Annotated[Path, typer.Option("--key", help="The customer's private key.")] = _KEY,
    make_key: Annotated[bool, typer.Option("--make-key", help="Make the key, when there is none.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The consent; by default where the agent reads it.")
    ] = None,
    config: Config = _CONFIG,
) -> None:
    """Sign a draft: from then on the agent may do what it says, if its settings trust the key."""
    written = read_file(Draft, draft)
    settings = load(config) if config.exists() else None
    if out is None and settings is not None and written.site != settings.site:
        what = f"`site` is `{written.site}`, but the agent of {config} works for `{settings.site}`; else give --out"
        raise SettingError([cast("Marked", written.site).wrong(what)])
    target = out or (settings.consent_file if settings else Path("consent.json"))
    signed = consents.sign(_of(written), _private(key, make=make_key))
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.tmp")
    fresh.write_bytes(consents.document(signed))
    fresh.replace(target)
    print(f"{target} holds consent {signed.id}, valid until {signed.valid_until}.")
    if settings is None or signed.key not in settings.trusted_keys:
        print(f"The agent needs in {config}:  trusted_keys: [{signed.key}]")
    print(f"The collector needs:  forewarn collector add-consent {target} --key {signed.key}")


def _of(draft: Draft) -> Consent:
    return Consent(
        id=consents.new_id(),
        site=str(draft.site),
        customer=str(draft.customer),
        signed_by=str(draft.signed_by),
        scopes=draft.scopes,
        networks=[str(network) for network in draft.networks],
        valid_from=str(draft.valid_from),
        valid_until=str(draft.valid_until),
    )


def _private(path: Path, *, make: bool) -> str:
    if path.exists():
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if not _PRIVATE.fullmatch(text):
            what = "is no private key: one is 64 hexadecimal digits, as --make-key writes it"
            raise SettingError([Wrong(Mark(str(path), 1, 1), what)])
        return text
    if not make:
        raise SettingError([Wrong(Mark(str(path), 1, 1), "there is no such key; --make-key makes one")])
    private, public = consents.new_key()
    path.touch(mode=0o600)
    path.write_text(f"{private}\n", encoding="ascii")
    path.with_name(f"{path.name}.pub").write_text(f"{public}\n", encoding="ascii")
    print(f"{path} is the customer's private key, needed only to sign: move it to where the customer alone has it.")
    print(f"Its public half, {path}.pub, is no secret: {public}")
    return private


@app.command()
def show(config: Config = _CONFIG) -> None:
    """Show the consent and whether it is in force."""
    settings = load(config)
    guard = _guard(settings)
    refusal = guard.may_leave()
    print("In force." if refusal is None else f"Not in force: {guard.detail or refusal}.")
    try:
        consent = consents.parse(settings.consent_file.read_bytes())
    except (OSError, ConsentError):
        raise typer.Exit(1) from None
    for name, value in consents.shown(consent).items():
        print(f"  {name:<10} {', '.join(value) if isinstance(value, list) else value}")
    raise typer.Exit(0 if refusal is None else 1)


@app.command("withdraw")
def withdraw_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = _CONFIG,
) -> None:
    """Withdraw the consent, now and for good: nothing is polled, nothing leaves, what was kept is deleted."""
    settings = load(config)
    try:
        consent = consents.parse(settings.consent_file.read_bytes())
    except (OSError, ConsentError) as wrong:
        stop = settings.folder / STOP
        print(f"{settings.consent_file}: {wrong}. To stop the agent all the same, create {stop}.", file=sys.stderr)
        raise typer.Exit(1) from wrong
    if not yes:
        typer.confirm(f"Withdraw consent {consent.id} of {consent.customer}, for good?", abort=True)
    withdraw(settings.folder, consent.id, SystemClock().now())
    print(f"Consent {consent.id} is withdrawn. The agent obeys within a second; a new consent starts it again.")


def _guard(settings: Settings) -> Guard:
    return Guard(
        settings.folder,
        settings.consent_file,
        site=settings.site,
        trusted=settings.trusted_keys,
        clock=SystemClock(),
    )
