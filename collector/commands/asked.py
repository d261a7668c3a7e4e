"""Asks a running collector, over its API, why it opened a ticket.

Errors:
    Unexplained   there is no such ticket, no rule behind it, no token, or no collector that answers; the text says what
                  to do
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)
_SECONDS = 10
_UNAUTHORIZED, _NOT_FOUND = 401, 404


class Unexplained(Exception):
    """What was asked for has no explanation."""


def is_ticket(text: str) -> bool:
    """Whether this may be a ticket's id (a ULID)."""
    return _ID.fullmatch(text) is not None


def token(file: Path | None) -> str:
    """The token of the API: from a file, else from the environment.

    Raises:
        Unexplained: there is neither.
        OSError: the file cannot be read.
    """
    given = os.environ.get("FOREWARN_TOKEN", "") if file is None else file.read_text(encoding="utf-8")
    if not given.strip():
        made = "`forewarn collector add-token NAME` makes one"
        raise Unexplained(f"a token of the API is needed, in FOREWARN_TOKEN or a file by --token-file: {made}")
    return given.strip()


def ticket_explained(id_: str, address: str, secret: str) -> str:
    """The ticket's title, its reason in lines of text, and what people said of it.

    Args:
        id_: of the ticket.
        address: of the collector, `http://host:port`.
        secret: a token of its API.

    Raises:
        Unexplained: see above.
    """
    ticket = _asked(f"{address.rstrip('/')}/api/v1/tickets/{id_.upper()}", id_, secret)
    title = ticket["title"].get("en") or ticket["title"].get("zh") or ""
    if not ticket["explanation"]:
        raise Unexplained(f"ticket `{id_}` ({title}) was made by hand: no rule has a reason for it")
    lines = [f"{title} ({ticket['state']}, {ticket['severity']})", ticket["explanation"]]
    if ticket["false_at"] is not None:
        lines.append(f"{ticket['false_by']} called it a false alarm: {ticket['false_why']}")
    return "\n".join(lines)


def _asked(url: str, id_: str, secret: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise Unexplained(f"`{url}` is no address like http://127.0.0.1:8080: give another by --url")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {secret}"})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - checked above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as wrong:
        raise Unexplained(_refused(wrong.code, id_)) from wrong
    except (OSError, ValueError) as wrong:
        why = getattr(wrong, "reason", wrong)
        raise Unexplained(f"the collector does not answer at {url} ({why}): is it running, is --url right?") from wrong


def _refused(status: int, id_: str) -> str:
    if status == _UNAUTHORIZED:
        return "the collector does not know this token: `forewarn collector add-token NAME` makes another"
    if status == _NOT_FOUND:
        return f"there is no ticket `{id_}`"
    return f"the collector answered {status}: its log says why"
