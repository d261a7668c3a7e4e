"""The customer's consent against what is configured: in force, how long, and whether it covers each device and source.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.devices.visited import ORDER, sources
from agent.guard import STOP, Guard
from agent.reading import Clock
from agent.settings import Settings
from forewarn.consent import Consent, Refusal, instant
from forewarn.doctor.diagnosis import Diagnosis, fail, listed, ok, span, warn
from forewarn.doctor.machine import there
from forewarn.doctor.reach import SOON
from forewarn.vocabulary import Source

_SIGN = "the customer writes and signs one: `forewarn agent consent new`, then `forewarn agent consent sign`"
_REMEDIES: Mapping[Refusal, str] = {
    Refusal.ABSENT: _SIGN,
    Refusal.UNREADABLE: f"put the document there as it was signed, or {_SIGN}",
    Refusal.UNTRUSTED_KEY: "if it is the customer's key, add it to `trusted_keys`; "
    "`forewarn agent consent show` prints it whole",
    Refusal.BAD_SIGNATURE: f"the document was changed after it was signed: take the original, or {_SIGN}",
    Refusal.WRONG_SITE: "correct `site` in the settings, or take the consent of this site",
    Refusal.NOT_YET: "wait until then; if that is past, set this machine's clock",
    Refusal.EXPIRED: _SIGN,
    Refusal.WITHDRAWN: f"it stays withdrawn; to go on, {_SIGN}",
    Refusal.STOPPED: f"whoever put it there has stopped the agent; to go on, delete the file {STOP}",
}


def look(settings: Settings, guard: Guard, clock: Clock) -> Iterator[Diagnosis]:
    """The document, its end, the addresses and sources it leaves out, and a private key that lies about."""
    refusal, consent = guard.may_leave(), guard.consent
    if refusal is not None or consent is None:
        remedy = _REMEDIES.get(refusal or Refusal.ABSENT, _SIGN)
        if refusal is Refusal.UNTRUSTED_KEY and not settings.trusted_keys:
            remedy = f"`trusted_keys` is empty: {remedy}"
        yield fail("consent", guard.detail or str(refusal), remedy)
    else:
        yield _in_force(consent, clock)
        yield from _left_out(settings, consent, clock)
    key = Path("consent.key")
    if there(key):
        what = f"{key} in this folder is the customer's private key, and lies on the agent's machine"
        yield warn("consent", what, "move it to where the customer alone has it: it is needed only to sign")


def _in_force(consent: Consent, clock: Clock) -> Diagnosis:
    what = f"{consent.id} of {consent.customer}: {', '.join(consent.scopes)} in {', '.join(consent.networks)}"
    left = (consent.ends - clock.now()) / 1000
    if left < SOON * 86400:
        return warn("consent", f"{what}; ends in {span(left)}, on {instant(consent.ends)}", f"before then {_SIGN}")
    return ok("consent", f"{what}; until {instant(consent.ends)}")


def _left_out(settings: Settings, consent: Consent, clock: Clock) -> Iterator[Diagnosis]:
    now = clock.now()
    by_source = {source: [each for each in settings.devices if source in sources(each)] for source in ORDER}
    for source, devices in by_source.items():
        if devices and consent.refuses(source, now) is Refusal.SCOPE:
            what = "`devices`" if source is Source.SNMP else "what asks for it"
            remedy = f"a new consent with the scope `{source}`, or take {what} out of the settings"
            yield fail("consent", f"does not grant `{source}`: {len(devices)} devices are not polled", remedy)
    outside = [
        f"{device.name} ({device.address})"
        for device in settings.devices
        if consent.refuses(Source.AGENT, now, device.address) is Refusal.ADDRESS
    ]
    if outside:
        remedy = "a new consent whose `networks` cover them, or take them out of `devices`"
        yield fail("consent", f"does not cover {listed(outside)}: not polled", remedy)
    if settings.host.enabled and consent.refuses(Source.HOST, now) is Refusal.SCOPE:
        remedy = "a new consent with the scope `host`, or set `host: {enabled: false}`"
        yield warn("consent", "does not grant `host`: this machine itself is not read", remedy)
    if settings.discovery.enabled and consent.refuses(Source.DISCOVERY, now) is Refusal.SCOPE:
        remedy = "a new consent with the scope `discovery`, or set `discovery: {enabled: false}`"
        yield warn("consent", "does not grant `discovery`: nobody is looked for", remedy)
