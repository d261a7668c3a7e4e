"""Who we are to a device's web interface, as a person writes it in the settings; and when not to say it again.

Devices lock an account, or our address, after a few wrong passwords, and lock the people who work there out with us. So
a refused password is not said again for half an hour, unless it was changed meanwhile.

Errors:
    ValueError   (key, what): settings that cannot work together, as `forewarn.settings.read` reports it
    OSError      a file that holds a password cannot be read
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from agent.reading import Clock
from agent.settings.credential import revealed
from forewarn.settings import Secret

REST = 1800.0
"""Seconds for which a refused password is not said again: the usual lock of a Hikvision device lasts as long."""


class Password(NamedTuple):
    """A user and the password itself. Never printed."""

    user: str
    secret: str

    def __repr__(self) -> str:
        return f"Password({self.user!r}, ...)"


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device's web interface, and a user of it that may look and nothing else."""

    user: Annotated[str, Meta(description="The user; one that may look and nothing else.", examples=["forewarn"])]
    password: Annotated[Secret | None, Meta(description="Its password.")] = None
    password_file: Annotated[Path | None, Meta(description="Or a file that holds it, first line.")] = None
    tls: Annotated[bool, Meta(description="HTTPS instead of HTTP.")] = False
    ca: Annotated[
        Path | None, Meta(description="HTTPS: who must have signed its certificate; left out, it is not judged.")
    ] = None
    port: Annotated[int | None, Meta(description="TCP port; left out, 80, or 443 with TLS.", ge=1, le=65535)] = None

    def __post_init__(self) -> None:
        """Refuses what cannot work together.

        Raises:
            ValueError: (key, what).
        """
        one_password(self.password, self.password_file)
        if self.password is None and self.password_file is None:
            raise ValueError("user", "its password is missing: give `password_file` or `password`")
        if self.ca is not None and not self.tls:
            raise ValueError("ca", "`ca` is for HTTPS: `tls: true` is missing")

    @property
    def at_port(self) -> int:
        """The TCP port."""
        return self.port or (443 if self.tls else 80)

    def revealed(self) -> Password:
        """User and password.

        Raises:
            OSError: the file cannot be read.
        """
        return Password(self.user, revealed(self.password, self.password_file))


def one_password(password: Secret | None, file: Path | None) -> None:
    """Refuses a password that is given twice.

    Raises:
        ValueError: (key, what).
    """
    if password is not None and file is not None:
        raise ValueError("password_file", "`password` and `password_file` are both given, one is enough")


class _Refusals(NamedTuple):
    times: int = 0
    until: float = 0.0
    why: str = ""


class Lockout:
    """Remembers refused passwords, and for how long they are not to be said.

    Args:
        clock: its `monotonic` measures.
        most: refusals in a row after which a password rests.
    """

    def __init__(self, clock: Clock, *, most: int = 1) -> None:
        self.turn = asyncio.Lock()
        """Taken by whoever says a password that others say too: all at once, each would be a refusal."""
        self._clock = clock
        self._most = most
        self._refused: dict[bytes, _Refusals] = {}

    def refused(self, password: Password, why: str = "") -> None:
        """The device refused it; `why` in a sentence."""
        now, key = self._clock.monotonic(), _print(password)
        self._refused = {each: found for each, found in self._refused.items() if found.until > now}
        self._refused[key] = _Refusals(self._refused.get(key, _Refusals()).times + 1, now + REST, why)

    def accepted(self) -> None:
        """The device took one."""
        self._refused.clear()

    def left(self, password: Password) -> float:
        """Seconds for which it is still not to be said; 0 when it may be."""
        found = self._refused.get(_print(password), _Refusals())
        return max(found.until - self._clock.monotonic(), 0.0) if found.times >= self._most else 0.0

    def why(self, password: Password) -> str:
        """Why it was refused; "" when it was not."""
        return self._refused.get(_print(password), _Refusals()).why


def _print(password: Password) -> bytes:
    return hashlib.blake2b("\0".join(password).encode(), digest_size=16).digest()
