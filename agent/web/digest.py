"""Answers to an authentication challenge of HTTP or RTSP: Digest (RFC 7616, RFC 2617), and Basic where it is allowed.

Written here because RTSP wants the same as HTTP over whole addresses, which the libraries for HTTP do not offer.

Errors:
    NoAnswer   the challenge offers nothing that we may answer
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from typing import NamedTuple

from agent.settings.login import Password

_HASHES: dict[str, Callable[[bytes], str]] = {
    "sha-256": lambda octets: hashlib.sha256(octets).hexdigest(),
    "md5": lambda octets: hashlib.md5(octets, usedforsecurity=False).hexdigest(),
}
"""The strongest first."""
_SCHEME = re.compile(r"(?:^|,)\s*(Digest|Basic)\s+(?=\w+\s*=|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w[\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class NoAnswer(Exception):
    """The challenge offers nothing that we may answer; says what it offers."""


class Challenge(NamedTuple):
    """One of those a device offers. `parameters` have lower-case names."""

    scheme: str
    parameters: dict[str, str]

    @property
    def stale(self) -> bool:
        """Whether the password was right and only the nonce too old."""
        return self.parameters.get("stale", "").lower() == "true"

    @property
    def strength(self) -> int:
        """The place of its algorithm among those we know; -1 for none."""
        name = self.parameters.get("algorithm", "MD5").lower().removesuffix("-sess")
        known = list(reversed(_HASHES))
        return known.index(name) if self.scheme == "digest" and name in known else -1


def chosen(headers: Iterable[str], *, basic: bool = False) -> Challenge:
    """The strongest challenge of the WWW-Authenticate headers that we may answer.

    Args:
        headers: their values.
        basic: whether the password may be said in the clear.

    Raises:
        NoAnswer: there is none.
    """
    offered = [challenge for header in headers for challenge in _challenges(header)]
    digests = [each for each in offered if each.strength >= 0 and _answerable(each)]
    if digests:
        return max(digests, key=lambda each: each.strength)
    for each in offered:
        if basic and each.scheme == "basic":
            return each
    names = ", ".join(sorted({each.scheme.capitalize() for each in offered})) or "nothing"
    raise NoAnswer(f"it offers {names}, and we say a password by Digest alone: switch its authentication to digest")


class Answering:
    """Answers one challenge, as often as requests are made under its nonce."""

    def __init__(self, challenge: Challenge, password: Password) -> None:
        self._challenge = challenge
        self._password = password
        self._count = 0

    def header(self, method: str, uri: str) -> str:
        """The value of Authorization for a request, a character for each octet: what is no ASCII goes as UTF-8.

        What the device said comes back as it came, whatever its encoding.
        """
        if self._challenge.scheme == "basic":
            return f"Basic {base64.b64encode(':'.join(self._password).encode()).decode()}"
        given = self._challenge.parameters
        algorithm = given.get("algorithm", "MD5")
        hashed = _HASHES[algorithm.lower().removesuffix("-sess")]
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        secret = self._secret(hashed, own, session=algorithm.lower().endswith("-sess"))
        uri, parts = _octets(uri), [secret, given["nonce"]]
        if "qop" in given:
            parts += [count, own, "auth"]
        response = hashed(":".join([*parts, hashed(f"{method}:{uri}".encode("latin-1"))]).encode("latin-1"))
        said = {"username": _octets(self._password.user), "realm": given["realm"], "nonce": given["nonce"], "uri": uri}
        said |= {"response": response} | ({"opaque": given["opaque"]} if "opaque" in given else {})
        words = [f'{name}="{_quoted(text)}"' for name, text in said.items()]
        words += [f"algorithm={algorithm}"] if "algorithm" in given else []
        words += [f'qop=auth, nc={count}, cnonce="{own}"'] if "qop" in given else []
        return f"Digest {', '.join(words)}"

    def _secret(self, hashed: Callable[[bytes], str], own: str, *, session: bool) -> str:
        given = self._challenge.parameters
        user, password = map(_octets, self._password)
        secret = hashed(f"{user}:{given['realm']}:{password}".encode("latin-1"))
        return hashed(f"{secret}:{given['nonce']}:{own}".encode("latin-1")) if session else secret


def _challenges(header: str) -> list[Challenge]:
    places = list(_SCHEME.finditer(header))
    found = []
    for at, place in enumerate(places):
        end = places[at + 1].start() if at + 1 < len(places) else len(header)
        texts = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
            for name, quoted, plain in _PARAMETER.findall(header[place.end() : end])
        }
        found.append(Challenge(place[1].lower(), texts))
    return found


def _answerable(challenge: Challenge) -> bool:
    given = challenge.parameters
    qops = [word.strip().lower() for word in given.get("qop", "auth").split(",")]
    return "nonce" in given and "realm" in given and "auth" in qops


def _octets(text: str) -> str:
    return text.encode().decode("latin-1")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
