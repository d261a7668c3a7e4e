"""Errors of the API: RFC 9457 problem details that say what was wrong and where.

    Problem
    ├─ NotFound    404   nothing by that name; asking again does not help
    ├─ Conflict    409   the ticket is in a state that does not allow this; `detail` says what would
    ├─ Unauthorized 401  no token, or one that is not known or revoked
    └─ Busy        503   a database or store cannot answer now; asking again helps

What the caller sent is never echoed beyond the name of the place, so that no secret comes back.
"""

from __future__ import annotations

import http
import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from collector.series.store import StoreError
from collector.storage.database import StorageError
from collector.tickets.ticket import NotAllowed, TicketError, Unknown

MEDIA = "application/problem+json"
_REF = {"$ref": "#/components/schemas/ProblemDetails"}


class Mistake(BaseModel):
    """One thing wrong in a request."""

    at: str
    """Where: `query.limit`, `body.text`."""
    what: str


class ProblemDetails(BaseModel):
    """RFC 9457: what went wrong, in words a person can act on."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Mistake] = []


class Problem(Exception):
    """An answer that is an error."""

    status = http.HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(Problem):
    """Nothing by that name."""

    status = http.HTTPStatus.NOT_FOUND


class Conflict(Problem):
    """The state of things does not allow this."""

    status = http.HTTPStatus.CONFLICT


class Unauthorized(Problem):
    """Nobody we know."""

    status = http.HTTPStatus.UNAUTHORIZED


class Busy(Problem):
    """Not now."""

    status = http.HTTPStatus.SERVICE_UNAVAILABLE


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these errors."""
    return {
        status: {"description": http.HTTPStatus(status).phrase, "content": {MEDIA: {"schema": _REF}}}
        for status in statuses
    }


def answer(
    status: int, detail: str, instance: str, errors: list[Mistake] | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem as it is sent."""
    body = ProblemDetails(
        title=http.HTTPStatus(status).phrase, status=status, detail=detail, instance=instance, errors=errors or []
    )
    also = dict(headers or {})
    if status == http.HTTPStatus.UNAUTHORIZED:
        also["WWW-Authenticate"] = 'Bearer realm="forewarn"'
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        also["Retry-After"] = "5"
    return JSONResponse(body.model_dump(), status, headers=also, media_type=MEDIA)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[JSONResponse]]] = {
        Problem: _problem,
        HTTPException: _http,
        RequestValidationError: _invalid,
        Unknown: _ticket,
        NotAllowed: _ticket,
        StorageError: _storage,
        DBAPIError: _database,
        PoolTimeout: _database,
        StoreError: _store,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _problem(request: Request, wrong: Problem) -> JSONResponse:
    return answer(wrong.status, wrong.detail, request.url.path)


async def _http(request: Request, wrong: HTTPException) -> JSONResponse:
    headers = dict(wrong.headers or {})
    if wrong.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request)) or headers.get("Allow", "")
    details = {
        http.HTTPStatus.BAD_REQUEST: "the body is not JSON in UTF-8",
        http.HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}",
        http.HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here, {headers.get('Allow', '')} is",
    }
    detail = details.get(http.HTTPStatus(wrong.status_code), str(wrong.detail))
    return answer(wrong.status_code, detail, request.url.path, headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path as a whole allows; the router names only the methods of the first route that fits."""
    described_paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    for pattern, operations in described_paths.items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), request.url.path):
            return sorted(method.upper() for method in operations)
    return []


async def _invalid(request: Request, wrong: RequestValidationError) -> JSONResponse:
    mistakes = [Mistake(at=".".join(str(part) for part in error["loc"]), what=error["msg"]) for error in wrong.errors()]
    detail = "; ".join(f"{mistake.at}: {mistake.what}" for mistake in mistakes)
    return answer(http.HTTPStatus.UNPROCESSABLE_ENTITY, detail, request.url.path, mistakes)


async def _ticket(request: Request, wrong: TicketError) -> JSONResponse:
    status = http.HTTPStatus.NOT_FOUND if isinstance(wrong, Unknown) else http.HTTPStatus.CONFLICT
    return answer(status, str(wrong), request.url.path)


async def _storage(request: Request, wrong: StorageError) -> JSONResponse:
    return answer(http.HTTPStatus.SERVICE_UNAVAILABLE, str(wrong), request.url.path)


async def _database(request: Request, wrong: DBAPIError | PoolTimeout) -> JSONResponse:
    # The statement and its parameters stay out of the answer: they may hold what is nobody's business.
    cause = type(getattr(wrong, "orig", None) or wrong).__name__
    detail = f"the database cannot answer now ({cause}): try again"
    return answer(http.HTTPStatus.SERVICE_UNAVAILABLE, detail, request.url.path)


async def _store(request: Request, wrong: StoreError) -> JSONResponse:
    return answer(http.HTTPStatus.SERVICE_UNAVAILABLE, f"the series store cannot answer now: {wrong}", request.url.path)
