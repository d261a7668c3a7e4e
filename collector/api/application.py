"""The HTTP application: routes, the door before them, problems behind them, and the description of it all.

Every route that reads a database or a store is a plain function, so that it runs in a thread of its own and never
holds up the others. The description (`/api/v1/openapi.json`) is committed as docs/openapi.json; a test compares them.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api import fleet, health, ingest, maintenance, rules, series, tickets, topology, unwatched
from collector.api.door import PREFIX, Actors, Door
from collector.api.parts import Parts
from collector.api.problems import ProblemDetails, described, install

VERSION = "1"


def application(parts: Parts, *, serves: bool = True) -> FastAPI:
    """Builds the application around its parts; without `serves` there is only health and metrics."""
    app = routes(serves=serves)
    app.state.parts = parts
    app.add_middleware(Door, actors=Actors(parts.look_up))
    app.add_middleware(Measured, registry=parts.registry)
    return app


def routes(*, serves: bool = True) -> FastAPI:
    """The application without its parts: enough to describe it."""
    app = FastAPI(
        title="forewarn collector",
        version=VERSION,
        description="Series, tickets and delivery of what agents read. Every instant is Unix milliseconds in UTC.",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        generate_unique_id_function=_named,
    )
    app.include_router(health.router)
    for module in (fleet, topology, unwatched, series, tickets, maintenance, rules, ingest) if serves else ():
        app.include_router(module.router, prefix=PREFIX, responses=described(401, 422, 503))
    install(app)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign] # FastAPI's own way to extend it.
    return app


class Measured:
    """ASGI middleware: counts requests and their seconds by route."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self.app = app
        self._answered = Counter(
            "forewarn_api_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "forewarn_api_request_seconds", "Time from request to answer.", ("route",), registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on and measures it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = _route(scope)
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
            self._answered.labels(method, route, str(status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - began)


def _route(scope: Scope) -> str:
    """The route's pattern, never the path itself: anybody could invent labels with that."""
    path: str = getattr(scope.get("route"), "path", "none")
    prefixed = path == "none" or path.startswith(PREFIX) or not scope["path"].startswith(PREFIX)
    return path if prefixed else PREFIX + path  # Newer FastAPI leaves the prefix of a router out.


def _named(route: APIRoute) -> str:
    return route.name


def _description(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made["components"]["schemas"]
        problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["ProblemDetails"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema
