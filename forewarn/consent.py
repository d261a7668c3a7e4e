"""The customer's signed word on what may be polled, where, and until when.

A consent is a JSON document signed with Ed25519 (RFC 8032) over its canonical form: the keys sorted, no white space,
UTF-8, the signature left out. The agent enforces it on the site, the collector checks it again; neither can widen it.
Times are UTC, written like 2026-11-22T00:00:00Z; networks are IPv4 or IPv6 in CIDR form.

Errors:
    ConsentError   a document that cannot be relied on; `refusal` is one word from `Refusal`
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from ulid import ULID

from forewarn.vocabulary import Source


class Refusal(StrEnum):
    """Why something may not be done. The words stand in logs, records and on screens."""

    ABSENT = "no consent"
    UNREADABLE = "unreadable consent"
    UNTRUSTED_KEY = "signed with a key that is not trusted"
    BAD_SIGNATURE = "signature does not fit the document"
    WRONG_SITE = "given for another site"
    NOT_YET = "not yet valid"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped on the site"
    SCOPE = "scope not granted"
    ADDRESS = "address outside the consent"


class ConsentError(Exception):
    """A consent that cannot be relied on."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal}: {detail}" if detail else str(refusal))
        self.refusal = refusal


class Consent(msgspec.Struct, frozen=True, kw_only=True, dict=True, forbid_unknown_fields=True):
    """What a customer allows. `scopes` are words of `Source`; `networks` bounds every polled address."""

    v: int = 1
    id: str
    site: str
    customer: str
    signed_by: str
    scopes: list[Source]
    networks: list[str]
    valid_from: str = msgspec.field(name="from")
    valid_until: str = msgspec.field(name="until")
    key: str = ""
    signature: str = ""

    @cached_property
    def begins(self) -> int:
        """First valid instant, Unix milliseconds."""
        return milliseconds(self.valid_from)

    @cached_property
    def ends(self) -> int:
        """First instant no longer valid, Unix milliseconds."""
        return milliseconds(self.valid_until)

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(network) for network in self.networks]

    def canonical(self) -> bytes:
        """The bytes the signature is made over."""
        return msgspec.json.encode(msgspec.structs.replace(self, signature=""), order="sorted")

    def refuses(self, source: Source, t: int, address: str | None = None) -> Refusal | None:
        """Judges one act.

        Args:
            source: what kind of act; what the agent says about itself (`Source.AGENT`) needs no scope.
            t: when, Unix milliseconds.
            address: the IP address polled, None for what happens on the agent's own host.

        Returns:
            None when it is allowed, else why not.
        """
        if t < self.begins:
            return Refusal.NOT_YET
        if t >= self.ends:
            return Refusal.EXPIRED
        if source is not Source.AGENT and source not in self.scopes:
            return Refusal.SCOPE
        if address is not None and not self._covers(address):
            return Refusal.ADDRESS
        return None

    def _covers(self, address: str) -> bool:
        try:
            wanted = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(wanted.version == network.version and wanted in network for network in self._networks)


def milliseconds(text: str) -> int:
    """Reads `2026-11-22T00:00:00Z` as Unix milliseconds.

    Raises:
        ValueError: another form, or a time without a zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone, write it like 2026-11-22T00:00:00Z")
    return int(at.timestamp() * 1000)


def instant(at: int) -> str:
    """Writes Unix milliseconds as `2026-11-22T00:00:00Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_key() -> tuple[str, str]:
    """Makes a key pair: (private, public), each 64 hexadecimal digits. The private one stays with the customer."""
    key = SigningKey.generate()
    return key.encode().hex(), key.verify_key.encode().hex()


def new_id() -> str:
    """Names a new consent."""
    return f"c-{ULID()}"


def sign(draft: Consent, private: str) -> Consent:
    """Returns the draft signed, with the public key in it."""
    key = SigningKey(bytes.fromhex(private))
    named = msgspec.structs.replace(draft, key=key.verify_key.encode().hex(), signature="")
    return msgspec.structs.replace(named, signature=key.sign(named.canonical()).signature.hex())


def parse(text: bytes) -> Consent:
    """Reads a document without judging its signature.

    Raises:
        ConsentError: UNREADABLE, with the place and what is wrong there.
    """
    try:
        consent = msgspec.json.decode(text, type=Consent)
        _sane(consent)
    except (msgspec.DecodeError, ValueError) as wrong:
        raise ConsentError(Refusal.UNREADABLE, str(wrong)) from wrong
    return consent


def _sane(consent: Consent) -> None:
    if consent.v != 1:
        raise ValueError(f"version {consent.v}, this program reads 1")
    if consent.ends <= consent.begins:
        raise ValueError(f"ends {consent.valid_until}, before it begins")
    check_networks(consent.networks)


def check_networks(networks: Iterable[str]) -> None:
    """Refuses what is no network.

    Raises:
        ValueError: says which, and how one is written.
    """
    for network in networks:
        ipaddress.ip_network(network)


def verified(consent: Consent, trusted: Collection[str], site: str) -> Consent:
    """Returns the consent when a trusted key signed exactly this document for this site.

    Raises:
        ConsentError: WRONG_SITE, UNTRUSTED_KEY or BAD_SIGNATURE.
    """
    if consent.site != site:
        raise ConsentError(Refusal.WRONG_SITE, f"for site `{consent.site}`, this is `{site}`")
    if consent.key not in trusted:
        raise ConsentError(Refusal.UNTRUSTED_KEY, f"key {consent.key[:16] or 'missing'}")
    try:
        VerifyKey(bytes.fromhex(consent.key)).verify(consent.canonical(), bytes.fromhex(consent.signature))
    except (BadSignatureError, ValueError) as wrong:
        raise ConsentError(Refusal.BAD_SIGNATURE, f"consent {consent.id}") from wrong
    return consent


def document(consent: Consent) -> bytes:
    """The document as it is stored and shown: indented JSON."""
    return msgspec.json.format(msgspec.json.encode(consent, order="sorted"), indent=2) + b"\n"


def shown(consent: Consent) -> dict[str, Any]:
    """The document as plain values, for screens and APIs."""
    plain: dict[str, Any] = msgspec.to_builtins(consent)
    return plain
