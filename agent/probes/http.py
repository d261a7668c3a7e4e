"""What a web interface answers to a GET, and how its certificate stands. A redirection is an answer, and not followed.

`up` is 1 for any answer that is HTTP; `status` says whether it is the one that is wanted: without a wish, anything
below 500 is, for a page that asks for a password is a page that works. What the page holds is not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.probes.probe import Found, answered, silent
from agent.reading import Clock
from agent.web.client import Garbled, Unanswered, Web, certificate_faults, judged, unjudged

_JUDGE_AGAIN = 3600.0
_BROKEN = 500


class Http:
    """One path of one device.

    Args:
        ca: who may have signed its certificate; None: those the system trusts.
        name: that the certificate has to bear; "" for the address.
        wanted: the status; None: any below 500.
    """

    def __init__(  # noqa: PLR0913 - each is a key of its setting
        self,
        address: str,
        port: int,
        path: str,
        *,
        label: str,
        clock: Clock,
        timeout: float = 2.0,
        tls: bool = False,
        ca: Path | None = None,
        name: str = "",
        wanted: int | None = None,
    ) -> None:
        self.label = label
        of_tls = ("certificate_left_seconds", "certificate_accepted") if tls else ()
        self.fields: tuple[str, ...] = ("up", "latency_seconds", "status", "status_code", *of_tls)
        self._web = Web(address, port, tls=unjudged() if tls else None, timeout=timeout)
        self._at = address, port
        self._path = path
        self._clock = clock
        self._timeout = timeout
        self._tls, self._ca, self._name, self._wanted = tls, ca, name, wanted
        self._judged: tuple[bytes, ssl.SSLContext | None, float, str | None] = (b"", None, -math.inf, None)

    async def look(self) -> Found:
        """See Probe."""
        begun = time.monotonic()
        try:
            async with self._web as web:
                answer = await web.glance(self._path)
                took = time.monotonic() - begun
                shown = web.shown
        except Unanswered as wrong:
            return silent(str(wrong), there=wrong.there)
        except Garbled as wrong:
            return silent(str(wrong), there=True)
        status = answer.status
        fits = status == self._wanted if self._wanted is not None else status < _BROKEN
        why = "" if fits else f"HTTP status {status}" + (f", not {self._wanted}" if self._wanted is not None else "")
        found = answered(took, status=0.0 if fits else 2.0, status_code=float(status))._replace(why=why)
        return await self._with_certificate(found, shown) if shown is not None else found

    async def _with_certificate(self, found: Found, shown: bytes) -> Found:
        values = dict(found.values)
        with contextlib.suppress(ValueError):
            values["certificate_left_seconds"] = ends(shown) - self._clock.now() / 1000
        try:
            faults = await self._faults(shown, judged(self._ca))
        except OSError as wrong:
            faults = f"not judged, {self._ca} cannot be used: {wrong.strerror or wrong}"
        else:
            values |= {} if faults is None else {"certificate_accepted": 0.0 if faults else 1.0}
        why = "; ".join(part for part in (found.why, f"certificate: {faults}" if faults else "") if part)
        return found._replace(values=values, why=why)

    async def _faults(self, shown: bytes, context: ssl.SSLContext) -> str | None:
        """Why it is not accepted; None when nobody could tell. One that was judged lately, by the same, is not again."""
        mark, now = hashlib.sha256(shown).digest(), self._clock.monotonic()
        known, by, at, faults = self._judged
        if mark == known and by is context and faults is not None and now - at < _JUDGE_AGAIN:
            return faults
        try:
            faults = await certificate_faults(*self._at, context, name=self._name, within=self._timeout)
        except ssl.SSLError as wrong:
            faults = f"TLS of today fails: {wrong.reason or wrong}"
        except OSError:
            return None
        self._judged = mark, context, now, faults
        return faults


def ends(certificate: bytes) -> float:
    """When a certificate ends, Unix seconds (RFC 5280 section 4.1.2.5).

    Raises:
        ValueError: it is no certificate.
    """
    from pyasn1.codec.der import decoder
    from pyasn1.error import PyAsn1Error
    from pyasn1.type.useful import GeneralizedTime, UTCTime

    try:
        whole, _ = decoder.decode(certificate)
        validity = next(part for part in whole[0].values() if _is_validity(part, (UTCTime, GeneralizedTime)))
        text = str(validity[1])
        form = "%y%m%d%H%M%SZ" if isinstance(validity[1], UTCTime) else "%Y%m%d%H%M%SZ"
        return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    except (PyAsn1Error, StopIteration, TypeError, AttributeError, IndexError) as wrong:
        raise ValueError(f"no certificate: {wrong}") from None


def _is_validity(part: object, times: tuple[type, type]) -> bool:
    """Of all that a certificate holds, only its validity is a pair of times."""
    try:
        return len(part) == len(times) and all(isinstance(part[at], times) for at in range(2))  # type: ignore[arg-type,index] # of any JSON
    except (TypeError, KeyError, IndexError):
        return False
