"""Who we are to a device: as a person writes it in the settings, and as an adapter of `agent.snmp` needs it.

SNMP v1 and v2c know a community, v3 a user with a key for authentication and one for privacy (RFC 3414). A secret is
read from its file each time a session opens, so that a changed file counts at once; none is ever printed.

Errors:
    ValueError   (key, what): settings that cannot work together, as `forewarn.settings.read` reports it
    OSError      a file that holds a secret cannot be read
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forewarn.settings import Secret

Version = Literal["1", "2c", "3"]
Authentication = Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"]
Privacy = Literal["des", "aes128", "aes192", "aes256", "aes192c", "aes256c"]
"""aes192c and aes256c lengthen a short key as Cisco's devices do, the others by the draft most devices follow."""
_SHORTEST = 8
"""Octets of a pass phrase (RFC 3414 section 11.2); devices take none shorter."""


@dataclass(frozen=True)
class Access:
    """What an adapter needs; the texts are the secrets themselves."""

    version: Version = "2c"
    community: str = field(default="", repr=False)
    user: str = ""
    authentication: Authentication | None = None
    authentication_key: str = field(default="", repr=False)
    privacy: Privacy | None = None
    privacy_key: str = field(default="", repr=False)


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SNMP credentials of one device, or of many under a name."""

    version: Annotated[Version, Meta(description="SNMP version: 1, 2c or 3.", examples=["3"])] = "2c"
    community: Annotated[Secret | None, Meta(description="v1 and v2c: the community, read only.")] = None
    community_file: Annotated[Path | None, Meta(description="Or a file that holds it, first line.")] = None
    user: Annotated[str, Meta(description="v3: the user, read only.", examples=["forewarn"])] = ""
    auth: Annotated[
        Authentication | None,
        Meta(description="v3: md5, sha, sha224, sha256, sha384 or sha512; sha256 when there is a key."),
    ] = None
    auth_key: Annotated[Secret | None, Meta(description="v3: the pass phrase of authentication.")] = None
    auth_file: Annotated[Path | None, Meta(description="Or a file that holds it, first line.")] = None
    privacy: Annotated[
        Privacy | None,
        Meta(description="v3: des, aes128, aes192 or aes256 (aes192c, aes256c with Cisco's keys); aes128 with a key."),
    ] = None
    privacy_key: Annotated[Secret | None, Meta(description="v3: the pass phrase of privacy.")] = None
    privacy_file: Annotated[Path | None, Meta(description="Or a file that holds it, first line.")] = None

    def __post_init__(self) -> None:
        """Refuses what cannot work together.

        Raises:
            ValueError: (key, what).
        """
        for key in ("community", "auth", "privacy"):
            plain = key if key == "community" else f"{key}_key"
            if getattr(self, plain) is not None and getattr(self, f"{key}_file") is not None:
                raise ValueError(f"{key}_file", f"`{plain}` and `{key}_file` are both given, one is enough")
        if self.version == "3":
            self._check_user()
            return
        for key in ("user", "auth", "auth_key", "auth_file", "privacy", "privacy_key", "privacy_file"):
            if getattr(self, key):
                raise ValueError(key, f"`{key}` is for SNMP version 3, this is version {self.version}")

    def _check_user(self) -> None:
        for key in ("community", "community_file"):
            if getattr(self, key) is not None:
                raise ValueError(key, f"`{key}` is for SNMP versions 1 and 2c, version 3 knows users")
        if not self.user:
            raise ValueError("version", "`user` is missing: SNMP version 3 knows users")
        if self.auth and not self._keyed("auth"):
            raise ValueError("auth", "`auth` needs its pass phrase: `auth_file` or `auth_key`")
        if self.privacy and not self._keyed("privacy"):
            raise ValueError("privacy", "`privacy` needs its pass phrase: `privacy_file` or `privacy_key`")
        if self._keyed("privacy") and not self._keyed("auth"):
            raise ValueError("version", "privacy without authentication is not in SNMP: give `auth_file` too")

    def _keyed(self, key: str) -> bool:
        return getattr(self, f"{key}_key") is not None or getattr(self, f"{key}_file") is not None

    def access(self, community: str) -> Access:
        """What an adapter needs; `community` is taken where none is given here.

        Raises:
            OSError: a file that holds a secret cannot be read, or holds too short a pass phrase.
        """
        if self.version != "3":
            own = self.community is not None or self.community_file is not None
            return Access(self.version, revealed(self.community, self.community_file) if own else community)
        authentication = (self.auth or "sha256") if self._keyed("auth") else None
        privacy = (self.privacy or "aes128") if self._keyed("privacy") else None
        return Access(
            self.version,
            user=self.user,
            authentication=authentication,
            authentication_key=_phrase(self.auth_key, self.auth_file) if authentication else "",
            privacy=privacy,
            privacy_key=_phrase(self.privacy_key, self.privacy_file) if privacy else "",
        )


def revealed(secret: Secret | None, file: Path | None) -> str:
    """A secret, from its file where one is given.

    Raises:
        OSError: the file cannot be read, or is no text.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except UnicodeDecodeError:
            # That error carries the octets it could not read: the secret.
            raise OSError(f"{file} is no text in UTF-8: save it as such") from None
    return secret.reveal() if secret is not None else ""


def _phrase(secret: Secret | None, file: Path | None) -> str:
    phrase = revealed(secret, file)
    if len(phrase.encode()) < _SHORTEST:
        where = f"in {file}" if file is not None else "in the settings"
        raise OSError(f"the pass phrase {where} is shorter than {_SHORTEST} characters, which SNMP version 3 refuses")
    return phrase
