"""Who we are to a device's web interface, as a person writes it in the settings.

When a refused password is not to be said again, `agent.devices.lockout` knows.

Errors:
    ValueError   (key, what): settings that cannot work together, as `forewarn.settings.read` reports it
    OSError      a file that holds a password cannot be read
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from agent.settings.credential import revealed
from forewarn.settings import Secret


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
