"""Whether a collector runs here, and what it says of itself.

Errors: none; one that does not answer is one that is not there, and `why` says how that showed.
"""

from __future__ import annotations

import http.client
from typing import NamedTuple

import msgspec

from collector.settings import Api

WITHIN = 10.0
"""Seconds for the answer: a collector whose database is gone takes a while to say so."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to.


class Said(msgspec.Struct, frozen=True):
    """One thing the collector needs, and whether it is there."""

    name: str
    ok: bool
    detail: str = ""
    lag: int | None = None


class _Readiness(msgspec.Struct, frozen=True):
    ready: bool
    checks: list[Said]


class Answer(NamedTuple):
    """What came from the address of the API: `checks` of a collector, or None and `why`."""

    address: str
    checks: list[Said] | None
    why: str = ""

    def said(self, name: str) -> Said | None:
        """What it says of one thing; None when it does not run, or has no such part."""
        return next((check for check in self.checks or () if check.name == name), None)


def missing(answer: Answer) -> list[str]:
    """What is not as it should be, a line each; none when all is well."""
    if answer.checks is None:
        return [f"The collector does not answer at {answer.address}: {answer.why}"]
    return [f"Missing: {said.name}: {said.detail}" for said in answer.checks if not said.ok]


def asked(api: Api) -> Answer:
    """Asks the collector that should listen at an address."""
    host = "127.0.0.1" if api.host in _EVERYWHERE else api.host
    address = f"http://{host}:{api.port}/readyz"
    connection = http.client.HTTPConnection(host, api.port, timeout=WITHIN)
    try:
        connection.request("GET", "/readyz")
        found = msgspec.json.decode(connection.getresponse().read(), type=_Readiness)
    except (OSError, http.client.HTTPException) as wrong:
        return Answer(address, None, getattr(wrong, "strerror", None) or str(wrong))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer(address, None, "what answers is no collector")
    finally:
        connection.close()
    return Answer(address, found.checks)
