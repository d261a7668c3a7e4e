"""Whether the collector lives, what it misses, and its counters. No token is asked for; nothing here is a secret."""

from __future__ import annotations

import http

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from collector.api.parts import Check, Use

router = APIRouter(tags=["health"])


class Readiness(BaseModel):
    """Everything the collector needs, by name; `ready` when nothing is missing."""

    ready: bool
    missing: list[str]
    checks: list[Check]


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """Answers as long as the process turns."""
    return "alive\n"


@router.get(
    "/readyz", responses={503: {"model": Readiness, "description": "Something is missing: `missing` names it."}}
)
def readyz(parts: Use, response: Response) -> Readiness:
    """Names what is missing: the bus, a database, the series store, a projection that fails or stands still."""
    checks = parts.checks()
    missing = [check.name for check in checks if not check.ok]
    if missing:
        response.status_code = http.HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(ready=not missing, missing=missing, checks=checks)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(parts: Use) -> Response:
    """Counters for Prometheus, listed in docs/metrics.md."""
    return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)
