"""The console's door: nobody passes without a session, and nothing acts that another page has sent.

Everything but the login page needs a session: pages, assets and the socket that carries what people do. Whatever is not
a GET, and every socket, must come from a page of this host (Origin). Each answer tells the browser to load nothing from
anywhere else and to let nobody frame it.
"""

from __future__ import annotations

import http
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

from anyio import to_thread
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.console import login
from collector.console.sessions import Sessions, set_cookie
from collector.console.visit import Visit

LOGIN, LOGOUT, ASSETS = "/login", "/logout", "/_nicegui"
_MAX_FORM = 4096
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Vue compiles templates and NiceGUI runs snippets it sends: inline and eval, but from this host alone."""
_POLICY_VIOLATION = 1008


class Door:
    """ASGI middleware around the pages.

    Args:
        app: the pages.
        sessions: who is logged in.
        visit: makes what a page knows of its visitor, from the headers by name and the visitor's token digest.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, visit: Callable[[dict[str, str], str, str], Visit]) -> None:
        self.app = app
        self._sessions = sessions
        self._visit = visit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges one request or socket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            await self._socket(headers, scope, receive, send)
            return
        answer = await self._answer(headers, scope, receive)
        if answer is not None:
            await answer(scope, receive, _guarded(scope["path"], send))
            return
        await self.app(scope, receive, _guarded(scope["path"], send))

    async def _socket(self, headers: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        digest = self._sessions.digest(headers.get("cookie", ""))
        if not same_origin(headers) or digest is None or await self._actor(digest) is None:
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await self.app(scope, receive, send)

    async def _answer(self, headers: dict[str, str], scope: Scope, receive: Receive) -> Response | None:
        """What the door itself answers; None: the request may pass."""
        reads = scope["method"] in ("GET", "HEAD")
        if not reads and not same_origin(headers):
            return PlainTextResponse("this request came from another page\n", http.HTTPStatus.FORBIDDEN)
        digest = self._sessions.digest(headers.get("cookie", ""))
        actor = None if digest is None else await self._actor(digest)
        if scope["path"] == LOGIN:
            onward = _onward(parse_qs(scope["query_string"].decode("latin-1")).get("next", ["/"])[0])
            if reads:
                return RedirectResponse(onward, http.HTTPStatus.SEE_OTHER) if actor else self._asking(headers)
            return await self._log_in(headers, scope, receive, onward)
        if scope["path"] == LOGOUT and not reads:
            return self._left(scope)
        if digest is None or actor is None:
            return _stranger(scope, reads=reads)
        scope.setdefault("state", {})["visit"] = self._visit(headers, digest, actor)
        return None

    async def _actor(self, digest: str) -> str | None:
        actors = self._sessions.actors
        return actors.known(digest) or await to_thread.run_sync(actors.look_up, digest)

    def _asking(self, headers: dict[str, str], *, refused: bool = False) -> Response:
        visit = self._visit(headers, "", "")
        status = http.HTTPStatus.UNAUTHORIZED if refused else http.HTTPStatus.OK
        return HTMLResponse(login.page(visit.say, visit.theme, refused=refused), status)

    async def _log_in(self, headers: dict[str, str], scope: Scope, receive: Receive, onward: str) -> Response:
        form = await _form(receive)
        token = form.get("token", [""])[0].strip() if form is not None else ""
        value = await to_thread.run_sync(self._sessions.begin, token) if token else None
        if value is None:
            return self._asking(headers, refused=True)
        answer = RedirectResponse(onward, http.HTTPStatus.SEE_OTHER)
        answer.headers.append("set-cookie", set_cookie(value, secure=scope["scheme"] == "https"))
        return answer

    def _left(self, scope: Scope) -> Response:
        answer = RedirectResponse(LOGIN, http.HTTPStatus.SEE_OTHER)
        answer.headers.append("set-cookie", set_cookie("", secure=scope["scheme"] == "https"))
        return answer


def same_origin(headers: dict[str, str]) -> bool:
    """Whether a page of this very host sent the request; a browser always says so with whatever may change something."""
    return bool(headers.get("host")) and urlsplit(headers.get("origin", "")).netloc == headers["host"]


def _stranger(scope: Scope, *, reads: bool) -> Response:
    if not reads or scope["path"].startswith(ASSETS):
        return PlainTextResponse("log in first\n", http.HTTPStatus.UNAUTHORIZED)
    query = scope["query_string"].decode("latin-1")
    asked = scope["path"] + (f"?{query}" if query else "")
    return RedirectResponse(f"{LOGIN}?next={quote(asked)}", http.HTTPStatus.SEE_OTHER)


def _onward(path: str) -> str:
    """Where to go after the login: a page of ours, whatever a link says."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours and not path.startswith(LOGIN) else "/"


async def _form(receive: Receive) -> dict[str, list[str]] | None:
    """A small form, None when it is too large."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_FORM:
            return None
        if not message.get("more_body", False):
            return parse_qs(body.decode("latin-1"))


def _guarded(path: str, send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = _POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            if not path.startswith(ASSETS):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return guarded
