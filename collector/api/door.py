"""Who may come in: every request below /api/v1 carries a bearer token, judged before anything else is read of it.

A token says who acts; its name stands in every ticket event. Bodies are bounded here too, before they are parsed.
"""

from __future__ import annotations

import http
import time
from collections.abc import Callable
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api.problems import answer

PREFIX = "/api/v1"
MAX_BODY = 256 * 1024
_KEPT_SECONDS = 2.0
_KEPT = 1000

_scheme = HTTPBearer(auto_error=False, description="A token made with `forewarn collector add-token ACTOR`.")


class Actors:
    """Knows the actor of a token; a revoked token is refused within 2 seconds."""

    def __init__(self, look_up: Callable[[str], str | None]) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[float, str]] = {}

    def known(self, token: str) -> str | None:
        """The actor as remembered; None when it must be looked up."""
        until, actor = self._known.get(token, (0.0, ""))
        return actor if time.monotonic() < until else None

    def look_up(self, token: str) -> str | None:
        """The actor of a token, or None. Blocks on the database."""
        actor = self._look_up(token)
        if actor is None:
            return None
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[token] = (time.monotonic() + _KEPT_SECONDS, actor)
        return actor


class Door:
    """ASGI middleware: lets in whoever has a token, with a body of bounded size."""

    def __init__(self, app: ASGIApp, actors: Actors) -> None:
        self.app = app
        self.actors = actors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        actor = await self._actor(headers.get(b"authorization", ""))
        if actor is None:
            detail = "a known token is needed: `Authorization: Bearer TOKEN` (`forewarn collector add-token` makes one)"
            await answer(http.HTTPStatus.UNAUTHORIZED, detail, scope["path"])(scope, receive, send)
            return
        scope.setdefault("state", {})["actor"] = actor
        body = await _bounded(receive)
        if body is None:
            detail = f"the body has more than {MAX_BODY} bytes"
            await answer(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, scope["path"])(scope, receive, send)
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _actor(self, authorization: str) -> str | None:
        kind, _, token = authorization.partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token:
            return None
        return self.actors.known(token) or await to_thread.run_sync(self.actors.look_up, token)


async def _bounded(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _actor(request: Request, _shown: Annotated[object, Depends(_scheme)]) -> str:
    actor: str = request.state.actor
    return actor


Actor = Annotated[str, Depends(_actor)]
"""The name behind the token of this request."""
