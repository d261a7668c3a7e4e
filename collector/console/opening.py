"""Opens the console: its pages, its door and its threads, around the parts the API uses as well.

NiceGUI keeps its pages and its sockets in one application a process, so a process opens one console; the pages know
nothing of each other and get all they use from the request.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI
from nicegui import ui
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.api.door import PREFIX
from collector.api.parts import Parts
from collector.console import sessions
from collector.console.door import Door
from collector.console.visit import Threads, Visit, preferences
from rules.ruleset import Ruleset

PAGES = ("fleet", "site", "device", "tickets", "ticket", "maintenance", "ingest", "rules")
_API = (PREFIX, "/livez", "/readyz", "/metrics")


class Console:
    """The pages behind their door, beside the API.

    Args:
        parts: what the API is made of.
        rules: the rules in force.
        folder: where the secret of the sessions is kept.
        look_up: the actor behind the digest of a token, None when it is nobody's.
        language: zh or en, for who has chosen none.

    Raises:
        OSError: the secret can neither be read nor made.
    """

    def __init__(
        self, parts: Parts, rules: Ruleset, *, folder: Path, look_up: Callable[[str], str | None], language: str
    ) -> None:
        self._threads = Threads.started()
        known = sessions.Sessions(sessions.secret(folder), look_up)

        def visit(headers: dict[str, str], digest: str, actor: str) -> Visit:
            say, theme, zone = preferences(headers, language)
            return Visit(parts, rules, self._threads, known, say, theme, zone, digest, actor)

        self._door = Door(_pages(), known, visit)

    def beside(self, api: ASGIApp) -> ASGIApp:
        """One application: the API and health where they are, pages everywhere else."""
        return _Beside(self._door, api)

    def close(self) -> None:
        """Lets go of its threads."""
        self._threads.close()


def _pages() -> FastAPI:
    for name in PAGES:
        import_module(f"collector.console.{name}")
    shell = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(shell, title="forewarn", show_welcome_message=False, reconnect_timeout=10.0, favicon=_ICON)
    return shell


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#17324d"/>'
    '<path d="M5 21l6-6 5 4 10-11" fill="none" stroke="#6fb1f2" stroke-width="3" stroke-linecap="round"/>'
    '<circle cx="26" cy="8" r="3" fill="#ff9b6a"/></svg>'
)


class _Beside:
    """ASGI: sends what is the API's there and the rest to the pages. `app` is what NiceGUI looks for its server by."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self.app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request, socket or lifespan on."""
        api = scope["type"] == "http" and scope["path"].startswith(_API)
        await (self._api if api else self.app)(scope, receive, send)
