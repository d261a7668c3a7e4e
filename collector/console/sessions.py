"""Who is logged in: a signed cookie that carries the digest of a token, looked up again at every request.

A revoked token ends its sessions within 2 seconds. The secret that signs lies in the data folder, readable by the
collector alone; whoever removes it logs everybody out.

Errors:
    OSError   the secret can neither be read nor made
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from collector.api.door import Actors
from collector.register import token_digest

COOKIE = "forewarn_session"
LASTS_SECONDS = 7 * 24 * 3600
_SECRET_FILE = "console.secret"  # noqa: S105 - the name of a file, not what is in it.


def secret(folder: Path) -> str:
    """The secret of this data folder, made when it is not there yet: whole or not at all, whenever we are killed."""
    file = folder / _SECRET_FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{_SECRET_FILE}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(f"{secrets.token_hex(32)}\n")
        draft.replace(file)
    return file.read_text(encoding="ascii").strip()


class Sessions:
    """Makes and reads session cookies.

    Args:
        secret: what signs them.
        look_up: the name behind the digest of a token, None when it is nobody's (any more). Blocks.
    """

    def __init__(self, secret: str, look_up: Callable[[str], str | None]) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="forewarn console session")
        self.actors = Actors(look_up)

    def begin(self, token: str) -> str | None:
        """The cookie's value for who has this token, None when it is nobody's. Blocks on the database."""
        digest = token_digest(token)
        return None if self.actors.look_up(digest) is None else self._serializer.dumps(digest)

    def digest(self, cookies: str) -> str | None:
        """The digest in a Cookie header; None when there is none, or it is forged or too old."""
        value = cookie(cookies, COOKIE)
        try:
            found = self._serializer.loads(value, max_age=LASTS_SECONDS) if value else None
        except BadSignature:
            return None
        return found if isinstance(found, str) else None


def cookie(header: str, name: str) -> str:
    """One cookie of a Cookie header, empty when it is not there; what others have put there does not matter."""
    pairs = (pair.partition("=") for pair in header.split(";"))
    return next((value.strip().strip('"') for key, _, value in pairs if key.strip() == name), "")


def set_cookie(value: str, *, secure: bool) -> str:
    """The Set-Cookie header that begins a session, or with an empty value ends it.

    Lax: a link in a notice leads to its ticket, but no other page can act with it (every act also proves its origin).
    """
    lasts = LASTS_SECONDS if value else 0
    return f"{COOKIE}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
