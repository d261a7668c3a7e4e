"""One probe, as a person writes it at its device: `{tcp: 554}`, `{http: /, tls: true}`, `{rtsp: /Streaming/Channels/101}`.

Errors:
    ValueError   (key, what): keys that cannot work together, as `forewarn.settings.read` reports it
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.settings.credential import revealed
from agent.settings.login import Password, one_password
from forewarn.settings import Secret

KINDS = ("icmp", "tcp", "http", "rtsp", "ntp")
_OF = {
    "port": ("http", "rtsp", "ntp"),
    "tls": ("http",),
    "ca": ("http",),
    "server_name": ("http",),
    "status": ("http",),
    "user": ("rtsp",),
    "password": ("rtsp",),
    "password_file": ("rtsp",),
    "basic": ("rtsp",),
}
"""Which kinds a key is for."""
_PORTS = {"http": 80, "rtsp": 554, "ntp": 123}


class ProbeSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One probe: exactly one of icmp, tcp, http, rtsp and ntp, and what belongs to it."""

    icmp: Annotated[bool | None, Meta(description="true: does it answer a ping?")] = None
    tcp: Annotated[int | None, Meta(description="A TCP port: does it take a connection?", ge=1, le=65535)] = None
    http: Annotated[str | None, Meta(description="A path: what status does it answer, and how is its certificate?")] = (
        None
    )
    rtsp: Annotated[str | None, Meta(description="A path: is the stream there? It is described, never played.")] = None
    ntp: Annotated[bool | None, Meta(description="true: how far is its clock off, as its NTP service tells?")] = None
    name: Annotated[str, Meta(description="What it is called; left out, its kind and port or path.")] = ""
    port: Annotated[int | None, Meta(description="http, rtsp, ntp: another port than usual.", ge=1, le=65535)] = None
    tls: Annotated[bool, Meta(description="http: HTTPS, and its certificate is looked at.")] = False
    ca: Annotated[Path | None, Meta(description="http: who may have signed its certificate; else the system's.")] = None
    server_name: Annotated[str, Meta(description="http: the name in its certificate; left out, its address.")] = ""
    status: Annotated[int | None, Meta(description="http: the status it has to answer.", ge=100, le=599)] = None
    user: Annotated[str, Meta(description="rtsp: a user that may look.")] = ""
    password: Annotated[Secret | None, Meta(description="rtsp: its password.")] = None
    password_file: Annotated[Path | None, Meta(description="rtsp: or a file that holds it, first line.")] = None
    basic: Annotated[
        bool, Meta(description="rtsp: say the password in the clear where the device knows no digest.")
    ] = False

    def __post_init__(self) -> None:
        """Refuses what cannot work together.

        Raises:
            ValueError: (key, what).
        """
        given = [kind for kind in KINDS if getattr(self, kind) not in (None, False)]
        if len(given) != 1:
            raise ValueError(given[1] if given else "", f"a probe is one of {', '.join(f'`{kind}`' for kind in KINDS)}")
        for key, kinds in _OF.items():
            if getattr(self, key) not in (None, False, "") and given[0] not in kinds:
                raise ValueError(key, f"`{key}` is for {' and '.join(f'`{kind}`' for kind in kinds)}, not `{given[0]}`")
        for key in ("http", "rtsp"):
            path = getattr(self, key)
            if path is not None and (not path.startswith("/") or any(sign.isspace() for sign in path)):
                raise ValueError(key, f"`{key}` is a path that begins with `/` and has no blanks, not `{path}`")
        self._check_signs()

    def _check_signs(self) -> None:
        one_password(self.password, self.password_file)
        has = self.password is not None or self.password_file is not None
        if has != bool(self.user):
            raise ValueError("user" if self.user else "", "`user` and `password_file` belong together")
        for key in ("ca", "server_name"):
            if getattr(self, key) and not self.tls:
                raise ValueError(key, f"`{key}` is for HTTPS: `tls: true` is missing")

    @property
    def kind(self) -> str:
        """Which of the five."""
        return next(kind for kind in KINDS if getattr(self, kind) not in (None, False))

    @property
    def at_port(self) -> int:
        """The port it goes to; 0 for ICMP."""
        if self.tcp is not None:
            return self.tcp
        return self.port or (443 if self.tls else _PORTS.get(self.kind, 0))

    @property
    def label(self) -> str:
        """What its instance is called."""
        if self.name:
            return self.name
        port = f" {self.at_port}" if self.kind == "tcp" or self.port is not None else ""
        path = getattr(self, self.kind) if self.kind in ("http", "rtsp") else ""
        return f"{'https' if self.tls else self.kind}{port}{f' {path}' if path else ''}"

    def login(self) -> Password | None:
        """Who we are to it.

        Raises:
            OSError: the file cannot be read.
        """
        return Password(self.user, revealed(self.password, self.password_file)) if self.user else None
