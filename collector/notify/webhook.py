"""Notices by HTTP POST: the notice as JSON, signed after the Standard Webhooks specification.

`webhook-id` is the notice's id (the same for a repeat), `webhook-timestamp` the second of this attempt,
`webhook-signature` `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`. A redirect is not followed: what is
signed for one receiver is not handed to another.

A receiver that says the message itself is wrong (400, 405, 410, 413, 415, 422 and the like) is believed for good; what
settings or time can mend (connection, TLS, 3xx, 401, 403, 404, 407, 408, 409, 425, 429, 5xx) is tried again.

Errors: `collector.notify.notifier.NotifyError`
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from collector.notify.notifier import Notice, NotifyError
from collector.settings import Webhook

_TOLD = 300
_MENDABLE = frozenset({401, 403, 404, 407, 408, 409, 425, 429})


class WebhookNotifier:
    """Posts each notice to one address."""

    name = "webhook"

    def __init__(self, settings: Webhook, *, now: Callable[[], int]) -> None:
        """Takes the receiver's address and key; `now` gives Unix milliseconds.

        Raises:
            ValueError: the key or the address cannot be used.
        """
        self._settings = settings
        self._now = now
        self._key = _key_bytes(settings.key())
        if not urlsplit(settings.url).hostname:
            raise ValueError(f"`{settings.url}` names no host")

    def send(self, notice: Notice) -> None:
        """Posts the notice; returns when the receiver answered 2xx.

        Raises:
            NotifyError: it did not.
        """
        body = msgspec.json.encode(notice)
        at = self._now() // 1000
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "forewarn",
            "webhook-id": notice.id,
            "webhook-timestamp": str(at),
            "webhook-signature": _signed(self._key, notice.id, at, body),
        }
        try:
            status, answer = self._post(body, headers)
        except (OSError, http.client.HTTPException, ValueError) as wrong:
            raise NotifyError(
                self.name, f"{self._settings.url}: {wrong or type(wrong).__name__}", permanent=False
            ) from wrong
        if not http.HTTPStatus.OK <= status < http.HTTPStatus.MULTIPLE_CHOICES:
            raise self._refused(status, answer)

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        parts = urlsplit(self._settings.url)
        host = parts.hostname or ""
        timeout = float(self._settings.timeout)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
        try:
            connection.request("POST", parts.path + (f"?{parts.query}" if parts.query else "") or "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location") or answer.read(_TOLD).decode("utf-8", "replace")
        finally:
            connection.close()

    def _refused(self, status: int, answer: str) -> NotifyError:
        client_error = http.HTTPStatus.BAD_REQUEST <= status < http.HTTPStatus.INTERNAL_SERVER_ERROR
        what = f"answered {status}"
        if http.HTTPStatus.MULTIPLE_CHOICES <= status < http.HTTPStatus.BAD_REQUEST:
            what += " (a redirect is not followed: set the new address)"
        why = f"{self._settings.url}: {what}: {' '.join(answer.split())}"
        return NotifyError(self.name, why, permanent=client_error and status not in _MENDABLE)


def signature(key: str, id_: str, at: int, body: bytes) -> str:
    """The signature of one message; `at` is Unix seconds, `key` text or `whsec_` and base64."""
    return _signed(_key_bytes(key), id_, at, body)


def _signed(key: bytes, id_: str, at: int, body: bytes) -> str:
    mac = hmac.new(key, b".".join((id_.encode(), str(at).encode(), body)), hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def _key_bytes(key: str) -> bytes:
    if not key.startswith("whsec_"):
        return key.encode()
    try:
        return base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except binascii.Error as wrong:
        raise ValueError("the webhook's secret begins with `whsec_` but does not go on in base64") from wrong
